//! Mistakes and doubts, collected so that one run reports all of them.

use std::cell::{Ref, RefCell};
use std::fmt;
use std::sync::Arc;

use crate::node::{Location, Origin, SourceId};
use crate::survey::Survey;

/// Everything found wrong or doubtful in a configuration, and the sources it was found in.
///
/// Shared by reference while a configuration is read: every reader adds to it, nobody stops at the first
/// mistake.
#[derive(Debug, Default)]
pub struct Diagnostics {
    sources: RefCell<Vec<Source>>,
    found: RefCell<Vec<Diagnostic>>,
    /// Set while readers are asked what they know rather than to read.
    survey: Option<Survey>,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it stops the configuration from being used.
    pub severity: Severity,
    /// Where; `None` if no text is to blame, for instance a file that does not exist.
    pub at: Option<Location>,
    /// The keys that lead there, `processors::tail_sampling::policies[0]::type`; may be empty.
    pub path: String,
    /// What is wrong, in lower case.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The substitution the value came out of.
    pub origin: Option<Arc<Origin>>,
}

/// Where a setting stands, for what can be said of it only when others have been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub(crate) path: String,
    pub(crate) at: Option<Location>,
    pub(crate) origin: Option<Arc<Origin>>,
}

/// How bad a [`Diagnostic`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably does not mean what it says.
    Warning,
}

/// A text with its name.
#[derive(Debug)]
pub(crate) struct Source {
    /// A path, `env:NAME`, `--set a.b=c`, …
    pub(crate) name: String,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl Diagnostic {
    /// An error about what `path` leads to.
    #[must_use]
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, path.into(), message.into())
    }

    /// A warning about what `path` leads to.
    #[must_use]
    pub fn warning(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, path.into(), message.into())
    }

    fn new(severity: Severity, path: String, message: String) -> Self {
        Self { severity, at: None, path, message, help: None, origin: None }
    }

    /// `path: message`.
    pub(crate) fn headline(&self) -> String {
        if self.path.is_empty() { self.message.clone() } else { format!("{}: {}", self.path, self.message) }
    }

    /// Where it was found.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { path: self.path.clone(), at: self.at, origin: self.origin.clone() }
    }

    /// The same, pointing at `location`.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.at = Some(location);
        self
    }

    /// The same, saying what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same, about a value that came out of a substitution.
    #[must_use]
    pub fn origin(mut self, origin: Option<Arc<Origin>>) -> Self {
        self.origin = origin;
        self
    }
}

impl Place {
    /// The keys that lead there.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// An error about what stands there.
    #[must_use]
    pub fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic { at: self.at, ..Diagnostic::error(&self.path, message) }.origin(self.origin.clone())
    }
}

impl fmt::Display for Diagnostic {
    /// The headline, `error: path: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity.word(), self.headline())
    }
}

impl Severity {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Diagnostics {
    /// Nothing found yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn surveying(survey: Survey) -> Self {
        Self { survey: Some(survey), ..Self::default() }
    }

    pub(crate) fn survey(&self) -> Option<&Survey> {
        self.survey.as_ref()
    }

    pub(crate) fn into_survey(self) -> Option<Survey> {
        self.survey
    }

    /// Registers a text, so that locations in it can be shown. `name` is what a location begins with: a
    /// path, `env:NAME`, `--set a.b=c`.
    pub fn add_source(&self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let mut sources = self.sources.borrow_mut();
        let id = SourceId(u32::try_from(sources.len()).unwrap_or(u32::MAX));
        sources.push(Source::new(name.into(), text.into()));
        id
    }

    /// Adds a finding; the same one twice is reported once.
    pub fn add(&self, diagnostic: Diagnostic) {
        self.found.borrow_mut().push(diagnostic);
    }

    /// Adds an error at a place.
    pub fn error(&self, at: Location, path: impl Into<String>, message: impl Into<String>) {
        self.add(Diagnostic::error(path, message).at(at));
    }

    /// Adds a warning at a place.
    pub fn warning(&self, at: Location, path: impl Into<String>, message: impl Into<String>) {
        self.add(Diagnostic::warning(path, message).at(at));
    }

    /// Whether any finding is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.found.borrow().iter().any(|d| d.severity == Severity::Error)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// All findings, each once, by source and position; those without a place come first.
    #[must_use]
    pub fn sorted(&self) -> Vec<Diagnostic> {
        let mut found = self.found.borrow().clone();
        found.sort_by(|a, b| (a.at, &a.path, &a.message).cmp(&(b.at, &b.path, &b.message)));
        found.dedup();
        found
    }

    /// A place as `source:line:column`; `None` if no text has it.
    #[must_use]
    pub fn position(&self, place: &Place) -> Option<String> {
        let at = place.at?;
        let sources = self.sources();
        let source = sources.get(usize::try_from(at.source.0).ok()?)?;
        Some(format!("{}:{}:{}", source.name, at.line, at.column))
    }

    pub(crate) fn sources(&self) -> Ref<'_, Vec<Source>> {
        self.sources.borrow()
    }

    /// Where `needle` stands on the line of `at`, from its column on.
    pub(crate) fn locate(&self, at: Location, needle: &str) -> Option<Location> {
        let sources = self.sources();
        let line = sources.get(usize::try_from(at.source.0).ok()?)?.line(at.line)?;
        let skipped = at.column.saturating_sub(1);
        let (start, _) = line.char_indices().nth(usize::try_from(skipped).ok()?)?;
        let before = line[start..].find(needle)?;
        let count = |text: &str| u32::try_from(text.chars().count()).ok();
        Some(Location {
            column: at.column + count(&line[start..start + before])?,
            width: count(needle)?,
            ..at
        })
    }

    /// The text a location covers.
    pub(crate) fn snippet(&self, at: Location) -> Option<String> {
        let sources = self.sources();
        let line = sources.get(usize::try_from(at.source.0).ok()?)?.line(at.line)?;
        let skip = usize::try_from(at.column.saturating_sub(1)).ok()?;
        let take = usize::try_from(at.width).ok()?;
        Some(line.chars().skip(skip).take(take).collect())
    }
}

impl Source {
    fn new(name: String, text: String) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
        Self { name, text, lines }
    }

    /// A line by its number from 1, without its end.
    pub(crate) fn line(&self, number: u32) -> Option<&str> {
        let start = *self.lines.get(usize::try_from(number).ok()?.checked_sub(1)?)?;
        self.text[start..].lines().next()
    }
}
