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
    /// Wire types 3 and 4: an unknown group, skipped.
    Group,
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
    message: &'a [u8],
    position: usize,
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
    pub fn new(message: &'a [u8]) -> Self {
        Self { message, position: 0 }
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        // Tags, lengths and small numbers are nearly always one byte.
        match self.message.get(self.position) {
            Some(&byte) if byte < 0x80 => {
                self.position += 1;
                Ok(u64::from(byte))
            }
            Some(_) => self.long_varint(),
            None => Err(WireError::Truncated),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for (index, &byte) in self.message[self.position..].iter().take(10).enumerate() {
            // The tenth byte holds the last bit of 64.
            if index == 9 && byte > 1 {
                return Err(WireError::Varint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.position += index + 1;
                return Ok(value);
            }
        }
        if self.message.len() - self.position >= 10 {
            Err(WireError::Varint)
        } else {
            Err(WireError::Truncated)
        }
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], WireError> {
        let rest = &self.message[self.position..];
        let length = usize::try_from(length).map_err(|_| WireError::Truncated)?;
        let taken = rest.get(..length).ok_or(WireError::Truncated)?;
        self.position += length;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let taken = self.message[self.position..].first_chunk().ok_or(WireError::Truncated)?;
        self.position += N;
        Ok(*taken)
    }

    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), WireError> {
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 || number > FIELD_NUMBER_MAX {
            return Err(WireError::FieldNumber);
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked against FIELD_NUMBER_MAX; three bits")]
        Ok((number as u32, (tag & 7) as u8))
    }

    #[inline]
    fn value(&mut self, number: u32, wire_type: u8) -> Result<Value<'a>, WireError> {
        match wire_type {
            VARINT => Ok(Value::Varint(self.varint()?)),
            FIXED64 => Ok(Value::Fixed64(u64::from_le_bytes(self.array()?))),
            BYTES => {
                let length = self.varint()?;
                Ok(Value::Bytes(self.take(length)?))
            }
            START_GROUP => self.skip_group(number).map(|()| Value::Group),
            END_GROUP => Err(WireError::Group),
            FIXED32 => Ok(Value::Fixed32(u32::from_le_bytes(self.array()?))),
            other => Err(WireError::WireType(other)),
        }
    }

    /// Skips to the end of a group whose start tag has been read.
    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        // The numbers of the open groups; a hostile message pays one byte for each four here.
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            let (number, wire_type) = self.tag()?;
            match wire_type {
                START_GROUP => open.push(number),
                END_GROUP if number == innermost => {
                    open.pop();
                }
                _ => {
                    self.value(number, wire_type)?;
                }
            }
        }
        Ok(())
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.position;
        if start >= self.message.len() {
            return None;
        }
        let field = self.tag().and_then(|(number, wire_type)| {
            let value = self.value(number, wire_type)?;
            Ok(Field { number, value, start, end: self.position })
        });
        if field.is_err() {
            self.position = self.message.len();
        }
        Some(field)
    }
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
