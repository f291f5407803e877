//! Traces remembered in a few bits each, for those of which nothing but the fact matters.
//!
//! Generations as in [`Recent`](super::Recent), each a blocked Bloom filter: a trace sets two bits of each word of one
//! block of eight, so remembering one and asking for one touch a single cache line of each generation. Filters cannot
//! grow, and one that is large and nearly empty costs a page of memory for each trace. So the first generation is
//! small and each one after it larger, until they are as large as they may be; then there are two.
//!
//! A generation takes eleven traces a block, 46.5 bits each. How many a block gets is Poisson with that mean; with *i* of
//! them a bit of a word is still clear with probability (63/64)^2i and two with (62/64)^2i, which says how often both bits
//! of another trace happen to be set; in all words they are with the eighth power of that. Summed over *i* it is
//! 2.1 · 10⁻⁷ for a generation that is full, so of all new traces less than one in two million is taken for one that has
//! been remembered.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use forebay_otlp::TraceId;

/// The most recent traces of one kind, with few others.
#[derive(Debug)]
pub(crate) struct RecentSet {
    /// The youngest first; all others are full.
    generations: VecDeque<Filter>,
    /// Traces in the youngest one.
    len: usize,
    /// Traces that are remembered at least, and those of the largest generation.
    capacity: usize,
    /// Blocks of the largest generation.
    blocks: usize,
    /// Seeded at random: nobody can choose ids that are taken for others.
    hasher: RandomState,
}

/// A blocked Bloom filter of fingerprints.
#[derive(Debug)]
struct Filter {
    blocks: Vec<Block>,
}

type Block = [u64; BLOCK_WORDS];

const BLOCK_WORDS: usize = 8;
/// Blocks of the first generation, and how many times as many the next one has.
const FIRST_BLOCKS: usize = 1 << 10;
const GROWTH: usize = 8;
/// Traces for which a block is meant.
const BLOCK_TRACES: usize = 11;
/// Bits that tell a place in a word.
const PLACE_BITS: usize = 6;

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
            generations: VecDeque::new(),
            len: 0,
            capacity,
            blocks: blocks.max(1),
            hasher: RandomState::default(),
        }
    }

    /// Remembers a trace.
    pub(crate) fn insert(&mut self, trace_id: TraceId) {
        if self.generations.front().is_none_or(|youngest| self.len == self.capacity_of(youngest)) {
            self.begin();
        }
        let fingerprint = self.hasher.hash_one(trace_id);
        if let Some(youngest) = self.generations.front_mut() {
            youngest.insert(fingerprint);
            self.len += 1;
        }
    }

    /// Whether a trace is remembered.
    pub(crate) fn contains(&self, trace_id: TraceId) -> bool {
        let fingerprint = self.hasher.hash_one(trace_id);
        self.generations.iter().any(|generation| generation.contains(fingerprint))
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.generations.iter().map(|generation| generation.blocks.len() * size_of::<Block>()).sum()
    }

    /// Begins a generation, and forgets those without which enough traces are remembered.
    fn begin(&mut self) {
        let wanted = self.generations.front().map_or(FIRST_BLOCKS, |youngest| youngest.blocks.len() * GROWTH);
        // Together, those before the largest are smaller than it.
        let wanted = if wanted <= self.blocks / 2 { wanted } else { self.blocks };
        let capacities = self.generations.iter().scan(0, |held, generation| {
            let before = *held;
            *held += self.capacity_of(generation);
            Some(before)
        });
        let needed = capacities.take_while(|&before| before < self.capacity).count();
        // Memory that has been touched is worth more than any other.
        let forgotten = self.generations.split_off(needed).pop_front();
        let reused = forgotten.filter(|filter| filter.blocks.len() == wanted).map(Filter::cleared);
        self.generations
            .push_front(reused.unwrap_or_else(|| Filter { blocks: vec![[0; BLOCK_WORDS]; wanted] }));
        self.len = 0;
    }

    /// Traces that a generation takes.
    fn capacity_of(&self, generation: &Filter) -> usize {
        match generation.blocks.len() {
            blocks if blocks == self.blocks => self.capacity,
            blocks => blocks * BLOCK_TRACES,
        }
    }
}

impl Filter {
    /// Adds a fingerprint.
    #[inline]
    fn insert(&mut self, fingerprint: u64) {
        let number = self.number(fingerprint);
        self.blocks[number].iter_mut().zip(bits(fingerprint)).for_each(|(word, bits)| *word |= bits);
    }

    /// Whether a fingerprint has been added, or looks as if it had.
    #[inline]
    fn contains(&self, fingerprint: u64) -> bool {
        // Of one that has not, the first word says so nearly always. The less there is to do for one, the more looks at far
        // memory overlap.
        self.blocks[self.number(fingerprint)]
            .iter()
            .zip(bits(fingerprint))
            .all(|(word, bits)| word & bits == bits)
    }

    fn cleared(mut self) -> Self {
        self.blocks.fill([0; BLOCK_WORDS]);
        self
    }

    /// The block of a fingerprint.
    fn number(&self, fingerprint: u64) -> usize {
        // The high half of a product spreads evenly over any number of blocks.
        usize::try_from((u128::from(fingerprint) * self.blocks.len() as u128) >> 64).unwrap_or(0)
    }
}

/// The bits that a fingerprint sets in each word of its block.
#[inline]
fn bits(fingerprint: u64) -> impl Iterator<Item = u64> {
    let [first, second] =
        [0x9e37_79b9_7f4a_7c15, 0x3c6e_f372_fe94_f82a].map(|step| mix(fingerprint.wrapping_add(step)));
    (0..BLOCK_WORDS).map(move |word| {
        let bit = |places: u64| 1 << (places >> (word * PLACE_BITS) & 63);
        bit(first) | bit(second)
    })
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
    fn few_traces_take_little_memory_of_much_and_none_is_forgotten_while_it_grows() {
        let mut recent = RecentSet::of_bytes(1 << 30);
        for id in 1..=200_000 {
            recent.insert(TraceId(id));
            let needed = usize::try_from(id).unwrap() / BLOCK_TRACES * size_of::<Block>();
            assert!(recent.allocated() <= 10 * needed + FIRST_BLOCKS * size_of::<Block>(), "at {id}");
        }
        assert!((1..=200_000).all(|id| recent.contains(TraceId(id))));
    }

    #[test]
    fn while_it_grows_at_least_so_many_are_remembered_as_are_promised() {
        let mut recent = RecentSet::of_decisions(60_000);
        for id in 1..=400_000_u128 {
            recent.insert(TraceId(id));
            if id % 4_999 == 0 {
                let promised = id.saturating_sub(60_000) + 1..=id;
                assert!(promised.into_iter().all(|id| recent.contains(TraceId(id))), "at {id}");
            }
        }
        assert_eq!(recent.generations.len(), 2);
    }

    #[test]
    fn the_bytes_are_a_bound_and_are_used() {
        for bytes in [1_000, 4_096, 100_000, 150_000, 1 << 20] {
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
        let mut filter = Filter { blocks: vec![[0; BLOCK_WORDS]; BLOCKS] };
        let added = BLOCKS as u64 * load;
        (0..added).for_each(|number| filter.insert(mix(number)));
        assert!((0..added).all(|number| filter.contains(mix(number))));
        (added..added + 1_000_000).filter(|&number| filter.contains(mix(number))).count()
    }

    /// What the arithmetic above expects of them.
    fn expected(load: u64) -> f64 {
        let (mut probability, mut sum) = ((-(load as f64)).exp(), 0.0);
        for traces in 0..200 {
            let (clear, both_clear) =
                ((63.0_f64 / 64.0).powi(2 * traces), (62.0_f64 / 64.0).powi(2 * traces));
            // The two places of a word are the same once in 64 times.
            let set = (1.0 - clear) / 64.0 + (1.0 - 2.0 * clear + both_clear) * 63.0 / 64.0;
            sum += probability * set.powi(8);
            probability *= load as f64 / f64::from(traces + 1);
        }
        sum * 1e6
    }

    #[test]
    fn a_full_filter_errs_as_rarely_as_it_says() {
        assert!((0.20..0.22).contains(&expected(BLOCK_TRACES as u64)));
        assert!(mistaken(BLOCK_TRACES as u64) <= 3);
        // The same arithmetic where there is enough to count.
        for load in [27, 33] {
            let (mistaken, expected) = (mistaken(load) as f64, expected(load));
            let deviation = (mistaken - expected) / expected.sqrt();
            assert!(deviation.abs() < 5.0, "{mistaken} of a million at {load} a block, not {expected}");
        }
    }
}
