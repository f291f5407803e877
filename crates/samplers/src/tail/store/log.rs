//! The span log: where bytes wait.
//!
//! Records are appended to segments of fixed size, one after the other, whatever trace they belong to. A
//! record holds consecutive spans of one trace under one envelope and is linked to the trace's records before
//! and after it, so a trace is found from its last record alone. Releasing a record lowers its segment's count
//! of live bytes; at zero the segment is reused. Memory is segments times their size, and there is no
//! allocation per span.
//!
//! Traces that stay when most around them have left would keep whole segments for their few bytes. So when
//! less than half of what is written is live, segments are cleaned: what is live there moves to the end of the
//! log, to segments of its own, since what has stayed for long is likely to stay on. A segment is worth it
//! when less than two thirds of it are live, and then at least a quarter of all are. Moving costs at most two
//! bytes for each byte gained, and what is gained was released before, so cleaning costs no more than a
//! multiple of what releasing did.

mod record;

use std::num::NonZeroU32;

use self::record::{ALIGN, Next};
pub(crate) use self::record::{Flags, Record};
use super::traces::SlotNumber;

/// Where a record starts: segment number, from one, and offset in units of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(NonZeroU32);

/// The segments of one shard.
#[derive(Debug, Default)]
pub(crate) struct Log {
    segments: Vec<Segment>,
    /// Segments without live records that keep their memory, so that a steady load does not return it only
    /// to ask for it again.
    spare: Vec<u32>,
    /// Numbers of segments that have neither records nor memory.
    vacant: Vec<u32>,
    /// The segments being written, by [`Head`].
    heads: [Option<u32>; 2],
    /// Bytes that all segments have allocated.
    allocated: usize,
    /// Bytes that have been written to segments in use.
    written: usize,
    /// Of these, bytes of records that have not been released.
    live: usize,
    /// The segment looked at last for cleaning.
    hand: usize,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    live: usize,
}

/// The ends of the log.
#[derive(Clone, Copy, Debug)]
enum Head {
    /// What arrives goes here.
    Arriving,
    /// What is moved goes here.
    Moved,
}

/// What a record told when it was released.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Released {
    /// The record of the same trace that was appended before it.
    pub(crate) previous: Option<Address>,
    /// The envelope of its spans.
    pub(crate) envelope: u32,
    /// Bytes that it took.
    pub(crate) bytes: usize,
}

/// Large enough that switching is rare, small enough that an idle shard is cheap.
pub(crate) const SEGMENT_BYTES: usize = ALIGN << OFFSET_BITS;
const OFFSET_BITS: u32 = 15;
/// What a log may hold: a little less than addresses reach (16 GiB).
pub(crate) const LOG_BYTES_MAX: usize = 15 << 30;
/// Spare segments that are always kept, and beyond those the part of all segments in use. Segments that are
/// freed in one tick are written in the next few; memory that goes back to the system in between comes back
/// one page fault at a time, which costs more than everything else here.
const SPARE_SEGMENTS: usize = 4;
const SPARE_SHARE: usize = 8;
/// A log of less than this is not worth cleaning. With as many segments there is always one that is less than
/// two thirds live when half of all is, the two being written aside.
const CLEANED_BYTES_MIN: usize = 8 * SEGMENT_BYTES;

impl Log {
    /// Appends the `spans` of one `trace` under one `envelope`. With [`Flags::elided`], `spans` come without
    /// their leading trace id.
    pub(crate) fn append<'a>(
        &mut self,
        previous: Option<Address>,
        trace: SlotNumber,
        envelope: u32,
        flags: Flags,
        spans: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Address {
        let (payload, needed) = record::measure(spans.clone());
        let number = self.segment_with_room(Head::Arriving, needed);
        let segment = &mut self.segments[number as usize];
        let start = segment.bytes.len();
        record::write(&mut segment.bytes, previous, trace, envelope, flags, payload, spans);
        let address = self.written(number, start);
        if let Some(previous) = previous {
            record::set_next(self.bytes_mut(previous), address);
        }
        address
    }

    /// The record at `address`, which has not been released.
    pub(crate) fn record(&self, address: Address) -> Record<'_> {
        Record::read(&self.segments[address.segment() as usize].bytes[address.offset()..])
    }

    /// Replaces the first span of the record at `address` by as many bytes.
    pub(crate) fn overwrite(&mut self, address: Address, span: &[u8]) {
        record::span_mut(self.bytes_mut(address)).copy_from_slice(span);
    }

    /// Gives up the record at `address`. All of its trace's have to go.
    pub(crate) fn release(&mut self, address: Address) -> Released {
        let Record { previous, next, envelope, length, .. } = self.record(address);
        debug_assert!(next.is_some(), "a record is released once");
        record::release(self.bytes_mut(address));
        let number = address.segment();
        let segment = &mut self.segments[number as usize];
        segment.live -= length;
        self.live -= length;
        if segment.live == 0 && !self.heads.contains(&Some(number)) {
            self.vacate(number);
        }
        Released { previous, envelope, bytes: length }
    }

    /// Cleans one segment if the log needs that. `moved` is told where a trace's newest record is now.
    pub(crate) fn clean(&mut self, moved: impl FnMut(SlotNumber, Address)) -> bool {
        self.is_sparse() && self.compact(moved)
    }

    /// Cleans one segment if that gains a third of it. `moved` is as with [`Self::clean`].
    pub(crate) fn compact(&mut self, mut moved: impl FnMut(SlotNumber, Address)) -> bool {
        let Some(victim) = self.victim() else { return false };
        let mut offset = 0;
        while self.segments[victim as usize].live > 0 {
            let Record { previous, next, length, .. } =
                Record::read(&self.segments[victim as usize].bytes[offset..]);
            if let Some(next) = next {
                let address = self.copy(victim, offset, length);
                if let Some(previous) = previous {
                    record::set_next(self.bytes_mut(previous), address);
                }
                match next {
                    Next::Record(next) => record::set_previous(self.bytes_mut(next), address),
                    Next::Trace(trace) => moved(trace, address),
                }
                self.segments[victim as usize].live -= length;
                self.live -= length;
            }
            offset += length;
        }
        self.vacate(victim);
        true
    }

    /// Gives back spare memory until no more than `bytes` are allocated, if that is possible.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        while self.allocated() > bytes
            && let Some(number) = self.spare.pop()
        {
            self.give_back(number);
        }
    }

    /// Bytes allocated, used or not.
    pub(crate) fn allocated(&self) -> usize {
        self.allocated + self.segments.capacity() * size_of::<Segment>()
    }

    /// Bytes allocated that are not for reuse alone.
    pub(crate) fn in_use(&self) -> usize {
        self.allocated() - self.spare.len() * SEGMENT_BYTES
    }

    /// Whether less than half of what is written is live.
    fn is_sparse(&self) -> bool {
        self.written > CLEANED_BYTES_MIN && self.live < self.written / 2
    }

    /// A segment of which less than two thirds are live.
    fn victim(&mut self) -> Option<u32> {
        for _ in 0..self.segments.len() {
            self.hand = (self.hand + 1) % self.segments.len();
            let segment = &self.segments[self.hand];
            // Addresses have room for fewer segments.
            let number = u32::try_from(self.hand).unwrap_or(u32::MAX);
            let worth_it = segment.live > 0 && 3 * segment.live < 2 * segment.bytes.len();
            if worth_it && !self.heads.contains(&Some(number)) {
                return Some(number);
            }
        }
        None
    }

    /// Copies the record of `length` bytes at `offset` of segment `from` to the end of the log.
    fn copy(&mut self, from: u32, offset: usize, length: usize) -> Address {
        let to = self.segment_with_room(Head::Moved, length);
        let mut bytes = std::mem::take(&mut self.segments[to as usize].bytes);
        let start = bytes.len();
        bytes.extend_from_slice(&self.segments[from as usize].bytes[offset..offset + length]);
        self.segments[to as usize].bytes = bytes;
        self.written(to, start)
    }

    /// Accounts for a record that has been written to a segment from `start` on.
    fn written(&mut self, number: u32, start: usize) -> Address {
        let segment = &mut self.segments[number as usize];
        let length = segment.bytes.len() - start;
        segment.live += length;
        self.live += length;
        self.written += length;
        Address::new(number as usize, start)
    }

    /// What lies at `address` and after it.
    #[inline]
    fn bytes_mut(&mut self, address: Address) -> &mut [u8] {
        &mut self.segments[address.segment() as usize].bytes[address.offset()..]
    }

    /// The segment to write to, with at least `needed` bytes of room.
    fn segment_with_room(&mut self, head: Head, needed: usize) -> u32 {
        if let Some(current) = self.heads[head as usize] {
            if self.segments[current as usize].live == 0 {
                self.clear(current);
            }
            let bytes = &self.segments[current as usize].bytes;
            if bytes.capacity() - bytes.len() >= needed {
                return current;
            }
        }
        // A record larger than a segment gets one of its own, of its own size.
        if needed > SEGMENT_BYTES {
            let number = self.vacant_number();
            self.allocate(number, needed);
            return number;
        }
        if let Some(full) = self.heads[head as usize].take()
            && self.segments[full as usize].live == 0
        {
            self.vacate(full);
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            let number = self.vacant_number();
            self.allocate(number, SEGMENT_BYTES);
            number
        });
        self.heads[head as usize] = Some(number);
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

    /// Takes a segment without live records out of use.
    fn vacate(&mut self, number: u32) {
        self.clear(number);
        let used = self.allocated / SEGMENT_BYTES;
        let capacity = self.segments[number as usize].bytes.capacity();
        if self.spare.len() < SPARE_SEGMENTS.max(used / SPARE_SHARE) && capacity <= SEGMENT_BYTES {
            self.spare.push(number);
        } else {
            self.give_back(number);
        }
    }

    fn clear(&mut self, number: u32) {
        let bytes = &mut self.segments[number as usize].bytes;
        self.written -= bytes.len();
        bytes.clear();
    }

    fn give_back(&mut self, number: u32) {
        let bytes = std::mem::take(&mut self.segments[number as usize].bytes);
        self.allocated -= bytes.capacity();
        self.vacant.push(number);
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
        let bits = u32::try_from(((segment + 1) << OFFSET_BITS) | (offset / ALIGN));
        Self(bits.ok().and_then(NonZeroU32::new).expect("the log is bounded"))
    }

    fn segment(self) -> u32 {
        (self.0.get() >> OFFSET_BITS) - 1
    }

    fn offset(self) -> usize {
        (self.0.get() as usize & ((1 << OFFSET_BITS) - 1)) * ALIGN
    }

    fn to_bits(address: Option<Self>) -> u32 {
        address.map_or(0, |Self(bits)| bits.get())
    }

    fn from_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(Self)
    }
}

#[cfg(test)]
mod tests;
