//! The attributes that somebody asks for: one walk over a message finds which predicates they satisfy, and what
//! fingerprints are made of.

use std::collections::HashMap;

use forebay_otlp::attribute::Attribute;

use super::test::{CompiledTest, Reading};
use super::{Bits, PredicateError};
use crate::tail::fingerprint::{Collected, Places};

/// Attributes by their keys.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    by_key: HashMap<Box<[u8]>, Key, foldhash::fast::RandomState>,
    /// Bit `min(length, 63)` of each key.
    key_lengths: u64,
}

/// An attribute's key that somebody asks for.
#[derive(Debug)]
pub(super) struct Key {
    /// A bit of its own.
    own: Bits,
    pub(super) tests: Vec<(Bits, CompiledTest)>,
    /// The selectors that select it, and where.
    pub(super) selectors: Vec<(u8, Places)>,
}

impl Attributes {
    /// An attribute's key, which is asked for from now on.
    pub(super) fn key(&mut self, key: &str) -> Result<&mut Key, PredicateError> {
        let taken = self.by_key.len();
        if taken == Bits::MAX && !self.by_key.contains_key(key.as_bytes()) {
            return Err(PredicateError::TooMany);
        }
        self.key_lengths |= length_bit(key.len());
        let entry = self.by_key.entry(key.as_bytes().into());
        Ok(entry.or_insert_with(|| Key { own: Bits::one(taken), tests: Vec::new(), selectors: Vec::new() }))
    }

    /// The predicates that attributes in one of these places satisfy. What fingerprints select is collected. As
    /// upstream, of several attributes with one key the first counts.
    pub(super) fn walk<'a>(
        &self,
        messages: impl Iterator<Item = &'a [u8]>,
        known: Bits,
        reading: Reading,
        places: Places,
        collected: &mut Collected,
    ) -> Bits {
        let (mut found, mut seen) = (known, Bits::NONE);
        for message in messages {
            let mut key = None;
            let attribute = Attribute::parse_if(message, |name| {
                if self.key_lengths & length_bit(name.len()) != 0 {
                    key = self.by_key.get(name);
                }
                key.is_some()
            });
            if let (Ok(Some(attribute)), Some(key)) = (attribute, key)
                && !seen.has_any(key.own)
            {
                seen |= key.own;
                for (bit, test) in &key.tests {
                    if !found.has_any(*bit) && test.passes(attribute.value, reading) {
                        found |= *bit;
                    }
                }
                let selecting = key.selectors.iter().filter(|(_, wanted)| wanted.meet(places));
                selecting.for_each(|&(selector, _)| collected.push(selector, attribute.value));
            }
        }
        found
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}
