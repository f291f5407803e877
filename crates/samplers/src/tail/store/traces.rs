//! The table of live traces: one slot of fixed size for each.
//!
//! Slots lie in chunks that never move, so growing copies nothing, and that are filled in order of arrival.
//! Traces leave in that order too, so chunks empty whole and give their memory back, which then is there for
//! spans. The index holds a slot's number beside part of its hash, so resizing the index reads no slots.
//! Traces of one decision tick (see [`super::schedule`]) are chained through their slots.

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
    /// The trace after this one in the same tick.
    pub(crate) next: Option<SlotNumber>,
}

/// Which slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotNumber(u32);

/// The live traces of one shard.
#[derive(Debug, Default)]
pub(crate) struct TraceTable {
    chunks: Vec<Chunk>,
    /// Numbers of chunks that have neither traces nor memory.
    vacant: Vec<u32>,
    /// The chunk being filled.
    current: Option<u32>,
    index: HashTable<Indexed>,
    /// Seeded at random: ids come from outside and must not be able to collide on purpose.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Chunk {
    slots: Vec<Slot>,
    live: u32,
}

#[derive(Clone, Copy, Debug)]
struct Indexed {
    /// The high half of the hash, which places the entry when the index grows.
    hash: u32,
    slot: SlotNumber,
}

const CHUNK_BITS: u32 = 8;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
/// The index shrinks when it has this many times as many buckets as entries.
const INDEX_SLACK: usize = 8;

impl TraceTable {
    /// The slot of a trace, if it is live.
    #[inline]
    pub(crate) fn find(&self, trace_id: TraceId) -> Option<SlotNumber> {
        let hash = self.hash(trace_id);
        self.index
            .find(spread(hash), |entry| entry.hash == hash && self.slot(entry.slot).trace_id == trace_id)
            .map(|entry| entry.slot)
    }

    /// Adds a trace that is not there.
    pub(crate) fn insert(&mut self, trace_id: TraceId) -> SlotNumber {
        let hash = self.hash(trace_id);
        let number = self.chunk_with_room();
        let chunk = &mut self.chunks[number as usize];
        // A slot holds memory of the budget, so their number stays far below four billion.
        let offset = u32::try_from(chunk.slots.len()).unwrap_or(u32::MAX);
        chunk.slots.push(Slot { digest: Digest::EMPTY, trace_id, last: None, next: None });
        chunk.live += 1;
        let slot = SlotNumber(number << CHUNK_BITS | offset);
        self.index.insert_unique(spread(hash), Indexed { hash, slot }, |entry| spread(entry.hash));
        slot
    }

    /// Removes a trace.
    pub(crate) fn remove(&mut self, number: SlotNumber) {
        let hash = self.hash(self.slot(number).trace_id);
        if let Ok(entry) = self.index.find_entry(spread(hash), |entry| entry.slot == number) {
            entry.remove();
        }
        if self.index.num_buckets() > INDEX_SLACK * self.index.len().max(CHUNK_SLOTS) {
            self.index.shrink_to(2 * self.index.len(), |entry| spread(entry.hash));
        }
        let number = number.0 >> CHUNK_BITS;
        let chunk = &mut self.chunks[number as usize];
        chunk.live -= 1;
        if chunk.live == 0 {
            self.vacate(number);
        }
    }

    #[inline]
    pub(crate) fn slot(&self, number: SlotNumber) -> &Slot {
        let (chunk, offset) = number.parts();
        &self.chunks[chunk].slots[offset]
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, number: SlotNumber) -> &mut Slot {
        let (chunk, offset) = number.parts();
        &mut self.chunks[chunk].slots[offset]
    }

    /// How many traces are live.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes that the live traces take.
    pub(crate) fn in_use(&self) -> usize {
        self.len() * size_of::<Slot>() + self.index.allocation_size()
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        let chunks = self.chunks.len() - self.vacant.len();
        chunks * CHUNK_SLOTS * size_of::<Slot>() + self.index.allocation_size()
    }

    fn hash(&self, trace_id: TraceId) -> u32 {
        (self.hasher.hash_one(trace_id) >> 32) as u32
    }

    /// The chunk for the next trace.
    fn chunk_with_room(&mut self) -> u32 {
        if let Some(current) = self.current
            && self.chunks[current as usize].slots.len() < CHUNK_SLOTS
        {
            return current;
        }
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk::default());
            u32::try_from(self.chunks.len() - 1).unwrap_or(u32::MAX)
        });
        self.chunks[number as usize].slots.reserve_exact(CHUNK_SLOTS);
        self.current = Some(number);
        number
    }

    /// Takes the slots of a chunk without traces, and its memory unless it is still being filled.
    fn vacate(&mut self, number: u32) {
        let slots = &mut self.chunks[number as usize].slots;
        if self.current == Some(number) {
            slots.clear();
        } else {
            *slots = Vec::new();
            self.vacant.push(number);
        }
    }
}

impl SlotNumber {
    /// Its chunk, and where it is there.
    #[inline]
    fn parts(self) -> (usize, usize) {
        ((self.0 >> CHUNK_BITS) as usize, self.0 as usize & (CHUNK_SLOTS - 1))
    }
}

/// 64 bits for the index, which looks at both ends of a hash, from the 32 that are kept.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests;
