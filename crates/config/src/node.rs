//! The tree a configuration is read from: YAML values that know where they were written.

use std::sync::Arc;

/// Names one of the texts a configuration was put together from; see
/// [`Diagnostics::add_source`](crate::Diagnostics::add_source).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub(crate) u32);

/// A place in a source, by characters and from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Which source.
    pub source: SourceId,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters to underline on that line, at least 1.
    pub width: u32,
}

/// A value, the place it was written, and the substitution it came out of.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it is; for a substituted value, the place of the `${…}`.
    pub at: Location,
    /// Set on everything that came out of a `${…}`.
    pub origin: Option<Arc<Origin>>,
}

/// Where a substituted value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What was substituted, for messages: ``environment variable `TOKEN` ``.
    pub name: String,
    /// The text before it was taken for YAML, if it became something else than a string: a string field
    /// given `0042` gets this, not 34. It may be a secret, so diagnostics do not quote it.
    pub text: Option<String>,
}

/// A YAML value of the core schema, as the Collector reads it.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`; `yes` and `on` are strings.
    Bool(bool),
    /// Decimal, `0x`, `0o`, `0b`, or octal by a leading zero.
    Int(i64),
    /// A number with a fraction or an exponent, `.inf`, `.nan`.
    Float(f64),
    /// Everything else, and everything in quotes.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order written; keys are unique.
    Map(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key is.
    pub key_at: Location,
    /// What it maps to.
    pub value: Node,
}

impl Location {
    /// The first character of `source`.
    #[must_use]
    pub fn start_of(source: SourceId) -> Self {
        Self { source, line: 1, column: 1, width: 1 }
    }
}

impl Node {
    /// A value written at `at`.
    #[must_use]
    pub fn new(value: Value, at: Location) -> Self {
        Self { value, at, origin: None }
    }

    /// The value of `key`, if this is a mapping that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }
}
