//! A kernel that lacks what the programs call.

use std::io::{Write, stderr};

use super::*;
use crate::{cgroup, requirements};

/// Helpers by their number in the kernel's interface, and the programs that call them first.
const HELPERS: [(u8, &str); 3] =
    [(71, "sockaccel_message"), (107, "sockaccel_message"), (70, "sockaccel_connection")];
/// A number that no kernel has given to a helper.
const UNKNOWN: i32 = 0xFFFF;

/// The object as a kernel sees it that has no such helper: it calls a number nobody knows.
fn without(helper: u8) -> Vec<u8> {
    let call = |number: i32| [[0x85, 0, 0, 0], number.to_le_bytes()].concat();
    let (known, unknown) = (call(helper.into()), call(UNKNOWN));
    let mut object = OBJECT.to_vec();
    let places: Vec<_> = object
        .windows(known.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == known)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "nothing calls helper {helper}");
    for at in places {
        object[at..at + unknown.len()].copy_from_slice(&unknown);
    }
    object
}

#[test]
fn a_kernel_without_a_helper_is_told_in_one_line() {
    if let Some(missing) = requirements::all().iter().find(|requirement| !requirement.is_met()) {
        // Not by `eprintln`, which the test runner keeps to itself.
        stderr().write_all(format!("test is skipped: {missing}\n").as_bytes()).unwrap();
        return;
    }
    let cgroup = cgroup::open(&cgroup::own().unwrap()).unwrap();
    for (helper, program) in HELPERS {
        let refused = Programs::attach_object(&without(helper), &cgroup, &Options::default());
        let text = refused.err().unwrap().to_string();
        let start = format!("this kernel does not run `{program}`: ");
        assert!(text.starts_with(&start) && text.contains("unknown#65535"), "{text}");
        assert!(
            text.ends_with("; use Linux 6.6.68, 6.12.7, 6.13 or newer") && text.lines().count() == 1,
            "{text}"
        );
    }
}

#[test]
fn of_what_the_verifier_says_the_last_words_are_the_reason() {
    let log = "0: (bf) r6 = r1\n1: (85) call bpf_sk_storage_get#107\n\
               program of this type cannot use helper bpf_sk_storage_get#107\n\
               verification time 49 usec\nstack depth 24\nprocessed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0\n\n";
    assert_eq!(reason(log), Some("program of this type cannot use helper bpf_sk_storage_get#107"));
    // Without the right to load anything there is no log.
    assert_eq!(reason(""), None);
}

#[cfg(feature = "build-bpf")]
#[test]
fn the_object_that_is_built_here_is_the_one_of_the_repository() {
    assert!(
        OBJECT == include_bytes!("../../bpf/sockaccel.bpf.o"),
        "run bpf/build.sh with clang 14, and commit"
    );
}
