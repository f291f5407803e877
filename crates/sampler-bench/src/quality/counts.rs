//! Counting what came from what was kept: Σ w.
//!
//! The estimator is Horvitz and Thompson's, whose unit here is the trace, because all spans of a trace share one random
//! number. A kept trace without a threshold stands for itself alone, as a backend would have it that knows no better.
//! Where there is nothing to count, an error means nothing; where nothing was kept, it is −1.

use super::ratio;
use crate::simulate::{Kept, Outcome};
use crate::{Better, Metric, Population, Trace, Unit};

/// The share of kept traces that say how likely they were kept; means nothing where nothing was kept.
pub(super) const WEIGHTED: Metric = Metric {
    name: "weighted_ratio",
    title: "kept traces with a known weight",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|{t ∈ S: t left with a threshold}| / n",
    source: "defined here; thresholds are OpenTelemetry's `ot=th`",
    compute: |_, outcome| {
        let weighted = outcome.kept.iter().filter(|kept| kept.weight.is_some()).count();
        ratio(weighted as f64, outcome.kept.len() as f64)
    },
};

const SOURCE: &str = "OTEP 170; Horvitz and Thompson (1952)";

/// Of all traces.
pub(super) const TRACES: Metric = Metric {
    name: "count_error",
    title: "error of the number of traces",
    unit: Unit::Share,
    better: Better::Zero,
    formula: "(Σ w − N) / N",
    source: SOURCE,
    compute: |population, outcome| error(population, outcome, |_| true),
};

/// Of those with errors.
pub(super) const ERRORS: Metric = Metric {
    name: "error_count_error",
    title: "error of the number of failed traces",
    unit: Unit::Share,
    better: Better::Zero,
    formula: "(Σ w − C) / C over traces with a span in error, of which there are C",
    source: SOURCE,
    compute: |population, outcome| error(population, outcome, |trace| trace.error),
};

/// Of each entry, without regard to sign, entries by how frequent they are.
pub(super) const ENTRIES: Metric = Metric {
    name: "entry_count_error",
    title: "error of the number of traces per entry",
    unit: Unit::Share,
    better: Better::Lower,
    formula: "Σ |Σ w − C| / N, the outer sum over entries, of which each has C traces",
    source: SOURCE,
    compute: |population, outcome| {
        let mut differences = vec![0.0; population.operations.len()];
        population.traces.iter().for_each(|trace| differences[trace.entry as usize] -= 1.0);
        for kept in &outcome.kept {
            differences[population.traces[kept.trace as usize].entry as usize] += weight(kept);
        }
        ratio(differences.into_iter().map(f64::abs).sum(), population.traces.len() as f64)
    },
};

/// Whether an analyst's interval for the number of traces holds the truth; over many seeds, how often it does.
pub(super) const COVERED: Metric = Metric {
    name: "count_interval_coverage",
    title: "95 % intervals that hold the number of traces",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "1 if |Σ w − N| ≤ 1.96 √(Σ w (w − 1)) over S, else 0; over seeds, 0.95 where the estimate is unbiased",
    source: "Horvitz and Thompson's variance where traces are kept independently (Särndal et al., 1992, sec. 2.8)",
    compute: |population, outcome| {
        let estimate: f64 = outcome.kept.iter().map(weight).sum();
        let variance: f64 = outcome.kept.iter().map(weight).map(|weight| weight * (weight - 1.0)).sum();
        let off = (estimate - population.traces.len() as f64).abs();
        // A census has no variance, but rounding.
        (!population.traces.is_empty()).then(|| f64::from(u8::from(off <= 1.96 * variance.sqrt() + 1e-6)))
    },
};

/// How many traces a kept one stands for.
pub(super) fn weight(kept: &Kept) -> f64 {
    kept.weight.unwrap_or(1.0)
}

fn error(population: &Population, outcome: &Outcome, counted: impl Fn(&Trace) -> bool) -> Option<f64> {
    let true_count = population.traces.iter().filter(|trace| counted(trace)).count() as f64;
    let kept = outcome.kept.iter().filter(|kept| counted(&population.traces[kept.trace as usize]));
    let estimate: f64 = kept.map(weight).sum();
    ratio(estimate - true_count, true_count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn by_hand_two_kept_for_four_each_of_ten() {
        let sketches: Vec<_> = (0..10).map(|number| (u32::from(number < 5), 1.0, false)).collect();
        let (population, kept) = (population(&sketches), outcome(&[(0, 4.0), (9, 4.0)]));
        assert!(((TRACES.compute)(&population, &kept).unwrap() + 0.2).abs() < 1e-12);
        // Five have errors, and one was kept for four.
        assert!(((ERRORS.compute)(&population, &kept).unwrap() + 0.2).abs() < 1e-12);
        assert!(((ENTRIES.compute)(&population, &kept).unwrap() - 0.2).abs() < 1e-12);
        // √(2 · 4 · 3) = 4.9, and 1.96 times that is above 2.
        assert_eq!((COVERED.compute)(&population, &kept), Some(1.0));
        assert_eq!((COVERED.compute)(&population, &outcome(&[(0, 1.0)])), Some(0.0));
    }

    #[test]
    fn unknown_weights_are_seen_and_count_once() {
        let population = population(&[(0, 1.0, false); 2]);
        let mut kept = outcome(&[(0, 1.0), (1, 1.0)]);
        kept.kept[1].weight = None;
        assert_eq!((WEIGHTED.compute)(&population, &kept), Some(0.5));
        assert_eq!((TRACES.compute)(&population, &kept), Some(0.0));
    }

    #[test]
    fn degenerate_cases() {
        let nothing = outcome(&[]);
        assert_eq!((TRACES.compute)(&population(&[]), &nothing), None);
        assert_eq!((TRACES.compute)(&population(&[(0, 1.0, false)]), &nothing), Some(-1.0));
        assert_eq!((ERRORS.compute)(&population(&[(0, 1.0, false)]), &nothing), None);
        assert_eq!((WEIGHTED.compute)(&population(&[]), &nothing), None);
        assert_eq!((COVERED.compute)(&population(&[]), &nothing), None);
    }
}
