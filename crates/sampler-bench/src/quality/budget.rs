//! How much was kept, beside how much was to be.

use super::ratio;
use crate::{Better, Metric, Unit};

/// n / N; without traces it means nothing.
pub(super) const KEPT: Metric = Metric {
    name: "kept_ratio",
    title: "traces kept",
    unit: Unit::Share,
    better: Better::Neither,
    formula: "n / N",
    source: "common",
    compute: |population, outcome| ratio(outcome.kept.len() as f64, population.traces.len() as f64),
};

/// |n − ⌊bN⌋| / ⌊bN⌋ where a share b was asked for. Means nothing where none was, or where not one trace was.
pub(super) const DEVIATION: Metric = Metric {
    name: "budget_deviation",
    title: "off the budget",
    unit: Unit::Share,
    better: Better::Lower,
    formula: "|n − ⌊bN⌋| / ⌊bN⌋, for a strategy that was asked for the share b of the traces",
    source: "RoD of TracePicker (eval.py), controllability of rcabench",
    compute: |population, outcome| {
        let wanted = (outcome.budget? * population.traces.len() as f64).floor();
        ratio((outcome.kept.len() as f64 - wanted).abs(), wanted)
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};
    use crate::simulate::Outcome;

    #[test]
    fn by_hand_three_of_twenty_five_for_a_tenth() {
        let population = population(&[(0, 1.0, false); 25]);
        let kept = outcome(&[(0, 1.0), (1, 1.0), (2, 1.0)]);
        assert_eq!((KEPT.compute)(&population, &kept), Some(0.12));
        assert_eq!((DEVIATION.compute)(&population, &kept), None);
        let asked = |budget| Outcome { budget: Some(budget), ..kept.clone() };
        // ⌊2.5⌋ = 2
        assert_eq!((DEVIATION.compute)(&population, &asked(0.1)), Some(0.5));
        assert_eq!((DEVIATION.compute)(&population, &asked(0.01)), None);
    }

    #[test]
    fn no_traffic_has_no_ratio() {
        assert_eq!((KEPT.compute)(&population(&[]), &outcome(&[])), None);
    }
}
