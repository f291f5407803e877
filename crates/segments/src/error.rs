//! What can go wrong with a log on disk, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::Address;

/// Why a log cannot do what it was asked for. It is as it was before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The bounds contradict each other.
    #[error(
        "segments of {segment_bytes} bytes in {bytes} bytes do not work: a segment has {min} bytes to {max}, and all \
         together at least two of them",
        min = crate::SEGMENT_BYTES_MIN,
        max = crate::SEGMENT_BYTES_MAX
    )]
    Bounds {
        /// [`Options::bytes`](crate::Options::bytes).
        bytes: u64,
        /// [`Options::segment_bytes`](crate::Options::segment_bytes).
        segment_bytes: u64,
    },
    /// There is another user.
    #[error(
        "{} is in use by {}; every process needs a directory of its own",
        directory.display(),
        pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The directory of the log.
        directory: PathBuf,
        /// Who uses it, if that is known.
        pid: Option<u32>,
    },
    /// A file has the name of a segment, but is none, or none of this log.
    #[error("{} is not a segment of this log: move it away, or use another directory", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A segment was written by another version.
    #[error(
        "{} is a segment of version {found}, and this program reads version {known}: start the program that wrote \
         it to have its records shipped, or remove the file to give them up",
        path.display(),
        known = crate::file::VERSION
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it says.
        found: u16,
    },
    /// There is no room.
    #[error("the {bytes} bytes that {} may take are in use: release the oldest records", directory.display())]
    Full {
        /// The directory of the log.
        directory: PathBuf,
        /// The bound.
        bytes: u64,
    },
    /// A record does not fit, even if nothing else is there.
    #[error("a record of {bytes} bytes does not fit a log of {bound}: raise its bound")]
    TooLarge {
        /// Bytes of the record.
        bytes: usize,
        /// Bytes that the log may take.
        bound: u64,
    },
    /// There is no such record any more.
    #[error("the record at {address} has been released")]
    Released {
        /// Where it was.
        address: Address,
    },
    /// A record is not what was written.
    #[error("the record at {address} in {} has been damaged: release it", directory.display())]
    Damaged {
        /// The directory of the log.
        directory: PathBuf,
        /// Where it is.
        address: Address,
    },
    /// The file system refuses.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why it failed; [`io::ErrorKind::StorageFull`] when the disk is full.
        source: io::Error,
    },
}

/// The error of not being able to do `action` with `path`.
pub(crate) fn at(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}
