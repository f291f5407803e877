//! The messages of OTLP as tables: what checking and transcoding need to know of `opentelemetry-proto` 1.x.
//!
//! Fields stand in the order of the `.proto` files, which is the order in which JSON is written. A
//! test compares the tables with the descriptors that the protobuf compiler made of those files.

use crate::Signal;
use crate::wire::Value;

mod collector;
mod common;
mod logs;
mod metrics;
mod trace;

pub(crate) use common::KEY_VALUE;
pub(crate) use trace::{RESOURCE_SPANS, SCOPE_SPANS, SPAN};
pub use trace::{SPAN_KINDS, STATUS_CODES};

/// A protobuf message.
pub(crate) struct Message {
    /// The name within its package, as in `Span.Event`.
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
    /// One more than the place in `fields` of each field by its number; zero for numbers that are not in use.
    places: [u8; Self::MAX_NUMBER as usize + 1],
}

/// A field of a message.
pub(crate) struct Field {
    pub(crate) number: u32,
    /// The name in JSON.
    pub(crate) name: &'static str,
    pub(crate) cardinality: Cardinality,
    pub(crate) kind: Kind,
}

/// How often a field occurs, and what its absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cardinality {
    /// At most once; a scalar that is absent is zero or empty.
    Single,
    /// At most once; a scalar that is absent is unset, which zero is not.
    Optional,
    /// Like `Optional`, and setting it unsets the other members. No message of OTLP has two oneofs.
    Oneof,
    /// A list.
    Repeated,
}

/// What a field holds.
pub(crate) enum Kind {
    Bool,
    Int32,
    Sint32,
    Uint32,
    Fixed32,
    Int64,
    /// An int64 that may come as a number beyond int64: then it is kept as the double of that field
    /// number.
    Int64OrDouble {
        double: u32,
    },
    Uint64,
    Fixed64,
    Sfixed64,
    Double,
    /// An int32 with names for some of its values.
    Enum(&'static [(&'static str, i32)]),
    String,
    /// Bytes that are base64 in JSON.
    Bytes,
    /// A trace or span id: bytes that are hex in OTLP/JSON.
    Id,
    Nested(&'static Message),
}

/// How a kind lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Varint,
    Fixed32,
    Fixed64,
    Delimited,
}

/// How deep messages may lie below the request: what protobuf implementations accept.
///
/// A value in an array takes two levels and one in a list of pairs three.
pub const MAX_DEPTH: usize = 100;

/// The export request of a signal.
pub(crate) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &collector::TRACE_REQUEST,
        Signal::Metrics => &collector::METRICS_REQUEST,
        Signal::Logs => &collector::LOGS_REQUEST,
    }
}

/// The export response of a signal.
pub(crate) const fn response(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &collector::TRACE_RESPONSE,
        Signal::Metrics => &collector::METRICS_RESPONSE,
        Signal::Logs => &collector::LOGS_RESPONSE,
    }
}

impl Message {
    /// No message has more fields.
    pub(crate) const MAX_FIELDS: usize = 16;

    /// Nor one with a higher number.
    const MAX_NUMBER: u32 = 16;

    const fn new(name: &'static str, fields: &'static [Field]) -> Self {
        let mut places = [0; Self::MAX_NUMBER as usize + 1];
        let mut place = 0;
        while place < fields.len() {
            #[expect(clippy::cast_possible_truncation, reason = "below MAX_FIELDS")]
            let next = place as u8 + 1;
            places[fields[place].number as usize] = next;
            place += 1;
        }
        Self { name, fields, places }
    }

    /// The field of a number.
    #[inline]
    pub(crate) fn field(&self, number: u32) -> Option<&'static Field> {
        let place = *self.places.get(number as usize)?;
        self.fields.get(usize::from(place).wrapping_sub(1))
    }
}

impl Field {
    /// Whether a value has the wire type of this field; scalars of a list may be packed.
    pub(crate) fn holds(&self, value: Value<'_>) -> bool {
        match (self.kind.encoding(), value) {
            (Encoding::Varint, Value::Varint(_))
            | (Encoding::Fixed32, Value::Fixed32(_))
            | (Encoding::Fixed64, Value::Fixed64(_))
            | (Encoding::Delimited, Value::Bytes(_)) => true,
            (_, Value::Bytes(_)) => self.cardinality == Cardinality::Repeated,
            _ => false,
        }
    }
}

impl Kind {
    pub(crate) const fn encoding(&self) -> Encoding {
        match self {
            Self::Bool
            | Self::Int32
            | Self::Sint32
            | Self::Uint32
            | Self::Int64
            | Self::Int64OrDouble { .. }
            | Self::Uint64
            | Self::Enum(_) => Encoding::Varint,
            Self::Fixed32 => Encoding::Fixed32,
            Self::Fixed64 | Self::Sfixed64 | Self::Double => Encoding::Fixed64,
            Self::String | Self::Bytes | Self::Id | Self::Nested(_) => Encoding::Delimited,
        }
    }
}

const fn single(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, cardinality: Cardinality::Single, kind }
}

const fn optional(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, cardinality: Cardinality::Optional, kind }
}

const fn oneof(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, cardinality: Cardinality::Oneof, kind }
}

const fn repeated(number: u32, name: &'static str, kind: Kind) -> Field {
    Field { number, name, cardinality: Cardinality::Repeated, kind }
}

#[cfg(test)]
mod tests;
