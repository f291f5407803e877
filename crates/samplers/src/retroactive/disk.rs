//! The disk tier: undecided spans that survive the process.
//!
//! With a tier, spans wait on disk and memory keeps a stub of them, so an agent can hold more than it has memory for,
//! and what was undecided when the process died is taken again by the next one. Decisions are written there before
//! they are acknowledged: what has left does not leave again, and what is dropped stays dropped. It survives the
//! death of the process, not that of the machine.
//!
//! Who has the same spans is the same agent, so its id is kept there, too, and how often it has begun again: its reports
//! have larger numbers each time, whatever the clock says. The file that says it goes when the tier fails, and nothing
//! is taken from a directory without one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use forebay_segments::{Error, Options, Recovery, Segments};
use thiserror::Error;

use crate::tail::store::disk::{Disk, Found};

/// A directory in which an agent's spans wait.
#[derive(Debug)]
pub struct DiskTier {
    pub(super) disk: Disk,
    /// Bytes that it may have.
    pub(super) bytes: u64,
    identity: Identity,
}

/// Whose spans these are.
#[derive(Clone, Copy, Debug)]
struct Identity {
    id: [u8; 16],
    /// How many processes have had them before.
    restarts: u32,
}

/// Why an agent's spans cannot wait on disk.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The log of spans does not do what it should.
    #[error(transparent)]
    Log(#[from] Error),
    /// The agent's id cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Id {
        /// What was tried.
        action: &'static str,
        /// The file that has it.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The file that has the agent's identity: its id, and 4 bytes, the most significant first.
const ID: &str = "agent-id";
/// A tier has at least so many segments, which go or move together when there is no room.
const SEGMENTS: u64 = 8;
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

impl DiskTier {
    /// The fewest bytes of a tier.
    pub const BYTES_MIN: u64 = SEGMENTS << 16;

    /// The tier in `directory`, which is made if there is none, of at most `bytes`, at least [`Self::BYTES_MIN`]. The
    /// agent is `id` unless spans are found, which are of the agent that it was before.
    ///
    /// # Errors
    /// When the log cannot be opened (see [`Segments::open`]), or the file with the id.
    pub fn open(directory: &Path, bytes: u64, id: [u8; 16]) -> Result<(Self, Recovery), DiskError> {
        let options = Options { bytes, segment_bytes: (bytes / SEGMENTS).min(SEGMENT_BYTES_MAX) };
        let mut found = Found::default();
        let (log, recovery) = Segments::open(directory, options, |recovered| found.add(recovered))?;
        let path = directory.join(ID);
        let known = read_identity(&path)?;
        if known.is_none() {
            found.clear();
        }
        let identity = match known.filter(|_| found.has_runs()) {
            Some(known) => Identity { restarts: known.restarts.saturating_add(1), ..known },
            None => Identity { id, restarts: 0 },
        };
        let disk = Disk::new(log, path.clone(), found)?;
        write_identity(directory, &path, identity)?;
        Ok((Self { disk, bytes, identity }, recovery))
    }

    /// Who the agent is.
    #[must_use]
    pub const fn id(&self) -> [u8; 16] {
        self.identity.id
    }

    /// How many processes have had its spans before.
    pub(super) const fn restarts(&self) -> u32 {
        self.identity.restarts
    }
}

/// The identity in the file at `path`, if there is one.
fn read_identity(path: &Path) -> Result<Option<Identity>, DiskError> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes.split_first_chunk().and_then(|(&id, restarts)| {
            Some(Identity { id, restarts: u32::from_be_bytes(restarts.try_into().ok()?) })
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DiskError::Id { action: "read", path: path.to_owned(), source }),
    }
}

/// Writes an identity to the file at `path`, as a whole or not at all.
fn write_identity(directory: &Path, path: &Path, identity: Identity) -> Result<(), DiskError> {
    let Identity { id, restarts } = identity;
    let new = directory.join(format!("{ID}.new"));
    let write = || {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?
            .write_all(&[&id[..], &restarts.to_be_bytes()].concat())?;
        fs::rename(&new, path)
    };
    write().map_err(|source| DiskError::Id { action: "write", path: path.to_owned(), source })
}
