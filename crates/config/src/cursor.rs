//! One value being read: a [`Node`] that knows the keys leading to it and where its mistakes go.

use std::fmt::Debug;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::time::Duration;

use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::duration::parse_duration;
use crate::id::{ComponentId, IdError};
use crate::nearest::did_you_mean;
use crate::node::{Entry, Location, Node, Value};
use crate::path;
use crate::survey::{Scalar, Survey};
use crate::table::Table;

/// A value whose shape is not known yet; each reading method takes it for one shape.
///
/// Null reads as `None` without being a mistake: the default applies. Only [`Cursor::table`] takes it for an
/// empty mapping. (The Collector sets numbers and strings that are null to zero, whatever their default.)
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    node: &'a Node,
    path: String,
    /// The key this is the value of.
    key_at: Option<Location>,
    /// Where to point when the value as a whole is to blame.
    at: Location,
    diagnostics: &'a Diagnostics,
}

/// Integers a configuration can hold.
pub trait Integer: TryFrom<i64> + TryInto<i64> + Copy + Debug + PartialOrd + sealed::Sealed {
    /// The smallest one.
    const MIN: Self;
    /// The largest one.
    const MAX: Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl sealed::Sealed for $integer {}
        impl Integer for $integer {
            const MIN: Self = <$integer>::MIN;
            const MAX: Self = <$integer>::MAX;
        }
    )*};
}
integers!(u8 u16 u32 u64 usize i8 i16 i32 i64);

impl<'a> Cursor<'a> {
    pub(crate) fn root(node: &'a Node, diagnostics: &'a Diagnostics) -> Self {
        Self { node, path: String::new(), key_at: None, at: node.at, diagnostics }
    }

    /// A cursor over the value of `entry`, which is one of this mapping's.
    pub(crate) fn value_of(&self, entry: &'a Entry) -> Self {
        let at = match &entry.value.value {
            // What is wrong with a block is seen best at the key above it.
            Value::Null | Value::List(_) | Value::Map(_) if entry.value.origin.is_none() => entry.key_at,
            _ => entry.value.at,
        };
        let path = self.child_path(&entry.key);
        Self { node: &entry.value, path, key_at: Some(entry.key_at), at, diagnostics: self.diagnostics }
    }

    /// A boolean.
    pub fn bool(&self) -> Option<bool> {
        self.survey_as(Scalar::Bool);
        match &self.node.value {
            Value::Bool(value) => Some(*value),
            Value::String(text) if ["true", "false"].contains(&text.as_str()) => {
                self.mismatch("true or false", Some("remove the quotes"))
            }
            Value::String(text) if ["yes", "on", "no", "off"].contains(&text.to_lowercase().as_str()) => {
                self.mismatch("true or false", Some("YAML 1.2 has no other words for them"))
            }
            _ => self.mismatch("true or false", None),
        }
    }

    /// A string; whatever a `${…}` stands for is the text it was.
    pub fn string(&self) -> Option<String> {
        self.survey_as(Scalar::String);
        if let Some(text) = self.node.origin.as_ref().and_then(|origin| origin.text.as_ref())
            && !text.is_empty()
        {
            return Some(text.clone());
        }
        match &self.node.value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                let written = self.diagnostics.snippet(self.node.at).filter(|_| self.node.origin.is_none());
                self.mismatch(
                    "a string",
                    written.map(|written| format!("put it in quotes: \"{written}\"")).as_deref(),
                )
            }
            _ => self.mismatch("a string", None),
        }
    }

    /// An integer within `range`.
    pub fn integer<T: Integer>(&self, range: impl RangeBounds<T>) -> Option<T> {
        self.survey_as(inclusive(&range));
        let expected = integer_in(&range);
        match self.node.value {
            Value::Int(value) => match T::try_from(value) {
                Ok(value) if range.contains(&value) => Some(value),
                _ => self.mismatch(&expected, None),
            },
            _ => self.mismatch(&expected, self.quoted_number()),
        }
    }

    /// A number within `range`.
    pub fn float(&self, range: RangeInclusive<f64>) -> Option<f64> {
        // A bound that no number is beyond is not worth mentioning.
        let finite = |bound: &f64| (bound.abs() < f64::MAX).then_some(*bound);
        let (min, max) = (finite(range.start()), finite(range.end()));
        self.survey_as(Scalar::Number { min, max });
        let expected = format!("a number{}", bounds(min, max));
        let value = match self.node.value {
            #[expect(
                clippy::cast_precision_loss,
                reason = "a setting above 2^53 does not need its last digits"
            )]
            Value::Int(value) => value as f64,
            Value::Float(value) => value,
            _ => return self.mismatch(&expected, self.quoted_number()),
        };
        if range.contains(&value) { Some(value) } else { self.mismatch(&expected, None) }
    }

    /// A duration: `200ms`, `1h30m`, or, with a warning, a number of nanoseconds.
    pub fn duration(&self) -> Option<Duration> {
        self.survey_as(Scalar::Duration);
        const EXPECTED: &str = "a duration such as 200ms or 5s";
        match &self.node.value {
            Value::Int(0) => Some(Duration::ZERO),
            Value::Int(nanos) => match u64::try_from(*nanos) {
                Ok(nanos) => {
                    self.report(
                        Diagnostic::warning(
                            &self.path,
                            format!("a bare number is nanoseconds: this is {nanos}ns"),
                        )
                        .help(format!("write the unit: {nanos}s, {nanos}ms or {nanos}ns")),
                    );
                    Some(Duration::from_nanos(nanos))
                }
                Err(_) => self.mismatch(EXPECTED, Some("a duration must not be negative")),
            },
            Value::String(text) => match parse_duration(text) {
                Ok(duration) => Some(duration),
                Err(error) => self.mismatch(EXPECTED, Some(&error.to_string())),
            },
            _ => self.mismatch(EXPECTED, None),
        }
    }

    /// One of a few words.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words =
            || choices.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect::<Vec<_>>();
        if let Some(survey) = self.survey() {
            let known = choices.iter().map(|(word, _)| (*word).to_owned()).collect();
            return survey.choice(&self.path, known).map(|answer| choices[answer].1.clone());
        }
        match &self.node.value {
            Value::String(text) => match choices.iter().find(|(word, _)| word == text) {
                Some((_, value)) => Some(value.clone()),
                None => self.mismatch(
                    &format!("one of {}", words().join(", ")),
                    did_you_mean(text, &words()).as_deref(),
                ),
            },
            _ => self.mismatch(&format!("one of {}", words().join(", ")), None),
        }
    }

    /// A list of strings; a single string is split at its commas.
    pub fn strings(&self) -> Option<Vec<String>> {
        if let Some(survey) = self.survey() {
            survey.scalar(&self.path, Scalar::String);
            survey.scalar(&path::item(&self.path, 0), Scalar::String);
            return None;
        }
        match &self.node.value {
            Value::List(_) => Some(self.list()?.iter().filter_map(Self::string).collect()),
            Value::String(text) if text.is_empty() => Some(Vec::new()),
            Value::String(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            _ => self.mismatch("a list of strings", None),
        }
    }

    /// The id of a component, `type/name`.
    pub fn component_id(&self) -> Option<ComponentId> {
        self.survey_as(Scalar::Id);
        match &self.node.value {
            Value::String(text) => text.parse().map_err(|error: IdError| self.error(error.to_string())).ok(),
            _ => self.mismatch("the id of a component, `type` or `type/name`", None),
        }
    }

    /// A mapping of strings, or a list of mappings with `name` and `value`. A null value is an empty
    /// string.
    pub fn map(&self) -> Option<Vec<(String, String)>> {
        if let Some(survey) = self.survey() {
            survey.note(&self.path, |setting| setting.open = true);
            survey.table(&path::item(&self.path, 0));
        }
        let pair = |(name, value): (String, Cursor<'_>)| {
            if value.is_null() { Some((name, String::new())) } else { Some((name, value.string()?)) }
        };
        match &self.node.value {
            Value::Map(_) => Some(self.table()?.entries().into_iter().filter_map(pair).collect()),
            Value::List(_) => Some(
                self.list()?
                    .iter()
                    .filter_map(Self::table)
                    .filter_map(|item| {
                        let name = item.require("name", item.string("name"));
                        let value = item.string("value").unwrap_or_default();
                        Some((name?, value))
                    })
                    .collect(),
            ),
            _ => self.mismatch("a mapping of strings", None),
        }
    }

    /// A list. Null items are errors and left out.
    pub fn list(&self) -> Option<Vec<Cursor<'a>>> {
        if let Some(survey) = self.survey() {
            survey.list(&self.path);
            return Some(vec![self.item(0, self.node)]);
        }
        let Value::List(items) = &self.node.value else {
            return self.mismatch("a list", None);
        };
        let (empty, items): (Vec<_>, Vec<_>) =
            items.iter().enumerate().map(|(index, item)| self.item(index, item)).partition(Self::is_null);
        for item in empty {
            item.error("an item of a list must not be null");
        }
        Some(items)
    }

    /// A mapping; null is an empty one.
    pub fn table(&self) -> Option<Table<'a>> {
        if let Some(survey) = self.survey() {
            survey.table(&self.path);
        }
        match &self.node.value {
            Value::Map(entries) => Some(Table::over(self.clone(), entries)),
            Value::Null => Some(Table::over(self.clone(), &[])),
            _ => self.mismatch("a mapping", None),
        }
    }

    /// Whether it is null. In a survey nothing is.
    pub fn is_null(&self) -> bool {
        self.node.is_null() && self.survey().is_none()
    }

    pub(crate) fn survey(&self) -> Option<&'a Survey> {
        self.diagnostics.survey()
    }

    /// Notes that it may be such a value.
    fn survey_as(&self, scalar: Scalar) {
        if let Some(survey) = self.survey() {
            survey.scalar(&self.path, scalar);
        }
    }

    /// The value itself.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The keys that lead here.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands in for the value of a `key` that is not there: its path, at this place.
    pub(crate) fn missing(&self, key: &str) -> Self {
        Self { path: self.child_path(key), ..self.clone() }
    }

    /// The path of `key` below this.
    pub fn child_path(&self, key: &str) -> String {
        path::child(&self.path, key)
    }

    /// Where to point when this is wrong.
    pub fn at(&self) -> Location {
        self.at
    }

    /// Where its key is, or where it is itself if it has none.
    pub fn key_at(&self) -> Location {
        self.key_at.unwrap_or(self.at)
    }

    /// Where everything found while reading goes.
    pub fn diagnostics(&self) -> &'a Diagnostics {
        self.diagnostics
    }

    /// An error about this value.
    pub fn error(&self, message: impl Into<String>) {
        self.report(Diagnostic::error(&self.path, message));
    }

    /// An error about this value, saying what to do.
    pub fn error_with_help(&self, message: impl Into<String>, help: impl Into<String>) {
        self.report(Diagnostic::error(&self.path, message).help(help));
    }

    /// A warning about this value.
    pub fn warning(&self, message: impl Into<String>) {
        self.report(Diagnostic::warning(&self.path, message));
    }

    /// Where this stands.
    pub(crate) fn place(&self) -> Place {
        Place { path: self.path.clone(), at: Some(self.at), origin: self.node.origin.clone() }
    }

    /// Adds a finding at this value.
    pub(crate) fn report(&self, diagnostic: Diagnostic) {
        self.diagnostics.add(diagnostic.at(self.at).origin(self.node.origin.clone()));
    }

    fn item(&self, index: usize, node: &'a Node) -> Self {
        Self {
            node,
            path: path::item(&self.path, index),
            key_at: None,
            at: node.at,
            diagnostics: self.diagnostics,
        }
    }

    /// Records that something else was expected, unless this is null.
    fn mismatch<T>(&self, expected: &str, help: Option<&str>) -> Option<T> {
        if !self.is_null() {
            let mut diagnostic =
                Diagnostic::error(&self.path, format!("expected {expected}, found {}", self.describe()));
            diagnostic.help = help.map(str::to_owned);
            self.report(diagnostic);
        }
        None
    }

    /// What is here, in words. What came out of a `${…}` may be secret and is not quoted.
    fn describe(&self) -> String {
        let secret = self.node.origin.is_some();
        match &self.node.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("the boolean {value}"),
            Value::Int(_) | Value::Float(_) if secret => "another number".to_owned(),
            Value::Int(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value:?}"),
            Value::String(_) if secret => "a string".to_owned(),
            Value::String(text) => format!("the string {:?}", shortened(text)),
            Value::List(_) => "the list [..]".to_owned(),
            Value::Map(_) => "the mapping {..}".to_owned(),
        }
    }

    /// What to do about a number in quotes.
    fn quoted_number(&self) -> Option<&'static str> {
        match &self.node.value {
            Value::String(text) if text.parse::<f64>().is_ok() => Some("remove the quotes"),
            _ => None,
        }
    }
}

/// The first characters of a long text.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is within `range`, as a survey has it.
fn inclusive<T: Integer>(range: &impl RangeBounds<T>) -> Scalar {
    let number = |bound: T| TryInto::<i64>::try_into(bound).ok();
    let min = match range.start_bound() {
        Bound::Included(low) | Bound::Excluded(low) => number(*low),
        Bound::Unbounded => number(T::MIN),
    };
    let max = match range.end_bound() {
        Bound::Included(high) => number(*high),
        Bound::Excluded(high) => number(*high).map(|high| high - 1),
        Bound::Unbounded => number(T::MAX),
    };
    // What no number is beyond is no bound.
    let (min, max) = (min.filter(|&min| min != i64::MIN), max.filter(|&max| max != i64::MAX));
    Scalar::Integer { min, max }
}

/// "an integer from 1 to 100".
fn integer_in<T: Integer>(range: &impl RangeBounds<T>) -> String {
    // A bound of the type is worth telling if a number in a configuration, an `i64`, can break it.
    let low = match range.start_bound() {
        Bound::Included(low) | Bound::Excluded(low) => Some(*low),
        Bound::Unbounded => T::try_from(i64::MIN).is_err().then_some(T::MIN),
    };
    let (high, exclusive) = match range.end_bound() {
        Bound::Included(high) => (Some(*high), ""),
        Bound::Excluded(high) => (Some(*high), " exclusive"),
        Bound::Unbounded => (T::try_from(i64::MAX).is_err().then_some(T::MAX), ""),
    };
    format!("an integer{}{exclusive}", bounds(low, high))
}

/// " from 1 to 100".
fn bounds<T: Debug>(low: Option<T>, high: Option<T>) -> String {
    match (low, high) {
        (Some(low), Some(high)) => format!(" from {low:?} to {high:?}"),
        (Some(low), None) => format!(" of at least {low:?}"),
        (None, Some(high)) => format!(" of at most {high:?}"),
        (None, None) => String::new(),
    }
}
