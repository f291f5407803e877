//! Numbers, booleans and enums between JSON and the wire.

use serde::Serialize;

use crate::schema::{Encoding, Kind};
use crate::wire::{
    Value, WireError, put_fixed32, put_fixed64, put_varint, put_varint_field, take_array, take_varint,
};

/// A scalar as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scalar {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
}

/// A number as JSON has it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Scalar {
    /// The scalar of a field that is one.
    pub(super) const fn from_field(value: Value<'_>) -> Option<Self> {
        match value {
            Value::Varint(value) => Some(Self::Varint(value)),
            Value::Fixed32(value) => Some(Self::Fixed32(value)),
            Value::Fixed64(value) => Some(Self::Fixed64(value)),
            Value::Bytes(_) | Value::Group(_) => None,
        }
    }

    /// The first scalar of a packed list, which must not be empty, and the rest of it.
    pub(super) fn take_packed(encoding: Encoding, list: &[u8]) -> Result<(Self, &[u8]), WireError> {
        match encoding {
            Encoding::Varint => take_varint(list).map(|(value, rest)| (Self::Varint(value), rest)),
            Encoding::Fixed32 => {
                take_array(list).map(|(value, rest)| (Self::Fixed32(u32::from_le_bytes(value)), rest))
            }
            Encoding::Fixed64 => {
                take_array(list).map(|(value, rest)| (Self::Fixed64(u64::from_le_bytes(value)), rest))
            }
            // Protobuf packs nothing else.
            Encoding::Delimited => Err(WireError::Truncated),
        }
    }

    pub(super) fn put_field(self, number: u32, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => put_varint_field(out, number, value),
            Self::Fixed32(value) => put_fixed32(out, number, value),
            Self::Fixed64(value) => put_fixed64(out, number, value),
        }
    }

    /// Appends the scalar as one of a packed list.
    pub(super) fn put_packed(self, out: &mut Vec<u8>) {
        match self {
            Self::Varint(value) => put_varint(out, value),
            Self::Fixed32(value) => out.extend_from_slice(&value.to_le_bytes()),
            Self::Fixed64(value) => out.extend_from_slice(&value.to_le_bytes()),
        }
    }

    /// Whether it is what an absent field means.
    pub(super) const fn is_zero(self) -> bool {
        self.bits() == 0
    }

    const fn bits(self) -> u64 {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => value,
            Self::Fixed32(value) => value as u64,
        }
    }
}

impl Number {
    /// Protobuf's JSON allows every number as a string, and those that JSON has not only so:
    /// `"NaN"`.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        text.parse().map(Self::Integer).or_else(|_| text.parse().map(Self::Float)).ok()
    }

    /// A whole number. What is out of range stays out of the range of 64 bits.
    fn integer(self) -> Option<i128> {
        match self {
            Self::Integer(value) => Some(value),
            #[expect(clippy::cast_possible_truncation, reason = "whole, and saturates beyond 127 bits")]
            Self::Float(value) => (value.fract() == 0.0).then_some(value as i128),
        }
    }

    const fn float(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl Kind {
    /// The scalar for a number in JSON, if the kind has that value.
    pub(super) fn scalar(&self, number: Number) -> Option<Scalar> {
        let integer = number.integer();
        let int32 = || integer.and_then(|value| i32::try_from(value).ok());
        let uint32 = || integer.and_then(|value| u32::try_from(value).ok());
        let int64 = || integer.and_then(|value| i64::try_from(value).ok()).map(i64::cast_unsigned);
        let uint64 = || integer.and_then(|value| u64::try_from(value).ok());
        let double = || Scalar::Fixed64(number.float().to_bits());
        match self {
            Self::Int32 | Self::Enum(_) => {
                int32().map(|value| Scalar::Varint(i64::from(value).cast_unsigned()))
            }
            Self::Sint32 => {
                int32().map(|value| Scalar::Varint(((value << 1) ^ (value >> 31)).cast_unsigned().into()))
            }
            Self::Uint32 => uint32().map(|value| Scalar::Varint(value.into())),
            Self::Fixed32 => uint32().map(Scalar::Fixed32),
            Self::Int64 => int64().map(Scalar::Varint),
            Self::Int64OrDouble { .. } => Some(int64().map_or_else(double, Scalar::Varint)),
            Self::Uint64 => uint64().map(Scalar::Varint),
            Self::Fixed64 => uint64().map(Scalar::Fixed64),
            Self::Sfixed64 => int64().map(Scalar::Fixed64),
            Self::Double => Some(double()),
            Self::Bool | Self::String | Self::Bytes | Self::Id | Self::Nested(_) => None,
        }
    }

    /// Appends the JSON of a scalar: 64-bit integers as strings, what JSON has no number for by
    /// name.
    pub(super) fn put_json(&self, scalar: Scalar, out: &mut Vec<u8>) {
        let bits = scalar.bits();
        #[expect(clippy::cast_possible_truncation, reason = "protobuf reads 32 bits off a longer varint")]
        let low = bits as u32;
        match self {
            Self::Bool => put_value(&(bits != 0), out),
            Self::Int32 | Self::Enum(_) => put_value(&low.cast_signed(), out),
            Self::Sint32 => put_value(&((low >> 1).cast_signed() ^ -(low & 1).cast_signed()), out),
            Self::Uint32 | Self::Fixed32 => put_value(&low, out),
            Self::Int64 | Self::Int64OrDouble { .. } | Self::Sfixed64 => put_quoted(&bits.cast_signed(), out),
            Self::Uint64 | Self::Fixed64 => put_quoted(&bits, out),
            Self::Double => match f64::from_bits(bits) {
                value if value.is_finite() => put_value(&value, out),
                value if value.is_nan() => put_value("NaN", out),
                value => put_value(if value > 0.0 { "Infinity" } else { "-Infinity" }, out),
            },
            // No scalars.
            Self::String | Self::Bytes | Self::Id | Self::Nested(_) => {}
        }
    }
}

/// Appends a number or a string.
pub(super) fn put_value(value: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    #[expect(clippy::expect_used, reason = "a `Vec` takes every write, and JSON has numbers and strings")]
    serde_json::to_writer(out, value).expect("a scalar is written");
}

fn put_quoted(integer: &impl Serialize, out: &mut Vec<u8>) {
    out.push(b'"');
    put_value(integer, out);
    out.push(b'"');
}
