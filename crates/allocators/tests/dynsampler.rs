//! Rates over time, against those of the library that Refinery and the Collector use.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::time::Duration;

use forebay_allocators::{Allocator, Demand, Ema, EmaSettings, Goal, Key, Windowed};
use serde::Deserialize;

/// An interval's counts by key, and the rates that were made at its end.
#[derive(Deserialize)]
struct Interval {
    counts: Vec<u32>,
    ema_percentage: Vec<u32>,
    ema_throughput: Vec<u32>,
    total_throughput: Vec<u32>,
    per_key_throughput: Vec<u32>,
}

const INTERVAL: Duration = Duration::from_secs(15);

/// Replays the counts and compares the rates at the end of each interval.
fn replay(mut allocator: impl Allocator, expected: fn(&Interval) -> &[u32]) {
    let intervals: Vec<Interval> = serde_json::from_str(include_str!("../testdata/dynsampler.json")).unwrap();
    assert_eq!(intervals.len(), 12);
    for (number, interval) in (0_u32..).zip(&intervals) {
        for (key, &spans) in (1_u64..).zip(&interval.counts).filter(|(_, spans)| **spans > 0) {
            allocator.count(INTERVAL * number, Demand { key: Key::from_bits(key), spans, head: 1.0 });
            if number > 0 {
                // The first of an interval ends the one before.
                let before = expected(&intervals[number as usize - 1]);
                let rate = |key| allocator.share(Key::from_bits(key)).recip().round();
                let rates: Vec<_> = (1..=before.len() as u64).map(rate).collect();
                let before: Vec<_> = before.iter().copied().map(f64::from).collect();
                assert_eq!(rates, before, "after interval {number}");
            }
        }
    }
}

fn ema(goal: Goal, weight: f64) -> Ema {
    Ema::new(EmaSettings { goal, interval: INTERVAL, weight, initial: 0.1, max_keys: 100 })
}

#[test]
fn ema_percentage() {
    replay(ema(Goal::Share(0.1), 0.5), |interval| &interval.ema_percentage);
}

#[test]
fn ema_throughput() {
    replay(ema(Goal::SpansPerSecond(20.0), 0.25), |interval| &interval.ema_throughput);
}

#[test]
fn total_throughput() {
    replay(Windowed::total_throughput(20.0, INTERVAL, 100), |interval| &interval.total_throughput);
}

#[test]
fn per_key_throughput() {
    replay(Windowed::per_key_throughput(2.0, INTERVAL, 100), |interval| &interval.per_key_throughput);
}
