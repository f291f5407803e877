//! Head sampling: each span is decided alone, at once, by its trace's randomness.

mod config;
mod processor;
mod rule;
mod sampler;

pub use config::ProbabilisticConfig;
pub use processor::ProbabilisticProcessor;
pub use rule::Mode;
pub use sampler::{Counts, ProbabilisticSampler, Sampled};
