//! Which peer a trace belongs to.
//!
//! Everybody who knows the same list gives a trace to the same peer, and when the list changes, only what
//! belonged to those that have gone, or belongs to those that have come, changes hands: rendezvous hashing (Thaler and
//! Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 1998).

use forebay_pipeline::hash::fnv1a_64;

/// The peers among which traces are shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// In order.
    names: Vec<String>,
    /// FNV-1a of each name.
    seeds: Vec<u64>,
}

impl Members {
    /// The peers of these names: their addresses, as they are configured or resolved. Order does not matter.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let seeds = names.iter().map(|name| fnv1a_64(&[name.as_bytes()])).collect();
        Self { names, seeds }
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A hash of the list: FNV-1a of all names, each with a zero after it. Zero if there is one peer: everything is its own,
    /// and those who reach it by different addresses mean the same.
    #[must_use]
    pub fn hash(&self) -> u64 {
        if self.names.len() == 1 {
            return 0;
        }
        let parts: Vec<_> = self.names.iter().flat_map(|name| [name.as_bytes(), b"\0"]).collect();
        fnv1a_64(&parts)
    }

    /// The index of the peer that a key belongs to; `None` if there are none. It is the one with the highest weight:
    /// SplitMix64 of the key combined with FNV-1a of the name.
    #[must_use]
    pub fn owner(&self, key: u64) -> Option<usize> {
        self.owner_among(key, |_| true)
    }

    /// The same among the peers whose index is `present`: what belongs to others is shared out among those.
    #[must_use]
    pub fn owner_among(&self, key: u64, present: impl Fn(usize) -> bool) -> Option<usize> {
        let weight = |seed: u64| split_mix(seed ^ key);
        (0..self.seeds.len()).filter(|&index| present(index)).max_by_key(|&index| weight(self.seeds[index]))
    }

    /// The name of the peer that a key belongs to.
    #[must_use]
    pub fn owner_name(&self, key: u64) -> Option<&str> {
        self.owner(key).map(|owner| &*self.names[owner])
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), with its increment.
fn split_mix(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(names: &[&str]) -> Members {
        Members::new(names.iter().map(|&name| name.to_owned()))
    }

    fn owner(members: &Members, key: u64) -> &str {
        members.owner_name(key).unwrap()
    }

    #[test]
    fn every_peer_has_its_share_whatever_the_order_of_the_list() {
        let (one, other) = (members(&["a:1", "b:1", "c:1"]), members(&["c:1", "a:1", "b:1", "a:1"]));
        assert_eq!(one, other);
        assert_eq!(one.hash(), other.hash());
        for name in one.names() {
            let share = (0..30_000).filter(|&key| owner(&one, key) == name).count();
            assert!((9_500..10_500).contains(&share), "{name}: {share}");
        }
        assert_eq!(members(&[]).owner(1), None);
    }

    proptest! {
        #[test]
        fn a_change_moves_only_the_share_of_who_comes_or_goes(
            key in any::<u64>(),
            names in prop::collection::btree_set("[a-z]{1,8}:[0-9]{1,4}", 1..12),
            came in "[A-Z]{1,8}:1",
        ) {
            let before = Members::new(names.iter().cloned());
            let more = Members::new(names.iter().cloned().chain([came.clone()]));
            prop_assert_ne!(before.hash(), more.hash());
            let (old, new) = (before.owner_name(key), more.owner_name(key));
            prop_assert!(old == new || new == Some(&*came));
        }

        #[test]
        fn a_peer_that_is_not_present_is_as_good_as_gone(key in any::<u64>(), missing in 0_usize..3) {
            let all = members(&["a:1", "b:1", "c:1"]);
            let names = || all.names().iter().enumerate();
            let rest = Members::new(names().filter(|(index, _)| *index != missing).map(|(_, name)| name.clone()));
            let owner = all.owner_among(key, |index| index != missing).map(|index| &*all.names()[index]);
            prop_assert_eq!(owner, rest.owner_name(key));
        }
    }

    #[test]
    fn lists_of_one_are_alike_whatever_it_is_called() {
        let hash = |names: &[&str]| Members::new(names.iter().map(|&name| name.to_owned())).hash();
        assert_eq!(hash(&["gateway:4319"]), hash(&["127.0.0.1:4319"]));
        assert_ne!(hash(&["a:4319"]), hash(&["a:4319", "b:4319"]));
        assert_ne!(hash(&["a:4319", "c:4319"]), hash(&["a:4319", "b:4319"]));
    }
}
