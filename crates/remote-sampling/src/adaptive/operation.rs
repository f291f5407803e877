//! One operation: how much there was of it, and what clients are told.

use std::collections::VecDeque;
use std::time::Duration;

use super::formula::STEPS;

/// An operation's traffic and probability.
#[derive(Debug)]
pub(crate) struct Operation {
    /// What clients are told.
    pub(crate) probability: f64,
    /// What clients sample with, on average.
    effective: f64,
    /// Estimated traces since the last step.
    current: f64,
    /// Estimated traces of the last steps, the newest last.
    window: VecDeque<f64>,
    /// For how long there was none.
    pub(crate) silent: Duration,
}

/// The mean age, in seconds, of what clients know: they ask once a minute.
const LAG: f64 = 30.0;

impl Operation {
    /// One of which clients have been told this.
    pub(crate) fn new(probability: f64) -> Self {
        Self {
            probability,
            effective: probability,
            current: 0.0,
            window: VecDeque::new(),
            silent: Duration::ZERO,
        }
    }

    /// Counts a trace that was sampled with a probability, else with what clients have been told.
    pub(crate) fn count(&mut self, probability: Option<f64>, least: f64) {
        // Nobody is told less, and no trace shall count as if it were millions.
        self.current += 1.0 / probability.unwrap_or(self.effective).max(least);
    }

    /// Begins the next step and returns the traces per second of the last ones, which took so many `seconds`
    /// together and the last one `elapsed`.
    pub(crate) fn measure(&mut self, elapsed: Duration, seconds: f64) -> f64 {
        let told = 1.0 - (-elapsed.as_secs_f64() / LAG).exp();
        self.effective += (self.probability - self.effective) * told;
        self.window.push_back(std::mem::take(&mut self.current));
        if self.window.len() > STEPS as usize {
            self.window.pop_front();
        }
        self.traces() / seconds
    }

    /// Estimated traces of the last steps.
    pub(crate) fn traces(&self) -> f64 {
        self.window.iter().sum()
    }
}
