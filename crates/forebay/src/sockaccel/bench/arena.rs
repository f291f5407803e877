//! A cgroup for the measurements, with this process in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sockaccel_bpf::{Accelerator, AttachError, Options, cgroup};

/// The cgroup; when this is dropped, the process goes back to where it was, and the cgroup is removed.
pub(super) struct Arena {
    path: PathBuf,
    home: PathBuf,
}

impl Arena {
    /// Makes a cgroup below `parent` and moves this process there.
    ///
    /// # Errors
    /// When that is not allowed.
    pub(super) fn enter(parent: &Path) -> io::Result<Self> {
        let home =
            cgroup::own().ok_or_else(|| io::Error::other("this process is in no cgroup of version 2"))?;
        let path = parent.join(format!("forebay-sockaccel-bench-{}", std::process::id()));
        fs::create_dir(&path)?;
        let arena = Self { path, home };
        move_to(&arena.path)?;
        Ok(arena)
    }

    /// Accelerates connections to these ports from here on.
    ///
    /// # Errors
    /// When this host does not.
    pub(super) fn accelerate(
        &self,
        ports: impl Into<Vec<u16>>,
        mesh_ports: &[u16],
    ) -> Result<Accelerator, AttachError> {
        let options = Options { ports: ports.into(), mesh_ports: mesh_ports.to_vec(), ..Options::default() };
        Accelerator::attach(&self.path, &options)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // A cgroup that is left behind is empty and costs nothing.
        if move_to(&self.home).is_ok() {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

fn move_to(path: &Path) -> io::Result<()> {
    fs::write(path.join("cgroup.procs"), std::process::id().to_string())
}
