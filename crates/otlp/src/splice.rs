//! Writing requests from bytes that lie elsewhere.
//!
//! Spans that are kept, from one request or from hundreds, leave grouped by resource and scope, each
//! envelope written once. Sizes are computed first, so that the output is allocated once, at its exact size,
//! and every length prefix is right when it is written.

use std::borrow::Cow;

use crate::attribute::{Attribute, SPAN_ATTRIBUTES};
use crate::envelope::Envelopes;
use crate::scan::TraceId;
use crate::wire::{Field, Fields, Value, header_len, put_bytes, put_header, put_varint_field};

/// One span, or other item, to be written: the bytes it has and what is changed about them.
#[derive(Clone, Debug, Default)]
pub struct SpanPiece<'a> {
    /// Written first where the body lacks it.
    pub trace_id: Option<TraceId>,
    /// The message, or the rest of it.
    pub body: &'a [u8],
    /// Whether `trace_state` is cut out of the body, because `suffix` has another.
    pub without_trace_state: bool,
    /// The keys of which a span's attributes are cut out of the body, because `suffix` has others.
    pub without_attributes: Vec<&'a str>,
    /// Encoded fields that are appended. Protobuf lets the last of a scalar field win.
    pub suffix: Cow<'a, [u8]>,
}

/// Collects items and writes them as one request.
#[derive(Debug, Default)]
pub struct Splicer<'a> {
    pieces: Vec<Placed<'a>>,
    bytes: usize,
}

#[derive(Debug)]
struct Placed<'a> {
    resource: u32,
    envelope: u32,
    /// How many were added before.
    number: usize,
    /// Length of the message that will be written.
    length: usize,
    piece: SpanPiece<'a>,
}

const RESOURCES: u32 = 1;
const SCOPES: u32 = 2;
const ITEMS: u32 = 2;
const TRACE_ID: u32 = 1;
const TRACE_STATE: u32 = 3;
const TRACE_ID_FIELD: usize = 18;
/// What the headers of an attribute of ordinary size take, and a boolean value.
const ATTRIBUTE_HEADERS: usize = 16;

impl<'a> SpanPiece<'a> {
    /// The message as it is.
    #[must_use]
    pub const fn verbatim(body: &'a [u8]) -> Self {
        Self {
            trace_id: None,
            body,
            without_trace_state: false,
            without_attributes: Vec::new(),
            suffix: Cow::Borrowed(&[]),
        }
    }

    /// Exact length of the message that [`Self::write`] appends.
    #[must_use]
    pub fn len(&self) -> usize {
        let id = if self.trace_id.is_some() { TRACE_ID_FIELD } else { 0 };
        let body = if self.is_cut() {
            runs(self.body, |field| self.cuts(field)).map(<[u8]>::len).sum()
        } else {
            self.body.len()
        };
        id + body + self.suffix.len()
    }

    /// Whether the message is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the message, without tag and length.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.trace_id {
            put_bytes(out, TRACE_ID, &id.to_bytes());
        }
        if self.is_cut() {
            runs(self.body, |field| self.cuts(field)).for_each(|run| out.extend_from_slice(run));
        } else {
            out.extend_from_slice(self.body);
        }
        out.extend_from_slice(&self.suffix);
    }

    fn is_cut(&self) -> bool {
        self.without_trace_state || !self.without_attributes.is_empty()
    }

    fn cuts(&self, field: &Field<'_>) -> bool {
        self.without_trace_state && field.number == TRACE_STATE
            || self.without_attributes.iter().any(|key| is_attribute(field, SPAN_ATTRIBUTES, key))
    }
}

/// Whether `field` is an attribute called `key` of a message whose attributes are field `number`.
fn is_attribute(field: &Field<'_>, number: u32, key: &str) -> bool {
    field.number == number
        && matches!(field.value, Value::Bytes(attribute)
            if Attribute::parse(attribute).is_ok_and(|found| found.key == key.as_bytes()))
}

/// The stretches of `message` between the fields that are `cut`. What follows a malformed field is kept.
fn runs<'a>(message: &'a [u8], cut: impl Fn(&Field<'a>) -> bool) -> impl Iterator<Item = &'a [u8]> {
    let mut start = 0;
    let mut cuts = Fields::new(message)
        .map_while(Result::ok)
        .filter(move |field| cut(field))
        .map(|field| (field.start, field.end))
        .chain(std::iter::once((message.len(), message.len())));
    std::iter::from_fn(move || {
        let (cut, resume) = cuts.next()?;
        let run = &message[start..cut];
        start = resume;
        Some(run)
    })
}

impl<'a> Splicer<'a> {
    /// Adds an item under `envelope`. Items of one `resource` leave under one resource: give envelopes that
    /// share a resource the same number. Order within an envelope is kept.
    pub fn push(&mut self, resource: u32, envelope: u32, piece: SpanPiece<'a>) {
        let length = piece.len();
        self.bytes += header_len(ITEMS, length) + length;
        let number = self.pieces.len();
        self.pieces.push(Placed { resource, envelope, number, length, piece });
    }

    /// Items collected so far.
    #[must_use]
    pub fn items(&self) -> usize {
        self.pieces.len()
    }

    /// Bytes that the items collected so far take, envelopes aside.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the request; `parts` gives an envelope's resource and scope descriptions.
    pub fn finish<'e, R, S>(mut self, parts: impl Fn(u32) -> (R, S)) -> Vec<u8>
    where
        R: Iterator<Item = &'e [u8]> + Clone,
        S: Iterator<Item = &'e [u8]> + Clone,
    {
        // In place, where a stable sort would want as much memory again for a moment.
        self.pieces.sort_unstable_by_key(|placed| (placed.resource, placed.envelope, placed.number));
        let total = |parts: &mut dyn Iterator<Item = &'e [u8]>| parts.map(<[u8]>::len).sum::<usize>();

        // Sizes first, inside out.
        let mut resources = Vec::new();
        let mut scopes = Vec::new();
        let mut size = 0;
        for resource in self.pieces.chunk_by(|a, b| a.resource == b.resource) {
            let first_scope = scopes.len();
            let mut length = total(&mut parts(resource[0].envelope).0);
            for scope in resource.chunk_by(|a, b| a.envelope == b.envelope) {
                let items: usize =
                    scope.iter().map(|placed| header_len(ITEMS, placed.length) + placed.length).sum();
                let scope_length = total(&mut parts(scope[0].envelope).1) + items;
                length += header_len(SCOPES, scope_length) + scope_length;
                scopes.push((scope_length, scope.len()));
            }
            size += header_len(RESOURCES, length) + length;
            resources.push((length, first_scope..scopes.len()));
        }

        let mut out = Vec::with_capacity(size);
        let mut pieces = self.pieces.as_slice();
        for (length, scope_range) in resources {
            put_header(&mut out, RESOURCES, length);
            if let Some(first) = pieces.first() {
                parts(first.envelope).0.for_each(|part| out.extend_from_slice(part));
            }
            for &(length, count) in &scopes[scope_range] {
                let (scope, rest) = pieces.split_at(count);
                pieces = rest;
                put_header(&mut out, SCOPES, length);
                parts(scope[0].envelope).1.for_each(|part| out.extend_from_slice(part));
                for placed in scope {
                    put_header(&mut out, ITEMS, placed.length);
                    placed.piece.write(&mut out);
                }
            }
        }
        debug_assert_eq!(out.len(), size, "sizes are computed exactly");
        out
    }

    /// Writes the request from items of one other request.
    #[must_use]
    pub fn finish_indexed(self, request: &[u8], envelopes: &Envelopes) -> Vec<u8> {
        self.finish(|envelope| {
            (envelopes.resource_parts(request, envelope), envelopes.scope_parts(request, envelope))
        })
    }
}

/// The encoded field `trace_state: value` of a span, to be appended to its message.
#[must_use]
pub fn trace_state_field(value: &str) -> Vec<u8> {
    let mut field = Vec::with_capacity(header_len(TRACE_STATE, value.len()) + value.len());
    put_bytes(&mut field, TRACE_STATE, value.as_bytes());
    field
}

/// The message of a span without its leading `trace_id` field, where it starts with one in canonical form.
#[must_use]
#[inline]
pub fn without_leading_trace_id(body: &[u8]) -> Option<&[u8]> {
    match body {
        [0x0a, 16, rest @ ..] if rest.len() >= 16 => Some(&rest[16..]),
        _ => None,
    }
}

/// A copy of `message`, whose attributes are field `number`, with the string attribute `key` set to `value`
/// in place of whatever attributes of that key it had.
#[must_use]
pub fn with_attribute(message: &[u8], number: u32, key: &str, value: &str) -> Vec<u8> {
    const STRING_VALUE: u32 = 1;
    let mut any_value = Vec::with_capacity(header_len(STRING_VALUE, value.len()) + value.len());
    put_bytes(&mut any_value, STRING_VALUE, value.as_bytes());
    let mut out = Vec::with_capacity(message.len() + key.len() + any_value.len() + ATTRIBUTE_HEADERS);
    runs(message, |field| is_attribute(field, number, key)).for_each(|run| out.extend_from_slice(run));
    put_attribute(&mut out, number, key, &any_value);
    out
}

/// A copy of `message`, whose attributes are field `number`, without those called `key`.
#[must_use]
pub fn without_attribute(message: &[u8], number: u32, key: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    runs(message, |field| is_attribute(field, number, key)).for_each(|run| out.extend_from_slice(run));
    out
}

/// The boolean attribute `key` of a message whose attributes are field `number`.
#[must_use]
pub fn bool_attribute_field(number: u32, key: &str, value: bool) -> Vec<u8> {
    const BOOL_VALUE: u32 = 2;
    let (mut any_value, mut out) = (Vec::new(), Vec::with_capacity(key.len() + ATTRIBUTE_HEADERS));
    put_varint_field(&mut any_value, BOOL_VALUE, u64::from(value));
    put_attribute(&mut out, number, key, &any_value);
    out
}

fn put_attribute(out: &mut Vec<u8>, number: u32, key: &str, any_value: &[u8]) {
    const KEY: u32 = 1;
    const VALUE: u32 = 2;
    let length =
        header_len(KEY, key.len()) + key.len() + header_len(VALUE, any_value.len()) + any_value.len();
    put_header(out, number, length);
    put_bytes(out, KEY, key.as_bytes());
    put_bytes(out, VALUE, any_value);
}

#[cfg(test)]
mod tests;
