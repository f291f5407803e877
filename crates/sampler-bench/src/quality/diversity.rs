//! How different kept traces are from each other.

use super::{kept_by_kind, ratio};
use crate::{Better, Metric, Unit};

/// |τ(S)| / n; means nothing where nothing was kept.
pub(super) const TYPES_PER_TRACE: Metric = Metric {
    name: "types_per_trace",
    title: "types per kept trace",
    unit: Unit::Number,
    better: Better::Higher,
    formula: "|τ(S)| / n",
    source: "benefit by cost of rcabench",
    compute: |population, outcome| {
        let types = kept_by_kind(population, &outcome.kept).into_iter().filter(|&count| count > 0).count();
        ratio(types as f64, outcome.kept.len() as f64)
    },
};

/// Means nothing with fewer than two kept types.
pub(super) const DISSIMILARITY: Metric = Metric {
    name: "dissimilarity",
    title: "dissimilarity of kept types",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "mean of 1 − |a ∩ b| / |a ∪ b| over pairs of kept types; a type is its set of caller-callee pairs and \
              failing operations",
    source: "intra-sample dissimilarity of rcabench, whose types are event pairs; Jaccard (1901)",
    compute: |population, outcome| {
        let counts = kept_by_kind(population, &outcome.kept);
        let kept = population.patterns.iter().zip(counts).filter(|(_, count)| *count > 0);
        let kept: Vec<_> = kept.map(|(pattern, _)| pattern).collect();
        let pairs = kept.iter().enumerate().flat_map(|(first, a)| kept[..first].iter().map(move |b| (a, b)));
        let (sum, pairs) = pairs.fold((0.0, 0.0), |(sum, pairs), (a, b)| (sum + distance(a, b), pairs + 1.0));
        ratio(sum, pairs)
    },
};

/// Jaccard's distance of two sets, each in order.
fn distance(a: &[u64], b: &[u64]) -> f64 {
    let common = a.iter().filter(|&item| b.binary_search(item).is_ok()).count();
    1.0 - common as f64 / (a.len() + b.len() - common).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{close, outcome, population};

    #[test]
    fn by_hand_three_types_of_which_neighbours_share_one_pair_of_three() {
        let population = population(&[0, 1, 2, 2].map(|kind| (kind, 1.0, false)));
        let kept = outcome(&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        assert_eq!((TYPES_PER_TRACE.compute)(&population, &kept), Some(0.75));
        // {0 1} {1 2} {2 3}: distances 2/3, 2/3 and 1.
        assert!(close((DISSIMILARITY.compute)(&population, &kept), Some(7.0 / 9.0)));
    }

    #[test]
    fn one_type_has_nothing_to_differ_from() {
        let population = population(&[(0, 1.0, false)]);
        assert_eq!((DISSIMILARITY.compute)(&population, &outcome(&[(0, 1.0)])), None);
        assert_eq!((TYPES_PER_TRACE.compute)(&population, &outcome(&[])), None);
    }
}
