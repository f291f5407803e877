//! What conditions mean, in the plainest way.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::model::{Key, Level, Operand, Test};

/// What a condition is asked of.
pub(crate) struct Scene<'a> {
    pub(crate) resource: &'a ResourceSpans,
    pub(crate) scope: &'a ScopeSpans,
    pub(crate) span: &'a Span,
    pub(crate) event: Option<&'a Event>,
}

/// There is no answer.
#[derive(Debug)]
pub(crate) struct Failed;

/// A value, or none.
type Worth = Option<Wire>;

pub(crate) fn holds(test: &Test, scene: &Scene<'_>) -> Result<bool, Failed> {
    match test {
        Test::Compare(left, operator, right) => {
            let (left, right) = (worth(left, scene)?, worth(right, scene)?);
            Ok(compare(&left, operator, &right))
        }
        Test::IsString(of) => Ok(matches!(worth(of, scene)?, Some(Wire::StringValue(_)))),
        Test::IsMatch(of, pattern) => Ok(match worth(of, scene)? {
            None => false,
            Some(value) => regex::Regex::new(pattern).unwrap().is_match(&text(&value)),
        }),
        Test::HasPrefix(of, prefix) => match worth(of, scene)? {
            Some(Wire::StringValue(text)) => Ok(text.starts_with(prefix)),
            _ => Err(Failed),
        },
        Test::IsRootSpan => Ok(scene.span.parent_span_id.is_empty()),
        Test::Not(test) => holds(test, scene).map(|holds| !holds),
        Test::And(tests) => first(tests, false, scene),
        Test::Or(tests) => first(tests, true, scene),
    }
}

/// The first test that answers so settles it.
fn first(tests: &[Test], settling: bool, scene: &Scene<'_>) -> Result<bool, Failed> {
    for test in tests {
        if holds(test, scene)? == settling {
            return Ok(settling);
        }
    }
    Ok(!settling)
}

fn worth(operand: &Operand, scene: &Scene<'_>) -> Result<Worth, Failed> {
    let span = scene.span;
    let scope_name = || scene.scope.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
    let attributes = |level: &Level| match level {
        Level::Span => &*span.attributes,
        Level::Event => scene.event.map(|event| &*event.attributes).unwrap_or_default(),
        Level::Resource => scene.resource.resource.as_ref().map(|of| &*of.attributes).unwrap_or_default(),
        Level::Scope => scene.scope.scope.as_ref().map(|of| &*of.attributes).unwrap_or_default(),
    };
    Ok(match operand {
        Operand::Nil => None,
        Operand::Int(value) => Some(Wire::IntValue(*value)),
        Operand::Float(value) => Some(Wire::DoubleValue(*value)),
        Operand::Bool(value) => Some(Wire::BoolValue(*value)),
        Operand::Text(value) => Some(Wire::StringValue((*value).to_owned())),
        Operand::Attribute(level, key) => get(attributes(level), key).flatten(),
        Operand::Element(level, key, inner) => match (get(attributes(level), key), inner) {
            (None, _) => None,
            (Some(Some(Wire::KvlistValue(list))), Key::Name(name)) => get(&list.values, name).flatten(),
            (Some(Some(Wire::ArrayValue(list))), Key::Position(position)) => {
                list.values.into_iter().nth(*position).ok_or(Failed)?.value
            }
            _ => return Err(Failed),
        },
        Operand::Len(level) => Some(Wire::IntValue(attributes(level).len().try_into().unwrap())),
        Operand::SpanName => Some(Wire::StringValue(span.name.clone())),
        Operand::EventName => Some(Wire::StringValue(scene.event.unwrap().name.clone())),
        Operand::ScopeName => Some(Wire::StringValue(scope_name())),
        Operand::Kind => Some(Wire::IntValue(span.kind.into())),
        Operand::StatusCode => Some(Wire::IntValue(span.status.as_ref().map_or(0, |of| of.code).into())),
        Operand::Milliseconds => {
            let duration = span.end_time_unix_nano - span.start_time_unix_nano;
            Some(Wire::IntValue((duration / 1_000_000).try_into().unwrap()))
        }
    })
}

/// The first attribute of that key, which may be without a value.
fn get(attributes: &[KeyValue], key: &str) -> Option<Worth> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(found.value.clone().and_then(|value| value.value))
}

fn compare(left: &Worth, operator: &str, right: &Worth) -> bool {
    // Empty bytes are nothing.
    let some = |worth: &Worth| worth.clone().filter(|value| *value != Wire::BytesValue(Vec::new()));
    let order = match (some(left), some(right)) {
        (None, None) => Some(std::cmp::Ordering::Equal),
        (Some(Wire::StringValue(left)), Some(Wire::StringValue(right))) => Some(left.cmp(&right)),
        (Some(Wire::BoolValue(left)), Some(Wire::BoolValue(right))) => Some(left.cmp(&right)),
        (Some(Wire::BytesValue(left)), Some(Wire::BytesValue(right))) => Some(left.cmp(&right)),
        (Some(left), Some(right)) => match (number(&left), number(&right)) {
            (Some(left), Some(right)) => left.partial_cmp(&right),
            _ => {
                let equal = equal(&left, &right);
                return if equal { operator == "==" } else { operator == "!=" };
            }
        },
        _ => None,
    };
    match operator {
        "==" => order.is_some_and(|order| order.is_eq()),
        "!=" => !order.is_some_and(|order| order.is_eq()),
        "<" => order.is_some_and(|order| order.is_lt()),
        "<=" => order.is_some_and(|order| order.is_le()),
        ">" => order.is_some_and(|order| order.is_gt()),
        _ => order.is_some_and(|order| order.is_ge()),
    }
}

/// Equality of lists, and of maps in any order.
fn equal(left: &Wire, right: &Wire) -> bool {
    match (left, right) {
        (Wire::KvlistValue(left), Wire::KvlistValue(right)) => {
            left.values.len() == right.values.len()
                && left.values.iter().all(|entry| {
                    let value = entry.value.clone().and_then(|value| value.value);
                    get(&right.values, &entry.key) == Some(value)
                })
        }
        (left, right) => left == right,
    }
}

fn number(value: &Wire) -> Option<f64> {
    match value {
        Wire::IntValue(value) => Some(i32::try_from(*value).unwrap().into()),
        Wire::DoubleValue(value) => Some(*value),
        _ => None,
    }
}

/// A value as text.
fn text(value: &Wire) -> String {
    match value {
        Wire::StringValue(text) => text.clone(),
        Wire::BytesValue(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        value => json(Some(value)).to_string(),
    }
}

fn json(value: Option<&Wire>) -> serde_json::Value {
    use serde_json::Value;

    match value {
        Some(Wire::StringValue(text)) => Value::from(text.clone()),
        Some(Wire::BoolValue(value)) => Value::from(*value),
        Some(Wire::IntValue(value)) => Value::from(*value),
        // Go writes a float without a fraction as an integer.
        Some(Wire::DoubleValue(value)) if value.fract() == 0.0 => {
            serde_json::from_str(&value.to_string()).unwrap()
        }
        Some(Wire::DoubleValue(value)) => Value::from(*value),
        Some(Wire::BytesValue(bytes)) => Value::from(format!("{bytes:?}")),
        Some(Wire::ArrayValue(list)) => list.values.iter().map(|item| json(item.value.as_ref())).collect(),
        Some(Wire::KvlistValue(list)) => {
            let entry = |entry: &KeyValue| {
                let value = entry.value.as_ref().and_then(|value| value.value.as_ref());
                (entry.key.clone(), json(value))
            };
            list.values.iter().map(entry).collect()
        }
        _ => Value::Null,
    }
}
