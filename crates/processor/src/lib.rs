//! Processors that do not sample.
//!
//! Half of all Collector configurations have a `batch` and a `memory_limiter`. Forebay needs neither (its
//! exporters batch, and one byte budget bounds the process), but both keep their meaning here.

mod batch;
mod memory_limiter;

pub use batch::{BatchConfig, BatchProcessor};
pub use memory_limiter::MemoryLimiterConfig;
