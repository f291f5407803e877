//! The traffic that cases see: traces, or single spans or log records.
//!
//! It has two acts: most spans come in the first, a few after their trace has been decided. Traces are numbered
//! in the order of this module, not of arrival, and the numbers are what golden files name, so the traffic is a
//! function of this crate alone: its random numbers are its own, and the recordings lie in the repository.

mod generated;
mod items;
mod kinds;
mod random;
mod recorded;
mod records;

use std::collections::HashMap;

use bytes::Bytes;
use forebay_otlp::Signal;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;

pub use records::to_spans;

use crate::Error;

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// Whole traces.
    #[default]
    Traces,
    /// Spans that say something of sampling, each alone.
    Spans,
    /// Log records that do.
    Records,
}

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
    pub kind: String,
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
    /// The traffic of this sort.
    ///
    /// # Errors
    /// If a recording cannot be read.
    pub fn new(sort: Sort) -> Result<Self, Error> {
        match sort {
            Sort::Traces => Self::of_traces(),
            Sort::Spans => {
                let traces = items::spans();
                let first = generated::requests(&traces, Act::First);
                Ok(Self { traces, acts: [encode(&first), Vec::new()] })
            }
            Sort::Records => {
                let mut traces = items::records();
                let spans = generated::requests(&traces, Act::First);
                let first: Vec<_> = spans.into_iter().map(records::from_spans).collect();
                for (_, located) in traces.iter_mut().flat_map(|trace| &mut trace.spans) {
                    located.span = records::seen(std::mem::take(&mut located.span));
                }
                Ok(Self { traces, acts: [encode(&first), Vec::new()] })
            }
        }
    }

    fn of_traces() -> Result<Self, Error> {
        let generated = generated::traces();
        let [mut first, second] = [Act::First, Act::Second].map(|act| generated::requests(&generated, act));
        let recorded = recorded::requests()?;
        first.extend(recorded.iter().map(|(_, request)| request.clone()));
        let mut numbering = Numbering::default();
        for trace in generated {
            for (act, located) in trace.spans {
                numbering.add(&trace.kind, act, located);
            }
        }
        for (kind, request) in recorded {
            for located in spans(request) {
                numbering.add(kind, Act::First, located);
            }
        }
        Ok(Self { traces: numbering.traces, acts: [encode(&first), encode(&second)] })
    }
}

impl Numbering {
    fn add(&mut self, kind: &str, act: Act, located: Located) {
        let number = *self.numbers.entry(located.span.trace_id.clone()).or_insert_with(|| {
            self.traces.push(Trace { kind: kind.to_owned(), spans: Vec::new() });
            self.traces.len() - 1
        });
        self.traces[number].spans.push((act, located));
    }
}

impl Sort {
    /// All sorts.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Spans, Self::Records];

    /// What requests of it carry.
    #[must_use]
    pub const fn signal(self) -> Signal {
        match self {
            Self::Traces | Self::Spans => Signal::Traces,
            Self::Records => Signal::Logs,
        }
    }
}

fn encode(requests: &[impl Message]) -> Vec<Bytes> {
    requests.iter().map(|request| request.encode_to_vec().into()).collect()
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
