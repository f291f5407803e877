//! What values the traces of one shard have, where policies ask for fingerprints.
//!
//! Millions of traces have a few hundred sets of values. A trace has the number of its set; a set has its keys,
//! which are worked out once. A trace costs four bytes, and none if no policy asks.

use forebay_allocators::Key;

use super::interner::Interner;
use super::traces::SlotNumber;
use crate::tail::fingerprint::{Collected, Fingerprints, Values};

/// The sets of values of pending traces.
#[derive(Debug, Default)]
pub(crate) struct FingerprintTable {
    /// Sets by their encoding, each with its keys.
    sets: Interner<Box<[Key]>>,
    /// By slot, one more than the number of the trace's set; zero if it has no values.
    of_slots: Vec<u32>,
}

impl FingerprintTable {
    /// Adds values to a trace's: those of an envelope, and those of its spans.
    pub(crate) fn add(
        &mut self,
        slot: SlotNumber,
        of_envelope: &Values<'_>,
        of_spans: &Collected,
        fingerprints: &Fingerprints,
    ) {
        let values = self.values(slot);
        let own = of_envelope.iter().filter_map(|(selector, value)| Some((selector, value?)));
        if !values.lacks(own) && !values.lacks(of_spans.iter()) {
            return;
        }
        let found = of_spans.iter().map(|(selector, value)| (selector, Some(value)));
        let more = values.union(of_envelope.iter().chain(found));
        self.set(slot, &more, fingerprints);
    }

    /// Adds the values of another piece of a trace.
    pub(crate) fn merge(&mut self, slot: SlotNumber, others: &Values<'_>, fingerprints: &Fingerprints) {
        let more = self.values(slot).union(others.iter());
        self.set(slot, &more, fingerprints);
    }

    fn set(&mut self, slot: SlotNumber, values: &Values<'_>, fingerprints: &Fingerprints) {
        let place = slot.to_bits() as usize;
        if place >= self.of_slots.len() {
            self.of_slots.resize(place + 1, 0);
        }
        let before = self.of_slots[place].checked_sub(1);
        let set = self.sets.intern(values.as_bytes(), || fingerprints.keys(values));
        self.sets.retain(set);
        self.of_slots[place] = set + 1;
        if let Some(before) = before {
            self.sets.release(before);
        }
    }

    /// The keys of a trace's fingerprints; none if it has no values.
    pub(crate) fn keys(&self, slot: SlotNumber) -> Option<&[Key]> {
        self.number(slot).map(|set| &**self.sets.value(set))
    }

    /// A trace's values.
    pub(crate) fn values(&self, slot: SlotNumber) -> Values<'_> {
        self.number(slot).map_or_else(Values::default, |set| Values::from_bytes(self.sets.key(set)))
    }

    /// Forgets a trace.
    pub(crate) fn release(&mut self, slot: SlotNumber) {
        if let Some(set) = self.of_slots.get_mut(slot.to_bits() as usize).map(std::mem::take)
            && let Some(set) = set.checked_sub(1)
        {
            self.sets.release(set);
        }
    }

    /// Bytes held.
    pub(crate) fn allocated(&self) -> usize {
        self.sets.allocated() + self.of_slots.capacity() * size_of::<u32>()
    }

    /// Whether no trace has values.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    fn number(&self, slot: SlotNumber) -> Option<u32> {
        self.of_slots.get(slot.to_bits() as usize)?.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use forebay_otlp::attribute::AnyValue;

    use super::*;

    #[test]
    fn traces_with_equal_values_share_a_set_which_goes_with_the_last_of_them() {
        let mut fingerprints = Fingerprints::default();
        fingerprints.add(vec!["span.attributes[\"route\"]".parse().unwrap()]).unwrap();
        let found = |values: &[&str]| {
            let mut collected = Collected::default();
            values.iter().for_each(|value| collected.push(0, AnyValue::String(value.as_bytes())));
            collected
        };
        let [first, second, third] = [256, 257, 600].map(|bits| SlotNumber::from_bits(bits).unwrap());
        let mut table = FingerprintTable::default();
        let none = Values::default();
        table.add(first, &none, &found(&["/b", "/a"]), &fingerprints);
        table.add(second, &none, &found(&["/a"]), &fingerprints);
        assert_eq!(table.keys(second), Some(&[Key::of("/a")][..]));
        table.add(second, &none, &found(&["/b", "/b"]), &fingerprints);
        table.add(third, &none, &found(&[]), &fingerprints);
        let both = Some(&[Key::of("/a,/b")][..]);
        assert_eq!([first, second, third].map(|slot| table.keys(slot)), [both, both, None]);
        assert_eq!(table.number(first), table.number(second));
        table.release(first);
        assert_eq!([first, second].map(|slot| table.keys(slot)), [None, both]);
        table.release(second);
        table.release(third);
        assert!(table.is_empty());
    }
}
