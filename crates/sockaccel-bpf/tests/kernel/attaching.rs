//! Attaching, and what is said when it cannot be.

use std::fs;
use std::path::Path;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use sockaccel_bpf::{Accelerator, AttachError, Options, self_test};

use crate::harness::isolated;

fn refusal(cgroup: &Path) -> AttachError {
    match Accelerator::attach(cgroup, &Options::default()) {
        Ok(_) => panic!("it has been attached to {}", cgroup.display()),
        Err(error) => error,
    }
}

fn hold_only(capabilities: CapabilitySet) {
    let sets = CapabilitySets {
        effective: capabilities,
        permitted: capabilities,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).unwrap();
}

#[test]
fn this_kernel_passes_the_self_test() {
    isolated(|_| self_test().unwrap());
}

#[test]
fn three_capabilities_suffice() {
    isolated(|world| {
        hold_only(CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON);
        Accelerator::attach(&world.cgroup, &Options::default()).unwrap();
    });
}

#[test]
fn each_missing_capability_is_named() {
    isolated(|world| {
        let all = CapabilitySet::BPF | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON;
        for (missing, name) in [
            (CapabilitySet::BPF, "CAP_BPF: missing"),
            (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN: missing"),
            (CapabilitySet::PERFMON, "CAP_PERFMON: missing"),
        ] {
            // Capabilities belong to threads, and what a thread has dropped it does not get back.
            let cgroup = world.cgroup.clone();
            let thread = std::thread::spawn(move || {
                hold_only(all.difference(missing));
                refusal(&cgroup).to_string()
            });
            let text = thread.join().unwrap();
            assert!(text.starts_with(name), "{text}");
        }
    });
}

#[test]
fn what_is_no_cgroup_of_version_two_is_refused() {
    isolated(|world| {
        let text = refusal(&world.cgroup.join("none")).to_string();
        assert!(text.contains("No such file"), "{text}");
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let version_one =
            mounts.lines().find(|line| line.contains(" cgroup ")).and_then(|line| line.split(' ').nth(1));
        let text = refusal(Path::new(version_one.unwrap_or("/tmp"))).to_string();
        assert!(text.contains("not a cgroup of version 2; those of version 2 are below /"), "{text}");
    });
}
