//! How much of what there is was seen at least once.
//!
//! Where there is nothing to see, coverage means nothing; where nothing was kept, it is 0.

use std::collections::BTreeSet;

use super::ratio;
use crate::simulate::Kept;
use crate::{Better, Metric, Population, Trace, Unit};

/// |τ(S)| / |τ(T)|
pub(super) const TYPES: Metric = Metric {
    name: "type_coverage",
    title: "trace types seen",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|τ(S)| / |τ(T)|; τ is the path code: operations level by level, with their failures",
    source: "typeStatistic of TracePicker (FSE 2025)",
    compute: |population, outcome| {
        let seen = types(kept_traces(population, &outcome.kept));
        ratio(seen as f64, population.kinds as f64)
    },
};

/// The same of anomalous traces.
pub(super) const ANOMALOUS_TYPES: Metric = Metric {
    name: "anomalous_type_recall",
    title: "anomalous types seen",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|τ(S ∩ A)| / |τ(A)|",
    source: "recall of TracePicker (FSE 2025)",
    compute: |population, outcome| {
        let anomalous =
            |traces: &mut dyn Iterator<Item = &Trace>| types(traces.filter(|trace| trace.is_anomalous()));
        let seen = anomalous(&mut kept_traces(population, &outcome.kept));
        ratio(seen as f64, anomalous(&mut population.traces.iter()) as f64)
    },
};

/// Operations of which a kept trace has a span, among all.
pub(super) const OPERATIONS: Metric = Metric {
    name: "operation_coverage",
    title: "operations seen",
    unit: Unit::Share,
    better: Better::Higher,
    formula: "|{service and span name in S}| / |{service and span name in T}|",
    source: "span-name coverage of rcabench",
    compute: |population, outcome| {
        let kept = kept_traces(population, &outcome.kept);
        let seen: BTreeSet<_> =
            kept.flat_map(|trace| population.spans_of(trace)).map(|span| span.operation).collect();
        ratio(seen.len() as f64, population.operations.len() as f64)
    },
};

fn kept_traces<'a>(population: &'a Population, kept: &'a [Kept]) -> impl Iterator<Item = &'a Trace> {
    kept.iter().map(|kept| &population.traces[kept.trace as usize])
}

fn types<'a>(traces: impl Iterator<Item = &'a Trace>) -> usize {
    traces.map(|trace| trace.kind).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::testing::{outcome, population};

    #[test]
    fn by_hand_two_of_three_types_and_one_of_two_anomalous_ones() {
        let population = population(&[(0, 1.0, false), (0, 1.0, false), (1, 1.0, true), (2, 1.0, true)]);
        let kept = outcome(&[(0, 1.0), (1, 1.0), (3, 1.0)]);
        assert_eq!((TYPES.compute)(&population, &kept), Some(2.0 / 3.0));
        assert_eq!((ANOMALOUS_TYPES.compute)(&population, &kept), Some(0.5));
        assert_eq!((OPERATIONS.compute)(&population, &kept), Some(2.0 / 3.0));
    }

    #[test]
    fn of_nothing_nothing_is_covered_and_nothing_kept_covers_nothing() {
        let nothing = outcome(&[]);
        assert_eq!((TYPES.compute)(&population(&[]), &nothing), None);
        assert_eq!((ANOMALOUS_TYPES.compute)(&population(&[(0, 1.0, false)]), &nothing), None);
        assert_eq!((TYPES.compute)(&population(&[(0, 1.0, false)]), &nothing), Some(0.0));
        assert_eq!((OPERATIONS.compute)(&population(&[(0, 1.0, false)]), &nothing), Some(0.0));
    }
}
