//! The traffic that every case sees.
//!
//! It has two acts: most spans come in the first, a few after their trace has been decided. Traces are numbered
//! in the order of this module, not of arrival, and the numbers are what golden files name, so the traffic is a
//! function of this crate alone: its random numbers are its own, and the recordings lie in the repository.

mod generated;
mod kinds;
mod random;
mod recorded;

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

use crate::Error;

/// A span with what stood around it: a resource and a scope with nothing below.
#[derive(Clone, Debug, PartialEq)]
pub struct Located {
    /// The resource, without scopes.
    pub resource: ResourceSpans,
    /// The scope, without spans.
    pub scope: ScopeSpans,
    /// The span.
    pub span: Span,
}

/// When a span comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Before its trace is decided.
    First,
    /// After that.
    Second,
}

/// A trace as it was sent.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What is special about it; cases refer to it by this name.
    pub kind: &'static str,
    /// Its spans, in no particular order of time.
    pub spans: Vec<(Act, Located)>,
}

/// Everything that is sent.
#[derive(Debug)]
pub struct Traffic {
    /// The traces by number.
    pub traces: Vec<Trace>,
    /// The requests of both acts, in the order in which they are sent.
    pub acts: [Vec<Bytes>; 2],
}

/// Traces as they are numbered.
#[derive(Default)]
struct Numbering {
    traces: Vec<Trace>,
    numbers: HashMap<Vec<u8>, usize>,
}

impl Trace {
    /// The id of all its spans.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        self.spans.first().map_or(&[], |(_, located)| &located.span.trace_id)
    }
}

impl Traffic {
    /// The traffic.
    ///
    /// # Errors
    /// If a recording cannot be read.
    pub fn new() -> Result<Self, Error> {
        let generated = generated::traces();
        let [mut first, second] = [Act::First, Act::Second].map(|act| generated::requests(&generated, act));
        let recorded = recorded::requests()?;
        first.extend(recorded.iter().map(|(_, request)| request.clone()));
        let encode = |requests: Vec<ExportTraceServiceRequest>| {
            requests.iter().map(|r| r.encode_to_vec().into()).collect()
        };
        let mut numbering = Numbering::default();
        for trace in generated {
            for (act, located) in trace.spans {
                numbering.add(trace.kind, act, located);
            }
        }
        for (kind, request) in recorded {
            for located in spans(request) {
                numbering.add(kind, Act::First, located);
            }
        }
        Ok(Self { traces: numbering.traces, acts: [encode(first), encode(second)] })
    }
}

impl Numbering {
    fn add(&mut self, kind: &'static str, act: Act, located: Located) {
        let number = *self.numbers.entry(located.span.trace_id.clone()).or_insert_with(|| {
            self.traces.push(Trace { kind, spans: Vec::new() });
            self.traces.len() - 1
        });
        self.traces[number].spans.push((act, located));
    }
}

/// The spans of a request, each with its surroundings.
#[must_use]
pub fn spans(request: ExportTraceServiceRequest) -> Vec<Located> {
    let mut found = Vec::new();
    for mut resource in request.resource_spans {
        for mut scope in std::mem::take(&mut resource.scope_spans) {
            for span in std::mem::take(&mut scope.spans) {
                found.push(Located { resource: resource.clone(), scope: scope.clone(), span });
            }
        }
    }
    found
}
