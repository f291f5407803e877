//! Keys, and how many of them are told apart.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What kind of trace: a hash of its fingerprint, the same in every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key(u64);

/// The keys that are told apart, at most so many. All others share one key, which is counted like any, so that a
/// flood of keys gets the part of one.
#[derive(Debug)]
pub(crate) struct Known {
    limit: usize,
    keys: BTreeSet<Key>,
}

impl Key {
    /// What the keys share that are too many to be told apart.
    pub const OTHERS: Self = Self(0);

    /// The key of a fingerprint: the first eight bytes of its SHA-256. Nobody makes two collide.
    #[must_use]
    pub fn of(fingerprint: &str) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(fingerprint));
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The key with this hash.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The hash.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl Known {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, keys: BTreeSet::new() }
    }

    /// The key that `key` is counted under from now on.
    pub(crate) fn admit(&mut self, key: Key) -> Key {
        if self.keys.len() < self.limit {
            self.keys.insert(key);
        }
        self.resolve(key)
    }

    /// The key that `key` is counted under.
    pub(crate) fn resolve(&self, key: Key) -> Key {
        if self.keys.contains(&key) { key } else { Key::OTHERS }
    }

    /// Forgets the keys that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Key) -> bool) {
        self.keys.retain(keep);
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_first_eight_bytes_of_sha_256() {
        // `echo -n 'checkout,billing•/api' | sha256sum | cut -c1-16`, and the vector of FIPS 180.
        assert_eq!(Key::of("abc").bits(), 0xba78_16bf_8f01_cfea);
        assert_eq!(Key::of("checkout,billing•/api").bits(), 0x1b8e_2fe1_3fbd_461f);
    }

    #[test]
    fn keys_beyond_the_limit_share_one_until_there_is_room() {
        let mut known = Known::new(2);
        let [a, b, c] = [1, 2, 3].map(Key::from_bits);
        assert_eq!([a, b, c, a].map(|key| known.admit(key)), [a, b, Key::OTHERS, a]);
        known.retain(|&key| key != a);
        assert_eq!([c, a].map(|key| known.admit(key)), [c, Key::OTHERS]);
    }
}
