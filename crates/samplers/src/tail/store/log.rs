//! The span log: where bytes wait.
//!
//! Records are appended to segments of fixed size, one after the other, whatever trace they belong to. A
//! record holds consecutive spans of one trace under one envelope and points back to the trace's record
//! before it, so a trace is found from its last record alone. Releasing a record lowers its segment's count
//! of live records; at zero the segment is reused. Memory is segments times their size, and there is no
//! allocation per span.
//!
//! A record is
//!
//! ```text
//! previous: u32 | envelope: varint | payload length << 2 | flags: varint | payload | padding to 4
//! payload = (length: varint, span message)*
//! ```
//!
//! A span message usually starts with its trace id, which the trace's slot knows: with the flag `ELIDED`
//! those 18 bytes are left out of every span in the record.

use forebay_otlp::wire::{put_varint, varint_len};

/// Where a record starts: segment number and offset in units of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(u32);

/// A record as it lies in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    /// The record of the same trace that was appended before this one.
    pub(crate) previous: Option<Address>,
    /// The envelope of all its spans.
    pub(crate) envelope: u32,
    /// What holds for all its spans.
    pub(crate) flags: Flags,
    payload: &'a [u8],
}

/// What holds for all spans of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// The leading trace id has been left out.
    pub(crate) elided: bool,
    /// Some span has a `trace_state`.
    pub(crate) trace_state: bool,
}

/// The segments of one shard.
#[derive(Debug, Default)]
pub(crate) struct Log {
    segments: Vec<Segment>,
    /// Segments without live records that keep their memory, so that a steady load does not return it only
    /// to ask for it again.
    spare: Vec<u32>,
    /// Numbers of segments that have neither records nor memory.
    vacant: Vec<u32>,
    /// The segment being written.
    current: Option<u32>,
    /// Bytes that all segments have allocated.
    allocated: usize,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    live: u32,
}

/// Large enough that switching is rare, small enough that an idle shard is cheap.
pub(crate) const SEGMENT_BYTES: usize = 1 << OFFSET_BITS << ALIGN_BITS;
const OFFSET_BITS: u32 = 15;
const ALIGN_BITS: u32 = 2;
const ALIGN: usize = 1 << ALIGN_BITS;
/// What a log may hold: a little less than addresses reach (16 GiB).
pub(crate) const LOG_BYTES_MAX: usize = 15 << 30;
/// No address: a trace's first record.
const NONE: u32 = u32::MAX;
/// Spare segments that are always kept, and beyond those the part of all segments in use. Segments that are
/// freed in one tick are written in the next few; memory that goes back to the system in between comes back
/// one page fault at a time, which costs more than everything else here.
const SPARE_SEGMENTS: usize = 4;
const SPARE_SHARE: usize = 8;
/// previous, envelope, length and flags, padding.
const HEADER_BYTES_MAX: usize = 4 + 5 + 10 + ALIGN;

impl Log {
    /// Appends the `spans` of one trace under one `envelope`. With [`Flags::elided`], `spans` come without
    /// their leading trace id.
    pub(crate) fn append<'a>(
        &mut self,
        previous: Option<Address>,
        envelope: u32,
        flags: Flags,
        spans: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Address {
        let payload: usize = spans.clone().map(|span| varint_len(span.len() as u64) + span.len()).sum();
        let number = self.segment_with_room(HEADER_BYTES_MAX + payload);
        let segment = &mut self.segments[number as usize];
        let bytes = &mut segment.bytes;
        let address = Address::new(number as usize, bytes.len());
        bytes.extend_from_slice(&previous.map_or(NONE, |address| address.0).to_le_bytes());
        put_varint(bytes, u64::from(envelope));
        put_varint(bytes, (payload as u64) << 2 | flags.bits());
        for span in spans {
            put_varint(bytes, span.len() as u64);
            bytes.extend_from_slice(span);
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
        segment.live += 1;
        address
    }

    /// The record at `address`, which has not been released.
    pub(crate) fn record(&self, address: Address) -> Record<'_> {
        let bytes = &self.segments[address.segment() as usize].bytes[address.offset()..];
        let (previous, rest) = bytes.split_at(4);
        let previous = previous.iter().rev().fold(0, |number, &byte| number << 8 | u32::from(byte));
        let (envelope, rest) = take_varint(rest);
        let (length, rest) = take_varint(rest);
        // Both were written by `append` from a `u32` and a `usize`.
        #[expect(clippy::cast_possible_truncation, reason = "written from a u32 and a usize")]
        Record {
            previous: (previous != NONE).then_some(Address(previous)),
            envelope: envelope as u32,
            flags: Flags::from_bits(length),
            payload: &rest[..(length >> 2) as usize],
        }
    }

    /// Gives up the record at `address`.
    pub(crate) fn release(&mut self, address: Address) {
        let number = address.segment();
        let segment = &mut self.segments[number as usize];
        debug_assert!(segment.live > 0, "a record is released once");
        segment.live -= 1;
        if segment.live == 0 && self.current != Some(number) {
            self.vacate(number);
        }
    }

    /// Bytes allocated, used or not.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated
    }

    /// Bytes of segments that hold records.
    pub(crate) fn in_use(&self) -> usize {
        self.allocated - self.spare.len() * SEGMENT_BYTES
    }

    /// The segment to write to, with at least `needed` bytes of room.
    fn segment_with_room(&mut self, needed: usize) -> u32 {
        if let Some(current) = self.current {
            let segment = &mut self.segments[current as usize];
            if segment.live == 0 {
                segment.bytes.clear();
            }
            if segment.bytes.capacity() - segment.bytes.len() >= needed {
                return current;
            }
        }
        // A record larger than a segment gets one of its own, of its own size.
        if needed > SEGMENT_BYTES {
            let number = self.vacant_number();
            self.allocate(number, needed);
            return number;
        }
        if let Some(full) = self.current.take()
            && self.segments[full as usize].live == 0
        {
            self.vacate(full);
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            let number = self.vacant_number();
            self.allocate(number, SEGMENT_BYTES);
            number
        });
        self.current = Some(number);
        number
    }

    fn vacant_number(&mut self) -> u32 {
        self.vacant.pop().unwrap_or_else(|| {
            self.segments.push(Segment::default());
            Address::new(self.segments.len() - 1, 0).segment()
        })
    }

    fn allocate(&mut self, number: u32, capacity: usize) {
        let bytes = &mut self.segments[number as usize].bytes;
        *bytes = Vec::with_capacity(capacity);
        self.allocated += bytes.capacity();
    }

    fn vacate(&mut self, number: u32) {
        let bytes = &mut self.segments[number as usize].bytes;
        bytes.clear();
        let used = self.allocated / SEGMENT_BYTES;
        if self.spare.len() < SPARE_SEGMENTS.max(used / SPARE_SHARE) && bytes.capacity() <= SEGMENT_BYTES {
            self.spare.push(number);
        } else {
            self.allocated -= bytes.capacity();
            *bytes = Vec::new();
            self.vacant.push(number);
        }
    }
}

impl Address {
    /// # Panics
    /// When `segment` is beyond what an address reaches, which [`LOG_BYTES_MAX`] prevents: each segment in use
    /// has at least [`SEGMENT_BYTES`].
    #[expect(clippy::expect_used, reason = "the store decides traces early long before segments run out")]
    fn new(segment: usize, offset: usize) -> Self {
        debug_assert!(
            offset < SEGMENT_BYTES && offset.is_multiple_of(ALIGN),
            "records start within a segment, aligned"
        );
        Self(u32::try_from(segment << OFFSET_BITS | offset >> ALIGN_BITS).expect("the log is bounded"))
    }

    fn segment(self) -> u32 {
        self.0 >> OFFSET_BITS
    }

    fn offset(self) -> usize {
        (self.0 as usize & ((1 << OFFSET_BITS) - 1)) << ALIGN_BITS
    }
}

impl<'a> Record<'a> {
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

impl Flags {
    fn bits(self) -> u64 {
        u64::from(self.elided) | u64::from(self.trace_state) << 1
    }

    fn from_bits(bits: u64) -> Self {
        Self { elided: bits & 1 != 0, trace_state: bits & 2 != 0 }
    }
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

#[cfg(test)]
mod tests;
