//! How many anomalies were caught, and what they cost.
//!
//! Without labels, or where nothing is anomalous, recall, lift and bytes mean nothing; precision means nothing where
//! nothing was kept.

use super::ratio;
use crate::simulate::Kept;
use crate::{Better, Metric, Population, Unit};

/// |S ∩ A| / |A|
pub(super) const RECALL: Metric = Metric {
    name: "anomaly_recall",
    title: "anomalies kept",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|S ∩ A| / |A|",
    source: "common; TraceMesh (CLOUD 2024) calls it coverage",
    compute: |population, outcome| {
        let all = population.anomalies().count();
        labelled(population)?;
        ratio(caught(population, &outcome.kept) as f64, all as f64)
    },
};

/// |S ∩ A| / n
pub(super) const PRECISION: Metric = Metric {
    name: "anomaly_precision",
    title: "anomalies among the kept",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|S ∩ A| / n",
    source: "PRO of TracePicker (FSE 2025)",
    compute: |population, outcome| {
        labelled(population)?;
        ratio(caught(population, &outcome.kept) as f64, outcome.kept.len() as f64)
    },
};

/// Precision by what a coin would have: 1 is no better than chance.
pub(super) const LIFT: Metric = Metric {
    name: "anomaly_lift",
    title: "anomalies, times what chance keeps",
    unit: Unit::Number,
    better: Better::Higher,
    formula: "(|S ∩ A| / n) / (|A| / N)",
    source: "lift of association rules (Brin et al., SIGMOD 1997), applied here",
    compute: |population, outcome| {
        let precision = (PRECISION.compute)(population, outcome)?;
        let share = ratio(population.anomalies().count() as f64, population.traces.len() as f64)?;
        ratio(precision, share)
    },
};

/// What every anomaly that was caught costs in bytes kept.
pub(super) const BYTES_EACH: Metric = Metric {
    name: "bytes_per_anomaly",
    title: "bytes kept per anomaly",
    unit: Unit::Bytes,
    better: Better::Lower,
    formula: "bytes(S) / |S ∩ A|, undefined where no anomaly was kept",
    source: "defined here",
    compute: |population, outcome| {
        labelled(population)?;
        let bytes: u64 = outcome.kept.iter().map(|kept| kept.bytes).sum();
        ratio(bytes as f64, caught(population, &outcome.kept) as f64)
    },
};

/// The recall of each kind of anomaly, by the fault's number; `None` where it has none.
#[must_use]
pub fn recall_by_fault(population: &Population, kept: &[Kept]) -> Vec<Option<f64>> {
    let mut all = vec![0_u32; population.faults.len()];
    let mut caught = all.clone();
    population.traces.iter().filter_map(|trace| trace.fault).for_each(|fault| all[fault as usize] += 1);
    let faults = kept.iter().filter_map(|kept| population.traces[kept.trace as usize].fault);
    faults.for_each(|fault| caught[fault as usize] += 1);
    caught.into_iter().zip(all).map(|(caught, all)| ratio(f64::from(caught), f64::from(all))).collect()
}

fn labelled(population: &Population) -> Option<()> {
    population.labelled.then_some(())
}

fn caught(population: &Population, kept: &[Kept]) -> usize {
    kept.iter().filter(|kept| population.traces[kept.trace as usize].is_anomalous()).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};
    use crate::simulate::Outcome;

    fn value(metric: Metric, population: &Population, outcome: &Outcome) -> Option<f64> {
        (metric.compute)(population, outcome)
    }

    #[test]
    fn by_hand_two_of_four_anomalies_among_five_of_twenty() {
        let sketches: Vec<_> = (0..20).map(|number| (0, 1.0, number < 4)).collect();
        let (population, outcome) =
            (population(&sketches), outcome(&[(0, 1.0), (1, 1.0), (7, 1.0), (8, 1.0), (9, 1.0)]));
        assert_eq!(value(RECALL, &population, &outcome), Some(0.5));
        assert_eq!(value(PRECISION, &population, &outcome), Some(0.4));
        assert_eq!(value(LIFT, &population, &outcome), Some(2.0));
        assert_eq!(value(BYTES_EACH, &population, &outcome), Some(250.0));
        assert_eq!(recall_by_fault(&population, &outcome.kept), [Some(0.5)]);
    }

    #[test]
    fn without_labels_anomalies_or_kept_traces_there_is_no_value() {
        let (calm, nothing) = (population(&[(0, 1.0, false)]), outcome(&[]));
        assert_eq!(value(RECALL, &calm, &nothing), None);
        assert_eq!(value(PRECISION, &calm, &nothing), None);
        assert_eq!(value(BYTES_EACH, &calm, &outcome(&[(0, 1.0)])), None);
        let unlabelled = Population { labelled: false, ..population(&[(0, 1.0, true)]) };
        assert_eq!(value(RECALL, &unlabelled, &outcome(&[(0, 1.0)])), None);
        assert_eq!(value(PRECISION, &unlabelled, &outcome(&[(0, 1.0)])), None);
    }
}
