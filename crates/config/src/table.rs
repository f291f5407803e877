//! Typed reading of a mapping.
//!
//! A component asks a [`Table`] for the keys it knows, by type; the table remembers which were asked for.
//! Whatever is wrong is recorded in the [`Diagnostics`] and reads as absent, so that the component falls
//! back to its default and reading goes on to find the next mistake. When the table is dropped, the keys
//! nobody asked for are mistakes too.

use std::cell::{Cell, RefCell};
use std::ops::{RangeBounds, RangeInclusive};
use std::time::Duration;

use crate::cursor::{Cursor, Integer};
use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::id::ComponentId;
use crate::nearest::did_you_mean;
use crate::node::{Entry, Location, Node, Value};
use crate::parse;
use crate::survey::{Literal, Setting};

/// A mapping being read.
///
/// When dropped, every key that was never asked for becomes an "unknown key" error naming the nearest
/// known key and listing the known ones. Every reading method returns `None` for a key that is absent,
/// null, or wrong; what is wrong has been recorded.
#[derive(Debug)]
pub struct Table<'a> {
    /// The mapping itself, for what is said about it as a whole.
    whole: Cursor<'a>,
    entries: &'a [Entry],
    /// Keys asked for so far.
    known: RefCell<Vec<&'static str>>,
    /// Set once the caller has taken all entries: then no key is unknown.
    open: Cell<bool>,
}

impl<'a> Table<'a> {
    /// The whole configuration. Something else than a mapping or null is an error, and reads as empty.
    #[must_use]
    pub fn root(node: &'a Node, diagnostics: &'a Diagnostics) -> Self {
        let root = Cursor::root(node, diagnostics);
        root.table().unwrap_or_else(|| Table::over(root, &[]))
    }

    pub(crate) fn over(whole: Cursor<'a>, entries: &'a [Entry]) -> Self {
        Self { whole, entries, known: RefCell::default(), open: Cell::new(false) }
    }

    /// A key as a [`Cursor`], to be read by its shape; `None` if absent. Null is present.
    pub fn get(&self, key: &'static str) -> Option<Cursor<'a>> {
        let mut known = self.known.borrow_mut();
        if !known.contains(&key) {
            known.push(key);
        }
        match self.whole.survey() {
            Some(survey) => {
                survey.note(&self.child_path(key), |_| ());
                Some(self.whole.missing(key))
            }
            None => self.find(key),
        }
    }

    /// A boolean. Strings such as `"true"` or `yes` are errors.
    pub fn bool(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.bool()
    }

    /// A string. Numbers and booleans are errors unless they came out of a `${…}`, which keeps its text.
    pub fn string(&self, key: &'static str) -> Option<String> {
        self.get(key)?.string()
    }

    /// An integer within `range`. Fractions and quoted numbers are errors.
    pub fn integer<T: Integer>(&self, key: &'static str, range: impl RangeBounds<T>) -> Option<T> {
        self.get(key)?.integer(range)
    }

    /// A number within `range`; an integer will do. NaN never does.
    pub fn float(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        self.get(key)?.float(range)
    }

    /// A duration in Go's syntax, `1h2m3.5s`. A bare number is nanoseconds, with a warning; negative is
    /// an error.
    pub fn duration(&self, key: &'static str) -> Option<Duration> {
        self.get(key)?.duration()
    }

    /// One of a few words. Another one is an error that lists them.
    pub fn choice<T: Clone>(&self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.get(key)?.choice(choices)
    }

    /// [`Table::bool`], or the default.
    pub fn bool_or(&self, key: &'static str, default: bool) -> bool {
        self.default(key, default);
        self.bool(key).unwrap_or(default)
    }

    /// [`Table::integer`], or the default.
    pub fn integer_or<T: Integer>(&self, key: &'static str, range: impl RangeBounds<T>, default: T) -> T {
        if let Ok(default) = TryInto::<i64>::try_into(default) {
            self.default(key, default);
        }
        self.integer(key, range).unwrap_or(default)
    }

    /// [`Table::float`], or the default.
    pub fn float_or(&self, key: &'static str, range: RangeInclusive<f64>, default: f64) -> f64 {
        self.default(key, default);
        self.float(key, range).unwrap_or(default)
    }

    /// [`Table::duration`], or the default.
    pub fn duration_or(&self, key: &'static str, default: Duration) -> Duration {
        self.default(key, default);
        self.duration(key).unwrap_or(default)
    }

    /// [`Table::choice`], or the default, which should be one of the choices.
    pub fn choice_or<T: Clone + PartialEq>(&self, key: &'static str, choices: &[(&str, T)], default: T) -> T {
        if let Some((word, _)) = choices.iter().find(|(_, value)| *value == default) {
            self.default(key, *word);
        }
        self.choice(key, choices).unwrap_or(default)
    }

    /// Says what holds without `key`, for a default that no reading method is given. Only a
    /// [`survey`](crate::survey) listens.
    pub fn default(&self, key: &'static str, default: impl Into<Literal>) {
        self.note(key, |setting| setting.default = Some(default.into()));
    }

    /// A list of strings; one string is split at its commas, as the Collector does.
    pub fn strings(&self, key: &'static str) -> Option<Vec<String>> {
        self.get(key)?.strings()
    }

    /// A mapping of strings, or a list of `{name, value}`, as the Collector's headers.
    pub fn map(&self, key: &'static str) -> Option<Vec<(String, String)>> {
        self.get(key)?.map()
    }

    /// A list, each item to be read by its shape.
    pub fn list(&self, key: &'static str) -> Option<Vec<Cursor<'a>>> {
        self.get(key)?.list()
    }

    /// A nested mapping. Absent is `None`, null is an empty table.
    pub fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    /// A nested mapping in which everything has a default: absent or wrong reads as empty.
    pub fn section(&self, key: &'static str) -> Table<'a> {
        self.note(key, |setting| setting.section = true);
        self.table(key).unwrap_or_else(|| Table::over(self.whole.missing(key), &[]))
    }

    /// A list of mappings; items that are not are errors and left out.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        self.list(key).unwrap_or_default().into_iter().filter_map(|item| item.table()).collect()
    }

    /// All entries, for a mapping with free keys such as `receivers`. None of its keys is unknown after
    /// this.
    pub fn entries(&self) -> Vec<(String, Cursor<'a>)> {
        if let Some(survey) = self.whole.survey() {
            survey.note(self.path(), |setting| setting.open = true);
        }
        self.open.set(true);
        self.entries.iter().map(|e| (e.key.clone(), self.whole.value_of(e))).collect()
    }

    /// Whatever else is here is not looked at, because a mistake has made it unclear which keys there are.
    pub fn give_up(&self) {
        self.open.set(true);
    }

    /// All entries of a mapping from component ids, such as `receivers`. A key that is no id is an error
    /// and left out, and so are two spellings of one id.
    pub fn components(&self) -> Vec<(ComponentId, Cursor<'a>)> {
        let mut components: Vec<(ComponentId, Cursor<'a>)> = Vec::new();
        for (key, cursor) in self.entries() {
            let mistake = match key.parse::<ComponentId>() {
                Ok(id) if components.iter().any(|(earlier, _)| *earlier == id) => {
                    format!("`{id}` is already there")
                }
                Ok(id) => {
                    components.push((id, cursor));
                    continue;
                }
                Err(error) => error.to_string(),
            };
            self.diagnostics().add(Diagnostic::error(cursor.path(), mistake).at(cursor.key_at()));
        }
        components
    }

    /// A list of component ids, such as a pipeline's `receivers`; items that are none are errors and left
    /// out.
    pub fn component_ids(&self, key: &'static str) -> Option<Vec<(ComponentId, Cursor<'a>)>> {
        let items = self.list(key)?;
        Some(items.into_iter().filter_map(|item| Some((item.component_id()?, item))).collect())
    }

    /// A key the Collector knows and that means nothing here: a warning with `note` if it is present.
    pub fn accept(&self, key: &'static str, note: &str) {
        if let Some(survey) = self.whole.survey() {
            survey.idle(&self.child_path(key), note);
        }
        if let Some(cursor) = self.get(key) {
            cursor.warning(format!("has no effect here: {note}"));
        }
    }

    /// A key the Collector knows and that cannot be ignored: an error with `problem` if it is present.
    pub fn refuse(&self, key: &'static str, problem: impl Into<String>) {
        self.note(key, |setting| setting.refused = true);
        if let Some(cursor) = self.get(key).filter(|cursor| !cursor.is_null()) {
            cursor.error(problem);
        }
    }

    /// The same, saying what to do.
    pub fn refuse_with_help(&self, key: &'static str, problem: impl Into<String>, help: impl Into<String>) {
        self.note(key, |setting| setting.refused = true);
        if let Some(cursor) = self.get(key).filter(|cursor| !cursor.is_null()) {
            cursor.error_with_help(problem, help);
        }
    }

    /// Passes `value` on. If `key` is absent or null, that is an error at the table.
    pub fn require<T>(&self, key: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() && self.get(key).is_none_or(|cursor| cursor.is_null()) {
            self.whole.error(format!("`{key}` is required"));
        }
        value
    }

    /// Whether the key is there, be it null. Does not make the key known.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// An error at the key's value if it is there, else at the table.
    pub fn error(&self, key: &str, message: impl Into<String>) {
        self.report(key, Diagnostic::error(self.child_path(key), message));
    }

    /// An error as [`Table::error`], saying what to do.
    pub fn error_with_help(&self, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.report(key, Diagnostic::error(self.child_path(key), message).help(help));
    }

    /// A warning at the key's value if it is there, else at the table.
    pub fn warning(&self, key: &str, message: impl Into<String>) {
        self.report(key, Diagnostic::warning(self.child_path(key), message));
    }

    /// Where the key's value stands if it is there, else the table.
    pub fn place(&self, key: &str) -> Place {
        Place { path: self.child_path(key), ..self.find(key).as_ref().unwrap_or(&self.whole).place() }
    }

    /// The keys that lead here, `exporters::otlp::tls`; empty for the root.
    pub fn path(&self) -> &str {
        self.whole.path()
    }

    /// The path of `key` in this table.
    pub fn child_path(&self, key: &str) -> String {
        self.whole.child_path(key)
    }

    /// Where the table is: its key, if it has one.
    pub fn at(&self) -> Location {
        self.whole.at()
    }

    /// Where everything found while reading goes.
    pub fn diagnostics(&self) -> &'a Diagnostics {
        self.whole.diagnostics()
    }

    /// Tells a survey something about `key`.
    fn note(&self, key: &str, note: impl FnOnce(&mut Setting)) {
        if let Some(survey) = self.whole.survey() {
            survey.note(&self.child_path(key), note);
        }
    }

    fn find(&self, key: &str) -> Option<Cursor<'a>> {
        self.entries.iter().find(|e| e.key == key).map(|e| self.whole.value_of(e))
    }

    fn report(&self, key: &str, diagnostic: Diagnostic) {
        self.find(key).as_ref().unwrap_or(&self.whole).report(diagnostic);
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        if self.open.get() {
            return;
        }
        let mut known = self.known.borrow().clone();
        known.sort_unstable();
        let listed = if known.is_empty() {
            "no key is known here".to_owned()
        } else {
            format!("known: {}", known.join(", "))
        };
        for entry in self.entries.iter().filter(|e| !known.contains(&e.key.as_str())) {
            let help = match did_you_mean(&entry.key, &known) {
                Some(guess) => format!("{guess} {listed}"),
                None => listed.clone(),
            };
            let unknown = Diagnostic::error(self.path(), format!("unknown key `{}`", entry.key)).help(help);
            self.diagnostics().add(unknown.at(entry.key_at).origin(entry.value.origin.clone()));
        }
    }
}

/// Parses a document of its own, YAML or JSON, which a setting names, and runs `read` over it. What is found
/// goes to `diagnostics`, at places in the document, which is called `name`. What does not parse, or is not a
/// mapping, reads as empty.
pub fn read_document<T>(
    diagnostics: &Diagnostics,
    name: &str,
    text: &str,
    read: impl FnOnce(&Table<'_>) -> T,
) -> T {
    let source = diagnostics.add_source(name, text);
    let node = parse::parse(source, text, diagnostics)
        .unwrap_or_else(|| Node::new(Value::Null, Location::start_of(source)));
    let table = Table::root(&node, diagnostics);
    read(&table)
}

/// For tests of components: parses one YAML mapping, runs `read` over it, and returns what it made and
/// what was found.
pub fn read_str<T>(yaml: &str, read: impl FnOnce(&Table<'_>) -> T) -> (T, Diagnostics) {
    let diagnostics = Diagnostics::new();
    let value = read_document(&diagnostics, "yaml", yaml, read);
    (value, diagnostics)
}

#[cfg(test)]
mod tests;
