//! The W3C `tracestate` and OpenTelemetry's member `ot` in it.
//!
//! A trace state is a list of members of many vendors,
//! `rojo=00f067aa0ba902b7,ot=th:c;rv:9b8233f7e3a151`; ours is `ot`, itself a list, of which
//! consistent probability sampling owns two keys: the threshold `th` and the randomness `rv`.
//! [`TraceState`] checks the outer list against
//! <https://www.w3.org/TR/trace-context-2/#tracestate-header> once, and then reads and rewrites it
//! in place. What is not being set leaves byte for byte as it came: other vendors' members, other
//! keys of `ot`, even keys of `ot` that nobody can read.

use std::str::FromStr;

use thiserror::Error;

use crate::threshold::{Randomness, RandomnessError, Threshold, ThresholdError};

/// A well-formed trace state, borrowed from where it was found.
#[derive(Clone, Copy, Debug)]
pub struct TraceState<'a> {
    text: &'a str,
    /// The value of the member `ot`; empty without one.
    ot: &'a str,
}

/// What sampling knows from the member `ot`. Each key is an error of its own when it is there and
/// cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ot {
    /// The rejection threshold that the span has passed.
    pub th: Result<Option<Threshold>, TraceStateError>,
    /// The trace's randomness, in place of the one in its id.
    pub rv: Result<Option<Randomness>, TraceStateError>,
}

/// Why a trace state, or a key of its member `ot`, cannot be read or written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TraceStateError {
    /// A byte beyond ASCII, which neither keys nor values have.
    #[error("tracestate is not ASCII")]
    NotAscii,
    /// A member without `=`.
    #[error("tracestate member is not `key=value`")]
    Member,
    /// A key that W3C does not allow.
    #[error("tracestate key is not 1 to 256 of a-z, 0-9, _, -, *, / and @, a letter or digit first")]
    Key,
    /// A value that W3C does not allow.
    #[error("tracestate value is not 1 to 256 printable characters other than `,` and `=`")]
    Value,
    /// More members than W3C allows.
    #[error("tracestate has more than 32 members")]
    TooManyMembers,
    /// Two members `ot`, or two keys of one name in it: neither can be trusted.
    #[error("`{0}` occurs twice in the tracestate")]
    Repeated(&'static str),
    /// The value of `th`.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The value of `rv`.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// What was to be set leaves no room for what `ot` holds already.
    #[error("tracestate member `ot` would be longer than 256 characters")]
    TooLong,
}

const OT: &str = "ot";
const TH: &str = "th";
const RV: &str = "rv";
/// Members in a trace state.
const MAX_MEMBERS: usize = 32;
/// Characters of a key or a value, that of `ot` included.
const MAX_LENGTH: usize = 256;

impl<'a> TraceState<'a> {
    /// Checks the list of members. White space around members and empty ones are fine, as is an
    /// empty list.
    ///
    /// # Errors
    /// When a member is not `key=value` as W3C defines them, there are more than 32, or `ot` occurs
    /// twice. What `ot` holds is not looked at: see [`TraceState::ot`].
    pub fn parse(text: &'a [u8]) -> Result<Self, TraceStateError> {
        let text =
            str::from_utf8(text).ok().filter(|text| text.is_ascii()).ok_or(TraceStateError::NotAscii)?;
        let mut ot = None;
        for (index, member) in members(text).enumerate() {
            if index == MAX_MEMBERS {
                return Err(TraceStateError::TooManyMembers);
            }
            let (key, value) = member.split_once('=').ok_or(TraceStateError::Member)?;
            if !is_key(key) {
                return Err(TraceStateError::Key);
            }
            if !is_value(value) {
                return Err(TraceStateError::Value);
            }
            if key == OT && ot.replace(value).is_some() {
                return Err(TraceStateError::Repeated(OT));
            }
        }
        Ok(Self { text, ot: ot.unwrap_or_default() })
    }

    /// The members in order, as key and value.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, &'a str)> + Clone + use<'a> {
        members(self.text).filter_map(|member| member.split_once('='))
    }

    /// The value of the first member of that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.members().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Whether a key occurs twice, which W3C does not allow: then nobody knows which value is meant.
    #[must_use]
    pub fn repeats_a_key(&self) -> bool {
        let mut rest = self.members();
        while let Some((key, _)) = rest.next() {
            if rest.clone().any(|(other, _)| other == key) {
                return true;
            }
        }
        false
    }

    /// The threshold and the randomness in the member `ot`.
    #[must_use]
    pub fn ot(&self) -> Ot {
        Ot { th: self.sampling_key(TH), rv: self.sampling_key(RV) }
    }

    fn sampling_key<T>(&self, name: &'static str) -> Result<Option<T>, TraceStateError>
    where
        T: FromStr,
        TraceStateError: From<T::Err>,
    {
        let mut values = keys(self.ot).filter_map(|key| value_of(key, name));
        let value = values.next().map(str::parse).transpose()?;
        if values.next().is_some() {
            return Err(TraceStateError::Repeated(name));
        }
        Ok(value)
    }

    /// The trace state with `th` set, or cleared by `None`, and `rv` as it is.
    ///
    /// What is set comes first in `ot`, and the keys that are left alone follow in their order. An
    /// `ot` that has changed moves to the front of the list, as W3C asks; if it is new and there
    /// are 32 others, the last of those goes, as W3C asks too. An `ot` without any key is left out.
    ///
    /// # Errors
    /// When `ot` would grow beyond 256 characters.
    pub fn with_threshold(&self, threshold: Option<Threshold>) -> Result<String, TraceStateError> {
        self.rewritten(Some(threshold), None)
    }

    /// The trace state with `rv` set and `th` as it is; otherwise like
    /// [`TraceState::with_threshold`].
    ///
    /// # Errors
    /// When `ot` would grow beyond 256 characters.
    pub fn with_randomness(&self, randomness: Randomness) -> Result<String, TraceStateError> {
        self.rewritten(None, Some(randomness))
    }

    /// The trace state with `th` set, or cleared by `None`, and `rv` set after it; otherwise like
    /// [`TraceState::with_threshold`].
    ///
    /// # Errors
    /// When `ot` would grow beyond 256 characters.
    pub fn with_threshold_and_randomness(
        &self,
        threshold: Option<Threshold>,
        randomness: Randomness,
    ) -> Result<String, TraceStateError> {
        self.rewritten(Some(threshold), Some(randomness))
    }

    /// `th` and `rv` are left alone where `None`.
    fn rewritten(
        &self,
        th: Option<Option<Threshold>>,
        rv: Option<Randomness>,
    ) -> Result<String, TraceStateError> {
        let is_set = |key: &&str| {
            th.is_some() && value_of(key, TH).is_some() || rv.is_some() && value_of(key, RV).is_some()
        };
        let set =
            [th.flatten().map(|value| format!("{TH}:{value}")), rv.map(|value| format!("{RV}:{value}"))];
        let left = keys(self.ot).filter(|key| !is_set(key));
        let ot = set.iter().flatten().map(String::as_str).chain(left).collect::<Vec<_>>().join(";");
        if ot == self.ot {
            return Ok(self.text.to_owned());
        }
        if ot.len() > MAX_LENGTH {
            return Err(TraceStateError::TooLong);
        }
        let changed = (!ot.is_empty()).then(|| format!("{OT}={ot}"));
        let others = members(self.text).filter(|member| !member.starts_with("ot="));
        Ok(changed.as_deref().into_iter().chain(others).take(MAX_MEMBERS).collect::<Vec<_>>().join(","))
    }
}

/// The members of a list.
fn members(list: &str) -> impl Iterator<Item = &str> + Clone {
    parts(list, ',')
}

/// The `key:value` pairs in the value of `ot`.
fn keys(ot: &str) -> impl Iterator<Item = &str> {
    parts(ot, ';')
}

/// What lies between separators, without the white space around it and where there is more than
/// that.
fn parts(list: &str, separator: char) -> impl Iterator<Item = &str> + Clone {
    list.split(separator).map(|part| part.trim_matches([' ', '\t'])).filter(|part| !part.is_empty())
}

/// The value in a `name:value` of `ot`.
fn value_of<'a>(key: &'a str, name: &str) -> Option<&'a str> {
    key.strip_prefix(name)?.strip_prefix(':')
}

fn is_key(key: &str) -> bool {
    key.len() <= MAX_LENGTH
        && key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && key
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// That a value does not end in a space follows from how members are split.
fn is_value(value: &str) -> bool {
    (1..=MAX_LENGTH).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

#[cfg(test)]
mod tests;
