//! Whether a message is one that everybody can read.
//!
//! This crate looks at what decisions need and carries the rest along unread. Whoever receives the result decodes
//! it all, and refuses the whole request over one byte that is wrong anywhere in it: one client's broken attribute
//! would cost the spans that other clients sent. So what comes in is walked once to the bottom, under the rules of
//! the strictest decoders in use: known fields have the wire type of their table, strings are UTF-8, and nothing
//! nests deeper than [`MAX_DEPTH`]. What the tables do not know is only required to be protobuf.

use std::ptr;

use thiserror::Error;

use crate::Signal;
use crate::schema::{self, Encoding, KEY_VALUE, Kind, MAX_DEPTH, Message, SPAN};
use crate::wire::{Fields, Value, WireError, take_varint};

/// Why a message cannot be read to the bottom.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// Bytes stop being protobuf.
    #[error("{message} is not valid protobuf: {error}")]
    Wire {
        /// The innermost message.
        message: &'static str,
        /// What is wrong.
        error: WireError,
    },
    /// A field is not of the type that it has in OTLP.
    #[error("{message}.{field} has a wire type that is not its own")]
    WireType {
        /// The innermost message.
        message: &'static str,
        /// The field in it.
        field: &'static str,
    },
    /// A string is not UTF-8.
    #[error("{message}.{field} is not UTF-8")]
    Utf8 {
        /// The innermost message.
        message: &'static str,
        /// The field in it.
        field: &'static str,
    },
    /// Values in values.
    #[error("messages are nested more than {MAX_DEPTH} deep")]
    TooDeep,
}

/// Checks an export request to the bottom.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(signal: Signal, request: &[u8]) -> Result<(), Malformed> {
    check_message(schema::request(signal), request, 0)
}

/// Checks a trace request but for its spans.
pub(crate) fn check_around_spans(request: &[u8]) -> Result<(), Malformed> {
    walk::<false>(schema::request(Signal::Traces), request, 0)
}

/// Checks a message that lies `depth` messages below the request.
pub(crate) fn check_message(message: &'static Message, bytes: &[u8], depth: usize) -> Result<(), Malformed> {
    walk::<true>(message, bytes, depth)
}

/// Checks a field of a message that lies `depth` messages below the request.
pub(crate) fn check_field(
    message: &'static Message,
    number: u32,
    value: Value<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    walk_field::<true>(message, number, value, depth)
}

fn walk<const SPANS: bool>(message: &'static Message, bytes: &[u8], depth: usize) -> Result<(), Malformed> {
    if ptr::eq(message, &KEY_VALUE) && depth < MAX_DEPTH && is_plain_attribute(bytes)
        || !SPANS && ptr::eq(message, &SPAN)
    {
        return Ok(());
    }
    Fields::new(bytes).try_for_each(|field| {
        let field = field.map_err(|error| Malformed::Wire { message: message.name, error })?;
        walk_field::<SPANS>(message, field.number, field.value, depth)
    })
}

#[inline]
fn walk_field<const SPANS: bool>(
    message: &'static Message,
    number: u32,
    value: Value<'_>,
    depth: usize,
) -> Result<(), Malformed> {
    let Some(field) = message.field(number) else {
        let below = if let Value::Group(depth) = value { depth } else { 1 };
        return if depth + below <= MAX_DEPTH { Ok(()) } else { Err(Malformed::TooDeep) };
    };
    let (message, name) = (message.name, field.name);
    match (&field.kind, value) {
        (Kind::Nested(_), Value::Bytes(_)) if depth == MAX_DEPTH => Err(Malformed::TooDeep),
        (Kind::Nested(nested), Value::Bytes(bytes)) => walk::<SPANS>(nested, bytes, depth + 1),
        (Kind::String, Value::Bytes(text)) if str::from_utf8(text).is_err() => {
            Err(Malformed::Utf8 { message, field: name })
        }
        (kind, Value::Bytes(packed)) if kind.encoding() != Encoding::Delimited && field.holds(value) => {
            check_packed(kind.encoding(), packed).map_err(|error| Malformed::Wire { message, error })
        }
        _ if field.holds(value) => Ok(()),
        _ => Err(Malformed::WireType { message, field: name }),
    }
}

/// Whether this is a `KeyValue` as nearly all are: a short key, then a short value that is a string, a number or a
/// boolean, and all text is ASCII. Half of what a request consists of is seen at a glance so.
#[inline]
pub(crate) fn is_plain_attribute(bytes: &[u8]) -> bool {
    let [0x0a, key @ ..0x80, rest @ ..] = bytes else { return false };
    let Some((key, [0x12, length @ ..0x80, value @ ..])) = rest.split_at_checked(usize::from(*key)) else {
        return false;
    };
    value.len() == usize::from(*length)
        && match value {
            // Tags and lengths are below 0x80 as well.
            [0x0a, length, string @ ..] => string.len() == usize::from(*length) && bytes.is_ascii(),
            [0x10 | 0x18, number @ ..] => matches!(take_varint(number), Ok((_, []))) && key.is_ascii(),
            [0x21, double @ ..] => double.len() == 8 && key.is_ascii(),
            _ => false,
        }
}

/// Checks a list of numbers in one field.
fn check_packed(encoding: Encoding, mut list: &[u8]) -> Result<(), WireError> {
    let whole = match encoding {
        Encoding::Fixed32 => list.len().is_multiple_of(4),
        Encoding::Fixed64 => list.len().is_multiple_of(8),
        Encoding::Varint | Encoding::Delimited => {
            while !list.is_empty() {
                list = take_varint(list)?.1;
            }
            true
        }
    };
    if whole { Ok(()) } else { Err(WireError::Truncated) }
}

#[cfg(test)]
mod tests;
