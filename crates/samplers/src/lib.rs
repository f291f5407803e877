//! Head and tail samplers over span bytes.
//!
//! Samplers are deterministic: they take time as an argument and find randomness in the trace (its id, or
//! `rv`), so hours of traffic can be simulated in a second and a failure can be replayed. Each comes with a
//! processor that gives it a place in a pipeline, a clock and metrics.

pub mod adaptive;
pub mod head;
pub mod retroactive;
pub mod tail;

#[cfg(test)]
mod testing;

/// Where the Collector is followed although it is wrong, because users may depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compatibility {
    /// The policies on attributes take values of another type than they look for as zero, as false or as the empty
    /// string.
    pub attribute_coercion: bool,
    /// The policy `latency` compares whole milliseconds.
    pub latency_milliseconds: bool,
    /// The policy `probabilistic` chooses by the Collector's salted hash, and so leaves no threshold.
    pub probabilistic_hash: bool,
}
