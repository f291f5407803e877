//! One copy of what many records share.
//!
//! Keys are byte strings, values whatever is worth computing once for each. Entries are counted by their
//! users and go when the last one does, so the table never outgrows the data that refers to it.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::mem::size_of;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Counted byte strings with a value each, numbered.
#[derive(Debug)]
pub(crate) struct Interner<V> {
    entries: Vec<Entry<V>>,
    /// Numbers without an entry. The least is taken first, so that the end of `entries` becomes free.
    vacant: BTreeSet<u32>,
    numbers: HashTable<u32>,
    hasher: RandomState,
    /// Bytes of all keys.
    key_bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    key: Box<[u8]>,
    value: V,
    users: u32,
}

/// Tables shrink when they have room for this many times what is in them, and more than a little.
const SLACK: usize = 8;
const ENTRIES_MIN: usize = 64;

impl<V> Default for Interner<V> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            vacant: BTreeSet::new(),
            numbers: HashTable::new(),
            hasher: RandomState::default(),
            key_bytes: 0,
        }
    }
}

impl<V: Default> Interner<V> {
    /// The number of `key`, whose value `make` computes if the key is new. The entry stays while it has users
    /// (see [`Self::retain`]); a new one has none yet.
    pub(crate) fn intern(&mut self, key: &[u8], make: impl FnOnce() -> V) -> u32 {
        let hash = self.hasher.hash_one(key);
        let entries = &self.entries;
        if let Some(&number) = self.numbers.find(hash, |&number| *entries[number as usize].key == *key) {
            return number;
        }
        let entry = Entry { key: key.into(), value: make(), users: 0 };
        self.key_bytes += key.len();
        let number = match self.vacant.pop_first() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                // Entries are at least a hundred bytes of budget each.
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.numbers.insert_unique(hash, number, |&number| hasher.hash_one(&*entries[number as usize].key));
        number
    }

    /// Adds a user.
    pub(crate) fn retain(&mut self, number: u32) {
        self.entries[number as usize].users += 1;
    }

    /// Removes a user. The value is returned when that was the last.
    pub(crate) fn release(&mut self, number: u32) -> Option<V> {
        let entry = &mut self.entries[number as usize];
        debug_assert!(entry.users > 0, "an entry is released as often as it is retained");
        entry.users -= 1;
        if entry.users > 0 {
            return None;
        }
        let hash = self.hasher.hash_one(&*entry.key);
        let key = std::mem::take(&mut entry.key);
        let value = std::mem::take(&mut entry.value);
        self.key_bytes -= key.len();
        if let Ok(found) = self.numbers.find_entry(hash, |&other| other == number) {
            found.remove();
        }
        self.vacant.insert(number);
        self.shrink();
        Some(value)
    }

    /// Gives back what a flood of keys has needed once it is over.
    fn shrink(&mut self) {
        while self.vacant.last().is_some_and(|&last| last as usize + 1 == self.entries.len()) {
            self.vacant.pop_last();
            self.entries.pop();
        }
        if self.entries.capacity() > SLACK * self.entries.len().max(ENTRIES_MIN) {
            self.entries.shrink_to(2 * self.entries.len());
        }
        if self.numbers.num_buckets() > SLACK * self.numbers.len().max(ENTRIES_MIN) {
            let (entries, hasher) = (&self.entries, &self.hasher);
            let hash = |&number: &u32| hasher.hash_one(&*entries[number as usize].key);
            self.numbers.shrink_to(2 * self.numbers.len(), hash);
        }
    }

    /// The key of an entry.
    pub(crate) fn key(&self, number: u32) -> &[u8] {
        &self.entries[number as usize].key
    }

    /// The value of an entry.
    pub(crate) fn value(&self, number: u32) -> &V {
        &self.entries[number as usize].value
    }

    /// Computes all values anew, from their keys.
    pub(crate) fn make_anew(&mut self, make: impl Fn(&[u8]) -> V) {
        let used = self.entries.iter_mut().filter(|entry| entry.users > 0);
        used.for_each(|entry| entry.value = make(&entry.key));
    }

    /// Whether there are no entries.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Bytes held.
    pub(crate) fn allocated(&self) -> usize {
        self.key_bytes + self.entries.capacity() * size_of::<Entry<V>>() + self.numbers.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_share_an_entry_until_the_last_user_goes() {
        let mut interner = Interner::<u8>::default();
        let a = interner.intern(b"a", || 1);
        interner.retain(a);
        assert_eq!(interner.intern(b"a", || 2), a);
        interner.retain(a);
        let b = interner.intern(b"b", || 3);
        interner.retain(b);
        assert_eq!((interner.key(a), *interner.value(a), *interner.value(b)), (&b"a"[..], 1, 3));
        assert_eq!(interner.release(a), None);
        assert_eq!(interner.release(a), Some(1));
        assert_eq!(interner.numbers.len(), 1);
        let c = interner.intern(b"c", || 4);
        assert_eq!((c, interner.key(b), interner.key(c)), (a, &b"b"[..], &b"c"[..]));
    }

    #[test]
    fn a_flood_of_keys_gives_its_memory_back_and_leaves_the_others_alone() {
        let mut interner = Interner::<u8>::default();
        let lasting: Vec<_> = (0..10_u32).map(|key| interner.intern(&key.to_le_bytes(), || 1)).collect();
        lasting.iter().for_each(|&number| interner.retain(number));
        let flood: Vec<_> = (10..50_000_u32).map(|key| interner.intern(&key.to_le_bytes(), || 2)).collect();
        flood.iter().for_each(|&number| interner.retain(number));
        assert!(interner.allocated() > 50_000 * size_of::<Entry<u8>>());
        for number in flood {
            assert_eq!(interner.release(number), Some(2));
        }
        assert!(interner.allocated() < 50_000, "{}", interner.allocated());
        for (number, key) in lasting.into_iter().zip(0_u32..) {
            assert_eq!(interner.intern(&key.to_le_bytes(), || 3), number);
            assert_eq!((interner.key(number), *interner.value(number)), (&key.to_le_bytes()[..], 1));
        }
    }
}
