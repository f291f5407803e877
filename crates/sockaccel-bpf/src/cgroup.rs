//! Where cgroups are.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, fstatfs};

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2: FsWord = 0x6367_7270;

/// Opens a cgroup to attach programs to.
///
/// # Errors
/// When there is none at `path`, or it is one of version 1, which programs for sockets cannot be attached to.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let directory = File::open(path)?;
    if fstatfs(&directory)?.f_type == CGROUP2 {
        return Ok(directory);
    }
    let hint = mount().map_or_else(
        || "none of version 2 is mounted here".to_owned(),
        |mount| format!("those of version 2 are below {}", mount.display()),
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a cgroup of version 2; {hint}")))
}

/// Where cgroups of version 2 are mounted, if they are.
#[must_use]
pub fn mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(mount_point).map(PathBuf::from)
}

/// The cgroup of this process, in which its sockets are made.
#[must_use]
pub fn own() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(mount()?.join(path.trim_start_matches('/')))
}

/// The mount point in a line of `mountinfo` about cgroups of version 2.
fn mount_point(line: &str) -> Option<&str> {
    let (mount, filesystem) = line.split_once(" - ")?;
    filesystem.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_two_is_found_among_the_mounts() {
        let hybrid = "42 32 0:39 / /sys/fs/cgroup/unified rw,relatime shared:15 - cgroup2 cgroup rw";
        assert_eq!(mount_point(hybrid), Some("/sys/fs/cgroup/unified"));
        assert_eq!(mount_point("33 32 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"), None);
    }

    #[test]
    fn what_is_no_cgroup_is_refused_with_a_hint() {
        let directory = tempfile::tempdir().unwrap();
        let error = open(directory.path()).unwrap_err().to_string();
        assert!(error.starts_with("not a cgroup of version 2; "), "{error}");
        assert_eq!(open(&directory.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
