//! What the tests of all allocators share.

use std::time::Duration;

use crate::{Allocator, Demand, Key};

pub(crate) fn demand(key: u64, spans: u32) -> Demand {
    Demand { key: Key::from_bits(key), spans, head: 1.0 }
}

pub(crate) fn at(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// One of how many traces of each of these keys is kept.
pub(crate) fn rates(allocator: &dyn Allocator, keys: impl IntoIterator<Item = u64>) -> Vec<f64> {
    // The reciprocal of a reciprocal may be off by a bit.
    let rate = |key| (allocator.share(Key::from_bits(key)).recip() * 1e9).round() / 1e9;
    keys.into_iter().map(rate).collect()
}

/// The counts of the vectors, a key after the other.
pub(crate) const COUNTS: [u32; 5] = [1, 10, 100, 1_000, 10_000];

/// Counts so many spans of each key, the first one's number being 1.
pub(crate) fn count_all(allocator: &mut dyn Allocator, seconds: f64, counts: impl IntoIterator<Item = u32>) {
    (1..).zip(counts).for_each(|(key, spans)| allocator.count(at(seconds), demand(key, spans)));
}
