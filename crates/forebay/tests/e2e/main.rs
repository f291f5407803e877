//! The binary as its users meet it: real processes, real sockets, real signals.
//!
//! One test crate, so that it is linked once. Each test starts processes of its own on ports of its own, and
//! waits for what it expects to see rather than for a while; see [`harness`].

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed assumption is a failed test"
)]

mod harness;

mod accounting;
mod bad_input;
mod browsers;
mod command_line;
mod configurations;
mod containers;
mod dashboards;
mod demo;
mod documentation;
mod files;
mod head_sampling;
mod lifecycle;
mod loadbalancing;
mod memory;
mod mistakes;
mod pipelines;
mod reload;
mod remote_sampling;
mod retroactive;
mod sdk;
mod sockaccel;
mod systemd;
mod tail_sampling;
mod transports;
