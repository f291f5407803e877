//! Budgets per second, kept by thresholds.
//!
//! A limiting policy cannot judge a trace alone: what it keeps depends on what else there is. Of the traces that
//! are decided together in one tick it keeps those with the highest randomness, as far down as its budget reaches;
//! the randomness of the first that does not fit is the tick's threshold. So a limit is a probability sampler
//! whose threshold the traffic sets, and the threshold is true: whether a trace is kept depends on the others and
//! on its own randomness reaching a number that the others alone determine, which makes weighting by it unbiased
//! (bottom-k sampling; Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). The Collector
//! lets traces in by order of arrival, of which nothing can be estimated.
//!
//! Decisions before a trace's time come one by one. They are judged by the threshold of the tick before, which
//! does not depend on them, and what they take is missing in the next tick.

use forebay_otlp::threshold::{Randomness, Threshold};

use super::digest::Digest;
use super::store::Nanos;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Spans.
    Spans,
    /// Bytes of spans' messages.
    Bytes,
}

/// A limit as it is configured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) unit: Unit,
    pub(crate) per_second: f64,
    /// What can be saved up; a trace that is larger never fits.
    pub(crate) burst: f64,
}

/// Which of a processor's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LimitNumber(usize);

/// The rates that policies have registered.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rates(Vec<Rate>);

/// The state of a processor's limits.
#[derive(Debug)]
pub struct Limits {
    limits: Vec<Limit>,
    /// When budgets were last refilled.
    refilled: Nanos,
    /// Whether traces are decided before their time.
    early: bool,
}

#[derive(Debug)]
struct Limit {
    rate: Rate,
    /// What may be taken now; below zero after early decisions.
    budget: f64,
    /// What randomness a trace needs; `None` if none is enough.
    threshold: Option<Threshold>,
}

impl Rates {
    pub(crate) fn add(&mut self, rate: Rate) -> LimitNumber {
        self.0.push(rate);
        LimitNumber(self.0.len() - 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Limits {
    /// Limits with their budgets full.
    pub(crate) fn new(rates: &Rates) -> Self {
        let full = |&rate: &Rate| Limit { rate, budget: rate.burst, threshold: Some(Threshold::ALWAYS) };
        Self { limits: rates.0.iter().map(full).collect(), refilled: 0, early: false }
    }

    /// Begins a tick at `now`: budgets grow by what the time since the last one is worth.
    pub(crate) fn begin_tick(&mut self, now: Nanos) {
        let seconds = now.saturating_sub(self.refilled) as f64 / 1e9;
        for Limit { rate, budget, .. } in &mut self.limits {
            *budget = (*budget + rate.per_second * seconds).min(rate.burst);
        }
        self.refilled = now;
        self.early = false;
    }

    /// Begins decisions before their time.
    pub(crate) fn begin_early(&mut self) {
        self.early = true;
    }

    /// Lets a limit choose among traces, and takes what they cost.
    pub(crate) fn choose<'a>(
        &mut self,
        number: LimitNumber,
        traces: impl Iterator<Item = (Randomness, &'a Digest)>,
    ) {
        let early = self.early;
        let Limit { rate, budget, threshold } = &mut self.limits[number.0];
        let weighed = traces.map(|(randomness, digest)| (randomness, rate.unit.weight(digest)));
        let mut fitting: Vec<_> = weighed.filter(|&(_, weight)| weight <= rate.burst).collect();
        if !early {
            fitting.sort_unstable_by_key(|&(randomness, _)| std::cmp::Reverse(randomness));
            let mut left = *budget;
            let first_out = fitting.iter().find(|&&(_, weight)| {
                left -= weight;
                left < 0.0
            });
            *threshold = match first_out {
                None => Some(Threshold::ALWAYS),
                Some(&(randomness, _)) => Threshold::new(randomness.get() + 1),
            };
        }
        let Some(threshold) = *threshold else { return };
        let taken = fitting.iter().filter(|&&(randomness, _)| threshold.keeps(randomness));
        *budget -= taken.map(|&(_, weight)| weight).sum::<f64>();
    }

    /// The threshold by which a limit judges a trace; `None` if it never keeps it.
    pub(crate) fn threshold(&self, number: LimitNumber, digest: &Digest) -> Option<Threshold> {
        let Limit { rate, threshold, .. } = &self.limits[number.0];
        threshold.filter(|_| rate.unit.weight(digest) <= rate.burst)
    }
}

impl Unit {
    fn weight(self, digest: &Digest) -> f64 {
        f64::from(match self {
            Self::Spans => digest.spans,
            Self::Bytes => digest.bytes,
        })
    }
}

#[cfg(test)]
mod tests;
