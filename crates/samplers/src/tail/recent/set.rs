//! Traces remembered in a few bits each, for those of which nothing but the fact matters.
//!
//! Two generations as in [`Recent`](super::Recent), each a blocked Bloom filter: a trace sets 14 bits of one
//! block of 512, so remembering one and asking for one touch a single cache line.
//!
//! A generation takes eleven traces a block, 46.5 bits each. How many a block gets is Poisson with that mean;
//! with *i* of them a bit is still clear with probability (511/512)^14i, and all 14 of another trace happen to
//! be set with the 14th power of what is left. Summed over *i* that is 2.3 · 10⁻⁷ for a generation that is full,
//! so of all new traces less than one in two million is taken for one that has been remembered.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use forebay_otlp::TraceId;

/// The most recent traces of one kind, with few others.
#[derive(Debug)]
pub(crate) struct RecentSet {
    young: Filter,
    old: Filter,
    /// Traces of a generation, and in the younger one.
    capacity: usize,
    len: usize,
    /// Blocks of a generation.
    blocks: usize,
    /// Seeded at random: nobody can choose ids that are taken for others.
    hasher: RandomState,
}

/// A blocked Bloom filter of fingerprints. It has no memory until the first of them.
#[derive(Debug, Default)]
struct Filter {
    blocks: Vec<Block>,
}

type Block = [u64; 8];

/// Traces for which a block is meant.
const BLOCK_TRACES: usize = 11;
/// Words of random bits for the places in a block, and places that each gives: nine bits tell one.
const WORDS: u64 = 2;
const PLACES_PER_WORD: u32 = 7;
const PLACE_BITS: u32 = 9;

impl RecentSet {
    /// Remembers at least the last `traces` traces.
    pub(crate) fn of_decisions(traces: usize) -> Self {
        Self::of_blocks(traces.div_ceil(BLOCK_TRACES), traces.max(1))
    }

    /// Remembers as many as fit `bytes`.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        let blocks = bytes / 2 / size_of::<Block>();
        Self::of_blocks(blocks, blocks.max(1) * BLOCK_TRACES)
    }

    fn of_blocks(blocks: usize, capacity: usize) -> Self {
        Self {
            young: Filter::default(),
            old: Filter::default(),
            capacity,
            len: 0,
            blocks: blocks.max(1),
            hasher: RandomState::default(),
        }
    }

    /// Remembers a trace.
    pub(crate) fn insert(&mut self, trace_id: TraceId) {
        if self.len == self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.len = 0;
        }
        self.young.insert(self.hasher.hash_one(trace_id), self.blocks);
        self.len += 1;
    }

    /// Whether a trace is remembered.
    pub(crate) fn contains(&self, trace_id: TraceId) -> bool {
        let fingerprint = self.hasher.hash_one(trace_id);
        self.young.contains(fingerprint) || self.old.contains(fingerprint)
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        (self.young.blocks.len() + self.old.blocks.len()) * size_of::<Block>()
    }
}

impl Filter {
    /// Adds a fingerprint. The first one makes that many blocks.
    fn insert(&mut self, fingerprint: u64, blocks: usize) {
        if self.blocks.is_empty() {
            self.blocks = vec![[0; 8]; blocks];
        }
        let number = self.number(fingerprint);
        let bits = bits(fingerprint);
        self.blocks[number].iter_mut().zip(bits).for_each(|(word, bits)| *word |= bits);
    }

    /// Whether a fingerprint has been added, or looks as if it had.
    fn contains(&self, fingerprint: u64) -> bool {
        let bits = bits(fingerprint);
        let has_all = |block: &Block| block.iter().zip(bits).all(|(word, bits)| word & bits == bits);
        self.blocks.get(self.number(fingerprint)).is_some_and(has_all)
    }

    fn clear(&mut self) {
        self.blocks.fill([0; 8]);
    }

    /// The block of a fingerprint.
    fn number(&self, fingerprint: u64) -> usize {
        // The high half of a product spreads evenly over any number of blocks.
        usize::try_from((u128::from(fingerprint) * self.blocks.len() as u128) >> 64).unwrap_or(0)
    }
}

/// The bits of its block that a fingerprint sets.
fn bits(fingerprint: u64) -> Block {
    let mut block = [0; 8];
    for number in 1..=WORDS {
        let places = mix(fingerprint.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        for place in 0..PLACES_PER_WORD {
            let bits = places >> (place * PLACE_BITS);
            // Three bits tell the word and six the bit.
            block[usize::try_from(bits >> 6 & 7).unwrap_or(0)] |= 1 << (bits & 63);
        }
    }
    block
}

/// The output function of SplitMix64 (Steele, Lea and Flood 2014): every bit of the result depends on all of
/// `bits`.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_recent_traces_are_remembered_and_old_ones_forgotten() {
        for mut recent in [RecentSet::of_decisions(1_000), RecentSet::of_bytes(1_000 / 11 * 64 * 2)] {
            let capacity = recent.capacity;
            assert!((900..=1_000).contains(&capacity));
            for id in 1..=5_500 {
                recent.insert(TraceId(id));
                if id % 97 == 0 {
                    let kept = id.saturating_sub(capacity as u128) + 1..=id;
                    assert!(kept.into_iter().all(|id| recent.contains(TraceId(id))), "at {id}");
                }
            }
            assert!((1..=5_500 - 2 * capacity as u128).all(|id| !recent.contains(TraceId(id))));
        }
    }

    #[test]
    fn nothing_is_remembered_and_nothing_allocated_at_first() {
        let recent = RecentSet::of_bytes(1 << 30);
        assert!(!recent.contains(TraceId(1)));
        assert_eq!(recent.allocated(), 0);
    }

    #[test]
    fn the_bytes_are_a_bound_and_are_used() {
        for bytes in [1_000, 4_096, 100_000, 1 << 20] {
            let mut recent = RecentSet::of_bytes(bytes);
            for id in 1..=bytes as u128 {
                recent.insert(TraceId(id));
                assert!(recent.allocated() <= bytes, "{} of {bytes}", recent.allocated());
            }
            assert!(recent.allocated() > bytes - 128, "{} of {bytes}", recent.allocated());
        }
    }

    /// How many of a million that were not added a filter takes for some that were, `load` of them a block.
    fn mistaken(load: u64) -> usize {
        const BLOCKS: usize = 1 << 13;
        let mut filter = Filter::default();
        let added = BLOCKS as u64 * load;
        (0..added).for_each(|number| filter.insert(mix(number), BLOCKS));
        assert!((0..added).all(|number| filter.contains(mix(number))));
        (added..added + 1_000_000).filter(|&number| filter.contains(mix(number))).count()
    }

    /// What the arithmetic above expects of them.
    fn expected(load: u64) -> f64 {
        let (mut probability, mut sum) = ((-(load as f64)).exp(), 0.0);
        for traces in 0..200 {
            sum += probability * (1.0 - (511.0_f64 / 512.0).powi(14 * traces)).powi(14);
            probability *= load as f64 / f64::from(traces + 1);
        }
        sum * 1e6
    }

    #[test]
    fn a_full_filter_errs_as_rarely_as_it_says() {
        assert!((0.22..0.24).contains(&expected(BLOCK_TRACES as u64)));
        assert!(mistaken(BLOCK_TRACES as u64) <= 3);
        // The same arithmetic where there is enough to count.
        for load in [27, 33] {
            let (mistaken, expected) = (mistaken(load) as f64, expected(load));
            let deviation = (mistaken - expected) / expected.sqrt();
            assert!(deviation.abs() < 5.0, "{mistaken} of a million at {load} a block, not {expected}");
        }
    }
}
