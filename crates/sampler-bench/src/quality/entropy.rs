//! How much a kept trace's type tells: Shannon's entropy of the types of kept traces.

use super::{kept_by_kind, ratio};
use crate::{Better, Metric, Unit};

/// In bits; 0 with fewer than two types, and so where nothing was kept.
pub(super) const BITS: Metric = Metric {
    name: "type_entropy",
    title: "entropy of kept types",
    unit: Unit::Number,
    better: Better::Higher,
    formula: "−Σ p log₂ p over the types of kept traces, in bits",
    source: "rcabench; Shannon (1948)",
    compute: |population, outcome| Some(bits(&kept_by_kind(population, &outcome.kept))),
};

/// Of the greatest that it could be; means nothing where there are fewer than two types.
pub(super) const NORMALISED: Metric = Metric {
    name: "type_entropy_normalised",
    title: "entropy, of the greatest possible",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "entropy of the kept types / log₂ |τ(T)|",
    source: "rcabench",
    compute: |population, outcome| {
        ratio(bits(&kept_by_kind(population, &outcome.kept)), (population.kinds.max(1) as f64).log2())
    },
};

fn bits(counts: &[u32]) -> f64 {
    let all = f64::from(counts.iter().sum::<u32>());
    let shares = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / all);
    // Adding zero makes a negative zero positive.
    -shares.map(|share| share * share.log2()).sum::<f64>() + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn by_hand_a_half_and_two_quarters_are_one_bit_and_a_half() {
        let population = population(&[0, 0, 1, 2, 3].map(|kind| (kind, 1.0, false)));
        let kept = outcome(&[(0, 1.0), (1, 1.0), (2, 1.0), (3, 1.0)]);
        assert_eq!((BITS.compute)(&population, &kept), Some(1.5));
        assert_eq!((NORMALISED.compute)(&population, &kept), Some(0.75));
    }

    #[test]
    fn one_type_and_none_tell_nothing() {
        let one = population(&[(0, 1.0, false), (0, 1.0, false)]);
        assert_eq!((BITS.compute)(&one, &outcome(&[(0, 1.0)])), Some(0.0));
        assert_eq!((BITS.compute)(&one, &outcome(&[])), Some(0.0));
        assert_eq!((NORMALISED.compute)(&one, &outcome(&[(0, 1.0)])), None);
    }
}
