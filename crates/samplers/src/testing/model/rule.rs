//! Policies that look through all spans of a trace.

use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::TraceState;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use regex::Regex;

use crate::testing::{Located, MILLISECOND, SECOND, Value};

/// A policy.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Always,
    Latency { above_ms: u64, at_most_ms: Option<u64> },
    Status(Vec<Code>),
    Share { percentage: f64 },
    Text { key: String, values: Vec<String>, regex: bool, invert: bool },
    Number { key: String, min: Option<i64>, max: Option<i64>, invert: bool },
    Bool { key: String, value: bool, invert: bool },
    Count { min: usize, max: Option<usize> },
    Flagged,
    Member { key: String, values: Vec<String> },
    Condition(Condition),
    And(Vec<Rule>),
    Not(Box<Rule>),
    Drop(Vec<Rule>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Code {
    Unset,
    Ok,
    Error,
}

/// A condition in OTTL, and what it means.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Condition {
    KeyIsA,
    NoKey,
    RootOfA,
    Long,
    Failing,
}

/// What a rule says of a trace. Of several that all have to ask for it the most decides: a threshold that is not known
/// stays so, and one that does not ask makes it all vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    /// It asks for it as for every trace that reaches the threshold.
    Yes(Threshold),
    /// It asks for it by a chance that no threshold tells.
    Unknown,
    /// It does not ask for it.
    No,
}

impl Rule {
    /// What the rule says of a trace, which has spans.
    pub(super) fn asks(&self, spans: &[Located], randomness: Randomness) -> Answer {
        let holds = match self {
            Self::Always => true,
            Self::Latency { above_ms, at_most_ms } => {
                let start = spans.iter().map(|located| located.span.start_time_unix_nano).min().unwrap();
                let end = spans.iter().map(|located| located.span.end_time_unix_nano).max().unwrap();
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
                return if threshold.keeps(randomness) { Answer::Yes(threshold) } else { Answer::No };
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
            Self::Bool { key, value, invert } => {
                any(spans, key, |found| *found == Value::BoolValue(*value)) != *invert
            }
            Self::Count { min, max } => spans.len() >= *min && max.is_none_or(|max| spans.len() <= max),
            Self::Flagged => spans.iter().any(|located| located.span.flags & 1 != 0),
            Self::Member { key, values } => spans.iter().any(|located| {
                let member =
                    |(name, value): (&str, &str)| name == key && values.iter().any(|wanted| wanted == value);
                let state = TraceState::parse(located.span.trace_state.as_bytes());
                state.is_ok_and(|state| !state.repeats_a_key() && state.members().any(member))
            }),
            Self::Condition(condition) => spans.iter().any(|located| condition.holds(located)),
            Self::And(rules) | Self::Drop(rules) => {
                let answers = rules.iter().map(|rule| rule.asks(spans, randomness));
                return answers.max().unwrap_or(Answer::No);
            }
            Self::Not(rule) => match rule.asks(spans, randomness) {
                Answer::No if rule.is_chance() => return Answer::Unknown,
                answer => answer == Answer::No,
            },
        };
        if holds { Answer::Yes(Threshold::ALWAYS) } else { Answer::No }
    }

    /// Whether it drops what it asks for.
    pub(super) fn drops(&self) -> bool {
        matches!(self, Self::Drop(_))
    }

    /// Whether chance plays a part in what it says.
    pub(super) fn is_chance(&self) -> bool {
        match self {
            Self::Share { .. } => true,
            Self::And(rules) | Self::Drop(rules) => rules.iter().any(Self::is_chance),
            Self::Not(rule) => rule.is_chance(),
            _ => false,
        }
    }

    /// The settings, without the policy's name.
    pub(super) fn yaml(&self) -> String {
        let parts = |rules: &[Self]| {
            let parts =
                rules.iter().enumerate().map(|(index, rule)| format!("{{name: s{index}, {}}}", rule.yaml()));
            parts.collect::<Vec<_>>().join(", ")
        };
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
            Self::Bool { key, value, invert } => format!(
                "type: boolean_attribute, boolean_attribute: {{key: {key}, value: {value}, invert_match: {invert}}}"
            ),
            Self::Count { min, max } => {
                format!("type: span_count, span_count: {{min_spans: {min}, max_spans: {}}}", max.unwrap_or(0))
            }
            Self::Flagged => "type: trace_flags".to_owned(),
            Self::Member { key, values } => {
                format!("type: trace_state, trace_state: {{key: {key}, values: {values:?}}}")
            }
            Self::Condition(condition) => {
                format!("type: ottl_condition, ottl_condition: {}", condition.yaml())
            }
            Self::And(rules) => format!("type: and, and: {{and_sub_policy: [{}]}}", parts(rules)),
            Self::Drop(rules) => format!("type: drop, drop: {{drop_sub_policy: [{}]}}", parts(rules)),
            Self::Not(rule) => format!("type: not, not: {{not_sub_policy: {{name: s, {}}}}}", rule.yaml()),
        }
    }
}

impl Condition {
    fn holds(self, located: &Located) -> bool {
        let span = &located.span;
        let has = |attributes: &[KeyValue], value: &str| {
            let value = Value::StringValue(value.to_owned());
            let found = attributes.iter().find(|attribute| attribute.key == "key");
            found.and_then(|found| found.value.clone()?.value) == Some(value)
        };
        let resource = located.resource.resource.clone().unwrap_or_default();
        match self {
            Self::KeyIsA => has(&span.attributes, "a"),
            Self::NoKey => !span.attributes.iter().any(|attribute| attribute.key == "key"),
            Self::RootOfA => has(&resource.attributes, "a") && span.parent_span_id.is_empty(),
            Self::Long => span.end_time_unix_nano - span.start_time_unix_nano > SECOND,
            Self::Failing => span.events.iter().any(|event| event.name == "exception"),
        }
    }

    fn yaml(self) -> &'static str {
        match self {
            Self::KeyIsA => "{span: ['attributes[\"key\"] == \"a\"']}",
            Self::NoKey => "{span: ['attributes[\"key\"] == nil']}",
            Self::RootOfA => "{span: ['resource.attributes[\"key\"] == \"a\" and IsRootSpan()']}",
            Self::Long => "{span: ['end_time - start_time > Duration(\"1s\")']}",
            Self::Failing => "{spanevent: ['name == \"exception\"']}",
        }
    }
}

impl Answer {
    pub(super) fn threshold(self) -> Option<Threshold> {
        match self {
            Self::Yes(threshold) => Some(threshold),
            Self::No | Self::Unknown => None,
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
