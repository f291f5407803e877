//! What is known of the traces that a strategy may keep or not.
//!
//! All of it is gathered once, while the workload is read, in a few dozen bytes a span; every metric is a function of
//! this and of what was kept.

mod shape;

use std::ops::Range;

use foldhash::fast::FixedState;
use forebay_otlp::attribute::{AnyValue, Attribute, resource_attribute_messages};
use forebay_otlp::threshold::Threshold;
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{Span, SpanIndex, SpanView, StatusCode, TraceId};
use hashbrown::{HashMap, HashSet};

use self::shape::Shape;
use crate::Oddities;

/// The traces of a workload. Traces, operations, shapes and faults are numbered from 0.
#[derive(Clone, Debug, Default)]
pub struct Population {
    /// The traces, by when their first span came.
    pub traces: Vec<Trace>,
    /// Their spans, those of a trace together.
    pub spans: Vec<SpanFact>,
    /// What a span is of: service and span name.
    pub operations: Vec<String>,
    /// How many types of traces there are.
    pub kinds: usize,
    /// For each type of trace, its caller-callee pairs and its operations that fail, as distinct numbers in order.
    pub patterns: Vec<Vec<u64>>,
    /// What ground truth or labels call the anomalies.
    pub faults: Vec<String>,
    /// Whether anybody has said which traces are anomalous.
    pub labelled: bool,
}

/// One trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its id in the input.
    pub id: TraceId,
    /// Its distinct spans in [`Population::spans`].
    pub spans: Range<usize>,
    /// Spans sent, duplicates among them.
    pub sent: u32,
    /// Bytes of the spans sent, without their resources and scopes.
    pub bytes: u64,
    /// When its first span starts, in nanoseconds since 1970.
    pub start: u64,
    /// When its last span ends.
    pub end: u64,
    /// Its type: the path code of TracePicker with failing operations marked: equal for the traces of one type.
    pub kind: u32,
    /// The operation of its root; of several, the first to start.
    pub entry: u32,
    /// Whether a span of it has failed.
    pub error: bool,
    /// The fault that makes it anomalous.
    pub fault: Option<u32>,
    /// The threshold that it has passed before it came here.
    pub threshold: Threshold,
}

/// One span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanFact {
    /// Its id.
    pub id: u64,
    /// Its parent's; 0 if it has none.
    pub parent: u64,
    /// What it is of.
    pub operation: u32,
    /// Whether it failed.
    pub error: bool,
    /// In nanoseconds since 1970.
    pub start: u64,
    /// In nanoseconds since 1970.
    pub end: u64,
}

impl Trace {
    /// From its first start to its last end, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.end.saturating_sub(self.start) as f64 / 1e9
    }

    /// Whether it is an anomaly.
    #[must_use]
    pub const fn is_anomalous(&self) -> bool {
        self.fault.is_some()
    }
}

impl SpanFact {
    /// How long it took, in seconds.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.end.saturating_sub(self.start) as f64 / 1e9
    }
}

impl Population {
    /// The spans of a trace.
    #[must_use]
    pub fn spans_of(&self, trace: &Trace) -> &[SpanFact] {
        &self.spans[trace.spans.clone()]
    }

    /// The numbers of the anomalous traces.
    pub fn anomalies(&self) -> impl Iterator<Item = usize> {
        self.traces.iter().enumerate().filter(|(_, trace)| trace.is_anomalous()).map(|(number, _)| number)
    }
}

/// Gathers a population request by request.
#[derive(Debug, Default)]
pub struct PopulationBuilder {
    traces: HashMap<TraceId, u32, FixedState>,
    facts: Vec<TraceFact>,
    spans: Vec<(u32, SpanFact)>,
    seen: HashSet<(u32, u64), FixedState>,
    operations: Interner,
}

#[derive(Debug)]
struct TraceFact {
    id: TraceId,
    sent: u32,
    bytes: u64,
    threshold: Threshold,
    rooted: bool,
    /// The file that its first span was in, and whether others were in another.
    file: u32,
    split: bool,
    fault: Option<u32>,
}

#[derive(Debug, Default)]
struct Interner {
    numbers: HashMap<String, u32, FixedState>,
    names: Vec<String>,
}

impl Interner {
    fn number(&mut self, name: String) -> u32 {
        let Self { numbers, names } = self;
        *numbers.entry(name).or_insert_with_key(|name| {
            names.push(name.clone());
            number(names.len() - 1)
        })
    }
}

/// Of things that are held in memory there are fewer than 2^32.
pub(crate) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Clocks that differ by less are not worth mentioning, in nanoseconds.
pub(crate) const MINUTE: u64 = 60_000_000_000;

impl PopulationBuilder {
    /// Adds the spans of a request, which came from the file of this number. Returns the number of each one's trace.
    pub fn add(&mut self, request: &[u8], index: &SpanIndex, file: u32, oddities: &mut Oddities) -> Vec<u32> {
        let mut services = vec![None; index.envelopes.len()];
        index
            .spans
            .iter()
            .map(|span| {
                let service = services[span.envelope as usize]
                    .get_or_insert_with(|| resource_attribute(request, index, span.envelope, "service.name"));
                self.add_span(request, index, span, service, file, oddities)
            })
            .collect()
    }

    /// How many distinct spans there are.
    #[must_use]
    pub fn spans(&self) -> usize {
        self.spans.len()
    }

    fn add_span(
        &mut self,
        request: &[u8],
        index: &SpanIndex,
        span: &Span,
        service: &str,
        file: u32,
        oddities: &mut Oddities,
    ) -> u32 {
        let body = index.body(request, span);
        let view = SpanView::new(body);
        let trace = *self.traces.entry(span.trace_id).or_insert_with(|| {
            self.facts.push(TraceFact {
                id: span.trace_id,
                sent: 0,
                bytes: 0,
                threshold: Threshold::ALWAYS,
                rooted: false,
                file,
                split: false,
                fault: None,
            });
            number(self.facts.len() - 1)
        });
        let fact = &mut self.facts[trace as usize];
        fact.sent += 1;
        fact.bytes += body.len() as u64;
        fact.rooted |= span.root;
        fact.split |= fact.file != file;
        if !span.trace_state.is_empty()
            && let Ok(state) =
                TraceState::parse(&request[span.trace_state.start as usize..span.trace_state.end as usize])
            && let Ok(Some(threshold)) = state.ot().th
        {
            fact.threshold = fact.threshold.max(threshold);
        }
        let id = span_id(view.span_id());
        if !self.seen.insert((trace, id)) {
            oddities.duplicate_spans += 1;
            return trace;
        }
        oddities.negative_durations += u64::from(span.end < span.start);
        let name = format!("{service} {}", String::from_utf8_lossy(view.name()));
        let operation = self.operations.number(name);
        let parent = span_id(view.parent_span_id());
        let error = span.status == StatusCode::Error;
        let (start, end) = (span.start, span.end.max(span.start));
        self.spans.push((trace, SpanFact { id, parent, operation, error, start, end }));
        trace
    }

    /// The fault that each trace had, from a label of it.
    pub(crate) fn label(&mut self, trace: TraceId, fault: Option<u32>) -> bool {
        let Some(&number) = self.traces.get(&trace) else { return false };
        self.facts[number as usize].fault = fault;
        true
    }

    /// The population, whose anomalies are called `faults`; `None` if nobody has said which traces are anomalous.
    #[must_use]
    pub fn finish(mut self, faults: Option<Vec<String>>, oddities: &mut Oddities) -> Population {
        // Stable, so that spans stay in the order in which they came.
        self.spans.sort_by_key(|(trace, _)| *trace);
        let (mut population, mut kinds) = (Population::default(), HashMap::<u64, u32, FixedState>::default());
        let mut rest = self.spans.into_iter().peekable();
        for (number, fact) in (0..).zip(self.facts) {
            let first = population.spans.len();
            while let Some((_, span)) = rest.next_if(|(trace, _)| *trace == number) {
                population.spans.push(span);
            }
            let spans = &population.spans[first..];
            oddities.rootless_traces += u64::from(!fact.rooted);
            oddities.split_traces += u64::from(fact.split);
            let shape = Shape::of(spans);
            oddities.skewed_spans += shape.skewed(spans, MINUTE);
            let kind = *kinds.entry(shape.code(spans, &self.operations.names)).or_insert_with(|| {
                population.patterns.push(shape.pattern(spans));
                self::number(population.patterns.len() - 1)
            });
            population.traces.push(Trace {
                id: fact.id,
                sent: fact.sent,
                bytes: fact.bytes,
                start: spans.iter().map(|span| span.start).min().unwrap_or(0),
                end: spans.iter().map(|span| span.end).max().unwrap_or(0),
                kind,
                entry: shape.entry(spans),
                error: spans.iter().any(|span| span.error),
                fault: fact.fault,
                threshold: fact.threshold,
                spans: first..population.spans.len(),
            });
        }
        population.kinds = population.patterns.len();
        population.operations = self.operations.names;
        population.labelled = faults.is_some();
        population.faults = faults.unwrap_or_default();
        population
    }
}

/// A span id as a number; admission has let only ids of eight bytes in.
fn span_id(id: &[u8]) -> u64 {
    id.try_into().map_or(0, u64::from_be_bytes)
}

/// A string attribute of a span's resource; empty if it has none.
pub(crate) fn resource_attribute(request: &[u8], index: &SpanIndex, envelope: u32, key: &str) -> String {
    let parts = index.envelopes.resource_parts(request, envelope);
    let found = parts
        .flat_map(resource_attribute_messages)
        .filter_map(|message| Attribute::parse(message).ok())
        .find(|attribute| attribute.key == key.as_bytes());
    match found.map(|attribute| attribute.value) {
        Some(AnyValue::String(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
