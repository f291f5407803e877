//! Existential predicates: what a policy asks of single spans, evaluated once as each span arrives.
//!
//! "Some span has status ERROR", "some span or its resource has `http.route` = `/pay`": each distinct
//! predicate of all policies is one bit of the trace's digest. Bits are only ever set, so a span is looked at
//! for the bits that its trace still lacks, and attributes whose keys nobody names cost a comparison of
//! lengths.

use std::collections::HashMap;
use std::ops::{BitOr, BitOrAssign};

use forebay_otlp::attribute::{
    AnyValue, Attribute, SPAN_ATTRIBUTES, attribute_messages, resource_attribute_messages,
};
use forebay_otlp::{Span, StatusCode};
use regex::bytes::RegexSet;
use thiserror::Error;

/// A set of predicates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits(u128);

/// Something a span or its resource can satisfy.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// The span's status is one of these.
    Status(Vec<StatusCode>),
    /// The span or its resource has an attribute of this key that passes the test.
    Attribute {
        /// The attribute's key.
        key: String,
        /// What its value must be.
        test: AttributeTest,
    },
}

/// What an attribute's value must be. Values of another type fail.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeTest {
    /// A string that is one of these. The empty string never passes, as upstream.
    OneOf(Vec<String>),
    /// A string that one of these regular expressions matches somewhere.
    Matches(Vec<String>),
    /// A number within these bounds, both included.
    Within {
        /// Least value.
        min: Option<i64>,
        /// Greatest value.
        max: Option<i64>,
    },
}

/// Why a predicate cannot be compiled.
#[derive(Debug, Error)]
pub enum PredicateError {
    /// A digest has one bit for each predicate.
    #[error("more than {max} distinct conditions in one tail_sampling processor", max = Bits::MAX)]
    TooMany,
    /// A regular expression does not compile.
    #[error("invalid regular expression: {}", reason(.0))]
    Regex(#[from] regex::Error),
}

/// The distinct predicates of a processor's policies, compiled.
#[derive(Debug, Default)]
pub struct Predicates {
    distinct: Vec<Predicate>,
    /// The predicates that each status code satisfies.
    by_status: [Bits; 4],
    by_key: HashMap<Box<[u8]>, Vec<(Bits, CompiledTest)>, foldhash::fast::RandomState>,
    /// Bit `min(length, 63)` of each key in `by_key`.
    key_lengths: u64,
    /// The predicates in `by_key`.
    on_attributes: Bits,
}

#[derive(Debug)]
enum CompiledTest {
    OneOf(Vec<Box<[u8]>>),
    Matches(RegexSet),
    Within { min: Option<i64>, max: Option<i64> },
}

impl Bits {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// How many predicates a set can hold.
    pub const MAX: usize = 128;

    fn one(index: usize) -> Self {
        Self(1 << index)
    }

    #[cfg(test)]
    pub(crate) const fn from_raw(bits: u128) -> Self {
        Self(bits)
    }

    /// Whether every predicate of `other` is in the set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no predicate of `other` is in the set.
    const fn lacks_all(self, other: Self) -> bool {
        self.0 & other.0 == 0
    }
}

impl BitOr for Bits {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Bits {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl Predicates {
    /// The bit of `predicate`, which equal predicates share.
    ///
    /// # Errors
    /// When there are too many, or a regular expression does not compile.
    pub fn add(&mut self, predicate: Predicate) -> Result<Bits, PredicateError> {
        if let Some(index) = self.distinct.iter().position(|other| *other == predicate) {
            return Ok(Bits::one(index));
        }
        let index = self.distinct.len();
        if index == Bits::MAX {
            return Err(PredicateError::TooMany);
        }
        let bit = Bits::one(index);
        match &predicate {
            Predicate::Status(codes) => codes.iter().for_each(|&code| self.by_status[code as usize] |= bit),
            Predicate::Attribute { key, test } => {
                let test = CompiledTest::new(test)?;
                self.by_key.entry(key.as_bytes().into()).or_default().push((bit, test));
                self.key_lengths |= length_bit(key.len());
                self.on_attributes |= bit;
            }
        }
        self.distinct.push(predicate);
        Ok(bit)
    }

    /// The predicates that a span satisfies by itself; of those in `known`, attributes are not asked again.
    #[inline]
    pub(crate) fn of_span(&self, span: &Span, body: &[u8], known: Bits) -> Bits {
        let status = self.by_status[span.status as usize];
        if known.contains(self.on_attributes) {
            return status;
        }
        status | self.of_attributes(attribute_messages(body, SPAN_ATTRIBUTES), known)
    }

    /// The predicates that the resource in an envelope's resource description satisfies.
    pub(crate) fn of_resource(&self, description: &[u8]) -> Bits {
        if self.by_key.is_empty() {
            return Bits::default();
        }
        self.of_attributes(resource_attribute_messages(description), Bits::default())
    }

    fn of_attributes<'a>(&self, messages: impl Iterator<Item = &'a [u8]>, known: Bits) -> Bits {
        let mut found = known;
        for message in messages {
            let mut tests = None;
            let attribute = Attribute::parse_if(message, |key| {
                if self.key_lengths & length_bit(key.len()) != 0 {
                    tests = self.by_key.get(key);
                }
                tests.is_some()
            });
            if let (Ok(Some(attribute)), Some(tests)) = (attribute, tests) {
                for (bit, test) in tests {
                    if found.lacks_all(*bit) && test.passes(attribute.value) {
                        found |= *bit;
                    }
                }
            }
        }
        found
    }
}

fn length_bit(length: usize) -> u64 {
    1 << length.min(63)
}

/// What is wrong, without the drawing above it, which does not fit on a line.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default().trim();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

impl CompiledTest {
    fn new(test: &AttributeTest) -> Result<Self, PredicateError> {
        Ok(match test {
            AttributeTest::OneOf(values) => {
                let values = values.iter().filter(|value| !value.is_empty());
                Self::OneOf(values.map(|value| value.as_bytes().into()).collect())
            }
            AttributeTest::Matches(patterns) => Self::Matches(RegexSet::new(patterns)?),
            &AttributeTest::Within { min, max } => Self::Within { min, max },
        })
    }

    fn passes(&self, value: AnyValue<'_>) -> bool {
        match (self, value) {
            (Self::OneOf(values), AnyValue::String(string)) => values.iter().any(|value| **value == *string),
            (Self::Matches(patterns), AnyValue::String(string)) => {
                !string.is_empty() && patterns.is_match(string)
            }
            (Self::Within { min, max }, AnyValue::Int(number)) => {
                min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max)
            }
            #[expect(clippy::cast_precision_loss, reason = "a double is compared as a double")]
            (Self::Within { min, max }, AnyValue::Double(number)) => {
                min.is_none_or(|min| number >= min as f64) && max.is_none_or(|max| number <= max as f64)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
