//! What users of this crate hold.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::options::Options;
use crate::programs::{Programs, ProgramsError};
use crate::requirements::Requirement;
use crate::self_test::{SelfTestError, self_test};
use crate::stats::Stats;
use crate::{cgroup, requirements};

/// Accelerates the connections among sockets that are made in a cgroup or below it, as long as it exists.
///
/// Dropping it, or the end of the process in whatever way, takes the programs off the cgroup. Connections that are
/// redirected then stay so until they close; others are TCP. [`Self::detach`] switches those back too.
pub struct Accelerator {
    programs: Programs,
    options: Options,
}

/// Why nothing is accelerated. All connections are plain TCP then.
#[derive(Debug, Error)]
pub enum AttachError {
    /// The cgroup cannot be used.
    #[error("cannot use cgroup {path}: {error}")]
    Cgroup {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// This host or this process lacks something.
    #[error("{0}")]
    Requirement(Requirement),
    /// This kernel does something else than what is needed.
    #[error("the self-test failed: {0}")]
    SelfTest(#[from] SelfTestError),
    /// The programs do not run.
    #[error(transparent)]
    Programs(#[from] ProgramsError),
}

const POLL: Duration = Duration::from_millis(20);

impl Accelerator {
    /// Attaches to a cgroup of version 2, after a [self-test](self_test()).
    ///
    /// # Errors
    /// When there is no such cgroup, the process may not do this, or the kernel cannot, or not safely.
    pub fn attach(cgroup: &Path, options: &Options) -> Result<Self, AttachError> {
        let directory =
            cgroup::open(cgroup).map_err(|error| AttachError::Cgroup { path: cgroup.to_owned(), error })?;
        if let Some(missing) = requirements::all().into_iter().find(|requirement| !requirement.is_met()) {
            return Err(AttachError::Requirement(missing));
        }
        match self_test() {
            Err(error) if !error.is_accepted(options) => return Err(error.into()),
            _ => {}
        }
        let programs = Programs::attach(&directory, options)?;
        Ok(Self { programs, options: options.clone() })
    }

    /// What has been counted since it was attached.
    ///
    /// # Errors
    /// When the kernel does not let the counters be read.
    pub fn stats(&self) -> Result<Stats, ProgramsError> {
        self.programs.stats()
    }

    /// The kill switch: from now on there are no new pairs, and what is redirected goes back to TCP with its next
    /// message, in order.
    ///
    /// # Errors
    /// When the kernel does not let it be switched.
    pub fn disable(&mut self) -> Result<(), ProgramsError> {
        self.programs.configure(false, &self.options)
    }

    /// Ends the acceleration: switches it off, waits until nothing is redirected any more, but at most for `patience`,
    /// and takes the programs off the cgroup. A connection that sends nothing meanwhile stays redirected until it
    /// closes, which harms nobody. Blocks.
    ///
    /// # Errors
    /// When the kernel does not let it be switched off; the programs are taken off all the same.
    pub fn detach(mut self, patience: Duration) -> Result<Stats, ProgramsError> {
        self.disable()?;
        let end = Instant::now() + patience;
        loop {
            let stats = self.stats()?;
            if stats.redirected() == 0 || Instant::now() >= end {
                return Ok(stats);
            }
            std::thread::sleep(POLL);
        }
    }
}
