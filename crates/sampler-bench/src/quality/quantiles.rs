//! Quantiles of the traces' durations, from the kept ones.
//!
//! The estimate inverts the weighted distribution of what was kept: the least duration below or at which lies the share
//! q of the weight. Where nothing was kept there is no value.

use super::counts::weight;
use super::ratio;
use crate::simulate::Outcome;
use crate::{Better, Metric, Population, Trace, Unit};

const SOURCE: &str = "inverse of the weighted empirical distribution (Särndal et al., 1992, sec. 5.11)";

macro_rules! quantile {
    ($constant:ident, $name:literal, $title:literal, $q:literal) => {
        /// The error of one quantile, relative to it.
        pub(super) const $constant: Metric = Metric {
            name: $name,
            title: $title,
            unit: Unit::Share,
            better: Better::Lower,
            formula: concat!("|q̂ − q| / q for the quantile ", $q, " of trace durations"),
            source: SOURCE,
            compute: |population, outcome| {
                let truth = truth(population, $q)?;
                ratio((estimate(population, outcome, $q)? - truth).abs(), truth)
            },
        };
    };
}
quantile!(P50, "latency_p50_error", "error of the median duration", 0.5);
quantile!(P90, "latency_p90_error", "error of the 90th percentile", 0.9);
quantile!(P99, "latency_p99_error", "error of the 99th percentile", 0.99);

/// How far off in ranks: free of scale, and 0.01 where the estimate is the maximum.
pub(super) const RANK_P99: Metric = Metric {
    name: "latency_p99_rank_error",
    title: "rank error of the 99th percentile",
    unit: Unit::Share,
    better: Better::Lower,
    formula: "distance of 0.99 from the ranks that the estimate has among all traces",
    source: "common for quantile sketches (Greenwald and Khanna, SIGMOD 2001)",
    compute: |population, outcome| {
        let found = estimate(population, outcome, 0.99)?;
        let share = |below: &dyn Fn(f64) -> bool| {
            let below = population.traces.iter().filter(|trace| below(trace.seconds())).count();
            below as f64 / population.traces.len() as f64
        };
        let (low, high) = (share(&|seconds| seconds < found), share(&|seconds| seconds <= found));
        Some((low - 0.99).max(0.99 - high).max(0.0))
    },
};

fn truth(population: &Population, q: f64) -> Option<f64> {
    inverse(population.traces.iter().map(|trace| (trace.seconds(), 1.0)).collect(), q)
}

fn estimate(population: &Population, outcome: &Outcome, q: f64) -> Option<f64> {
    let trace = |number: u32| -> &Trace { &population.traces[number as usize] };
    inverse(outcome.kept.iter().map(|kept| (trace(kept.trace).seconds(), weight(kept))).collect(), q)
}

/// The least value below or at which lies the share `q` of the weight.
fn inverse(mut values: Vec<(f64, f64)>, q: f64) -> Option<f64> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let wanted = q * values.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut below = 0.0;
    let found = values.iter().find(|(_, weight)| {
        below += weight;
        // What rounding takes away is not a value's weight.
        below >= wanted * (1.0 - 1e-12)
    });
    found.or(values.last()).map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quality::testing::{any_case, close, outcome, population};

    #[test]
    fn by_hand_the_median_of_one_to_five_is_three_and_of_a_weighted_pair_the_heavier() {
        let population = population(&[1.0, 2.0, 3.0, 4.0, 5.0].map(|seconds| (0, seconds, false)));
        assert_eq!(truth(&population, 0.5), Some(3.0));
        assert_eq!(truth(&population, 0.9), Some(5.0));
        let kept = outcome(&[(0, 1.0), (3, 4.0)]);
        assert_eq!(estimate(&population, &kept, 0.5), Some(4.0));
        assert!(close((P50.compute)(&population, &kept), Some(1.0 / 3.0)));
        // 4 has the ranks from 0.6 to 0.8.
        assert!(close((RANK_P99.compute)(&population, &kept), Some(0.19)));
        assert_eq!((P50.compute)(&population, &outcome(&[])), None);
        assert_eq!((RANK_P99.compute)(&population, &outcome(&[])), None);
    }

    proptest! {
        #[test]
        fn a_whole_number_of_copies_weighs_the_same(weights in prop::collection::vec((0..50_u32, 1..5_u32), 1..20), q in 0.01..1.0_f64) {
            let weighted = weights.iter().map(|&(value, weight)| (f64::from(value), f64::from(weight))).collect();
            let mut copies: Vec<_> = weights.iter().flat_map(|&(value, weight)| vec![value; weight as usize]).collect();
            copies.sort_unstable();
            // The first copy at or below which lies the share `q` of all.
            let share = |below: usize| below as f64 / copies.len() as f64;
            let rank = (1..copies.len()).find(|&below| share(below) >= q - 1e-9).unwrap_or(copies.len());
            prop_assert_eq!(inverse(weighted, q), Some(f64::from(copies[rank - 1])));
        }

        #[test]
        fn whoever_keeps_all_makes_no_error((population, _) in any_case()) {
            let all: Vec<_> = (0..).take(population.traces.len()).map(|trace| (trace, 1.0)).collect();
            if let Some(error) = (P90.compute)(&population, &outcome(&all)) {
                prop_assert_eq!(error, 0.0);
            }
        }
    }
}
