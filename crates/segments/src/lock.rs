//! One process at a time.
//!
//! The lock is the operating system's, on a file beside the segments. It goes with its owner, however that ends; the
//! file stays, and says who was the last one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process;

use crate::error::{Error, at};

/// The right to use a directory.
#[derive(Debug)]
pub(crate) struct Lock(File);

/// More than any process id has.
const PID_BYTES_MAX: u64 = 16;

impl Lock {
    /// Takes the lock on `directory`, if nobody has it.
    pub(crate) fn take(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(at(&path, "open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { directory: directory.to_owned(), pid: pid(&file) });
            }
            Err(TryLockError::Error(error)) => return Err(at(&path, "lock")(error)),
        }
        // Only for others to read. When the disk is full, they do not know.
        let _ = file.set_len(0).and_then(|()| writeln!(&file, "{}", process::id()));
        Ok(Self(file))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would do, if it were not for a child just forked, which has the file open for another moment.
        let _ = self.0.unlock();
    }
}

/// Who has the lock, as its file says.
fn pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
