//! Values that expressions have, borrowed from the span or the condition wherever they can be.

use std::borrow::Cow;

use forebay_otlp::attribute::AnyValue;

use crate::collection::{List, Map};

/// Bytes of a string, which OTLP says are UTF-8 and nobody has checked.
pub(crate) type Text<'a> = Cow<'a, [u8]>;

/// What an expression is worth.
#[derive(Clone, Debug, Default)]
pub(crate) enum Value<'a> {
    #[default]
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(Text<'a>),
    Bytes(Text<'a>),
    List(List<'a>),
    Map(Map<'a>),
    /// Nanoseconds since 1970, wide enough for every number of seconds.
    Time(i128),
    /// Nanoseconds.
    Duration(i64),
    TraceId([u8; 16]),
    SpanId([u8; 8]),
    Status,
    /// So many events or links.
    Records(u64),
}

impl<'a> Value<'a> {
    pub(crate) const fn text(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text.as_bytes()))
    }

    /// The type's name.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Time(_) => "time",
            Self::Duration(_) => "duration",
            Self::TraceId(_) => "trace id",
            Self::SpanId(_) => "span id",
            Self::Status => "status",
            Self::Records(_) => "list of events or links",
        }
    }

    /// The same value without owning what it holds.
    pub(crate) fn borrow(&self) -> Value<'_> {
        match self {
            Self::String(text) => Value::String(Cow::Borrowed(text)),
            Self::Bytes(bytes) => Value::Bytes(Cow::Borrowed(bytes)),
            Self::List(list) => Value::List(list.borrow()),
            Self::Map(map) => Value::Map(map.borrow()),
            Self::Nil => Value::Nil,
            &Self::Bool(value) => Value::Bool(value),
            &Self::Int(value) => Value::Int(value),
            &Self::Float(value) => Value::Float(value),
            &Self::Time(value) => Value::Time(value),
            &Self::Duration(value) => Value::Duration(value),
            &Self::TraceId(id) => Value::TraceId(id),
            &Self::SpanId(id) => Value::SpanId(id),
            Self::Status => Value::Status,
            &Self::Records(count) => Value::Records(count),
        }
    }

    /// The same value, owning what it holds.
    pub(crate) fn into_owned<'b>(self) -> Value<'b> {
        match self {
            Self::String(text) => Value::String(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
            Self::List(list) => Value::List(list.into_owned()),
            Self::Map(map) => Value::Map(map.into_owned()),
            Self::Nil => Value::Nil,
            Self::Bool(value) => Value::Bool(value),
            Self::Int(value) => Value::Int(value),
            Self::Float(value) => Value::Float(value),
            Self::Time(value) => Value::Time(value),
            Self::Duration(value) => Value::Duration(value),
            Self::TraceId(id) => Value::TraceId(id),
            Self::SpanId(id) => Value::SpanId(id),
            Self::Status => Value::Status,
            Self::Records(count) => Value::Records(count),
        }
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::String(bytes) | Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(list) => list.len() == 0,
            Self::Map(map) => map.len() == 0,
            Self::Bool(value) => !value,
            Self::Int(value) | Self::Duration(value) => *value == 0,
            Self::Float(value) => *value == 0.0,
            Self::TraceId(id) => *id == [0; 16],
            Self::SpanId(id) => *id == [0; 8],
            Self::Records(count) => *count == 0,
            // Go's zero time is in the year 1, which no span has.
            Self::Time(_) | Self::Status => false,
        }
    }
}

impl<'a> From<AnyValue<'a>> for Value<'a> {
    fn from(value: AnyValue<'a>) -> Self {
        match value {
            AnyValue::Empty => Self::Nil,
            AnyValue::String(text) => Self::String(Cow::Borrowed(text)),
            AnyValue::Bool(value) => Self::Bool(value),
            AnyValue::Int(value) => Self::Int(value),
            AnyValue::Double(value) => Self::Float(value),
            AnyValue::Array(message) => Self::List(List::Wire(message)),
            AnyValue::KeyValueList(message) => Self::Map(Map::key_value_list(message)),
            AnyValue::Bytes(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
        }
    }
}
