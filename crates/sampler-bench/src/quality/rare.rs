//! How much of what was kept is rare.

use super::ratio;
use crate::{Better, Metric, Population, Unit};

/// An entry is rare that fewer than this share of the traces has.
const RARE: f64 = 0.05;

/// Kept traces whose entry is rare, among all kept; means nothing where nothing was kept.
pub(super) const SHARE: Metric = Metric {
    name: "rare_share",
    title: "rare entries among the kept",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|{t ∈ S: fewer than 5 % of T have t's entry}| / n; the entry is the root's operation",
    source: "PRO_rare of rcabench",
    compute: |population, outcome| {
        let rare = rare_entries(population);
        let is_rare = |trace: u32| rare[population.traces[trace as usize].entry as usize];
        let kept = outcome.kept.iter().filter(|kept| is_rare(kept.trace)).count();
        ratio(kept as f64, outcome.kept.len() as f64)
    },
};

/// For each operation, whether it is a rare entry.
fn rare_entries(population: &Population) -> Vec<bool> {
    let mut counts = vec![0_u32; population.operations.len()];
    population.traces.iter().for_each(|trace| counts[trace.entry as usize] += 1);
    let bound = RARE * population.traces.len() as f64;
    counts.into_iter().map(|count| f64::from(count) < bound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn by_hand_one_trace_of_thirty_is_rare_and_two_are_not() {
        let kinds = |rare: usize| -> Vec<_> {
            (0..30).map(|number| (u32::from(number < rare), 1.0, false)).collect()
        };
        let kept = outcome(&[(0, 1.0), (5, 1.0), (6, 1.0), (7, 1.0)]);
        assert_eq!((SHARE.compute)(&population(&kinds(1)), &kept), Some(0.25));
        // 2 / 30 is above 5 %.
        assert_eq!((SHARE.compute)(&population(&kinds(2)), &kept), Some(0.0));
        assert_eq!((SHARE.compute)(&population(&kinds(1)), &outcome(&[])), None);
    }
}
