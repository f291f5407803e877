//! The threshold that keeps a rate.
//!
//! A threshold is true if it was fixed before the randomness of what it judges was looked at. So the controller
//! never learns what was kept. It learns what *arrives*, and works with expectations: an item that arrives under
//! the probability p costs p of the budget, whether it is kept or not. What is kept then differs from the budget by
//! chance alone, and weights of kept items estimate the traffic without bias, however the threshold moves.
//!
//! Time is cut into windows of 100 ms. At the start of each, p is set so that what the last windows brought would
//! use up the budget there is: what the window is worth, and what was saved up or overdrawn before. When a window
//! brings more than that, p halves each time that another quarter of a window's worth has been overdrawn. A burst
//! of x times what was expected costs so at most (log2(x) + 3) / 4 windows' worth beyond the budget, in expectation
//! (1.8 for ×20; 180 ms of the limit); the next window knows the new rate, and pays it back.
//!
//! An item that has passed a threshold before costs the probability that it passes this one too.

use forebay_otlp::threshold::Threshold;

use crate::tail::Nanos;

/// What is kept at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Items a second.
    pub per_second: f64,
    /// Items that can be saved up, at least 1.
    pub burst: f64,
}

/// Finds thresholds for a [`Limit`].
#[derive(Clone, Debug)]
pub(super) struct Controller {
    limit: Limit,
    /// The number of the window.
    window: u64,
    /// What may be spent now; below zero after a burst.
    budget: f64,
    /// What the window has brought: at the probability p as much costs p times this.
    demand: f64,
    /// What the windows before have brought, in one.
    expected: f64,
    threshold: Threshold,
    /// Where the budget stands when the probability halves next.
    floor: f64,
}

const SECOND: Nanos = 1_000_000_000;
const WINDOW: Nanos = SECOND / 10;
const WINDOWS_PER_SECOND: f64 = 10.0;
/// How much of what was expected is forgotten in a window that brings less.
const FORGOTTEN: f64 = 0.5;
/// In debt, a window spends this part of its worth, since nothing can be estimated from a probability of zero.
const LEAST_SPENT: f64 = 0.25;
/// The parts of a window's worth, or of one item if that is more, in which overdrafts halve the probability.
const STEP: f64 = 0.25;
/// Hex digits of thresholds.
const PRECISION: u32 = 4;
/// Probabilities do not fall below this.
const PROBABILITY_MIN: f64 = 1.0 / (1_u64 << 48) as f64;

impl Controller {
    /// A controller whose budget is full.
    pub(super) fn new(limit: Limit) -> Self {
        Self {
            limit,
            window: 0,
            budget: limit.burst,
            demand: 0.0,
            expected: 0.0,
            threshold: Threshold::ALWAYS,
            floor: 0.0,
        }
    }

    /// What items have to reach at `now`, which does not go back.
    pub(super) fn threshold(&mut self, now: Nanos) -> Threshold {
        let window = now / WINDOW;
        if window > self.window {
            self.begin(window - self.window);
            self.window = window;
        }
        self.threshold
    }

    /// Takes account of an item that has come, kept or not, and had passed `before`.
    pub(super) fn charge(&mut self, before: Threshold) {
        let probability = self.threshold.probability();
        let cost = (probability / before.probability()).min(1.0);
        self.demand += cost / probability;
        self.budget -= cost;
        while self.budget < self.floor {
            self.floor -= STEP * self.worth().max(1.0);
            self.set(self.threshold.probability() / 2.0);
        }
    }

    /// Begins a window, `windows` after the last.
    fn begin(&mut self, windows: u64) {
        let kept = 1.0 - FORGOTTEN;
        self.expected = self.demand.max(kept * self.expected + FORGOTTEN * self.demand);
        // What lies between has brought nothing.
        self.expected *= kept.powi(i32::try_from(windows - 1).unwrap_or(i32::MAX));
        self.demand = 0.0;
        self.budget = (self.budget + self.worth() * windows as f64).min(self.limit.burst);
        let allowance = self.budget.max(LEAST_SPENT * self.worth());
        self.floor = self.budget - allowance;
        self.set(allowance / self.expected);
    }

    /// What a window may cost.
    fn worth(&self) -> f64 {
        self.limit.per_second / WINDOWS_PER_SECOND
    }

    fn set(&mut self, probability: f64) {
        // Not a number where nothing is expected of nothing.
        let probability = if probability < 1.0 { probability.max(PROBABILITY_MIN) } else { 1.0 };
        self.threshold = Threshold::from_probability(probability, PRECISION).unwrap_or(Threshold::ALWAYS);
    }
}

#[cfg(test)]
mod tests;
