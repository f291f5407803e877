//! The table of live traces: one slot of fixed size for each.
//!
//! Slots lie in chunks that never move, so growing copies nothing; the index holds a slot's number beside
//! part of its hash, so growing the index reads no slots. Traces are chained in order of arrival per
//! decision tick (see [`super::schedule`]) through their slots.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use forebay_otlp::TraceId;
use hashbrown::HashTable;

use super::log::Address;
use crate::tail::digest::Digest;

/// A live trace.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) digest: Digest,
    pub(crate) trace_id: TraceId,
    /// The newest record of its spans.
    pub(crate) last: Option<Address>,
    /// The trace after this one in the same tick, or the next vacant slot.
    pub(crate) next: Option<SlotNumber>,
}

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotNumber(u32);

/// The live traces of one shard.
#[derive(Debug, Default)]
pub(crate) struct TraceTable {
    chunks: Vec<Box<[Slot]>>,
    vacant: Option<SlotNumber>,
    index: HashTable<Indexed>,
    /// Seeded at random: ids come from outside and must not be able to collide on purpose.
    hasher: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Indexed {
    /// The high half of the hash, which places the entry when the index grows.
    hash: u32,
    slot: SlotNumber,
}

const CHUNK_BITS: u32 = 8;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;

impl TraceTable {
    /// The slot of a trace, if it is live.
    #[inline]
    pub(crate) fn find(&self, trace_id: TraceId) -> Option<SlotNumber> {
        let hash = self.hash(trace_id);
        self.index.find(spread(hash), |entry| entry.hash == hash && self.slot(entry.slot).trace_id == trace_id).map(|entry| entry.slot)
    }

    /// Adds a trace that is not there.
    pub(crate) fn insert(&mut self, trace_id: TraceId) -> SlotNumber {
        let hash = self.hash(trace_id);
        let slot = self.vacant_slot();
        *self.slot_mut(slot) = Slot { digest: Digest::EMPTY, trace_id, last: None, next: None };
        self.index.insert_unique(spread(hash), Indexed { hash, slot }, |entry| spread(entry.hash));
        slot
    }

    /// Removes a trace.
    pub(crate) fn remove(&mut self, number: SlotNumber) {
        let hash = self.hash(self.slot(number).trace_id);
        if let Ok(entry) = self.index.find_entry(spread(hash), |entry| entry.slot == number) {
            entry.remove();
        }
        let vacant = self.vacant.replace(number);
        self.slot_mut(number).next = vacant;
    }

    #[inline]
    pub(crate) fn slot(&self, number: SlotNumber) -> &Slot {
        &self.chunks[number.0 as usize >> CHUNK_BITS][number.0 as usize & (CHUNK_SLOTS - 1)]
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, number: SlotNumber) -> &mut Slot {
        &mut self.chunks[number.0 as usize >> CHUNK_BITS][number.0 as usize & (CHUNK_SLOTS - 1)]
    }

    /// How many traces are live.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes that the live traces take: a slot and, on average, a bucket and a half of the index.
    pub(crate) fn in_use(&self) -> usize {
        self.len() * (size_of::<Slot>() + size_of::<Indexed>() * 3 / 2)
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.chunks.len() * CHUNK_SLOTS * size_of::<Slot>() + self.index.allocation_size()
    }

    fn hash(&self, trace_id: TraceId) -> u32 {
        (self.hasher.hash_one(trace_id) >> 32) as u32
    }

    fn vacant_slot(&mut self) -> SlotNumber {
        if let Some(number) = self.vacant {
            self.vacant = self.slot(number).next;
            return number;
        }
        // A slot holds memory of the budget, so their number stays far below four billion.
        let first = u32::try_from(self.chunks.len() * CHUNK_SLOTS).unwrap_or(u32::MAX);
        let empty = Slot { digest: Digest::EMPTY, trace_id: TraceId(0), last: None, next: None };
        let mut chunk = vec![empty; CHUNK_SLOTS].into_boxed_slice();
        for (slot, number) in chunk.iter_mut().zip(first + 1..) {
            slot.next = Some(SlotNumber(number));
        }
        if let Some(last) = chunk.last_mut() {
            last.next = None;
        }
        self.chunks.push(chunk);
        self.vacant = Some(SlotNumber(first + 1));
        SlotNumber(first)
    }
}

/// 64 bits for the index, which looks at both ends of a hash, from the 32 that are kept.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}
