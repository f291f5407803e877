//! How a sampling budget is divided among kinds of traces.
//!
//! A service answers `GET /health` a thousand times a second and `POST /refund` once an hour. Who keeps one of a
//! hundred traces sees a lot of the one and nothing of the other. So traces are told apart by a fingerprint, the
//! [`Key`], and each key has a probability of its own: what is rare is kept, what is frequent is thinned until
//! all together meet the budget. An [`Allocator`] counts what comes and says these probabilities.
//!
//! [`WaterFilling`] is the one to use. It is shown all traces that are decided together before it says how likely
//! each is to stay, so it meets the budget exactly in expectation, and a burst is over before it has been paid
//! for. [`Ema`] and [`Windowed`] are what Refinery and the Collector use (`dynsampler-go` 0.6), to the digit:
//! for those who depend on their rates, and to be measured against.
//!
//! Allocators do no I/O and have no clock. They never see a trace's random number, so the probability that a
//! kept trace leaves with is true.

mod ema;
mod key;
mod logarithmic;
#[cfg(test)]
mod testing;
mod water;
mod windowed;

use std::fmt::Debug;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use ema::{Ema, EmaSettings};
pub use key::Key;
pub use water::{Vessel, WaterFilling, WaterSettings, level};
pub use windowed::Windowed;

/// A trace that asks to be kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Demand {
    /// What kind of trace it is.
    pub key: Key,
    /// What keeping it costs, in spans.
    pub spans: u32,
    /// The probability with which it has come here, above 0 and at most 1.
    pub head: f64,
}

/// What a budget is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// This share of all spans that there were before any sampling, above 0 and at most 1.
    Share(f64),
    /// So many spans per second, above 0.
    SpansPerSecond(f64),
}

/// Divides a budget among keys.
///
/// Times are those since some fixed moment and do not decrease; should they, they count as no time at all.
pub trait Allocator: Debug + Send {
    /// Counts a trace that is decided by itself at `now`, by what has been learned before.
    fn count(&mut self, now: Duration, demand: Demand);

    /// Counts traces that are decided together at `now`.
    fn tick(&mut self, now: Duration, demands: &[Demand]) {
        demands.iter().for_each(|&demand| self.count(now, demand));
    }

    /// With which probability a trace of this key, which has been counted, is to be kept of all that there were
    /// before any sampling: 0 to 1. One that came with less is kept.
    fn share(&self, key: Key) -> f64;

    /// How many keys are told apart.
    fn keys(&self) -> usize;

    /// What has been learned so far.
    fn learned(&self) -> Learned;

    /// Begins with what another allocator has learned.
    fn learn(&mut self, learned: &Learned);
}

/// What an allocator has learned of its traffic. It means the same to all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// Spans per second by key, in the order of keys.
    pub rates: Vec<(Key, f64)>,
}

impl Learned {
    /// The rates that can be meant: positive and finite.
    fn valid(&self) -> impl Iterator<Item = (Key, f64)> {
        self.rates.iter().copied().filter(|&(_, rate)| rate > 0.0 && rate.is_finite())
    }
}
