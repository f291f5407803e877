//! The messages of OTLP as tables: what transcoding needs to know of `opentelemetry-proto` 1.x.
//!
//! Fields stand in the order of the `.proto` files, which is the order in which JSON is written. A
//! test compares the tables with the descriptors that the protobuf compiler made of those files.

use crate::Signal;

mod collector;
mod common;
mod logs;
mod metrics;
mod trace;

/// A protobuf message.
pub(crate) struct Message {
    /// The name within its package, as in `Span.Event`.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
pub(super) struct Field {
    pub(super) number: u32,
    /// The name in JSON.
    pub(super) name: &'static str,
    pub(super) cardinality: Cardinality,
    pub(super) kind: Kind,
}

/// How often a field occurs, and what its absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
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
pub(super) enum Kind {
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

/// The export request of a signal.
pub(super) const fn request(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &collector::TRACE_REQUEST,
        Signal::Metrics => &collector::METRICS_REQUEST,
        Signal::Logs => &collector::LOGS_REQUEST,
    }
}

/// The export response of a signal.
pub(super) const fn response(signal: Signal) -> &'static Message {
    match signal {
        Signal::Traces => &collector::TRACE_RESPONSE,
        Signal::Metrics => &collector::METRICS_RESPONSE,
        Signal::Logs => &collector::LOGS_RESPONSE,
    }
}

impl Message {
    /// No message has more fields.
    pub(super) const MAX_FIELDS: usize = 16;
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
