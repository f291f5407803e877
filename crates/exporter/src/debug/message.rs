//! Fields of an encoded message by number, for code whose speed does not matter.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use forebay_otlp::wire::{Fields, Value};

/// An encoded message. What does not parse is as if it were not there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a>(&'a [u8]);

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn values(self, number: u32) -> impl Iterator<Item = Value<'a>> {
        Fields::new(self.0)
            .map_while(Result::ok)
            .filter(move |field| field.number == number)
            .map(|field| field.value)
    }

    /// A repeated field of messages, or of bytes.
    pub(super) fn messages(self, number: u32) -> impl Iterator<Item = Message<'a>> {
        self.values(number).filter_map(|value| match value {
            Value::Bytes(bytes) => Some(Message(bytes)),
            _ => None,
        })
    }

    /// A single message, empty if absent. One that is sent in parts is only seen in its last one.
    pub(super) fn message(self, number: u32) -> Message<'a> {
        self.messages(number).last().unwrap_or(Message(&[]))
    }

    pub(super) fn bytes(self, number: u32) -> &'a [u8] {
        self.message(number).0
    }

    pub(super) fn text(self, number: u32) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes(number))
    }

    pub(super) fn hex(self, number: u32) -> String {
        hex::encode(self.bytes(number))
    }

    /// A number of any width, 0 if absent.
    pub(super) fn number(self, number: u32) -> u64 {
        self.optional(number).unwrap_or(0)
    }

    /// A number of any width.
    pub(super) fn optional(self, number: u32) -> Option<u64> {
        self.values(number).last().and_then(|value| match value {
            Value::Varint(value) | Value::Fixed64(value) => Some(value),
            Value::Fixed32(value) => Some(value.into()),
            Value::Bytes(_) | Value::Group(_) => None,
        })
    }

    pub(super) fn double(self, number: u32) -> Option<f64> {
        self.optional(number).map(f64::from_bits)
    }

    /// A repeated field of 64-bit numbers, packed or not; with varints if `varint`.
    pub(super) fn numbers(self, number: u32, varint: bool) -> Vec<u64> {
        let mut numbers = Vec::new();
        for value in self.values(number) {
            match value {
                Value::Varint(value) | Value::Fixed64(value) => numbers.push(value),
                Value::Bytes(packed) if varint => numbers.extend(varints(packed)),
                Value::Bytes(packed) => {
                    numbers.extend(packed.as_chunks().0.iter().map(|eight| u64::from_le_bytes(*eight)));
                }
                Value::Fixed32(_) | Value::Group(_) => {}
            }
        }
        numbers
    }

    /// Nanoseconds since 1970 as Go prints a time.
    pub(super) fn time(self, number: u32) -> String {
        let time = UNIX_EPOCH + Duration::from_nanos(self.number(number));
        let text = humantime::format_rfc3339_nanos(time).to_string();
        text.replace('T', " ").replace('Z', " +0000 UTC")
    }

    /// The number of the last field present out of several, as in a `oneof`.
    pub(super) fn which(self, numbers: &[u32]) -> Option<u32> {
        Fields::new(self.0)
            .map_while(Result::ok)
            .map(|field| field.number)
            .filter(|number| numbers.contains(number))
            .last()
    }
}

fn varints(packed: &[u8]) -> Vec<u64> {
    let mut numbers = vec![];
    let mut number = 0_u64;
    let mut shift = 0;
    for byte in packed {
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        shift += 7;
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
            shift = 0;
        }
    }
    numbers
}
