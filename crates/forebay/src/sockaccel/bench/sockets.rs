//! Where Unix sockets are while they are measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory for sockets, which is removed with them when this is dropped.
pub(super) struct Sockets(PathBuf);

impl Sockets {
    /// Makes one among the temporary files, under a name that nobody else of this process has.
    pub(super) fn new(name: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("forebay-sockaccel-{name}-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// What clients call the socket of this name.
    pub(super) fn endpoint(&self, name: &str) -> String {
        format!("unix:{}", self.0.join(name).display())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        // What is left is names in a directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
