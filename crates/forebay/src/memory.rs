//! How much memory the process has: its cgroup's limit, or the machine's memory.

use std::fs;
use std::path::Path;

/// Bytes that the process may use in all; 1 GiB where nothing tells.
#[must_use]
pub(crate) fn available() -> usize {
    limit_below(Path::new("/"))
}

const UNKNOWN: usize = 1 << 30;
/// cgroup v1 says "no limit" by a number close to 2^63.
const NO_LIMIT: usize = 1 << 60;

/// The least of the machine's memory and the limits of the process's cgroup and those above it.
fn limit_below(root: &Path) -> usize {
    let machine = fs::read_to_string(root.join("proc/meminfo")).ok().and_then(|text| meminfo_total(&text));
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let limits = groups.lines().filter_map(|line| cgroup_limit(root, line));
    machine.into_iter().chain(limits).min().unwrap_or(UNKNOWN)
}

fn meminfo_total(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

/// The least limit along the path of one line of `/proc/self/cgroup`, `hierarchy:controllers:path`.
fn cgroup_limit(root: &Path, line: &str) -> Option<usize> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (mount, file) = match controllers {
        "" => ("sys/fs/cgroup", "memory.max"),
        list if list.split(',').any(|controller| controller == "memory") => {
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mount = root.join(mount);
    // In a container the path may be the host's, and the limit lie at the mount's root.
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        .filter_map(|group| fs::read_to_string(mount.join(group).join(file)).ok())
        .filter_map(|text| text.trim().parse().ok())
        .filter(|&limit| limit < NO_LIMIT)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn the_least_limit_of_the_group_and_those_above_it_counts() {
        let root = tree(&[
            ("proc/meminfo", "MemTotal:       16384 kB\nMemFree: 1 kB\n"),
            ("proc/self/cgroup", "0::/pods/one\n"),
            ("sys/fs/cgroup/pods/memory.max", "1048576\n"),
            ("sys/fs/cgroup/pods/one/memory.max", "max\n"),
        ]);
        assert_eq!(limit_below(root.path()), 1 << 20);
    }

    #[test]
    fn version_one_groups_are_understood() {
        let root = tree(&[
            ("proc/meminfo", "MemTotal:       16384 kB\n"),
            ("proc/self/cgroup", "5:cpu,memory:/docker/abc\n4:pids:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "2097152\n"),
        ]);
        assert_eq!(limit_below(root.path()), 2 << 20);
        fs::write(root.path().join("sys/fs/cgroup/memory/memory.limit_in_bytes"), "9223372036854771712\n")
            .unwrap();
        assert_eq!(limit_below(root.path()), 16 << 20);
    }

    #[test]
    fn a_system_that_tells_nothing_has_a_default() {
        assert_eq!(limit_below(tree(&[]).path()), UNKNOWN);
    }
}
