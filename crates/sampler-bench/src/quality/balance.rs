//! How evenly kept traces are spread over types: the standard deviation of their numbers, over its mean.
//!
//! TracePicker counts types of which nothing was kept, rcabench leaves them out, and the two differ; both are here.
//! Without a type to count there is no value.

use super::{kept_by_kind, ratio};
use crate::{Better, Metric, Unit};

/// Over all types that there are.
pub(super) const OF_ALL: Metric = Metric {
    name: "balance_cv",
    title: "imbalance over all types",
    unit: Unit::Number,
    better: Better::Lower,
    formula: "σ / μ of the number of kept traces of each type, types without any counted (σ with N in the divisor)",
    source: "TracePicker (FSE 2025)",
    compute: |population, outcome| variation(kept_by_kind(population, &outcome.kept).into_iter()),
};

/// Over the types that were kept.
pub(super) const OF_KEPT: Metric = Metric {
    name: "balance_cv_kept",
    title: "imbalance over kept types",
    unit: Unit::Number,
    better: Better::Lower,
    formula: "σ / μ of the number of kept traces of each type that has any",
    source: "rcabench",
    compute: |population, outcome| {
        variation(kept_by_kind(population, &outcome.kept).into_iter().filter(|&count| count > 0))
    },
};

fn variation(counts: impl Iterator<Item = u32> + Clone) -> Option<f64> {
    let number = counts.clone().count() as f64;
    let mean = ratio(counts.clone().map(f64::from).sum(), number)?;
    let variance = counts.map(|count| (f64::from(count) - mean).powi(2)).sum::<f64>() / number;
    ratio(variance.sqrt(), mean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn by_hand_counts_of_three_one_and_none() {
        let sketches = [0, 0, 0, 1, 2].map(|kind| (kind, 1.0, false));
        let kept = outcome(&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        // 3 1: mean 2, deviations 1 and 1. 3 1 0: mean 4/3, variance (25 + 1 + 16) / 27 = 14/9.
        assert_eq!((OF_KEPT.compute)(&population(&sketches), &kept), Some(0.5));
        let all = (OF_ALL.compute)(&population(&sketches), &kept).unwrap();
        assert!((all - (14.0_f64 / 9.0).sqrt() / (4.0 / 3.0)).abs() < 1e-12, "{all}");
    }

    #[test]
    fn nothing_kept_has_no_balance() {
        let population = population(&[(0, 1.0, false)]);
        assert_eq!((OF_ALL.compute)(&population, &outcome(&[])), None);
        assert_eq!((OF_KEPT.compute)(&population, &outcome(&[])), None);
    }
}
