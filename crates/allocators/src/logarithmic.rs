//! Refinery's division of a budget: each key gets a part of it in proportion to the logarithm of its count.
//!
//! What a key cannot use is spread over those that come after it in the order of keys, so the same counts under
//! other names have other rates. Rates are whole numbers: one of so many traces is kept.

use std::collections::BTreeMap;

use crate::key::Key;

/// One of how many traces of each key is kept, if all together are to keep `goal` of what was counted
/// (`calculateSampleRates` of dynsampler-go).
pub(crate) fn rates(goal: f64, counts: &BTreeMap<Key, f64>) -> BTreeMap<Key, f64> {
    let logarithms: f64 = counts.values().map(|count| count.max(1.0).log10()).sum();
    // Infinite where nothing is counted twice; then a part is not a number, and `max` makes it one.
    let ratio = goal / logarithms;
    let mut left = counts.len() as f64;
    let mut extra = 0.0;
    let mut rate = |count: f64| {
        let count = count.max(1.0);
        let share: f64 = extra / left;
        let part = (count.log10() * ratio).max(1.0) + share;
        extra -= share;
        left -= 1.0;
        if count <= part {
            extra += part - count;
            return 1.0;
        }
        let rate = (count / part).ceil();
        extra += part - count / rate;
        rate
    };
    counts.iter().map(|(&key, &count)| (key, rate(count))).collect()
}
