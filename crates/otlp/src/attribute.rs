//! Attributes, read where they lie.
//!
//! A `KeyValue` is looked at one field deep: which key, and what kind of value. Nested values stay bytes, so
//! depth costs nothing.

use crate::wire::{Fields, Value, WireError};

/// `opentelemetry.proto.common.v1.AnyValue`, one level deep.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum AnyValue<'a> {
    /// No value is set, or one by reference into a string table, which only profiles have.
    #[default]
    Empty,
    /// UTF-8, unchecked.
    String(&'a [u8]),
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// An `ArrayValue` message; of one that came in pieces, the last.
    Array(&'a [u8]),
    /// A `KeyValueList` message; of one that came in pieces, the last.
    KeyValueList(&'a [u8]),
    /// Arbitrary bytes.
    Bytes(&'a [u8]),
}

/// `opentelemetry.proto.common.v1.KeyValue`
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Attribute<'a> {
    /// UTF-8, unchecked.
    pub key: &'a [u8],
    /// The value.
    pub value: AnyValue<'a>,
}

const KEY_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;

/// Field number of a span's attributes.
pub const SPAN_ATTRIBUTES: u32 = 9;
/// Field number of a log record's attributes.
pub const LOG_ATTRIBUTES: u32 = 6;
/// Field number of a scope's attributes.
pub const SCOPE_ATTRIBUTES: u32 = 3;
/// Field number of a resource's attributes.
pub const RESOURCE_ATTRIBUTES: u32 = 1;

impl<'a> Attribute<'a> {
    /// Reads the key of a `KeyValue` message, and the value only if `wanted` likes the key.
    ///
    /// # Errors
    /// When it does not parse.
    #[inline]
    pub fn parse_if(
        message: &'a [u8],
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Option<Self>, WireError> {
        // What every encoder writes: a short key, then a short value, and nothing else.
        if let [KEY_TAG, length @ ..0x80, rest @ ..] = message
            && let Some((key, [VALUE_TAG, length @ ..0x80, value @ ..])) =
                rest.split_at_checked(usize::from(*length))
            && value.len() == usize::from(*length)
        {
            return if wanted(key) {
                Ok(Some(Self { key, value: AnyValue::parse(value)? }))
            } else {
                Ok(None)
            };
        }
        let attribute = Self::parse(message)?;
        Ok(wanted(attribute.key).then_some(attribute))
    }

    /// Reads a `KeyValue` message.
    ///
    /// # Errors
    /// When it does not parse.
    #[inline]
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let mut attribute = Self::default();
        for field in Fields::new(message) {
            let field = field?;
            match (field.number, field.value) {
                (1, Value::Bytes(key)) => attribute.key = key,
                (2, Value::Bytes(value)) => attribute.value = attribute.value.merge(value)?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> AnyValue<'a> {
    /// Reads an `AnyValue` message.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        Self::Empty.merge(message)
    }

    /// What a repeated message makes of `self`: of a `oneof`, the last member wins.
    #[inline]
    fn merge(self, message: &'a [u8]) -> Result<Self, WireError> {
        Fields::new(message).try_fold(self, |value, field| {
            let field = field?;
            Ok(match (field.number, field.value) {
                (1, Value::Bytes(string)) => Self::String(string),
                (2, Value::Varint(number)) => Self::Bool(number != 0),
                (3, Value::Varint(number)) => Self::Int(number.cast_signed()),
                (4, Value::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, Value::Bytes(array)) => Self::Array(array),
                (6, Value::Bytes(list)) => Self::KeyValueList(list),
                (7, Value::Bytes(bytes)) => Self::Bytes(bytes),
                (8, Value::Varint(_)) => Self::Empty,
                _ => value,
            })
        })
    }
}

/// The attributes of a message whose attributes are field `number`, as `KeyValue` messages in wire order. Ends
/// where the message stops being protobuf.
#[inline]
pub fn attribute_messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::new(message).map_while(Result::ok).filter_map(move |field| match field.value {
        Value::Bytes(attribute) if field.number == number => Some(attribute),
        _ => None,
    })
}

/// The attributes of the resource in an envelope's resource description, as `KeyValue` messages; several
/// `Resource` messages merge.
pub fn resource_attribute_messages(description: &[u8]) -> impl Iterator<Item = &[u8]> {
    const RESOURCE: u32 = 1;
    attribute_messages(description, RESOURCE)
        .flat_map(|resource| attribute_messages(resource, RESOURCE_ATTRIBUTES))
}

/// The same of the scope in an envelope's scope description.
pub fn scope_attribute_messages(description: &[u8]) -> impl Iterator<Item = &[u8]> {
    const SCOPE: u32 = 1;
    attribute_messages(description, SCOPE).flat_map(|scope| attribute_messages(scope, SCOPE_ATTRIBUTES))
}

#[cfg(test)]
mod tests;
