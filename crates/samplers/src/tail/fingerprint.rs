//! Fingerprints: what kind of trace it is, told by the values of chosen attributes.
//!
//! Which values an attribute has anywhere in a trace is evidence like any other: a set that only grows, whatever
//! the order of spans. It is bounded: of each attribute the first values in the order of bytes are kept, and that
//! there were more, so sets of pieces of a trace can still be merged in any order. Sets are evidence for few
//! configurations and few sets are different, so traces do not hold them but refer to them (see
//! [`super::store`]). The text made of a set is the Collector's (`adaptive_tail_sampling`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use forebay_allocators::Key;
use forebay_otlp::attribute::AnyValue;
use forebay_ottl::as_string;
use thiserror::Error;

/// Where attributes are looked for: a bit for each place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places(u8);

/// An attribute that belongs to a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) places: Places,
    pub(crate) key: String,
}

/// The text does not name an attribute.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` does not select an attribute: write `any.attributes[\"key\"]`, or `resource`, `scope`, `span` or `root` for `any`"
)]
pub struct SelectorError(String);

/// What fingerprints a processor makes of its traces.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    selectors: Vec<Selector>,
    /// The numbers of each fingerprint's selectors.
    lists: Vec<Vec<u8>>,
    /// The keys of a trace without values.
    missing: Box<[Key]>,
}

/// Which of a processor's fingerprints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FingerprintNumber(usize);

/// The distinct values of selectors, in order: each the selector's number, a length, and so many bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values<'a>(Cow<'a, [u8]>);

/// Values as they are found.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    bytes: Vec<u8>,
    found: Vec<(u8, Range<usize>)>,
}

/// So many values of a selector are kept; as many as Refinery keeps of all fields.
const VALUES_MAX: usize = 100;
/// Longer values are cut.
const VALUE_BYTES_MAX: usize = 256;
/// In place of a length: there were more values.
const MORE: u16 = u16::MAX;

impl Places {
    /// Nowhere.
    pub(crate) const NONE: Self = Self(0);
    /// Resources.
    pub(crate) const RESOURCE: Self = Self(1);
    /// Instrumentation scopes.
    pub(crate) const SCOPE: Self = Self(2);
    /// Spans.
    pub(crate) const SPAN: Self = Self(4);
    /// Root spans.
    pub(crate) const ROOT: Self = Self(8);
    const ANY: Self = Self(1 | 2 | 4);

    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) const fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What stands before `attributes`, by where it is looked for.
const SCOPES: &[(&str, Places)] = &[
    ("any", Places::ANY),
    ("resource", Places::RESOURCE),
    ("root", Places::ROOT),
    ("scope", Places::SCOPE),
    ("span", Places::SPAN),
];

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = SCOPES.iter().find(|(_, places)| *places == self.places);
        write!(formatter, "{}.attributes[\"{}\"]", scope.map_or("any", |(scope, _)| scope), self.key)
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let wrong = || SelectorError(text.to_owned());
        let (scope, rest) = text.split_once('.').ok_or_else(wrong)?;
        let (_, places) = *SCOPES.iter().find(|(name, _)| *name == scope).ok_or_else(wrong)?;
        let key = rest.strip_prefix("attributes[\"").and_then(|rest| rest.strip_suffix("\"]"));
        match key {
            Some(key) if !key.is_empty() && !key.contains('"') => Ok(Self { places, key: key.to_owned() }),
            _ => Err(wrong()),
        }
    }
}

impl Fingerprints {
    /// Adds a fingerprint; equal ones share a number. `None` if there are too many selectors.
    pub(crate) fn add(&mut self, selectors: Vec<Selector>) -> Option<FingerprintNumber> {
        let list = selectors.into_iter().map(|selector| self.number(selector)).collect::<Option<_>>()?;
        let number = self.lists.iter().position(|other| *other == list).unwrap_or_else(|| {
            self.lists.push(list);
            self.lists.len() - 1
        });
        self.missing = self.keys(&Values::default());
        Some(FingerprintNumber(number))
    }

    fn number(&mut self, selector: Selector) -> Option<u8> {
        let known = self.selectors.iter().position(|other| *other == selector);
        let number = u8::try_from(known.unwrap_or(self.selectors.len())).ok()?;
        if known.is_none() {
            self.selectors.push(selector);
        }
        Some(number)
    }

    /// The selectors, with their numbers.
    pub(crate) fn selectors(&self) -> impl Iterator<Item = (u8, &Selector)> {
        (0..).zip(&self.selectors)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The keys of a trace without values.
    pub(crate) fn missing(&self) -> &[Key] {
        &self.missing
    }

    /// A fingerprint of a trace with these values.
    pub(crate) fn text(&self, number: FingerprintNumber, values: &Values<'_>) -> String {
        let texts = self.lists[number.0].iter().map(|&selector| values.text(selector));
        texts.collect::<Vec<_>>().join("•")
    }

    /// The keys of all fingerprints.
    pub(crate) fn keys(&self, values: &Values<'_>) -> Box<[Key]> {
        let numbers = (0..self.lists.len()).map(FingerprintNumber);
        numbers.map(|number| Key::of(&self.text(number, values))).collect()
    }
}

impl FingerprintNumber {
    /// Its key among those of all fingerprints.
    pub(crate) fn key(self, keys: &[Key]) -> Key {
        keys.get(self.0).copied().unwrap_or(Key::OTHERS)
    }
}

impl Collected {
    /// Adds a value.
    pub(crate) fn push(&mut self, selector: u8, value: AnyValue<'_>) {
        let start = self.bytes.len();
        let text = as_string(value);
        if text.len() <= VALUE_BYTES_MAX {
            self.bytes.extend_from_slice(&text);
        } else {
            let whole = String::from_utf8_lossy(&text);
            let end = whole.floor_char_boundary(VALUE_BYTES_MAX);
            self.bytes.extend_from_slice(whole[..end].as_bytes());
        }
        self.found.push((selector, start..self.bytes.len()));
    }

    /// What has been added.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.found.iter().map(|(selector, range)| (*selector, &self.bytes[range.clone()]))
    }

    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.found.clear();
    }
}

impl<'a> Values<'a> {
    /// The values that are encoded so.
    pub(crate) const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(Cow::Borrowed(bytes))
    }

    /// The encoding, equal for equal sets.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Each selector's values in order; after them `None` if there were more.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, Option<&[u8]>)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let ([selector, low, high], after) = rest.split_first_chunk()?;
            let length = u16::from_le_bytes([*low, *high]);
            if length == MORE {
                rest = after;
                return Some((*selector, None));
            }
            let (value, after) = after.split_at_checked(usize::from(length))?;
            rest = after;
            Some((*selector, Some(value)))
        })
    }

    /// Whether one of these is new.
    pub(crate) fn lacks<'b>(&self, others: impl IntoIterator<Item = (u8, &'b [u8])>) -> bool {
        others.into_iter().any(|(selector, value)| !self.iter().any(|own| own == (selector, Some(value))))
    }

    /// The set of both: of each selector the first values, and whether there were more.
    pub(crate) fn union<'b>(
        &'b self,
        others: impl IntoIterator<Item = (u8, Option<&'b [u8]>)>,
    ) -> Values<'static> {
        let (mut all, mut more) = (BTreeSet::new(), BTreeSet::new());
        for (selector, value) in self.iter().chain(others) {
            match value {
                Some(value) => all.insert((selector, value)),
                None => more.insert(selector),
            };
        }
        let mut bytes = Vec::new();
        let of_selectors: Vec<_> = all.into_iter().collect();
        for of_one in of_selectors.chunk_by(|a, b| a.0 == b.0) {
            let selector = of_one[0].0;
            for (_, value) in of_one.iter().take(VALUES_MAX) {
                bytes.push(selector);
                // Longer ones have been cut.
                bytes.extend_from_slice(&u16::try_from(value.len()).unwrap_or(MORE - 1).to_le_bytes());
                bytes.extend_from_slice(value);
            }
            if of_one.len() > VALUES_MAX || more.contains(&selector) {
                bytes.push(selector);
                bytes.extend_from_slice(&MORE.to_le_bytes());
            }
        }
        Values(Cow::Owned(bytes))
    }

    fn text(&self, selector: u8) -> String {
        let own = self.iter().filter(|&(other, _)| other == selector);
        let texts = own.map(|(_, value)| value.map_or(Cow::Borrowed("…"), String::from_utf8_lossy));
        let text = texts.collect::<Vec<_>>().join(",");
        if text.is_empty() && self.iter().all(|(other, _)| other != selector) {
            return "<missing>".to_owned();
        }
        text
    }
}

#[cfg(test)]
mod tests;
