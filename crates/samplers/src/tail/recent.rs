//! Decisions remembered for late spans, in a fixed number of bytes.
//!
//! Two generations: new entries go into the younger; when it is full it becomes the older one and the oldest
//! half is forgotten at once. At least half of the capacity is always the most recent decisions, which is
//! what late spans ask for, whereas caches that reward repeated use would forget just those first. Traces are
//! known by a keyed 64-bit fingerprint; of a billion remembered, one in 10^10 others is taken for one of them.

mod set;

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use forebay_otlp::TraceId;
use hashbrown::HashTable;

pub(crate) use self::set::RecentSet;

/// The most recent decisions of one kind.
#[derive(Debug)]
pub(crate) struct Recent<V> {
    young: HashTable<(u64, V)>,
    old: HashTable<(u64, V)>,
    /// Entries of a generation.
    capacity: usize,
    hasher: RandomState,
}

impl<V: Copy> Recent<V> {
    /// Remembers at least the last `decisions` decisions.
    pub(crate) fn of_decisions(decisions: usize) -> Self {
        Self {
            young: HashTable::new(),
            old: HashTable::new(),
            capacity: decisions.max(1),
            hasher: RandomState::default(),
        }
    }

    /// Remembers as many as fit `bytes`.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        // Tables have a power of two of buckets with one byte of control each, and fill seven of eight.
        let buckets = bytes / 2 / (size_of::<(u64, V)>() + 1);
        let buckets = if buckets < 16 { 8 } else { 1 << buckets.ilog2() };
        Self::of_decisions(buckets / 8 * 7)
    }

    /// Remembers a decision.
    pub(crate) fn insert(&mut self, trace_id: TraceId, decision: V) {
        if self.young.len() == self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        let fingerprint = self.hasher.hash_one(trace_id);
        self.young.insert_unique(fingerprint, (fingerprint, decision), |entry| entry.0);
    }

    /// The decision on a trace, if it is remembered.
    pub(crate) fn get(&self, trace_id: TraceId) -> Option<V> {
        let fingerprint = self.hasher.hash_one(trace_id);
        let find = |table: &HashTable<(u64, V)>| {
            table.find(fingerprint, |entry| entry.0 == fingerprint).map(|entry| entry.1)
        };
        find(&self.young).or_else(|| find(&self.old))
    }

    /// Forgets the decision on a trace, and says what it was, if it is remembered.
    pub(crate) fn remove(&mut self, trace_id: TraceId) -> Option<V> {
        let fingerprint = self.hasher.hash_one(trace_id);
        let remove = |table: &mut HashTable<(u64, V)>| {
            let entry = table.find_entry(fingerprint, |entry| entry.0 == fingerprint).ok()?;
            Some(entry.remove().0.1)
        };
        let young = remove(&mut self.young);
        let old = remove(&mut self.old);
        young.or(old)
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_recent_decisions_are_remembered_and_old_ones_forgotten() {
        let mut recent = Recent::of_decisions(100);
        for id in 1..=1_000_u16 {
            recent.insert(TraceId(id.into()), id);
            let remembered = (1..=id).filter(|&id| recent.get(TraceId(id.into())) == Some(id)).count();
            assert!(remembered >= usize::from(id).min(100) && remembered <= 200, "{remembered} after {id}");
        }
        assert_eq!(recent.get(TraceId(1)), None);
    }

    #[test]
    fn the_bytes_are_a_bound() {
        for bytes in [1_000, 4_096, 100_000, 1 << 20] {
            let mut recent = Recent::of_bytes(bytes);
            for id in 1..=bytes {
                recent.insert(TraceId(id as u128), 0_u64);
                assert!(recent.allocated() <= bytes, "{} of {bytes}", recent.allocated());
            }
            assert!(recent.allocated() > bytes / 4, "{} of {bytes}", recent.allocated());
        }
    }
}
