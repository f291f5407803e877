//! Refinery's `EMADynamicSampler` and `EMAThroughputSampler`, the Collector's `algorithm: ema`.
//!
//! Counts are smoothed from interval to interval, and an interval's rates are made of the smoothed counts before
//! it. A burst that brings twice of what an interval should brings new rates at once; until then, and by the
//! rounding of rates, the budget is missed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::key::{Key, Known};
use crate::{Allocator, Demand, Goal, Learned, logarithmic};

/// Rates by an exponential moving average of counts.
#[derive(Debug)]
pub struct Ema {
    settings: EmaSettings,
    known: Known,
    /// Spans of this interval.
    counts: BTreeMap<Key, f64>,
    counted: f64,
    /// Smoothed spans of an interval.
    averages: BTreeMap<Key, f64>,
    /// One of how many is kept, once there has been an interval.
    rates: Option<BTreeMap<Key, f64>>,
    /// When the interval ends, once it has begun.
    ends: Option<Duration>,
    intervals: u32,
    /// So many spans end the interval early.
    burst: f64,
}

/// How an [`Ema`] is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmaSettings {
    /// The budget.
    pub goal: Goal,
    /// How often rates are adjusted.
    pub interval: Duration,
    /// The weight of the last interval, above 0 and at most 1. A key whose average falls below it is forgotten.
    pub weight: f64,
    /// With which probability traces are kept before anything has been learned, above 0 and at most 1.
    pub initial: f64,
    /// How many keys are told apart.
    pub max_keys: usize,
}

/// This multiple of what an interval should have is a burst.
const BURST_MULTIPLE: f64 = 2.0;
/// So many intervals have to pass before bursts are told.
const BURST_INTERVALS: u32 = 3;

impl Ema {
    /// An allocator that has learned nothing.
    #[must_use]
    pub fn new(settings: EmaSettings) -> Self {
        Self {
            settings,
            known: Known::new(settings.max_keys),
            counts: BTreeMap::new(),
            counted: 0.0,
            averages: BTreeMap::new(),
            rates: None,
            ends: None,
            intervals: 0,
            burst: f64::INFINITY,
        }
    }

    /// Ends the interval if it is over.
    fn advance(&mut self, now: Duration) {
        let interval = self.settings.interval;
        let Some(ends) = self.ends else {
            self.ends = Some(now + interval);
            return;
        };
        if now >= ends {
            self.ends = Some(now + interval);
            self.adjust();
            self.intervals = self.intervals.saturating_add(1);
        }
    }

    /// Smooths the counts and makes rates of them. Without traffic nothing decays, so that an outage is not taken
    /// for a change.
    fn adjust(&mut self) {
        if self.counts.is_empty() {
            return;
        }
        let mut counts = std::mem::take(&mut self.counts);
        self.counted = 0.0;
        let weight = self.settings.weight;
        for (key, average) in &mut self.averages {
            *average = weight * counts.remove(key).unwrap_or(0.0) + (1.0 - weight) * *average;
        }
        self.averages.extend(counts.into_iter().map(|(key, count)| (key, weight * count)));
        self.averages.retain(|_, average| *average >= weight);
        self.known.retain(|key| self.averages.contains_key(key));
        self.make_rates();
    }

    fn make_rates(&mut self) {
        let sum: f64 = self.averages.values().map(|average| average.max(1.0)).sum();
        self.burst = sum * BURST_MULTIPLE;
        let goal = match self.settings.goal {
            Goal::Share(share) => sum * share,
            Goal::SpansPerSecond(rate) => rate * self.settings.interval.as_secs_f64(),
        };
        self.rates = Some(logarithmic::rates(goal, &self.averages));
    }
}

impl Allocator for Ema {
    fn count(&mut self, now: Duration, demand: Demand) {
        self.advance(now);
        let key = self.known.admit(demand.key);
        let spans = f64::from(demand.spans);
        *self.counts.entry(key).or_default() += spans;
        self.counted += spans;
        if self.counted >= self.burst && self.intervals >= BURST_INTERVALS {
            self.ends = Some(now + self.settings.interval);
            self.adjust();
        }
    }

    fn share(&self, key: Key) -> f64 {
        match &self.rates {
            None => self.settings.initial,
            Some(rates) => rates.get(&self.known.resolve(key)).map_or(1.0, |rate| rate.recip()),
        }
    }

    fn keys(&self) -> usize {
        self.known.len()
    }

    fn learned(&self) -> Learned {
        let interval = self.settings.interval.as_secs_f64();
        Learned { rates: self.averages.iter().map(|(&key, average)| (key, average / interval)).collect() }
    }

    fn learn(&mut self, learned: &Learned) {
        let interval = self.settings.interval.as_secs_f64();
        for (key, rate) in learned.valid() {
            *self.averages.entry(self.known.admit(key)).or_default() += rate * interval;
        }
        if !self.averages.is_empty() {
            self.make_rates();
        }
    }
}

#[cfg(test)]
mod tests;
