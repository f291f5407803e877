//! Whether traces were kept whole.

use super::ratio;
use crate::simulate::Kept;
use crate::{Better, Metric, Population, Unit};

/// Means nothing where nothing was kept.
pub(super) const WHOLE: Metric = Metric {
    name: "completeness",
    title: "kept traces that are whole",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|{t ∈ S: every span that was sent of t was kept}| / n",
    source: "coherence of Hindsight (NSDI 2023)",
    compute: |population, outcome| {
        let whole = outcome.kept.iter().filter(|kept| is_whole(population, kept)).count();
        ratio(whole as f64, outcome.kept.len() as f64)
    },
};

/// Means nothing without anomalies.
pub(super) const RECALL: Metric = Metric {
    name: "whole_anomaly_recall",
    title: "anomalies kept whole",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|{t ∈ S ∩ A: t is whole}| / |A|",
    source: "coherent edge cases captured, of Hindsight (NSDI 2023)",
    compute: |population, outcome| {
        let whole = outcome.kept.iter().filter(|kept| {
            is_whole(population, kept) && population.traces[kept.trace as usize].is_anomalous()
        });
        ratio(whole.count() as f64, population.anomalies().count() as f64)
    },
};

fn is_whole(population: &Population, kept: &Kept) -> bool {
    kept.spans >= population.traces[kept.trace as usize].sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn by_hand_one_of_two_is_whole() {
        let mut population = population(&[(0, 1.0, true), (0, 1.0, true), (0, 1.0, true)]);
        population.traces[1].sent = 2;
        let kept = outcome(&[(0, 1.0), (1, 1.0)]);
        assert_eq!((WHOLE.compute)(&population, &kept), Some(0.5));
        assert_eq!((RECALL.compute)(&population, &kept), Some(1.0 / 3.0));
        assert_eq!((WHOLE.compute)(&population, &outcome(&[])), None);
    }
}
