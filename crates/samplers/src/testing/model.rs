//! The tail sampler as one writes it without a care for cost: whole traces as `prost` messages in a map, and policies
//! that look through all spans when a trace is decided. What it lets out is what the sampler has to let out.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use forebay_otlp::TraceId;
use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::TraceState;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message;
use regex::Regex;

use super::{Located, MILLISECOND, Span, Value};
use crate::tail::Nanos;

/// A policy.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Always,
    Latency { above_ms: u64, at_most_ms: Option<u64> },
    Status(Vec<Code>),
    Share { percentage: f64 },
    Text { key: String, values: Vec<String>, regex: bool, invert: bool },
    Number { key: String, min: Option<i64>, max: Option<i64>, invert: bool },
    And(Vec<Rule>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Code {
    Unset,
    Ok,
    Error,
}

/// Pending traces and decisions.
pub(crate) struct Model {
    rules: Vec<Rule>,
    wait: Nanos,
    pending: VecDeque<Pending>,
    /// `None` drops the trace.
    decisions: HashMap<TraceId, Option<Threshold>>,
    pub(crate) dropped_spans: usize,
}

struct Pending {
    trace_id: TraceId,
    due: Nanos,
    spans: Vec<Located>,
}

/// Spans by trace and surroundings, in order within each.
pub(crate) type Grouped = BTreeMap<(TraceId, Vec<u8>), Vec<Span>>;

/// What is compared: the sampler may order traces, resources and scopes as it likes.
pub(crate) fn grouped(spans: impl IntoIterator<Item = Located>) -> Grouped {
    let mut groups = Grouped::new();
    for Located { resource, scope, span } in spans {
        let surroundings = [resource.encode_to_vec(), scope.encode_to_vec()].concat();
        groups.entry((trace_of(&span), surroundings)).or_default().push(span);
    }
    groups
}

pub(crate) fn trace_of(span: &Span) -> TraceId {
    TraceId(u128::from_be_bytes(span.trace_id.as_slice().try_into().unwrap()))
}

impl Model {
    pub(crate) fn new(rules: Vec<Rule>, wait: Nanos) -> Self {
        Self { rules, wait, pending: VecDeque::new(), decisions: HashMap::new(), dropped_spans: 0 }
    }

    /// The configuration of the sampler that behaves like this.
    pub(crate) fn yaml(rules: &[Rule]) -> String {
        let mut yaml = "policies:\n".to_owned();
        for (index, rule) in rules.iter().enumerate() {
            writeln!(yaml, "  - {{name: p{index}, {}}}", rule.yaml()).unwrap();
        }
        yaml
    }

    /// Takes spans, and lets out those that are late.
    pub(crate) fn accept(&mut self, now: Nanos, spans: Vec<Located>) -> Vec<Located> {
        let mut late = Vec::new();
        for located in spans {
            let trace_id = trace_of(&located.span);
            if let Some(pending) = self.pending.iter_mut().find(|pending| pending.trace_id == trace_id) {
                pending.spans.push(located);
            } else if let Some(&decision) = self.decisions.get(&trace_id) {
                late.extend(self.leave(decision, vec![located]));
            } else {
                let due = (now + self.wait).next_multiple_of(10 * MILLISECOND);
                self.pending.push_back(Pending { trace_id, due, spans: vec![located] });
            }
        }
        late
    }

    pub(crate) fn decide_due(&mut self, now: Nanos) -> Vec<Located> {
        let due = self.pending.iter().filter(|pending| pending.due <= now).count();
        self.decide_oldest(due)
    }

    pub(crate) fn decide_oldest(&mut self, count: usize) -> Vec<Located> {
        let decided: Vec<_> = self.pending.drain(..count).collect();
        decided
            .into_iter()
            .flat_map(|Pending { trace_id, spans, .. }| {
                let decision = self.decide(trace_id, &spans);
                self.decisions.insert(trace_id, decision);
                self.leave(decision, spans)
            })
            .collect()
    }

    pub(crate) fn pending_traces(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn pending_spans(&self) -> usize {
        self.pending.iter().map(|pending| pending.spans.len()).sum()
    }

    /// The threshold of a trace that is kept.
    fn decide(&self, trace_id: TraceId, spans: &[Located]) -> Option<Threshold> {
        let own = Randomness::from_trace_id(trace_id.to_bytes());
        let randomness = spans.iter().filter_map(|located| ot(&located.span).1).min().unwrap_or(own);
        let asked = self.rules.iter().filter_map(|rule| rule.asks(spans, randomness)).min()?;
        Some(spans.iter().map(|located| ot(&located.span).0).fold(asked, Threshold::max))
    }

    fn leave(&mut self, decision: Option<Threshold>, mut spans: Vec<Located>) -> Vec<Located> {
        let Some(threshold) = decision else {
            self.dropped_spans += spans.len();
            return Vec::new();
        };
        for Located { span, .. } in &mut spans {
            let threshold = threshold.max(ot(span).0);
            if let Ok(state) = TraceState::parse(span.trace_state.as_bytes()) {
                span.trace_state = state.with_threshold(Some(threshold)).unwrap();
            }
        }
        spans
    }
}

/// The consistent threshold and the explicit randomness that a span came with.
fn ot(span: &Span) -> (Threshold, Option<Randomness>) {
    let Ok(state) = TraceState::parse(span.trace_state.as_bytes()) else {
        return (Threshold::ALWAYS, None);
    };
    let explicit = state.ot().rv.ok().flatten();
    let randomness = explicit.unwrap_or(Randomness::from_trace_id(trace_of(span).to_bytes()));
    let threshold = state.ot().th.ok().flatten().filter(|threshold| threshold.keeps(randomness));
    (threshold.unwrap_or(Threshold::ALWAYS), explicit)
}

impl Rule {
    /// The threshold with which the rule asks for a trace.
    fn asks(&self, spans: &[Located], randomness: Randomness) -> Option<Threshold> {
        let holds = match self {
            Self::Always => true,
            Self::Latency { above_ms, at_most_ms } => {
                let start = spans.iter().map(|located| located.span.start_time_unix_nano).min()?;
                let end = spans.iter().map(|located| located.span.end_time_unix_nano).max()?;
                let duration = end.saturating_sub(start);
                duration > above_ms * MILLISECOND
                    && at_most_ms.is_none_or(|most| duration <= most * MILLISECOND)
            }
            Self::Status(codes) => spans.iter().any(|located| {
                let code = located.span.status.as_ref().map_or(0, |status| status.code);
                codes.iter().any(|&wanted| wanted as i32 == code)
            }),
            Self::Share { percentage } => {
                let threshold = Threshold::from_probability(percentage / 100.0, 4).unwrap();
                return threshold.keeps(randomness).then_some(threshold);
            }
            Self::Text { key, values, regex, invert } => {
                let matches = |text: &str| {
                    let wanted = |value: &String| {
                        if *regex { Regex::new(value).unwrap().is_match(text) } else { value == text }
                    };
                    !text.is_empty() && values.iter().any(wanted)
                };
                any(spans, key, |value| matches!(value, Value::StringValue(text) if matches(text))) != *invert
            }
            Self::Number { key, min, max, invert } => {
                let within = |value: &Value| match value {
                    Value::IntValue(number) => {
                        min.is_none_or(|min| *number >= min) && max.is_none_or(|max| *number <= max)
                    }
                    Value::DoubleValue(number) => {
                        min.is_none_or(|min| *number >= min as f64)
                            && max.is_none_or(|max| *number <= max as f64)
                    }
                    _ => false,
                };
                any(spans, key, within) != *invert
            }
            Self::And(rules) => {
                let asked: Option<Vec<_>> = rules.iter().map(|rule| rule.asks(spans, randomness)).collect();
                return asked?.into_iter().max();
            }
        };
        holds.then_some(Threshold::ALWAYS)
    }

    /// The settings, without the policy's name.
    fn yaml(&self) -> String {
        match self {
            Self::Always => "type: always_sample".to_owned(),
            Self::Latency { above_ms, at_most_ms } => format!(
                "type: latency, latency: {{threshold_ms: {above_ms}, upper_threshold_ms: {}}}",
                at_most_ms.unwrap_or(0)
            ),
            Self::Status(codes) => {
                let codes: Vec<_> = codes.iter().map(|code| format!("{code:?}").to_uppercase()).collect();
                format!("type: status_code, status_code: {{status_codes: [{}]}}", codes.join(", "))
            }
            Self::Share { percentage } => {
                format!("type: probabilistic, probabilistic: {{sampling_percentage: {percentage:?}}}")
            }
            Self::Text { key, values, regex, invert } => format!(
                "type: string_attribute, string_attribute: \
                 {{key: {key}, values: {values:?}, enabled_regex_matching: {regex}, invert_match: {invert}}}"
            ),
            Self::Number { key, min, max, invert } => format!(
                "type: numeric_attribute, numeric_attribute: \
                 {{key: {key}, min_value: {}, max_value: {}, invert_match: {invert}}}",
                min.unwrap_or(0),
                max.unwrap_or(0)
            ),
            Self::And(rules) => {
                let parts = rules
                    .iter()
                    .enumerate()
                    .map(|(index, rule)| format!("{{name: s{index}, {}}}", rule.yaml()));
                format!("type: and, and: {{and_sub_policy: [{}]}}", parts.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// Whether some span or its resource has an attribute `key` that passes.
fn any(spans: &[Located], key: &str, passes: impl Fn(&Value) -> bool) -> bool {
    let resource = |located: &Located| located.resource.resource.clone().unwrap_or_default().attributes;
    let passes = |attribute: &KeyValue| {
        attribute.key == key
            && attribute.value.as_ref().and_then(|value| value.value.as_ref()).is_some_and(&passes)
    };
    spans
        .iter()
        .any(|located| located.span.attributes.iter().any(passes) || resource(located).iter().any(passes))
}
