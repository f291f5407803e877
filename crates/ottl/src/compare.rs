//! How values compare, after the Collector's comparison rules: numbers with numbers, and otherwise each type
//! with itself. What cannot be compared is unequal, and neither more nor less.

use std::cmp::Ordering;

use crate::collection::{List, Map};
use crate::value::Value;

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Levels of nesting that equality looks into.
const MAX_DEPTH: usize = 64;

impl Comparison {
    pub(crate) fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// Whether it asks for an order.
    pub(crate) const fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether it holds between two values.
    pub(crate) fn holds(self, left: &Value<'_>, right: &Value<'_>) -> bool {
        let ordered = |is: fn(Ordering) -> bool| order(left, right).is_some_and(is);
        match self {
            Self::Equal => equal(left, right),
            Self::NotEqual => !equal(left, right),
            Self::Less => ordered(Ordering::is_lt),
            Self::LessOrEqual => ordered(Ordering::is_le),
            Self::Greater => ordered(Ordering::is_gt),
            Self::GreaterOrEqual => ordered(Ordering::is_ge),
        }
    }
}

#[inline]
fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        // Unlike their order, this is mostly known from their lengths.
        (Value::String(left), Value::String(right)) => left == right,
        _ => order(left, right) == Some(Ordering::Equal) || equal_unordered(left, right),
    }
}

/// The order of two values of types that have one. Empty bytes are `nil` to the Collector.
#[expect(clippy::cast_precision_loss, reason = "an integer is compared with a float as a float")]
fn order(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::Float(right)) => (*left as f64).partial_cmp(right),
        (Value::Float(left), Value::Int(right)) => left.partial_cmp(&(*right as f64)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (left, right) if is_nil(left) || is_nil(right) => {
            (is_nil(left) && is_nil(right)).then_some(Ordering::Equal)
        }
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Time(left), Value::Time(right)) => Some(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn is_nil(value: &Value<'_>) -> bool {
    match value {
        Value::Nil => true,
        Value::Bytes(bytes) => bytes.is_empty(),
        _ => false,
    }
}

/// Equality of types that have no order.
fn equal_unordered(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::TraceId(left), Value::TraceId(right)) => left == right,
        (Value::SpanId(left), Value::SpanId(right)) => left == right,
        (Value::List(left), Value::List(right)) => equal_lists(left, right, MAX_DEPTH),
        (Value::Map(left), Value::Map(right)) => equal_maps(left, right, MAX_DEPTH),
        _ => false,
    }
}

/// Equality within lists and maps: here an integer is not a float.
fn identical(left: &Value<'_>, right: &Value<'_>, depth: usize) -> bool {
    match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bytes(left), Value::Bytes(right)) => left == right,
        (Value::Int(_), Value::Float(_)) | (Value::Float(_), Value::Int(_)) => false,
        (Value::List(left), Value::List(right)) => depth > 0 && equal_lists(left, right, depth - 1),
        (Value::Map(left), Value::Map(right)) => depth > 0 && equal_maps(left, right, depth - 1),
        _ => Comparison::Equal.holds(left, right),
    }
}

fn equal_lists(left: &List<'_>, right: &List<'_>, depth: usize) -> bool {
    let mut rest = right.iter();
    left.iter().all(|left| rest.next().is_some_and(|right| identical(&left, &right, depth)))
        && rest.next().is_none()
}

fn equal_maps(left: &Map<'_>, right: &Map<'_>, depth: usize) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .all(|(key, left)| right.borrow().take(&key).is_some_and(|right| identical(&left, &right, depth)))
}
