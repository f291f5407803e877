//! The protobuf wire format, read in place.
//!
//! [`Fields`] walks the fields of one message without decoding what lies below them. It follows
//! <https://protobuf.dev/programming-guides/encoding/>: varints of at most ten bytes, the four wire types
//! in use, and groups, which nothing in OTLP uses but which unknown fields may. Groups are skipped with a
//! counter rather than by recursion, so nesting costs no stack.

use thiserror::Error;

/// A place where bytes stop being protobuf.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// The message ends inside a field.
    #[error("message ends inside a field")]
    Truncated,
    /// A varint has more than ten bytes or does not fit 64 bits.
    #[error("varint longer than 64 bits")]
    Varint,
    /// A field number of zero or above 2^29-1.
    #[error("field number out of range")]
    FieldNumber,
    /// Wire type 6 or 7.
    #[error("wire type {0} does not exist")]
    WireType(u8),
    /// An end-group tag without its start, or with another field number.
    #[error("group is not closed where it was opened")]
    Group,
}

/// One field's value as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, little-endian.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire types 3 and 4: an unknown group, skipped. The number is how many calls deep a reader would go that
    /// skips groups by recursion.
    Group(usize),
    /// Wire type 5, little-endian.
    Fixed32(u32),
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The field number.
    pub number: u32,
    /// The value.
    pub value: Value<'a>,
    /// Offset of the field's tag in the message.
    pub start: usize,
    /// Offset just after the field.
    pub end: usize,
}

/// Walks the fields of a message in wire order. After an error it ends.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// Length of the whole message.
    length: usize,
}

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;
const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;

impl<'a> Fields<'a> {
    /// The fields of `message`.
    #[must_use]
    #[inline]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message, length: message.len() }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let start = self.length - self.rest.len();
        Some(match take_field(self.rest) {
            Ok((number, value, rest)) => {
                self.rest = rest;
                Ok(Field { number, value, start, end: self.length - rest.len() })
            }
            Err(error) => {
                self.rest = &[];
                Err(error)
            }
        })
    }
}

// Each of these takes something off the front of `bytes` and returns what follows with it. That way a loop over
// fields keeps its place in registers, provided that they are inlined into it: left to itself, the compiler does
// not, and a scan takes half as long again.

#[inline(always)]
fn take_field(bytes: &[u8]) -> Result<(u32, Value<'_>, &[u8]), WireError> {
    let (number, wire_type, rest) = take_tag(bytes)?;
    let (value, rest) = take_value(number, wire_type, rest)?;
    Ok((number, value, rest))
}

#[inline]
fn take_tag(bytes: &[u8]) -> Result<(u32, u8, &[u8]), WireError> {
    let (tag, rest) = take_varint(bytes)?;
    let number = tag >> 3;
    if number == 0 || number > FIELD_NUMBER_MAX {
        return Err(WireError::FieldNumber);
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked against FIELD_NUMBER_MAX; three bits")]
    Ok((number as u32, (tag & 7) as u8, rest))
}

#[inline(always)]
fn take_value(number: u32, wire_type: u8, bytes: &[u8]) -> Result<(Value<'_>, &[u8]), WireError> {
    match wire_type {
        VARINT => take_varint(bytes).map(|(value, rest)| (Value::Varint(value), rest)),
        FIXED64 => take_array(bytes).map(|(value, rest)| (Value::Fixed64(u64::from_le_bytes(value)), rest)),
        BYTES => {
            let (length, rest) = take_varint(bytes)?;
            let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
            let (value, rest) = rest.split_at_checked(length).ok_or(WireError::Truncated)?;
            Ok((Value::Bytes(value), rest))
        }
        START_GROUP => skip_group(number, bytes).map(|(depth, rest)| (Value::Group(depth), rest)),
        END_GROUP => Err(WireError::Group),
        FIXED32 => take_array(bytes).map(|(value, rest)| (Value::Fixed32(u32::from_le_bytes(value)), rest)),
        other => Err(WireError::WireType(other)),
    }
}

#[inline]
pub(crate) fn take_array<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), WireError> {
    let (array, rest) = bytes.split_first_chunk().ok_or(WireError::Truncated)?;
    Ok((*array, rest))
}

#[inline]
pub(crate) fn take_varint(bytes: &[u8]) -> Result<(u64, &[u8]), WireError> {
    // Tags, lengths and small numbers are nearly always one byte.
    match bytes {
        [byte @ ..0x80, rest @ ..] => Ok((u64::from(*byte), rest)),
        _ => take_long_varint(bytes),
    }
}

fn take_long_varint(bytes: &[u8]) -> Result<(u64, &[u8]), WireError> {
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        // The tenth byte holds the last bit of 64.
        if index == 9 && byte > 1 {
            return Err(WireError::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    Err(if bytes.len() < 10 { WireError::Truncated } else { WireError::Varint })
}

/// Skips to the end of a group whose start tag has been read.
#[cold]
fn skip_group(number: u32, bytes: &[u8]) -> Result<(usize, &[u8]), WireError> {
    // The numbers of the open groups; a hostile message pays one byte for each four here.
    let mut open = vec![number];
    let mut depth = 1;
    let mut rest = bytes;
    while let Some(&innermost) = open.last() {
        let (number, wire_type, after) = take_tag(rest)?;
        rest = match wire_type {
            START_GROUP => {
                open.push(number);
                depth = depth.max(open.len());
                after
            }
            END_GROUP if number == innermost => {
                open.pop();
                after
            }
            _ => {
                depth = depth.max(open.len() + 1);
                take_value(number, wire_type, after)?.1
            }
        };
    }
    Ok((depth, rest))
}

/// The number of an enum's member: protobuf cuts varints to the 32 bits that enums have.
#[must_use]
#[inline]
pub const fn enum_number(varint: u64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "as protobuf has it")]
    (varint as u32).cast_signed()
}

/// Bytes that `value` takes as a varint.
#[must_use]
#[inline]
pub const fn varint_len(value: u64) -> usize {
    // Seven bits a byte: ceil(bits / 7), and one byte for zero.
    ((63 - (value | 1).leading_zeros() as usize) * 9 + 73) / 64
}

/// Appends `value` as a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is wanted")]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 0x80")]
    out.push(value as u8);
}

/// Appends the tag and length of a length-delimited field; its `length` bytes follow.
#[inline]
pub fn put_header(out: &mut Vec<u8>, number: u32, length: usize) {
    put_varint(out, u64::from(number) << 3 | u64::from(BYTES));
    put_varint(out, length as u64);
}

/// Bytes of the tag and length that [`put_header`] writes.
#[must_use]
#[inline]
pub const fn header_len(number: u32, length: usize) -> usize {
    varint_len((number as u64) << 3) + varint_len(length as u64)
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_header(out, number, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a varint field.
pub fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | u64::from(VARINT));
    put_varint(out, value);
}

/// Appends a 64-bit little-endian field.
pub fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | u64::from(FIXED64));
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a 32-bit little-endian field.
pub fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_varint(out, u64::from(number) << 3 | u64::from(FIXED32));
    out.extend_from_slice(&value.to_le_bytes());
}

#[cfg(test)]
mod tests;
