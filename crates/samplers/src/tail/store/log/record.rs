//! How a record lies in its segment.
//!
//! ```text
//! previous: u32 | next: u32 | envelope << 1 | newest: varint | payload length << 3 | flags: varint | payload | padding to 4
//! payload = (length: varint, span message)*
//! ```
//!
//! Both neighbours within the trace are known, so one record can be moved without a walk over its trace. The
//! newest one has its trace's slot for a neighbour; one that has been released has none, which nothing else
//! lacks. A span message usually starts with its trace id, which the trace's slot knows: with the flag
//! `ELIDED` those 18 bytes are left out of every span in the record.

use forebay_otlp::wire::{put_varint, varint_len};

use super::Address;
use crate::tail::store::traces::SlotNumber;

/// A record as it lies in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The record of the same trace that was appended before this one.
    pub(crate) previous: Option<Address>,
    /// What follows; nothing if the record has been released.
    pub(super) next: Option<Next>,
    /// The envelope of all its spans.
    pub(crate) envelope: u32,
    /// What holds for all its spans.
    pub(crate) flags: Flags,
    /// Bytes that it takes in its segment.
    pub(super) length: usize,
    payload: &'a [u8],
}

/// What follows a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The record of the same trace that was appended after it.
    Record(Address),
    /// Nothing yet: this is the newest one of the trace.
    Trace(SlotNumber),
}

/// What holds for all spans of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The leading trace id has been left out.
    pub(crate) elided: bool,
    /// Some span has a `trace_state`.
    pub(crate) trace_state: bool,
    /// The spans are on disk, and the payload says where.
    pub(crate) on_disk: bool,
}

/// Records start at multiples of this.
pub(super) const ALIGN: usize = 4;
/// Neighbours, envelope, length and flags, padding.
const HEADER_BYTES_MAX: usize = 8 + 5 + 10 + ALIGN;
/// Where the envelope is, the lowest bit of which says whether the record is its trace's newest.
const ENVELOPE: usize = 8;

impl<'a> Record<'a> {
    /// The record that `bytes` start with.
    #[inline]
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let (previous, rest) = take_u32(bytes);
        let (next, rest) = take_u32(rest);
        let (envelope, rest) = take_varint(rest);
        let (length, rest) = take_varint(rest);
        // All were written by `write` from a `u32` and a `usize`.
        #[expect(clippy::cast_possible_truncation, reason = "written from a u32 and a usize")]
        let (envelope, payload) = (envelope as u32, (length >> 3) as usize);
        let newest = envelope & 1 != 0;
        Self {
            previous: Address::from_bits(previous),
            next: match newest {
                true => SlotNumber::from_bits(next).map(Next::Trace),
                false => Address::from_bits(next).map(Next::Record),
            },
            envelope: envelope >> 1,
            flags: Flags::from_bits(length),
            length: (bytes.len() - rest.len() + payload).next_multiple_of(ALIGN),
            payload: &rest[..payload],
        }
    }

    /// The spans' messages, without their leading trace id where it was elided.
    pub(crate) fn spans(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (length, after) = take_varint(rest);
            #[expect(clippy::cast_possible_truncation, reason = "written from a usize")]
            let (span, after) = after.split_at(length as usize);
            rest = after;
            Some(span)
        })
    }
}

/// Bytes of the payload of `spans`, and how many a record of it takes at most.
pub(super) fn measure<'a>(spans: impl Iterator<Item = &'a [u8]>) -> (usize, usize) {
    let payload = spans.map(|span| varint_len(span.len() as u64) + span.len()).sum();
    (payload, HEADER_BYTES_MAX + payload)
}

/// Appends the newest record of `trace` to `bytes`, which are a segment's.
pub(super) fn write<'a>(
    bytes: &mut Vec<u8>,
    previous: Option<Address>,
    trace: SlotNumber,
    envelope: u32,
    flags: Flags,
    payload: usize,
    spans: impl Iterator<Item = &'a [u8]>,
) {
    bytes.extend_from_slice(&Address::to_bits(previous).to_le_bytes());
    bytes.extend_from_slice(&trace.to_bits().to_le_bytes());
    put_varint(bytes, u64::from(envelope) << 1 | 1);
    put_varint(bytes, (payload as u64) << 3 | flags.bits());
    for span in spans {
        put_varint(bytes, span.len() as u64);
        bytes.extend_from_slice(span);
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

/// Tells the record that `bytes` start with where its predecessor is.
#[inline]
pub(super) fn set_previous(bytes: &mut [u8], previous: Address) {
    bytes[..4].copy_from_slice(&Address::to_bits(Some(previous)).to_le_bytes());
}

/// Tells the record that `bytes` start with where its successor is.
#[inline]
pub(super) fn set_next(bytes: &mut [u8], next: Address) {
    bytes[4..8].copy_from_slice(&Address::to_bits(Some(next)).to_le_bytes());
    bytes[ENVELOPE] &= !1;
}

/// Marks the record that `bytes` start with as released.
#[inline]
pub(super) fn release(bytes: &mut [u8]) {
    bytes[4..8].fill(0);
}

/// The first span of the record that `bytes` start with.
pub(super) fn span_mut(bytes: &mut [u8]) -> &mut [u8] {
    let (_, rest) = take_varint(&bytes[ENVELOPE..]);
    let (_, rest) = take_varint(rest);
    let (length, rest) = take_varint(rest);
    let start = bytes.len() - rest.len();
    #[expect(clippy::cast_possible_truncation, reason = "written from a usize")]
    let end = start + length as usize;
    &mut bytes[start..end]
}

impl Flags {
    fn bits(self) -> u64 {
        u64::from(self.elided) | u64::from(self.trace_state) << 1 | u64::from(self.on_disk) << 2
    }

    fn from_bits(bits: u64) -> Self {
        Self { elided: bits & 1 != 0, trace_state: bits & 2 != 0, on_disk: bits & 4 != 0 }
    }
}

#[inline]
fn take_u32(bytes: &[u8]) -> (u32, &[u8]) {
    let (number, rest) = bytes.split_at(4);
    (number.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte)), rest)
}

/// Reads a varint that [`put_varint`] wrote.
#[inline]
fn take_varint(bytes: &[u8]) -> (u64, &[u8]) {
    let mut value = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return (value, &bytes[index + 1..]);
        }
    }
    (value, &[])
}
