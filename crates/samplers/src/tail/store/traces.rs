//! The table of live traces: one slot of fixed size for each.
//!
//! Slots lie in chunks that never move, so growing copies nothing. New traces take the vacant slots of a chunk
//! that is in use before they take another chunk, and one chunk is filled before the next, so that when there
//! are fewer traces the other chunks empty and give their memory back, which then is there for spans. The
//! index holds a slot's number beside part of its hash, so growing the index reads no slots; it is in many
//! parts, so that no single trace waits for all of it to grow. Traces of one decision tick (see
//! [`super::schedule`]) are chained through their slots.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use forebay_otlp::TraceId;
use hashbrown::HashTable;

use super::log::Address;
use super::schedule::Place;
use crate::tail::digest::Digest;

/// A live trace.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) digest: Digest,
    /// All of it once there are spans; before, what evidence tells of it.
    pub(crate) trace_id: TraceId,
    /// The newest record of its spans.
    pub(crate) last: Option<Address>,
    /// Where it is in the schedule, until it is decided.
    pub(crate) place: Option<Place>,
}

// Memory per live trace is one of the project's figures.
const _: () = assert!(size_of::<Slot>() <= 96);

/// Which slot: the number of its chunk, from one, and where it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotNumber(NonZeroU32);

/// The live traces of one shard.
#[derive(Debug)]
pub(crate) struct TraceTable {
    chunks: Vec<Chunk>,
    /// Numbers of chunks that have neither traces nor memory.
    vacant: Vec<u32>,
    /// Numbers of chunks that have memory and vacant slots. The last one is being filled.
    open: Vec<u32>,
    /// Parts by the upper bits of the hash.
    index: Vec<HashTable<Indexed>>,
    /// Bytes that the parts of the index have allocated.
    index_bytes: usize,
    live: usize,
    /// The bits of a trace id that tell traces apart.
    mask: TraceId,
    /// Seeded at random: ids come from outside and must not be able to collide on purpose.
    hasher: RandomState,
}

#[derive(Debug)]
struct Chunk {
    slots: Vec<Slot>,
    /// A bit for each slot that is vacant.
    holes: [u64; CHUNK_SLOTS / 64],
    live: usize,
    /// Its index in `open` while it is there.
    place: usize,
}

#[derive(Clone, Copy, Debug)]
struct Indexed {
    /// The high half of the hash, which places the entry when the index grows.
    hash: u32,
    slot: SlotNumber,
}

const CHUNK_BITS: u32 = 8;
const CHUNK_SLOTS: usize = 1 << CHUNK_BITS;
const INDEX_PART_BITS: u32 = 8;
/// A part of the index shrinks when it has this many times as many buckets as entries, and more than a few.
const INDEX_SLACK: usize = 8;
const INDEX_PART_MIN: usize = 2;

impl TraceTable {
    /// An empty table of traces that are told apart by the bits of their ids that are set in `mask`.
    pub(crate) fn new(mask: TraceId) -> Self {
        Self {
            chunks: Vec::new(),
            vacant: Vec::new(),
            open: Vec::new(),
            index: vec![HashTable::new(); 1 << INDEX_PART_BITS],
            index_bytes: 0,
            live: 0,
            mask,
            hasher: RandomState::default(),
        }
    }

    /// What tells a trace apart: those whose identities are equal are one.
    #[inline]
    pub(crate) const fn identity(&self, trace_id: TraceId) -> TraceId {
        TraceId(trace_id.0 & self.mask.0)
    }

    /// The slot of a trace, if it is live.
    #[inline]
    pub(crate) fn find(&self, trace_id: TraceId) -> Option<SlotNumber> {
        let hash = self.hash(trace_id);
        let is_same = |other: TraceId| (other.0 ^ trace_id.0) & self.mask.0 == 0;
        self.index[part(hash)]
            .find(spread(hash), |entry| entry.hash == hash && is_same(self.slot(entry.slot).trace_id))
            .map(|entry| entry.slot)
    }

    /// Adds a trace that is not there.
    pub(crate) fn insert(&mut self, trace_id: TraceId) -> SlotNumber {
        let hash = self.hash(trace_id);
        let slot = self.occupy(Slot { digest: Digest::EMPTY, trace_id, last: None, place: None });
        let part = &mut self.index[part(hash)];
        let before = part.allocation_size();
        part.insert_unique(spread(hash), Indexed { hash, slot }, |entry| spread(entry.hash));
        self.index_bytes += part.allocation_size() - before;
        self.live += 1;
        slot
    }

    /// Takes a trace out of the index: it is not found any more. Its slot stays until [`Self::vacate`].
    pub(crate) fn unlist(&mut self, number: SlotNumber) {
        let hash = self.hash(self.slot(number).trace_id);
        let part = &mut self.index[part(hash)];
        if let Ok(entry) = part.find_entry(spread(hash), |entry| entry.slot == number) {
            entry.remove();
        }
        if part.num_buckets() > INDEX_SLACK * part.len().max(INDEX_PART_MIN) {
            let before = part.allocation_size();
            part.shrink_to(2 * part.len(), |entry| spread(entry.hash));
            self.index_bytes -= before - part.allocation_size();
        }
    }

    /// Makes the slot of a trace vacant that is not in the index any more.
    pub(crate) fn vacate(&mut self, number: SlotNumber) {
        let (index, offset) = number.parts();
        // Made from one.
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        self.live -= 1;
        if self.chunks[index].live == CHUNK_SLOTS {
            self.open(number);
        }
        let chunk = &mut self.chunks[index];
        chunk.leave(offset);
        // The last one stays, so that a trace that comes and goes costs no allocation.
        if chunk.live == 0 && self.open.len() > 1 {
            let place = chunk.place;
            *chunk = Chunk::default();
            self.open.swap_remove(place);
            if let Some(&moved) = self.open.get(place) {
                self.chunks[moved as usize].place = place;
            }
            self.vacant.push(number);
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

    /// Whether a trace is there that the schedule knows. The number may be one that was given up long ago.
    pub(crate) fn is_pending(&self, number: SlotNumber) -> bool {
        let (chunk, offset) = number.parts();
        let slot = self.chunks.get(chunk).and_then(|chunk| chunk.slots.get(offset));
        slot.is_some_and(|slot| slot.place.is_some())
    }

    /// How many traces are live.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        (self.chunks.len() - self.vacant.len()) * CHUNK_SLOTS * size_of::<Slot>()
            + self.chunks.capacity() * size_of::<Chunk>()
            + self.index.len() * size_of::<HashTable<Indexed>>()
            + self.index_bytes
    }

    #[inline]
    fn hash(&self, trace_id: TraceId) -> u32 {
        (self.hasher.hash_one(self.identity(trace_id)) >> 32) as u32
    }

    /// Puts a trace into a vacant slot.
    fn occupy(&mut self, slot: Slot) -> SlotNumber {
        let number = self.open.last().copied().unwrap_or_else(|| self.add_chunk());
        let chunk = &mut self.chunks[number as usize];
        let offset = chunk.occupy(slot);
        if chunk.live == CHUNK_SLOTS {
            self.open.pop();
        }
        SlotNumber::new(number, offset)
    }

    /// Gives a chunk memory, and says which.
    fn add_chunk(&mut self) -> u32 {
        let number = self.vacant.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk::default());
            // A slot holds memory of the budget, so there are far fewer.
            u32::try_from(self.chunks.len() - 1).unwrap_or(u32::MAX)
        });
        self.chunks[number as usize].slots.reserve_exact(CHUNK_SLOTS);
        self.open(number);
        number
    }

    fn open(&mut self, number: u32) {
        self.chunks[number as usize].place = self.open.len();
        self.open.push(number);
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self { slots: Vec::new(), holes: [u64::MAX; CHUNK_SLOTS / 64], live: 0, place: 0 }
    }
}

impl Chunk {
    /// Fills the first hole. There must be one.
    fn occupy(&mut self, slot: Slot) -> usize {
        let word = self.holes.iter().position(|&holes| holes != 0).unwrap_or(0);
        let bit = self.holes[word].trailing_zeros() as usize;
        self.holes[word] &= self.holes[word].wrapping_sub(1);
        self.live += 1;
        let offset = word * 64 + bit;
        match self.slots.get_mut(offset) {
            Some(hole) => *hole = slot,
            None => self.slots.push(slot),
        }
        offset
    }

    fn leave(&mut self, offset: usize) {
        self.holes[offset / 64] |= 1 << (offset % 64);
        self.live -= 1;
    }
}

impl SlotNumber {
    /// # Panics
    /// When there are more chunks than numbers, some 160 GB of them.
    #[expect(clippy::expect_used, reason = "the store decides traces early long before chunks run out")]
    fn new(chunk: u32, offset: usize) -> Self {
        let bits = (u64::from(chunk) + 1) << CHUNK_BITS | offset as u64;
        Self(u32::try_from(bits).ok().and_then(NonZeroU32::new).expect("the table is bounded"))
    }

    /// Its chunk, and where it is there.
    #[inline]
    fn parts(self) -> (usize, usize) {
        let bits = self.0.get() as usize;
        ((bits >> CHUNK_BITS) - 1, bits & (CHUNK_SLOTS - 1))
    }

    pub(crate) fn to_bits(self) -> u32 {
        self.0.get()
    }

    pub(super) fn from_bits(bits: u32) -> Option<Self> {
        NonZeroU32::new(bits).map(Self)
    }
}

/// The part of the index in which to look.
#[inline]
fn part(hash: u32) -> usize {
    (hash >> (u32::BITS - INDEX_PART_BITS)) as usize
}

/// 64 bits for a part of the index, which looks at both ends of a hash, from the 24 that tell its entries apart.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash) << (32 + INDEX_PART_BITS) | u64::from(hash)
}

#[cfg(test)]
mod tests;
