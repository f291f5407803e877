//! How far the kept traces' durations are from all traces', as distributions. Weights are used.
//!
//! Where nothing was kept there is no value.

use super::counts::weight;
use crate::simulate::Outcome;
use crate::{Better, Metric, Population, Unit};

/// The bins of the histograms that Jensen and Shannon's divergence compares, as TracePicker has.
const BINS: usize = 10;

/// sup |F̂ − F|
pub(super) const KOLMOGOROV_SMIRNOV: Metric = Metric {
    name: "duration_ks",
    title: "distance of duration distributions (KS)",
    unit: Unit::Number,
    better: Better::Lower,
    formula: "sup |F̂ − F| of the weighted distribution of kept durations and that of all",
    source: "Kolmogorov (1933), Smirnov (1948); hist_metric.py of TracePicker",
    compute: |population, outcome| {
        let (mut all, mut kept) = durations(population, outcome)?;
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        kept.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (whole, part) = (total(&all), total(&kept));
        let mut rest = kept.iter().peekable();
        let (mut below_all, mut below_kept, mut worst) = (0.0, 0.0, 0.0_f64);
        // Kept durations are among all durations: the two distributions step at the same places.
        for run in all.chunk_by(|a, b| a.0 == b.0) {
            below_all += total(run);
            while let Some((_, weight)) = rest.next_if(|(seconds, _)| *seconds <= run[0].0) {
                below_kept += weight;
            }
            worst = worst.max((below_all / whole - below_kept / part).abs());
        }
        Some(worst)
    },
};

/// 0 for the same histograms, 1 for disjoint ones.
pub(super) const JENSEN_SHANNON: Metric = Metric {
    name: "duration_jsd",
    title: "divergence of duration histograms (JSD)",
    unit: Unit::Number,
    better: Better::Lower,
    formula: "(D(P‖M) + D(Q‖M)) / 2 in bits, M = (P + Q) / 2, of histograms with 10 bins over the range of all",
    source: "Lin (1991); hist_metric.py of TracePicker, whose two histograms have edges of their own: here both have those \
             of all traces",
    compute: |population, outcome| {
        let (all, kept) = durations(population, outcome)?;
        let ends = |end: fn(f64, f64) -> f64, begin| all.iter().map(|(seconds, _)| *seconds).fold(begin, end);
        let range = (ends(f64::min, f64::INFINITY), ends(f64::max, f64::NEG_INFINITY));
        let (p, q) = (histogram(&all, range), histogram(&kept, range));
        let divergence = |p: &[f64], q: &[f64]| -> f64 {
            let bins = p.iter().zip(q).filter(|(p, _)| **p > 0.0);
            bins.map(|(p, q)| p * (p / ((p + q) / 2.0)).log2()).sum()
        };
        Some(((divergence(&p, &q) + divergence(&q, &p)) / 2.0).max(0.0))
    },
};

type Weighted = Vec<(f64, f64)>;

/// The durations of all traces and of the kept ones, each with its weight.
fn durations(population: &Population, outcome: &Outcome) -> Option<(Weighted, Weighted)> {
    let all = population.traces.iter().map(|trace| (trace.seconds(), 1.0)).collect();
    let kept =
        outcome.kept.iter().map(|kept| (population.traces[kept.trace as usize].seconds(), weight(kept)));
    let kept: Weighted = kept.collect();
    (!kept.is_empty()).then_some((all, kept))
}

fn total(values: &[(f64, f64)]) -> f64 {
    values.iter().map(|(_, weight)| weight).sum()
}

/// The shares of the weight that fall into each of equal parts of `range`.
fn histogram(values: &[(f64, f64)], (least, greatest): (f64, f64)) -> [f64; BINS] {
    let mut bins = [0.0; BINS];
    let whole = total(values);
    for (value, weight) in values {
        let place = (value - least) / (greatest - least).max(f64::MIN_POSITIVE) * BINS as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the bins")]
        let bin = (place as usize).min(BINS - 1);
        bins[bin] += weight / whole;
    }
    bins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quality::testing::{any_case, close, outcome, population};

    #[test]
    fn by_hand_the_upper_half_of_four() {
        let population = population(&[1.0, 2.0, 3.0, 4.0].map(|seconds| (0, seconds, false)));
        let kept = outcome(&[(2, 1.0), (3, 1.0)]);
        assert!(close((KOLMOGOROV_SMIRNOV.compute)(&population, &kept), Some(0.5)));
        // P = ¼ four times; Q = 0 0 ½ ½; M = ⅛ ⅛ ⅜ ⅜.
        let p = 2.0 * 0.25 * 2.0_f64.log2() + 2.0 * 0.25 * (2.0_f64 / 3.0).log2();
        let q = 2.0 * 0.5 * (4.0_f64 / 3.0).log2();
        assert!(close((JENSEN_SHANNON.compute)(&population, &kept), Some((p + q) / 2.0)));
    }

    #[test]
    fn nothing_kept_has_no_distribution() {
        let population = population(&[(0, 1.0, false)]);
        assert_eq!((KOLMOGOROV_SMIRNOV.compute)(&population, &outcome(&[])), None);
        assert_eq!((JENSEN_SHANNON.compute)(&population, &outcome(&[])), None);
    }

    proptest! {
        #[test]
        fn divergence_is_between_nothing_and_a_bit((population, outcome) in any_case()) {
            if let Some(found) = (JENSEN_SHANNON.compute)(&population, &outcome) {
                prop_assert!((0.0..=1.0 + 1e-9).contains(&found));
            }
        }
    }
}
