//! Anomalies that were not kept, to be looked at.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};

use crate::simulate::Kept;
use crate::{Population, SpanFact, Trace};

/// A trace of which nothing was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissedTrace {
    /// Its id in the input, in hex.
    pub id: String,
    /// What it is called.
    pub fault: String,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// Its first spans, each before what it calls.
    pub spans: Vec<MissedSpan>,
    /// How many more it has.
    pub more: usize,
}

/// A span of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissedSpan {
    /// Service and name.
    pub operation: String,
    /// How many calls it is away from a root.
    pub depth: u32,
    /// When it starts after the trace does, in milliseconds.
    pub start_ms: f64,
    /// How long it takes, in milliseconds.
    pub ms: f64,
    /// Whether it failed.
    pub error: bool,
}

/// Of each kind of anomaly so many traces are shown.
const OF_EACH: usize = 3;
/// And of each trace so many spans.
const SPANS: usize = 60;

impl MissedTrace {
    /// The first anomalies of each kind that are not among the kept traces.
    #[must_use]
    pub fn of(population: &Population, kept: &[Kept]) -> Vec<Self> {
        let kept: HashSet<usize, FixedState> = kept.iter().map(|kept| kept.trace as usize).collect();
        let mut shown = BTreeMap::<u32, usize>::new();
        let missed = population.traces.iter().enumerate().filter(|(number, _)| !kept.contains(number));
        missed
            .filter_map(|(_, trace)| {
                let count = shown.entry(trace.fault?).or_default();
                *count += 1;
                (*count <= OF_EACH).then(|| Self::new(population, trace))
            })
            .collect()
    }

    fn new(population: &Population, trace: &Trace) -> Self {
        let spans = population.spans_of(trace);
        let fault = trace.fault.map(|fault| population.faults[fault as usize].clone());
        let order = waterfall(spans);
        let more = order.len().saturating_sub(SPANS);
        let span = |&(depth, span): &(u32, usize)| {
            let span = &spans[span];
            MissedSpan {
                operation: population.operations[span.operation as usize].clone(),
                depth,
                start_ms: milliseconds(span.start.saturating_sub(trace.start)),
                ms: milliseconds(span.end.saturating_sub(span.start)),
                error: span.error,
            }
        };
        Self {
            id: trace.id.to_string(),
            fault: fault.unwrap_or_default(),
            ms: trace.seconds() * 1e3,
            spans: order.iter().take(SPANS).map(span).collect(),
            more,
        }
    }
}

fn milliseconds(nanos: u64) -> f64 {
    // To a microsecond: more digits would only make the report longer.
    (nanos as f64 / 1e3).round() / 1e3
}

/// Spans depth first, siblings by their start, each with its depth. What calls itself in a circle is left out.
fn waterfall(spans: &[SpanFact]) -> Vec<(u32, usize)> {
    let numbers: HashMap<u64, usize, FixedState> =
        spans.iter().enumerate().map(|(number, span)| (span.id, number)).collect();
    let mut children = vec![Vec::new(); spans.len()];
    let mut waiting = Vec::new();
    for (number, span) in spans.iter().enumerate() {
        match numbers.get(&span.parent) {
            Some(&parent) => children[parent].push(number),
            None => waiting.push((0, number)),
        }
    }
    let later_first = |&number: &usize| std::cmp::Reverse(spans[number].start);
    waiting.sort_by_key(|(_, number)| later_first(number));
    let mut order = Vec::new();
    while let Some((depth, number)) = waiting.pop() {
        order.push((depth, number));
        let mut calls = std::mem::take(&mut children[number]);
        calls.sort_by_key(later_first);
        waiting.extend(calls.into_iter().map(|call| (depth + 1, call)));
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_come_before_callees_and_siblings_by_time() {
        let span = |id, parent, start| SpanFact { id, parent, operation: 0, error: false, start, end: start };
        let spans = [span(3, 1, 30), span(4, 2, 25), span(1, 0, 10), span(2, 1, 20), span(9, 9, 5)];
        assert_eq!(waterfall(&spans), [(0, 2), (1, 3), (2, 1), (1, 0)]);
    }
}
