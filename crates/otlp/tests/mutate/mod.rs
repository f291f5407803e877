//! Other ways to write a trace request: what strange encoders and later versions of the protocol may send.
//!
//! [`vary`] rewrites an encoded message by everything that protobuf allows: fields in another order, scalars
//! written twice, messages in two pieces, unknown fields of every wire type, varints longer than they need to
//! be. The result says something else, since repeated elements move and may break in two; what it says,
//! `prost` tells.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

use std::ops::ControlFlow;

use forebay_otlp::wire::{Field, Fields, Value, put_varint};
use proptest::prelude::*;
use proptest::test_runner::TestRng;
use prost::Message;

/// Which fields of a message are messages.
pub struct Schema(&'static [(u32, &'static Schema)]);

/// `ExportTraceServiceRequest`
pub static TRACE_REQUEST: Schema = Schema(&[(1, &RESOURCE_SPANS)]);
/// `ResourceSpans`
pub static RESOURCE_SPANS: Schema = Schema(&[(1, &RESOURCE), (2, &SCOPE_SPANS)]);
/// `ScopeSpans`
pub static SCOPE_SPANS: Schema = Schema(&[(1, &SCOPE), (2, &SPAN)]);
/// `Span`
pub static SPAN: Schema = Schema(&[(9, &KEY_VALUE), (11, &EVENT), (13, &LINK), (15, &SCALARS)]);
static RESOURCE: Schema = Schema(&[(1, &KEY_VALUE), (3, &SCALARS)]);
static SCOPE: Schema = Schema(&[(3, &KEY_VALUE)]);
static EVENT: Schema = Schema(&[(3, &KEY_VALUE)]);
static LINK: Schema = Schema(&[(4, &KEY_VALUE)]);
static KEY_VALUE: Schema = Schema(&[(2, &ANY_VALUE)]);
static ANY_VALUE: Schema = Schema(&[(5, &ARRAY), (6, &KEY_VALUE_LIST)]);
static ARRAY: Schema = Schema(&[(1, &ANY_VALUE)]);
static KEY_VALUE_LIST: Schema = Schema(&[(1, &KEY_VALUE)]);
static SCALARS: Schema = Schema(&[]);

/// Field numbers above all that the protocol has, up to the largest there is.
pub const UNKNOWN: [u32; 4] = [31, 100, 5_000, (1 << 29) - 1];

/// Requests as `messages` generates them, varied.
pub fn varied(
    messages: impl Strategy<Value = impl Message>,
    schema: &'static Schema,
) -> impl Strategy<Value = Vec<u8>> {
    messages.prop_perturb(|message, mut rng| vary(&message.encode_to_vec(), schema, &mut rng))
}

/// Rewrites an encoded message.
pub fn vary(message: &[u8], schema: &Schema, rng: &mut TestRng) -> Vec<u8> {
    let mut fields = Vec::new();
    for field in Fields::new(message).map(Result::unwrap) {
        match (field.value, schema.of(field.number)) {
            (Value::Bytes(inner), Some(schema)) => {
                let (first, second) = if rng.random_bool(0.1) { cut(inner, rng) } else { (inner, &[][..]) };
                fields.push(encode(field.number, Value::Bytes(&vary(first, schema, rng)), rng));
                if !second.is_empty() {
                    fields.push(encode(field.number, Value::Bytes(&vary(second, schema, rng)), rng));
                }
            }
            (value, _) => {
                if rng.random_bool(0.03) {
                    fields.push(encode(field.number, other(value, rng), rng));
                }
                fields.push(encode(field.number, value, rng));
            }
        }
    }
    while rng.random_bool(0.15) {
        let place = rng.random_range(0..=fields.len());
        fields.insert(place, unknown(rng));
    }
    if rng.random_bool(0.3) {
        for end in (1..fields.len()).rev() {
            fields.swap(end, rng.random_range(0..=end));
        }
    }
    fields.concat()
}

impl Schema {
    fn of(&self, number: u32) -> Option<&'static Self> {
        self.0.iter().find(|(field, _)| *field == number).map(|(_, schema)| *schema)
    }
}

/// Cuts a message between two of its fields.
fn cut<'a>(message: &'a [u8], rng: &mut TestRng) -> (&'a [u8], &'a [u8]) {
    let stop = Fields::new(message).map(Result::unwrap).try_fold(0, |_, Field { end, .. }| {
        if rng.random_bool(0.3) { ControlFlow::Break(end) } else { ControlFlow::Continue(end) }
    });
    let (ControlFlow::Break(end) | ControlFlow::Continue(end)) = stop;
    message.split_at(end)
}

/// Another value of the same wire type. Bytes stay UTF-8, for they may be text.
fn other(value: Value<'_>, rng: &mut TestRng) -> Value<'static> {
    match value {
        Value::Varint(_) => Value::Varint(rng.random_range(0..4) | u64::from(rng.random_bool(0.2)) << 32),
        Value::Fixed64(_) => Value::Fixed64(rng.random()),
        Value::Fixed32(_) => Value::Fixed32(rng.random()),
        Value::Bytes(_) => {
            Value::Bytes([&b""[..], b"other", b"01234567", b"0123456789abcdef"][rng.random_range(0..4)])
        }
        Value::Group(depth) => Value::Group(depth),
    }
}

/// A field that nobody knows.
fn unknown(rng: &mut TestRng) -> Vec<u8> {
    let number = UNKNOWN[rng.random_range(0..UNKNOWN.len())];
    let value = match rng.random_range(0..5) {
        0 => Value::Varint(rng.random()),
        1 => Value::Fixed64(rng.random()),
        2 => Value::Fixed32(rng.random()),
        3 => Value::Bytes(b"\xff unknown"),
        _ => Value::Group(1),
    };
    encode(number, value, rng)
}

/// Writes a field; of a group, what is in it is made up.
fn encode(number: u32, value: Value<'_>, rng: &mut TestRng) -> Vec<u8> {
    let mut out = Vec::new();
    let tag = |out: &mut Vec<u8>, wire_type: u64, rng: &mut TestRng| {
        put_long_varint(out, u64::from(number) << 3 | wire_type, rng);
    };
    match value {
        Value::Varint(value) => {
            tag(&mut out, 0, rng);
            put_long_varint(&mut out, value, rng);
        }
        Value::Fixed64(value) => {
            tag(&mut out, 1, rng);
            out.extend(value.to_le_bytes());
        }
        Value::Bytes(bytes) => {
            tag(&mut out, 2, rng);
            put_long_varint(&mut out, bytes.len() as u64, rng);
            out.extend(bytes);
        }
        Value::Group(_) => {
            tag(&mut out, 3, rng);
            while rng.random_bool(0.5) {
                out.extend(unknown(rng));
            }
            tag(&mut out, 4, rng);
        }
        Value::Fixed32(value) => {
            tag(&mut out, 5, rng);
            out.extend(value.to_le_bytes());
        }
    }
    out
}

/// Writes a varint, sometimes with more bytes than it needs.
fn put_long_varint(out: &mut Vec<u8>, value: u64, rng: &mut TestRng) {
    let start = out.len();
    put_varint(out, value);
    let length = out.len() - start;
    if length < 10 && rng.random_bool(0.02) {
        let longer = rng.random_range(length + 1..=10);
        *out.last_mut().unwrap() |= 0x80;
        out.resize(start + longer - 1, 0x80);
        out.push(0);
    }
}
