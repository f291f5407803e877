//! The programs in this machine's kernel: real sockets, cgroups and namespaces.
//!
//! Each test runs in a process and a cgroup of its own, and needs the rights to make one; without them it says on
//! standard error that it was skipped. See [`harness`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed assumption is a failed test"
)]

mod harness;

mod attaching;
mod calls;
mod leaving;
mod lifecycle;
mod model;
mod namespaces;
mod pairing;
mod programs;
mod sharing;
mod streams;
