//! Head sampling: each span or log record is decided alone, at once, by its trace's randomness.

mod config;
mod processor;
mod rate;
mod records;
mod rule;
mod spans;
mod state;
mod verdict;

pub use config::ProbabilisticConfig;
pub use processor::HeadProcessor;
pub use rate::{Limit, RateConfig, RateSampler};
pub use records::RecordSampler;
pub use rule::Mode;
pub use spans::SpanSampler;
pub use verdict::{Counts, Policy};

/// What is left of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// The request of the kept items.
    pub request: Vec<u8>,
    /// Spans or log records in it.
    pub items: usize,
    /// How the items were decided.
    pub counts: Counts,
}
