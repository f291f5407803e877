//! What became of every trace.
//!
//! Spans are recognised by their content, less what a sampler may write onto them: the threshold and the name of
//! the policy. A span that comes out otherwise than it went in is so a span that nobody sent.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use bytes::Bytes;
use foldhash::fast::RandomState;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value,
};
use prost::Message as _;

use crate::Error;
use crate::traffic::{Located, Sort, Traffic, spans, to_spans};

/// How the names of attributes begin that samplers write.
const RECORDED: &str = "tailsampling.";
/// The attributes that say who has decided: the policy which kept a trace, which part of a composite one, and that of
/// what came after the decision.
const POLICY: &str = "tailsampling.policy";
const PART: &str = "tailsampling.composite_policy";
const LATE: &str = "tailsampling.cached_decision";

/// What of the spans that come out is compared beyond that they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aspects {
    /// The threshold they leave with.
    pub threshold: bool,
    /// The randomness they leave with.
    pub randomness: bool,
    /// The policy that is recorded on them.
    pub policy: bool,
}

/// The fates of the traces that were kept, wholly or in part, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// `kept` for a trace that came out whole and once; more words where there is more to say.
    pub fates: BTreeMap<usize, String>,
}

/// A span that came out.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The span's place in its trace.
    pub span: usize,
    /// The `th` in its trace state as it is written, if there is one.
    pub threshold: Option<String>,
    /// The `rv` likewise.
    pub randomness: Option<String>,
    /// The policy recorded on it or its scope: `policy`, `policy/part` or `policy/part late`.
    pub policy: Option<String>,
}

/// Everything that came out of one case.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// The spans of every trace that came out, in no order.
    pub traces: BTreeMap<usize, Vec<Arrival>>,
    /// Names of spans that nobody sent, at least not like this.
    pub strangers: Vec<String>,
    /// Spans whose resource or scope has lost its schema URL.
    pub without_schema: usize,
}

/// What a span is recognised by.
type Content = Vec<u8>;

/// The spans that were sent, by content; alike ones are all listed.
#[derive(Debug)]
pub struct Senders<'a> {
    traffic: &'a Traffic,
    places: HashMap<Content, Vec<(usize, usize)>, RandomState>,
}

impl<'a> Senders<'a> {
    /// The spans of `traffic`.
    #[must_use]
    pub fn new(traffic: &'a Traffic) -> Self {
        let mut places = HashMap::<_, Vec<_>, RandomState>::default();
        for (number, trace) in traffic.traces.iter().enumerate() {
            for (index, (_, located)) in trace.spans.iter().enumerate() {
                places.entry(content(located.clone()).0).or_default().push((number, index));
            }
        }
        Self { traffic, places }
    }

    /// Recognises the spans of `requests`, or the log records that they are.
    ///
    /// # Errors
    /// If a request is not OTLP.
    pub fn recognise(&self, sort: Sort, requests: &[Bytes]) -> Result<Arrivals, Error> {
        let mut arrivals = Arrivals::default();
        let mut seen = HashMap::<Content, usize, RandomState>::default();
        for request in requests {
            let request = match sort {
                Sort::Traces | Sort::Spans => request.clone(),
                Sort::Records => to_spans(request)?,
            };
            for located in spans(ExportTraceServiceRequest::decode(&request[..])?) {
                let [threshold, randomness] =
                    ["th", "rv"].map(|key| ot(&located.span.trace_state, key).map(str::to_owned));
                let schema = [&located.resource.schema_url, &located.scope.schema_url].map(String::is_empty);
                let name = located.span.name.clone();
                let (content, policy) = content(located);
                let Some(places) = self.places.get(&content) else {
                    arrivals.strangers.push(name);
                    continue;
                };
                // Of alike spans each counts as having come once before one counts as having come twice.
                let turn = seen.entry(content).or_default();
                let (number, span) = places[*turn % places.len()];
                *turn += 1;
                let (_, sent) = &self.traffic.traces[number].spans[span];
                let had = [&sent.resource.schema_url, &sent.scope.schema_url].map(String::is_empty);
                arrivals.without_schema += usize::from(schema != had);
                arrivals.traces.entry(number).or_default().push(Arrival {
                    span,
                    threshold,
                    randomness,
                    policy,
                });
            }
        }
        Ok(arrivals)
    }
}

impl Arrivals {
    /// What became of the traces of `traffic`.
    #[must_use]
    pub fn outcome(&self, traffic: &Traffic, aspects: Aspects) -> Outcome {
        let fate = |(&number, arrivals): (&usize, &Vec<Arrival>)| {
            (number, fate(arrivals, traffic.traces[number].spans.len(), aspects))
        };
        Outcome { fates: self.traces.iter().map(fate).collect() }
    }

    /// Spans that came out.
    #[must_use]
    pub fn spans(&self) -> usize {
        self.traces.values().map(Vec::len).sum()
    }

    /// Whether some trace came out in part, or a span twice.
    #[must_use]
    pub fn torn(&self, traffic: &Traffic) -> Vec<usize> {
        let whole = |(number, arrivals): &(&usize, &Vec<Arrival>)| {
            fate(arrivals, traffic.traces[**number].spans.len(), Aspects::default()) == WHOLE
        };
        self.traces.iter().filter(|trace| !whole(trace)).map(|(&number, _)| number).collect()
    }
}

/// What is said of a trace of which nothing is missing.
pub const WHOLE: &str = "kept";

fn fate(arrivals: &[Arrival], sent: usize, aspects: Aspects) -> String {
    let mut times = vec![0_usize; sent];
    for arrival in arrivals {
        times[arrival.span] += 1;
    }
    let mut fate = WHOLE.to_owned();
    if times.contains(&0) {
        let came: Vec<_> = (0..sent).filter(|&span| times[span] > 0).map(|span| span.to_string()).collect();
        // Writing to a string does not fail.
        let _ = write!(fate, " {} of {sent}", came.join("+"));
    }
    let repeated = times.iter().filter(|&&times| times > 1).count();
    if repeated > 0 {
        let _ = write!(fate, ", {repeated} more than once");
    }
    let mut add = |mut words: Vec<String>| {
        words.sort();
        words.dedup();
        let _ = write!(fate, ", {}", words.join(" or "));
    };
    if aspects.threshold {
        add(arrivals.iter().map(described).collect());
    }
    if aspects.randomness {
        let rv = |arrival: &Arrival| format!("rv {}", arrival.randomness.as_deref().unwrap_or("none"));
        add(arrivals.iter().map(rv).collect());
    }
    if aspects.policy {
        let by = |arrival: &Arrival| format!("by {}", arrival.policy.as_deref().unwrap_or("nobody"));
        add(arrivals.iter().map(by).collect());
    }
    fate
}

fn described(arrival: &Arrival) -> String {
    arrival.threshold.as_ref().map_or_else(|| "no th".to_owned(), |threshold| format!("th {threshold}"))
}

/// The value of a key of the member `ot`; read here in a few lines rather than by what is to be judged.
pub(crate) fn ot<'a>(trace_state: &'a str, key: &str) -> Option<&'a str> {
    let member = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    member.split(';').find_map(|pair| pair.strip_prefix(key)?.strip_prefix(':'))
}

/// What a span is recognised by, and the policy that was recorded on it.
fn content(mut located: Located) -> (Content, Option<String>) {
    let mut recorded = BTreeMap::new();
    let scope = located.scope.scope.iter_mut().map(|scope| &mut scope.attributes);
    for attributes in scope.chain([&mut located.span.attributes]) {
        for attribute in attributes.extract_if(.., |attribute| attribute.key.starts_with(RECORDED)) {
            recorded.insert(attribute.key, attribute.value.and_then(|value| value.value));
        }
    }
    located.resource.schema_url.clear();
    located.scope.schema_url.clear();
    // The Collector adds an empty status where there is none.
    located.span.status.get_or_insert_default();
    located.span.trace_state = without_ot(&located.span.trace_state);
    let parts =
        [located.resource.encode_to_vec(), located.scope.encode_to_vec(), located.span.encode_to_vec()];
    (parts.concat(), policy(&recorded))
}

/// Who has decided, from the attributes that say so.
fn policy(recorded: &BTreeMap<String, Option<Value>>) -> Option<String> {
    let text = |key| match recorded.get(key)? {
        Some(Value::StringValue(text)) => Some(text.clone()),
        _ => None,
    };
    let part = text(PART).map(|part| format!("/{part}")).unwrap_or_default();
    let late = if recorded.get(LATE) == Some(&Some(Value::BoolValue(true))) { " late" } else { "" };
    Some(text(POLICY)? + &part + late)
}

/// The members of a trace state that samplers leave alone.
fn without_ot(trace_state: &str) -> String {
    let others = |member: &&str| !member.is_empty() && !member.starts_with("ot=");
    let members = trace_state.split(',').map(str::trim).filter(others);
    members.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
