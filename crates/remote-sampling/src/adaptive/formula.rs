//! Which probability comes after this one: the calculation of Jaeger's adaptive sampling
//! (`PercentageIncreaseCappedCalculator`), and what it aims at.

use std::time::Duration;

/// What is aimed at, and how fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Goals {
    /// Sampled traces per second of each operation, over all gateways; above 0.
    pub(crate) per_operation: f64,
    /// Sampled traces per second of each service, over all its operations and all gateways; above 0.
    pub(crate) per_service: Option<f64>,
    /// The probability of operations that nothing is known of; above 0.
    pub(crate) initial: f64,
    /// The least probability; above 0.
    pub(crate) least: f64,
    /// Traces per second that clients are to keep of each operation, whatever the probability.
    pub(crate) lower_bound: f64,
    /// By which share the rate may miss the target before anything changes.
    pub(crate) tolerance: f64,
    /// The time over which traffic is measured. In it, a probability at most doubles.
    pub(crate) interval: Duration,
    /// Services told apart.
    pub(crate) max_services: usize,
    /// Operations of each told apart.
    pub(crate) max_operations: usize,
}

/// Steps in an interval. Each looks at the last interval, so a burst counts after the fourth part of it.
pub(crate) const STEPS: u32 = 4;
/// By which share a probability grows at most in an interval; Jaeger's.
const INCREASE: f64 = 1.0;

impl Goals {
    /// The time between two calculations.
    pub(crate) fn step(&self) -> Duration {
        self.interval / STEPS
    }

    /// The probability that comes after `probability`, which has brought `rate` traces per second of the
    /// `target`.
    pub(crate) fn next(&self, probability: f64, rate: f64, target: f64) -> f64 {
        if (rate - target).abs() < self.tolerance * target {
            return probability;
        }
        let increase = (1.0 + INCREASE).powf(1.0 / f64::from(STEPS)) - 1.0;
        capped(target, rate, probability, increase).clamp(self.least, 1.0)
    }
}

/// The probability that brings `target` if `probability` has brought `rate`, but no more than `increase` above
/// it. Down it goes at once: too many traces hurt more than too few.
fn capped(target: f64, rate: f64, probability: f64, increase: f64) -> f64 {
    // Without any trace, the ratio is infinite.
    (probability * (target / rate)).min(probability * (1.0 + increase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jaegers_own_examples_hold() {
        // (target, rate, probability), with increases of at most a half.
        for ((target, rate, probability), expected) in
            [((1.0, 2.0, 0.1), 0.05), ((1.0, 0.5, 0.1), 0.15), ((1.0, 0.8, 0.1), 0.125)]
        {
            let next = capped(target, rate, probability, 0.5);
            assert!((next - expected).abs() < 1e-12, "{target} {rate} {probability}: {next}");
        }
    }

    #[test]
    fn without_traffic_a_probability_doubles_in_an_interval() {
        assert_eq!(capped(1.0, 0.0, 0.1, 1.0), 0.2);
        let goals = crate::adaptive::AdaptiveConfig::default().goals;
        let after = (0..STEPS).fold(0.1, |probability, _| goals.next(probability, 0.0, 1.0));
        assert!((after - 0.2).abs() < 1e-12, "{after}");
    }

    #[test]
    fn a_small_miss_changes_nothing_and_the_bounds_hold() {
        let goals = crate::adaptive::AdaptiveConfig::default().goals;
        assert_eq!(goals.next(0.1, 1.29, 1.0), 0.1);
        assert_eq!(goals.next(0.1, 0.71, 1.0), 0.1);
        assert!(goals.next(0.1, 1.31, 1.0) < 0.1);
        assert_eq!(goals.next(1.0, 0.0, 1.0), 1.0);
        assert_eq!(goals.next(0.1, 1e9, 1.0), goals.least);
    }
}
