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
//! Decisions before a trace's time come one by one, in overload all of them. They are judged by the threshold that
//! there is, which does not depend on them either. Whenever they have overdrawn the budget by another quarter of a
//! burst, the probability halves; in a second that leaves something over, it doubles.
//!
//! A budget that is divided among kinds of traces ([`super::allocation`]) is state of the same sort.

use std::time::Duration;

use forebay_allocators::Learned;
use forebay_otlp::threshold::{Randomness, Threshold};

use super::allocation::{Allocation, Budget, BudgetNumber, Division};
use super::digest::Digest;
use super::fingerprint::FingerprintNumber;
use super::policy::Evidence;
use super::store::Nanos;
use crate::retroactive::program::Columns;

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
pub(crate) struct Rates {
    limits: Vec<Rate>,
    budgets: Vec<Budget>,
}

/// The state of a processor's limits.
#[derive(Debug)]
pub struct Limits {
    limits: Vec<Limit>,
    allocations: Vec<Allocation>,
    /// When budgets were last refilled.
    refilled: Nanos,
    /// When probabilities were last doubled.
    relaxed: Nanos,
    /// Whether traces are decided before their time.
    early: bool,
}

#[derive(Debug)]
struct Limit {
    rate: Rate,
    /// What may be taken now; below zero after early decisions.
    budget: f64,
    /// How far the budget may be overdrawn before the probability halves.
    floor: f64,
    /// What randomness a trace needs; `None` if none is enough.
    threshold: Option<Threshold>,
}

const SECOND: Nanos = 1_000_000_000;
/// Random numbers are below this.
const PROBABILITY_ONE: u64 = 1 << 56;

impl Rates {
    pub(crate) fn add(&mut self, rate: Rate) -> LimitNumber {
        self.limits.push(rate);
        LimitNumber(self.limits.len() - 1)
    }

    pub(crate) fn add_budget(
        &mut self,
        policy: &str,
        division: Division,
        fingerprint: FingerprintNumber,
    ) -> BudgetNumber {
        let number = self.budgets.len();
        let of_policy = |budget: &&Budget| budget.policy == policy;
        let owner = match self.budgets.iter().filter(of_policy).count() {
            0 => policy.to_owned(),
            others => format!("{policy}#{}", others + 1),
        };
        self.budgets.push(Budget { division, fingerprint, policy: policy.to_owned(), owner });
        BudgetNumber(number)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.budgets.is_empty()
    }
}

impl Limits {
    /// Limits with their budgets full.
    pub(crate) fn new(rates: &Rates) -> Self {
        let limits = rates.limits.iter().map(|&rate| Limit::new(rate)).collect();
        let allocations = rates.budgets.iter().map(Allocation::new).collect();
        Self { limits, allocations, refilled: 0, relaxed: 0, early: false }
    }

    /// Begins a tick at `now`.
    pub(crate) fn begin_tick(&mut self, now: Nanos) {
        self.refill(now);
        self.early = false;
    }

    /// Begins decisions before their time.
    pub(crate) fn begin_early(&mut self, now: Nanos) {
        self.refill(now);
        if now.saturating_sub(self.relaxed) >= SECOND {
            self.relaxed = now;
            self.limits.iter_mut().filter(|limit| limit.budget > 0.0).for_each(Limit::relax);
        }
        self.early = true;
    }

    /// Budgets grow by what the time since the last call is worth.
    fn refill(&mut self, now: Nanos) {
        let seconds = now.saturating_sub(self.refilled) as f64 / SECOND as f64;
        for Limit { rate, budget, floor, .. } in &mut self.limits {
            *budget = (*budget + rate.per_second * seconds).min(rate.burst);
            *floor = floor.max(budget.min(0.0));
        }
        self.refilled = now;
    }

    /// Lets a limit choose among traces, and takes what they cost.
    pub(crate) fn choose<'a>(
        &mut self,
        number: LimitNumber,
        traces: impl Iterator<Item = (Randomness, &'a Digest)>,
    ) {
        let limit = &mut self.limits[number.0];
        let Rate { unit, burst, .. } = limit.rate;
        let weighed = traces.map(|(randomness, digest)| (randomness, unit.weight(digest)));
        let mut fitting: Vec<_> = weighed.filter(|&(_, weight)| weight <= burst).collect();
        if self.early {
            limit.tighten();
        } else if !fitting.is_empty() {
            fitting.sort_unstable_by_key(|&(randomness, _)| std::cmp::Reverse(randomness));
            limit.threshold = limit.first_out(&fitting);
        }
        let Some(threshold) = limit.threshold else { return };
        let taken = fitting.iter().filter(|&&(randomness, _)| threshold.keeps(randomness));
        limit.budget -= taken.map(|&(_, weight)| weight).sum::<f64>();
    }

    /// The threshold by which a limit judges a trace; `None` if it never keeps it.
    pub(crate) fn threshold(&self, number: LimitNumber, digest: &Digest) -> Option<Threshold> {
        let Limit { rate, threshold, .. } = &self.limits[number.0];
        threshold.filter(|_| rate.unit.weight(digest) <= rate.burst)
    }

    /// Tells a budget which traces it is divided among.
    pub(crate) fn allocate(&mut self, number: BudgetNumber, traces: &[Evidence<'_>]) {
        let now = Duration::from_nanos(self.refilled);
        self.allocations[number.0].count(now, traces, self.early);
    }

    /// The threshold by which a budget judges a trace that it has been told of; `None` if it does not keep it.
    pub(crate) fn allocated(&self, number: BudgetNumber, trace: &Evidence<'_>) -> Option<Threshold> {
        self.allocations[number.0].threshold(trace)
    }

    /// What tells the kinds of traces apart among which a budget is divided.
    pub(crate) fn fingerprint(&self, number: BudgetNumber) -> FingerprintNumber {
        self.allocations[number.0].fingerprint
    }

    /// What budgets have learned, each with the policy that has it.
    pub(crate) fn learned(&self) -> impl Iterator<Item = (&str, Learned)> {
        self.allocations.iter().map(|allocation| (&*allocation.owner, allocation.learned()))
    }

    /// How many kinds of traces budgets tell apart, each with the policy that has it.
    pub(crate) fn budget_keys(&self) -> impl Iterator<Item = (&str, usize)> {
        self.allocations.iter().map(|allocation| (&*allocation.owner, allocation.keys()))
    }

    /// Lets budgets begin with what `remembered` knows of their policies.
    pub(crate) fn learn(&mut self, mut remembered: impl FnMut(&str) -> Option<Learned>) {
        for allocation in &mut self.allocations {
            if let Some(learned) = remembered(&allocation.owner) {
                allocation.learn(&learned);
            }
        }
    }
}

impl Limit {
    fn new(rate: Rate) -> Self {
        Self { rate, budget: rate.burst, floor: 0.0, threshold: Some(Threshold::ALWAYS) }
    }

    /// The threshold that lets pass as many of these traces, the most random first, as the budget has room for.
    fn first_out(&self, sorted: &[(Randomness, f64)]) -> Option<Threshold> {
        let mut left = self.budget;
        let first_out = sorted.iter().find(|&&(_, weight)| {
            left -= weight;
            left < 0.0
        });
        first_out.map_or(Some(Threshold::ALWAYS), |&(randomness, _)| Threshold::new(randomness.get() + 1))
    }

    /// Halves the probability for each quarter of a burst by which the budget is overdrawn anew.
    fn tighten(&mut self) {
        while self.budget < self.floor - self.rate.burst / 4.0 {
            self.floor -= self.rate.burst / 4.0;
            self.threshold = self.threshold.and_then(|threshold| {
                let kept = PROBABILITY_ONE - threshold.get();
                Threshold::new(PROBABILITY_ONE - kept.div_ceil(2))
            });
        }
    }

    /// Doubles the probability.
    fn relax(&mut self) {
        let kept = self.threshold.map_or(1, |threshold| PROBABILITY_ONE - threshold.get());
        self.threshold = Threshold::new(PROBABILITY_ONE.saturating_sub(2 * kept));
    }
}

impl Unit {
    /// Where it stands in digests.
    pub(crate) const fn columns(self) -> Columns {
        match self {
            Self::Spans => Columns::SPANS,
            Self::Bytes => Columns { bytes: true, ..Columns::NONE },
        }
    }

    fn weight(self, digest: &Digest) -> f64 {
        f64::from(match self {
            Self::Spans => digest.spans,
            Self::Bytes => digest.bytes,
        })
    }
}

#[cfg(test)]
mod tests;
