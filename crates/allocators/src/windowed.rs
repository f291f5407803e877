//! Refinery's throughput samplers over windows of time: `WindowedThroughputSampler` (the Collector's
//! `algorithm: windowed`), `TotalThroughputSampler` and, of dynsampler-go, `PerKeyThroughput`.
//!
//! Every key gets the same part of the budget. What keys with little traffic leave of theirs is lost, and rates
//! are cut to whole numbers, so the budget may be missed on either side by a factor of two.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::key::{Key, Known};
use crate::{Allocator, Demand, Learned};

/// Rates by the counts of the last seconds.
#[derive(Debug)]
pub struct Windowed {
    budget: Budget,
    update: Duration,
    /// Of how many updates the window is.
    blocks: usize,
    known: Known,
    /// Spans since the last update.
    current: BTreeMap<Key, f64>,
    /// Those of the updates in the window.
    past: VecDeque<BTreeMap<Key, f64>>,
    /// One of how many is kept.
    rates: BTreeMap<Key, f64>,
    /// When the next update is due, once there has been a trace.
    due: Option<Duration>,
}

/// Spans per second.
#[derive(Clone, Copy, Debug)]
enum Budget {
    /// Of all keys together.
    Total(f64),
    /// Of each key.
    PerKey(f64),
}

impl Windowed {
    /// So many spans per second in all, with rates that are made every `update` of what came within `lookback`,
    /// a multiple of it.
    #[must_use]
    pub fn throughput(per_second: f64, update: Duration, lookback: Duration, max_keys: usize) -> Self {
        Self::new(Budget::Total(per_second), update, lookback, max_keys)
    }

    /// So many spans per second in all, with rates that are made every `interval` of what came within it.
    #[must_use]
    pub fn total_throughput(per_second: f64, interval: Duration, max_keys: usize) -> Self {
        Self::new(Budget::Total(per_second), interval, interval, max_keys)
    }

    /// So many spans per second of each key, with rates that are made every `interval` of what came within it.
    #[must_use]
    pub fn per_key_throughput(per_second: f64, interval: Duration, max_keys: usize) -> Self {
        Self::new(Budget::PerKey(per_second), interval, interval, max_keys)
    }

    fn new(budget: Budget, update: Duration, lookback: Duration, max_keys: usize) -> Self {
        let update = update.max(Duration::from_nanos(1));
        let blocks = usize::try_from(lookback.as_nanos() / update.as_nanos()).unwrap_or(usize::MAX).max(1);
        Self {
            budget,
            update,
            blocks,
            known: Known::new(max_keys),
            current: BTreeMap::new(),
            past: VecDeque::new(),
            rates: BTreeMap::new(),
            due: None,
        }
    }

    fn advance(&mut self, now: Duration) {
        let due = *self.due.get_or_insert(now + self.update);
        if now < due {
            return;
        }
        let missed = now.saturating_sub(due).as_nanos() / self.update.as_nanos();
        let current = std::mem::take(&mut self.current);
        self.shift(current);
        // A pause longer than the window empties it.
        for _ in 0..usize::try_from(missed).unwrap_or(usize::MAX).min(self.blocks) {
            self.shift(BTreeMap::new());
        }
        self.due = Some(now + self.update);
        self.make_rates();
        let window = &self.past;
        self.known.retain(|key| window.iter().any(|block| block.contains_key(key)));
    }

    fn shift(&mut self, block: BTreeMap<Key, f64>) {
        self.past.push_back(block);
        if self.past.len() > self.blocks {
            self.past.pop_front();
        }
    }

    fn make_rates(&mut self) {
        let sums = self.sums();
        let window = self.update.as_secs_f64() * self.blocks as f64;
        let part = window
            * match self.budget {
                Budget::Total(per_second) => per_second / sums.len() as f64,
                Budget::PerKey(per_second) => per_second,
            };
        self.rates = sums.into_iter().map(|(key, sum)| (key, (sum / part).max(1.0).floor())).collect();
    }

    /// The spans of the window.
    fn sums(&self) -> BTreeMap<Key, f64> {
        let mut sums = BTreeMap::new();
        for (&key, count) in self.past.iter().flatten() {
            *sums.entry(key).or_default() += count;
        }
        sums
    }
}

impl Allocator for Windowed {
    fn count(&mut self, now: Duration, demand: Demand) {
        self.advance(now);
        let key = self.known.admit(demand.key);
        *self.current.entry(key).or_default() += f64::from(demand.spans);
    }

    fn share(&self, key: Key) -> f64 {
        self.rates.get(&self.known.resolve(key)).map_or(1.0, |rate| rate.recip())
    }

    fn keys(&self) -> usize {
        self.known.len()
    }

    fn learned(&self) -> Learned {
        let window = self.update.as_secs_f64() * self.blocks as f64;
        Learned { rates: self.sums().into_iter().map(|(key, sum)| (key, sum / window)).collect() }
    }

    /// The window becomes one of such traffic.
    fn learn(&mut self, learned: &Learned) {
        let mut block = BTreeMap::new();
        for (key, rate) in learned.valid() {
            *block.entry(self.known.admit(key)).or_default() += rate * self.update.as_secs_f64();
        }
        (0..self.blocks).for_each(|_| self.shift(block.clone()));
        self.make_rates();
    }
}

#[cfg(test)]
mod tests;
