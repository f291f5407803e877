//! What is known of a segment: where it is, and which of its records are live.
//!
//! A record costs four bytes here, its offset and one bit: enough to find where it ends, to enumerate what is live,
//! and to see that nothing is released twice.

use std::ops::Range;

use crate::Address;

/// A segment without its bytes.
#[derive(Debug)]
pub(crate) struct Segment {
    base: u64,
    length: u64,
    /// Bytes of live records.
    live: u64,
    /// Where the records are, in order.
    slots: Vec<Slot>,
}

/// Twice the offset of a record in its segment, plus one when it is not live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot(u32);

impl Segment {
    /// A segment that begins at `base`, of `length` bytes so far, without records.
    pub(crate) fn new(base: u64, length: u64) -> Self {
        Self { base, length, live: 0, slots: Vec::new() }
    }

    /// Its first position in the log.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// The position after it.
    pub(crate) fn end(&self) -> u64 {
        self.base + self.length
    }

    /// Bytes that it has.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Of these, bytes of live records.
    pub(crate) fn live(&self) -> u64 {
        self.live
    }

    /// The address of the next record.
    pub(crate) fn next(&self) -> Address {
        Address::new(self.base, self.length)
    }

    /// Takes note of a record of `bytes` at the end.
    pub(crate) fn push(&mut self, bytes: u64, live: bool) {
        self.slots.push(Slot::new(self.length, live));
        self.length += bytes;
        if live {
            self.live += bytes;
        }
    }

    /// Where in the file the record at `address` is, if it is live.
    pub(crate) fn extent(&self, address: Address) -> Option<Range<u64>> {
        self.find(address).map(|index| self.slots[index].offset()..self.end_of(index))
    }

    /// Gives up the record at `address`, if it is live.
    pub(crate) fn release(&mut self, address: Address) {
        let Some(index) = self.find(address) else { return };
        let offset = self.slots[index].offset();
        self.live -= self.end_of(index) - offset;
        self.slots[index] = Slot::new(offset, false);
    }

    /// The live records, in order.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> + '_ {
        let live = self.slots.iter().filter(|slot| slot.is_live());
        live.map(|slot| Address::new(self.base, slot.offset()))
    }

    /// Which slot the live record at `address` has.
    fn find(&self, address: Address) -> Option<usize> {
        let offset = address.position().checked_sub(self.base)?;
        let index = self.slots.binary_search_by_key(&offset, |slot| slot.offset()).ok()?;
        self.slots[index].is_live().then_some(index)
    }

    fn end_of(&self, index: usize) -> u64 {
        self.slots.get(index + 1).map_or(self.length, |next| next.offset())
    }
}

impl Slot {
    #[expect(clippy::cast_possible_truncation, reason = "records begin within `SEGMENT_BYTES_MAX`, 2^30")]
    fn new(offset: u64, live: bool) -> Self {
        Self((offset << 1) as u32 | u32::from(!live))
    }

    fn offset(self) -> u64 {
        u64::from(self.0 >> 1)
    }

    fn is_live(self) -> bool {
        self.0 & 1 == 0
    }
}
