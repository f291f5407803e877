//! Tail sampling: traces wait, whole traces are decided.
//!
//! A span arrives as bytes. What policies ask of single spans ([`predicate`]) is answered at once and merged
//! into its trace's [`digest`]; the bytes go to the store's log. When the trace is due, [`policy`] verdicts
//! over the digest decide it, and its spans leave stamped with the threshold that they have passed.
//! [`TailSampler`] is one shard of that, single-threaded and without a clock; [`TailProcessor`] runs shards in
//! a pipeline.

pub mod allocation;
mod config;
pub mod decision;
pub mod digest;
mod fingerprint;
mod learned;
pub mod limits;
mod metrics;
pub(crate) mod moment;
pub(crate) mod pending;
pub mod policy;
pub mod predicate;
mod processor;
pub(crate) mod recent;
mod sampler;
pub(crate) mod stamp;
mod stats;
pub(crate) mod store;
mod waits;

pub(crate) use config::nanos;
pub use config::{SamplingStrategy, TailConfig};
pub use learned::LearnedRates;
pub use metrics::AGE_SECONDS;
pub use processor::{EvidencePort, Grant, TailProcessor};
pub use sampler::{Holders, Notice, Output, Remember, Reported, Settings, TailSampler};
pub use stamp::POLICY_ATTRIBUTE;
pub use stats::{Amount, PolicyCount, Stats};
pub use store::{AgentNumber, Nanos};
