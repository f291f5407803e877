//! A file of Refinery's, in YAML or TOML, read as every configuration is.

use std::path::Path;

use forebay_config::{Diagnostics, Entry, Location, Node, SourceId, Table, Value, read_document};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML, and so JSON.
    Yaml,
    /// TOML.
    Toml,
}

/// A document and what it is called.
#[derive(Clone, Debug)]
pub struct Document {
    /// What places in it begin with.
    pub name: String,
    /// What it says.
    pub text: String,
    /// How it is written.
    pub format: Format,
}

/// Where in a TOML text things stand.
struct Places<'a> {
    source: SourceId,
    text: &'a str,
}

impl Document {
    /// The document in a file of this name, whose ending tells its format.
    #[must_use]
    pub fn in_file(name: &str, text: String) -> Self {
        let is_toml = Path::new(name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
        let format = if is_toml { Format::Toml } else { Format::Yaml };
        Self { name: name.to_owned(), text, format }
    }

    /// Runs `read` over the document; `None` if it does not parse, which goes to `notes`.
    pub(crate) fn read<T>(&self, notes: &Diagnostics, read: impl FnOnce(&Table<'_>) -> T) -> Option<T> {
        if self.format == Format::Yaml {
            return Some(read_document(notes, &self.name, &self.text, read));
        }
        let places = Places { source: notes.add_source(&self.name, &self.text), text: &self.text };
        match DeTable::parse(&self.text) {
            Ok(table) => {
                let (at, table) = (table.span().start, table.into_inner());
                let root = Node::new(places.map(table), places.location(at));
                Some(read(&Table::root(&root, notes)))
            }
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                notes.error(places.location(at), "", format!("is no TOML: {}", error.message()));
                None
            }
        }
    }
}

impl Places<'_> {
    fn location(&self, at: usize) -> Location {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Location {
            line: number(before.matches('\n').count()),
            column: number(before[line_start..].chars().count()),
            ..Location::start_of(self.source)
        }
    }

    fn map(&self, table: DeTable<'_>) -> Value {
        let entry = |(key, value): (Spanned<_>, Spanned<_>)| Entry {
            key_at: self.location(key.span().start),
            key: std::borrow::Cow::<str>::into_owned(key.into_inner()),
            value: self.node(value),
        };
        Value::Map(table.into_iter().map(entry).collect())
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let at = self.location(value.span().start);
        let value = match value.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::Int),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::Float),
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => self.map(table),
        };
        Node::new(value, at)
    }
}
