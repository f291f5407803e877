//! What a host and a process need, and how to grant it.

use std::fmt;
use std::path::Path;

use rustix::thread::{CapabilitySet, capabilities};

use crate::cgroup;

/// Something that acceleration cannot do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// What it is.
    pub what: &'static str,
    /// Where it was found, or what is missing and how to grant it.
    pub state: Result<String, String>,
}

const BTF: &str = "/sys/kernel/btf/vmlinux";

impl Requirement {
    /// Whether it is there.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.state.is_ok()
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Ok(text) | Err(text)) = &self.state;
        write!(f, "{}: {text}", self.what)
    }
}

/// All requirements but the one that only a [self-test](crate::self_test()) can tell.
#[must_use]
pub fn all() -> Vec<Requirement> {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let mut all: Vec<_> = [
        ("CAP_BPF", CapabilitySet::BPF | CapabilitySet::SYS_ADMIN, "to load the programs"),
        ("CAP_NET_ADMIN", CapabilitySet::NET_ADMIN, "to attach them to sockets"),
        (
            "CAP_PERFMON",
            CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN,
            "to see how much a receiver has not read",
        ),
    ]
    .into_iter()
    .map(|(what, any, purpose)| capability(what, effective.intersects(any), purpose))
    .collect();
    let btf = if Path::new(BTF).exists() {
        Ok(BTF.to_owned())
    } else {
        Err(format!("there is no {BTF}: the kernel needs CONFIG_DEBUG_INFO_BTF, and /sys must be mounted"))
    };
    all.push(Requirement { what: "kernel type information", state: btf });
    let mount = cgroup::mount().map(|mount| mount.display().to_string());
    let mount = mount.ok_or_else(|| {
        "cgroups of version 2 are not mounted: mount them, read-only suffices: mount -t cgroup2 -o ro none DIRECTORY"
            .to_owned()
    });
    all.push(Requirement { what: "cgroup version 2", state: mount });
    all
}

fn capability(what: &'static str, held: bool, purpose: &str) -> Requirement {
    let state = if held {
        Ok("held".to_owned())
    } else {
        let name = what.trim_start_matches("CAP_");
        Err(format!(
            "missing, {purpose}: add `{name}` to securityContext.capabilities, or run setcap {}+ep on the binary",
            what.to_lowercase()
        ))
    };
    Requirement { what, state }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_says_how_to_grant_it() {
        let text = capability("CAP_BPF", false, "to load the programs").to_string();
        assert_eq!(
            text,
            "CAP_BPF: missing, to load the programs: add `BPF` to securityContext.capabilities, or run setcap \
             cap_bpf+ep on the binary"
        );
        assert!(capability("CAP_BPF", true, "").is_met());
    }
}
