//! One span's message, read field by field on demand.
//!
//! For people and tools rather than the hot path: each accessor walks the message.

use crate::attribute::{Attribute, SPAN_ATTRIBUTES, attribute_messages};
use crate::wire::{Fields, Value, enum_number};

/// The message of one span.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a>(&'a [u8]);

impl<'a> SpanView<'a> {
    /// A view of a span's message.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// `span_id`; empty if unset.
    #[must_use]
    pub fn span_id(self) -> &'a [u8] {
        self.bytes(2)
    }

    /// `trace_state`; UTF-8, unchecked.
    #[must_use]
    pub fn trace_state(self) -> &'a [u8] {
        self.bytes(3)
    }

    /// `parent_span_id`; empty if unset.
    #[must_use]
    pub fn parent_span_id(self) -> &'a [u8] {
        self.bytes(4)
    }

    /// `name`; UTF-8, unchecked.
    #[must_use]
    pub fn name(self) -> &'a [u8] {
        self.bytes(5)
    }

    /// `kind`, as numbered by the protocol; 0 if unset.
    #[must_use]
    pub fn kind(self) -> i32 {
        let varints = self.fields().filter(|(number, _)| *number == 6).filter_map(|(_, value)| match value {
            Value::Varint(kind) => Some(enum_number(kind)),
            _ => None,
        });
        varints.last().unwrap_or(0)
    }

    /// `attributes`, in wire order.
    pub fn attributes(self) -> impl Iterator<Item = Attribute<'a>> {
        attribute_messages(self.0, SPAN_ATTRIBUTES).filter_map(|attribute| Attribute::parse(attribute).ok())
    }

    fn fields(self) -> impl Iterator<Item = (u32, Value<'a>)> {
        Fields::new(self.0).map_while(Result::ok).map(|field| (field.number, field.value))
    }

    fn bytes(self, wanted: u32) -> &'a [u8] {
        let found =
            self.fields().filter(|(number, _)| *number == wanted).filter_map(|(_, value)| match value {
                Value::Bytes(bytes) => Some(bytes),
                _ => None,
            });
        found.last().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
