//! Populations and outcomes in a line.

use std::collections::BTreeSet;
use std::time::Duration;

use forebay_otlp::TraceId;
use forebay_otlp::threshold::Threshold;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::simulate::{Kept, Outcome};
use crate::{Population, SpanFact, Trace};

/// A trace of one span: its type, which is its operation too, how many seconds it takes, and whether it is an anomaly.
pub(crate) type Sketch = (u32, f64, bool);

/// The traces of these sketches. A type of an odd number has an error.
pub(crate) fn population(sketches: &[Sketch]) -> Population {
    let kinds = sketches.iter().map(|&(kind, _, _)| kind as usize + 1).max().unwrap_or(0);
    let mut population = Population {
        operations: (0..kinds).map(|kind| format!("operation {kind}")).collect(),
        kinds,
        // Types n and n + 1 share a call.
        patterns: (0..kinds as u64).map(|kind| vec![kind, kind + 1]).collect(),
        faults: vec!["fault".to_owned()],
        labelled: true,
        ..Population::default()
    };
    for (number, &(kind, seconds, anomalous)) in (0..).zip(sketches) {
        let (error, end) = (kind % 2 == 1, Duration::from_secs_f64(seconds).as_nanos());
        let end = u64::try_from(end).unwrap();
        let first = population.spans.len();
        population.spans.push(SpanFact { id: 1, parent: 0, operation: kind, error, start: 0, end });
        population.traces.push(Trace {
            id: TraceId(number + 1),
            spans: first..first + 1,
            sent: 1,
            bytes: 100,
            start: 0,
            end,
            kind,
            entry: kind,
            error,
            fault: anomalous.then_some(0),
            threshold: Threshold::ALWAYS,
        });
    }
    population
}

/// An outcome in which the traces of these numbers were kept whole, each standing for so many.
pub(crate) fn outcome(kept: &[(u32, f64)]) -> Outcome {
    let kept = kept.iter().map(|&(trace, weight)| Kept {
        trace,
        spans: 1,
        bytes: 100,
        weight: Some(weight),
        ..Kept::default()
    });
    Outcome { kept: kept.collect(), ..Outcome::default() }
}

/// Any small population, and what of it was kept: some traces torn, some without a weight.
pub(crate) fn any_case() -> impl Strategy<Value = (Population, Outcome)> {
    let kept = (0..3_u32, 1..1000_u64, prop::option::of(1.0..20.0_f64));
    let trace = (0..30_u32, 0.001..10.0_f64, any::<bool>(), prop::option::of(kept));
    let around = (prop::bool::weighted(0.9), prop::option::of(0.0..1.0_f64));
    (vec(trace, 0..60), around).prop_map(|(traces, (labelled, budget))| {
        // Types are numbered without gaps, as in a population that was read.
        let kinds: BTreeSet<_> = traces.iter().map(|(kind, ..)| *kind).collect();
        let sketch = |&(kind, seconds, bad, _): &(u32, f64, bool, _)| {
            (u32::try_from(kinds.range(..kind).count()).unwrap(), seconds, bad)
        };
        let population = population(&traces.iter().map(sketch).collect::<Vec<_>>());
        let kept = (0..).zip(&traces).filter_map(|(trace, (.., kept))| {
            let (spans, bytes, weight) = (*kept)?;
            Some(Kept { trace, spans, bytes, weight, ..Kept::default() })
        });
        (
            Population { labelled, ..population },
            Outcome { kept: kept.collect(), budget, ..Outcome::default() },
        )
    })
}

/// Whether two values are the same but for rounding.
pub(crate) fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (a, b) => a == b,
    }
}
