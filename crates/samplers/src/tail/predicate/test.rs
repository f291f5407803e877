//! Tests of attributes' values, compiled.

use forebay_otlp::attribute::AnyValue;
use regex::bytes::RegexSet;

use super::{AttributeTest, PredicateError};

/// How the value of an attribute is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As it is. The empty string passes no test.
    Strict,
    /// As the Collector reads those of spans: where there is another type than a test is for it takes the zero value,
    /// a double being none of its numbers.
    OfSpan,
    /// As it reads those of resources, of which the empty string may pass.
    OfResource,
}

#[derive(Debug)]
pub(super) enum CompiledTest {
    OneOf(Vec<Box<[u8]>>),
    Matches(RegexSet),
    Is(bool),
    Within { min: Option<i64>, max: Option<i64> },
}

impl CompiledTest {
    pub(super) fn new(test: &AttributeTest) -> Result<Self, PredicateError> {
        Ok(match test {
            AttributeTest::OneOf(values) => {
                Self::OneOf(values.iter().map(|value| value.as_bytes().into()).collect())
            }
            AttributeTest::Matches(patterns) => Self::Matches(RegexSet::new(patterns)?),
            &AttributeTest::Is(value) => Self::Is(value),
            &AttributeTest::Within { min, max } => Self::Within { min, max },
        })
    }

    /// The zero value of what it is for in place of anything else.
    fn coerced<'a>(&self, value: AnyValue<'a>) -> AnyValue<'a> {
        match (self, value) {
            (Self::OneOf(_) | Self::Matches(_), AnyValue::String(_))
            | (Self::Is(_), AnyValue::Bool(_))
            | (Self::Within { .. }, AnyValue::Int(_)) => value,
            (Self::OneOf(_) | Self::Matches(_), _) => AnyValue::String(&[]),
            (Self::Is(_), _) => AnyValue::Bool(false),
            (Self::Within { .. }, _) => AnyValue::Int(0),
        }
    }

    /// Whether a value passes that is read like that.
    pub(super) fn passes(&self, value: AnyValue<'_>, reading: Reading) -> bool {
        match (self, if reading == Reading::Strict { value } else { self.coerced(value) }) {
            (_, AnyValue::String([])) if reading != Reading::OfResource => false,
            (Self::OneOf(values), AnyValue::String(string)) => values.iter().any(|value| **value == *string),
            (Self::Matches(patterns), AnyValue::String(string)) => patterns.is_match(string),
            (Self::Is(wanted), AnyValue::Bool(value)) => *wanted == value,
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
