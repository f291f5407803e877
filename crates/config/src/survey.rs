//! What a reader asks for: every key it knows, the types it takes, and what holds without it.
//!
//! Readers are the only list of keys there is. A survey runs one over nothing, and whatever it asks for is
//! there and is null, so that it goes on into every section and every list. What it asks is written down.
//! A [`choice`](crate::Table::choice) may decide which keys come next, as the `type` of a policy does; so the
//! reader is run once more for each word of each choice it has asked for, with that word as the answer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use crate::diagnostics::Diagnostics;
use crate::duration::format_duration;
use crate::node::{Location, Node, SourceId, Value};
use crate::table::Table;

/// A key, or an item of a list, as readers take it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// The shapes that a single value of it may have.
    pub scalars: Vec<Scalar>,
    /// What its items are, if it may be a list.
    pub item: Option<Box<Setting>>,
    /// Its keys in the order in which they are asked for, if it may be a mapping.
    pub keys: Option<Vec<(String, Setting)>>,
    /// Whether its keys are free.
    pub open: bool,
    /// What holds when it is absent, where that is one value.
    pub default: Option<Literal>,
    /// Why it has no effect, if some variant only accepts it.
    without_effect: Option<String>,
    /// Whether it is known and an error all the same.
    pub refused: bool,
    /// Whether it is a mapping that is read whether or not it is written.
    pub section: bool,
}

/// A value as YAML and JSON have it; durations are text.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `true`, `false`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// Text.
    String(String),
}

/// What a single value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool,
    /// Text.
    String,
    /// A whole number within inclusive bounds.
    Integer {
        /// The least.
        min: Option<i64>,
        /// The greatest.
        max: Option<i64>,
    },
    /// A number within inclusive bounds.
    Number {
        /// The least.
        min: Option<f64>,
        /// The greatest.
        max: Option<f64>,
    },
    /// `200ms`, `1h30m`, or a number of nanoseconds.
    Duration,
    /// One of some words.
    Choice(Vec<String>),
    /// The id of a component.
    Id,
}

/// How the path of a list's only item ends.
const FIRST: &str = "[0]";

/// What is written down while a reader runs.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    root: RefCell<Setting>,
    /// The choices asked for in this run that nobody has asked for before, with how many words each has.
    found: RefCell<Vec<(String, usize)>>,
    /// The words to answer with, by their places.
    answers: Vec<(String, usize)>,
}

/// Runs `read` over nothing, and tells what it asks for.
pub fn survey<T>(read: impl Fn(&Table<'_>) -> T) -> Setting {
    let nothing = Node::new(Value::Null, Location::start_of(SourceId(0)));
    let mut runs = VecDeque::from([Vec::new()]);
    let mut survey = Survey::default();
    while let Some(answers) = runs.pop_front() {
        let diagnostics = Diagnostics::surveying(Survey { answers, ..survey });
        read(&Table::root(&nothing, &diagnostics));
        survey = diagnostics.into_survey().unwrap_or_default();
        for (path, words) in survey.found.take() {
            let with = |word| [survey.answers.as_slice(), &[(path.clone(), word)]].concat();
            runs.extend((0..words).map(with));
        }
    }
    survey.root.into_inner()
}

impl Survey {
    /// The value at `path` may be such a one.
    pub(crate) fn scalar(&self, path: &str, scalar: Scalar) {
        self.note(path, |setting| {
            setting.add(scalar);
        });
    }

    /// The value at `path` may be a list.
    pub(crate) fn list(&self, path: &str) {
        self.note(path, |setting| {
            setting.item();
        });
    }

    /// The value at `path` may be a mapping.
    pub(crate) fn table(&self, path: &str) {
        self.note(path, |setting| {
            setting.keys.get_or_insert_default();
        });
    }

    /// One of `words` is wanted at `path`: the place of the one to answer with, if this run answers.
    pub(crate) fn choice(&self, path: &str, words: Vec<String>) -> Option<usize> {
        let number = words.len();
        self.note(path, |setting| {
            if setting.add(Scalar::Choice(words)) {
                self.found.borrow_mut().push((path.to_owned(), number));
            }
        });
        self.answers.iter().find(|(answered, _)| answered == path).map(|&(_, word)| word)
    }

    /// The value at `path` has no effect, if nobody reads it as something.
    pub(crate) fn idle(&self, path: &str, why: &str) {
        self.note(path, |setting| setting.without_effect = Some(why.to_owned()));
    }

    /// Changes what is known of the value at `path`.
    pub(crate) fn note(&self, path: &str, change: impl FnOnce(&mut Setting)) {
        let mut root = self.root.borrow_mut();
        let mut setting = &mut *root;
        for segment in path.split("::").filter(|segment| !segment.is_empty()) {
            let key = segment.trim_end_matches(FIRST);
            setting = setting.key(key);
            for _ in 0..(segment.len() - key.len()) / FIRST.len() {
                setting = setting.item();
            }
        }
        change(setting);
    }
}

impl Setting {
    /// The setting that `key` of it is; `None` if there is no such key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.keys.iter().flatten().find(|(name, _)| name == key).map(|(_, setting)| setting)
    }

    /// Why it has no effect, if no variant that has it does more than accept it.
    #[must_use]
    pub fn why_idle(&self) -> Option<&str> {
        let unread = self.scalars.is_empty() && self.item.is_none() && self.keys.is_none();
        self.without_effect.as_deref().filter(|_| unread)
    }

    /// Adds a shape; whether it takes anything that it has not taken before.
    fn add(&mut self, scalar: Scalar) -> bool {
        let alike = |known: &&mut Scalar| mem::discriminant(*known) == mem::discriminant(&scalar);
        match (self.scalars.iter_mut().find(alike), scalar) {
            (None, scalar) => self.scalars.push(scalar),
            // Variants of one component may differ in what they take under one key.
            (Some(Scalar::Choice(known)), Scalar::Choice(words)) => {
                let new: Vec<_> = words.into_iter().filter(|word| !known.contains(word)).collect();
                known.extend_from_slice(&new);
                return !new.is_empty();
            }
            (Some(Scalar::Integer { min, max }), Scalar::Integer { min: low, max: high }) => {
                widen(min, low, i64::min);
                widen(max, high, i64::max);
                return false;
            }
            (Some(Scalar::Number { min, max }), Scalar::Number { min: low, max: high }) => {
                widen(min, low, f64::min);
                widen(max, high, f64::max);
                return false;
            }
            _ => return false,
        }
        true
    }

    fn key(&mut self, key: &str) -> &mut Self {
        let keys = self.keys.get_or_insert_default();
        let place = keys.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
            keys.push((key.to_owned(), Self::default()));
            keys.len() - 1
        });
        &mut keys[place].1
    }

    fn item(&mut self) -> &mut Self {
        self.item.get_or_insert_default()
    }
}

/// The outer one of two bounds; none if one of them is missing.
fn widen<T: Copy>(bound: &mut Option<T>, other: Option<T>, outer: fn(T, T) -> T) {
    *bound = bound.zip(other).map(|(a, b)| outer(a, b));
}

macro_rules! literals {
    ($($from:ty => $variant:ident)*) => {$(
        impl From<$from> for Literal {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
literals!(bool => Bool i64 => Int f64 => Float &str => String String => String);

impl From<Duration> for Literal {
    fn from(value: Duration) -> Self {
        Self::String(format_duration(value))
    }
}

#[cfg(test)]
mod tests;
