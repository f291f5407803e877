//! Protobuf to OTLP/JSON.
//!
//! A message is walked once to find its fields, under protobuf's rules for merging, and then
//! written in the order of its table. Protobuf lets one message come in parts, each a field of its
//! own in the message around it; parts are read where they lie.

use super::scalar::Scalar;
use super::text::put_text;
use crate::schema::{Cardinality, Encoding, Field, Kind, MAX_DEPTH, Message};
use crate::wire::{self, Fields, Value, WireError};

/// Appends the JSON of a whole message, or nothing.
pub(super) fn document(message: &Message, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    let start = out.len();
    put_message(message, &[bytes], 0, out).inspect_err(|_| out.truncate(start))
}

/// Where a field of a message has been found.
#[derive(Clone, Copy)]
struct Found<'a> {
    /// The part and the offset in it where the field occurs first.
    part: usize,
    start: usize,
    occurrences: usize,
    last: Value<'a>,
}

impl Field {
    /// The values of this field, which has been found in the parts of its message.
    fn occurrences<'a>(&self, found: Found<'a>, parts: &[&'a [u8]]) -> impl Iterator<Item = Value<'a>> {
        let offsets = std::iter::once(found.start).chain(std::iter::repeat(0));
        parts[found.part..]
            .iter()
            .zip(offsets)
            .flat_map(|(part, offset)| Fields::new(&part[offset..]).flatten())
            .filter(|field| field.number == self.number && self.holds(field.value))
            .map(|field| field.value)
            .take(found.occurrences)
    }
}

const fn as_bytes(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn put_message(message: &Message, parts: &[&[u8]], depth: usize, out: &mut Vec<u8>) -> Result<(), WireError> {
    let mut found = [None; Message::MAX_FIELDS];
    find(message, parts, &mut found)?;
    out.push(b'{');
    let first = out.len();
    for (field, found) in message.fields.iter().zip(&found) {
        let Some(found) = *found else { continue };
        let start = out.len();
        if start > first {
            out.push(b',');
        }
        put_name(field.name, out);
        let value = out.len();
        if field.cardinality == Cardinality::Repeated {
            put_list(field, found, parts, depth, out)?;
        } else {
            put_single(field, found, parts, depth, out)?;
        }
        if out.len() == value {
            out.truncate(start);
        }
    }
    out.push(b'}');
    Ok(())
}

/// Finds the fields that stand, by their place in the table.
fn find<'a>(
    message: &Message,
    parts: &[&'a [u8]],
    found: &mut [Option<Found<'a>>; Message::MAX_FIELDS],
) -> Result<(), WireError> {
    let mut chosen = None;
    for (part, bytes) in parts.iter().enumerate() {
        for field in Fields::new(bytes) {
            let wire::Field { number, value, start, .. } = field?;
            let known = |field: &Field| field.number == number && field.holds(value);
            let Some(index) = message.fields.iter().position(known) else {
                continue;
            };
            if message.fields[index].cardinality == Cardinality::Oneof
                && let Some(other) = chosen.replace(index)
                && other != index
            {
                found[other] = None;
            }
            let found = found[index].get_or_insert(Found { part, start, occurrences: 0, last: value });
            found.occurrences += 1;
            found.last = value;
        }
    }
    Ok(())
}

/// Appends the value of a field that is no list, or nothing if absence says the same.
fn put_single(
    field: &Field,
    found: Found<'_>,
    parts: &[&[u8]],
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let explicit = field.cardinality != Cardinality::Single;
    match (&field.kind, found.last) {
        (Kind::Nested(_), _) if depth == MAX_DEPTH => {}
        (Kind::Nested(message), Value::Bytes(bytes)) if found.occurrences == 1 => {
            put_message(message, &[bytes], depth + 1, out)?;
        }
        (Kind::Nested(message), _) => {
            let values = field.occurrences(found, parts).filter_map(as_bytes);
            put_message(message, &values.collect::<Vec<_>>(), depth + 1, out)?;
        }
        (kind, Value::Bytes(bytes)) if explicit || !bytes.is_empty() => put_text(kind, bytes, out),
        (kind, value) => {
            if let Some(scalar) = Scalar::from_field(value).filter(|scalar| explicit || !scalar.is_zero()) {
                kind.put_json(scalar, out);
            }
        }
    }
    Ok(())
}

/// Appends the elements of a list, or nothing if there are none.
fn put_list(
    field: &Field,
    found: Found<'_>,
    parts: &[&[u8]],
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), WireError> {
    let start = out.len();
    let separator = |out: &mut Vec<u8>| out.push(if out.len() == start { b'[' } else { b',' });
    for value in field.occurrences(found, parts) {
        match (&field.kind, value) {
            (Kind::Nested(_), _) if depth == MAX_DEPTH => {}
            (Kind::Nested(message), Value::Bytes(bytes)) => {
                separator(out);
                put_message(message, &[bytes], depth + 1, out)?;
            }
            (kind, Value::Bytes(bytes)) if kind.encoding() == Encoding::Delimited => {
                separator(out);
                put_text(kind, bytes, out);
            }
            (kind, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    let scalar;
                    (scalar, packed) = Scalar::take_packed(kind.encoding(), packed)?;
                    separator(out);
                    kind.put_json(scalar, out);
                }
            }
            (kind, value) => {
                if let Some(scalar) = Scalar::from_field(value) {
                    separator(out);
                    kind.put_json(scalar, out);
                }
            }
        }
    }
    if out.len() > start {
        out.push(b']');
    }
    Ok(())
}

/// Appends `"name":`. The names of OTLP have nothing to escape.
fn put_name(name: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
