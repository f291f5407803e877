//! Criterion benches, and the comparison of Forebay with its peers on one machine.
//!
//! The comparison runs three processes: `loadgen` sends OTLP/gRPC requests, the system under test samples
//! them, and `sink` counts what comes out. `peers` starts the three, each pinned to its core, and reads what
//! the system spent. Everything between them is OTLP on loopback, so any collector can take the middle
//! place. See `peers/README.md`.

pub mod budgets;
pub mod compare;
pub mod fleet;
pub mod load;
pub mod report;
pub mod run;
pub mod sink;
pub mod strategies;
pub mod template;
mod walk;

pub use sampler_bench::live::{Error, grpc, proc, process};
