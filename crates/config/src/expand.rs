//! Putting values in place of `${env:NAME}`, `${NAME}`, `${env:NAME:-default}`, `${file:PATH}` and
//! `${yaml:TEXT}`.
//!
//! As in the Collector, a scalar that is nothing but one reference takes its type from what is put there,
//! even within quotes, and keeps the text for fields that want a string; a reference within other text
//! puts text there. What is put there may hold references again. Unlike there, an escaped `$${…}` does
//! not stop the expansion of what follows it, and the line end that closes a file is no part of the
//! value, so that a token read from a file works as a header.
//!
//! Everything that came out of a reference is placed at the reference, and diagnostics name the variable
//! instead of quoting its value. Only mappings and lists from a file keep their places in that file,
//! which is configuration too.

use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::node::{Entry, Location, Node, Origin, Value};
use crate::parse::{self, HEAVIEST};
use crate::path;
use crate::template::{Piece, has_unclosed, pieces};
use crate::uri::{Environment, Uri, UriError};

/// Levels of mappings, lists and references within one another.
const DEEPEST: usize = 100;

/// Bytes each substitution counts at least, so that many small ones are bounded too.
const OVERHEAD: usize = 1024;

/// Substitutions in one text that diagnostics about it name.
const MOST_NAMED: usize = 4;

/// Expands the references of a tree.
pub(crate) struct Expander<'e> {
    environment: &'e Environment<'e>,
    diagnostics: &'e Diagnostics,
    /// Bytes put in place of references so far, roughly; bounded, since references can multiply.
    spent: usize,
}

/// Where something is being expanded.
#[derive(Clone, Copy)]
struct Place<'p> {
    path: &'p str,
    /// What diagnostics point at.
    at: Location,
    /// Whether the text being expanded stands there as it is, rather than having been put there.
    written: bool,
    depth: usize,
}

/// What a reference stands for.
struct Substitute {
    /// What it came from, for messages.
    origin: String,
    /// What locations in it begin with, if they mean something to the user.
    file: Option<String>,
    text: Text,
}

/// A text that is taken as it is.
struct NotYaml {
    /// Where it ceases to be YAML.
    line: u32,
}

enum Text {
    Unset,
    /// `${env:NAME:-}`: the one way to say "an empty string".
    Empty,
    Some(String),
}

impl<'e> Expander<'e> {
    pub(crate) fn new(environment: &'e Environment<'e>, diagnostics: &'e Diagnostics) -> Self {
        Self { environment, diagnostics, spent: 0 }
    }

    /// The tree with all references expanded. What cannot be is null, and an error.
    pub(crate) fn expand(&mut self, root: Node) -> Node {
        self.node(root, "", 0)
    }

    fn node(&mut self, node: Node, path: &str, depth: usize) -> Node {
        let Node { value, at, origin } = node;
        let place = Place { path, at, written: origin.is_none(), depth };
        if depth > DEEPEST {
            self.too_deep(place);
            return Node { value: Value::Null, at, origin };
        }
        let value = match value {
            Value::String(text) if text.contains('$') => return self.scalar(&text, place, origin),
            Value::List(items) => {
                let items = items.into_iter().enumerate();
                Value::List(
                    items.map(|(index, item)| self.node(item, &path::item(path, index), depth + 1)).collect(),
                )
            }
            Value::Map(entries) => {
                let expand = |entry: Entry| {
                    let value = self.node(entry.value, &path::child(path, &entry.key), depth + 1);
                    Entry { value, ..entry }
                };
                Value::Map(entries.into_iter().map(expand).collect())
            }
            scalar => scalar,
        };
        Node { value, at, origin }
    }

    /// A scalar: one reference and nothing else, or text with references in it.
    fn scalar(&mut self, text: &str, place: Place<'_>, origin: Option<Arc<Origin>>) -> Node {
        match pieces(text).as_slice() {
            [Piece::Reference(reference)] => {
                let narrowed = self.narrowed(place, reference);
                match self.substitute(reference, place) {
                    Some(substitute) => self.typed(substitute, narrowed),
                    None => Node { value: Value::Null, at: narrowed.at, origin },
                }
            }
            pieces => {
                if has_unclosed(text) {
                    let warning =
                        Diagnostic::warning(place.path, "a `${` is never closed and is taken as text");
                    self.diagnostics.add(warning.at(place.at).help("if that is meant, write `$${`"));
                }
                let (text, names) = self.join(pieces, place);
                let origin = match names.as_slice() {
                    [] => origin,
                    names => Some(Arc::new(Origin { name: names.join(" and "), text: None })),
                };
                Node { value: Value::String(text), at: place.at, origin }
            }
        }
    }

    /// The text of all pieces, and what was put in place of references.
    fn join(&mut self, pieces: &[Piece<'_>], place: Place<'_>) -> (String, Vec<String>) {
        let mut joined = String::new();
        let mut names = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Literal(text) => joined.push_str(text),
                Piece::Reference(reference) => {
                    if let Some(substitute) = self.substitute(reference, place) {
                        if let Text::Some(text) = substitute.text
                            && let Some(text) = self.text(&text, Place { written: false, ..place })
                        {
                            joined.push_str(&text);
                        }
                        if names.len() < MOST_NAMED && !names.contains(&substitute.origin) {
                            names.push(substitute.origin);
                        }
                    }
                }
            }
        }
        (joined, names)
    }

    /// A text with its references expanded, as text; `None` if they nest too deep.
    fn text(&mut self, text: &str, place: Place<'_>) -> Option<String> {
        let place = Place { depth: place.depth + 1, ..place };
        if !text.contains('$') {
            return Some(text.to_owned());
        }
        if place.depth > DEEPEST {
            self.too_deep(place);
            return None;
        }
        Some(self.join(&pieces(text), place).0)
    }

    /// A substitute in its own right: YAML if it is some, else the text as it is.
    fn typed(&mut self, substitute: Substitute, place: Place<'_>) -> Node {
        let Substitute { origin: name, file, text } = substitute;
        let origin = |text| Some(Arc::new(Origin { name: name.clone(), text }));
        let here = |value, origin| Node { value, at: place.at, origin };
        let node = match text {
            Text::Unset => here(Value::Null, origin(None)),
            Text::Empty => here(Value::String(String::new()), origin(None)),
            Text::Some(text) => match self.parsed(file.as_deref(), &text, place) {
                Ok(node) if file.is_some() && matches!(node.value, Value::List(_) | Value::Map(_)) => node,
                Ok(Node { value: Value::String(_), .. }) => here(Value::String(text), origin(None)),
                Ok(node) => {
                    let node = placed(node, place.at, origin(None).as_ref());
                    // With references in it, the text is not what a string field would mean.
                    let text = if text.contains('$') { None } else { Some(text) };
                    Node { origin: origin(text), ..node }
                }
                Err(NotYaml { line }) => {
                    let name = format!("{name}, which is text and not YAML (see its line {line})");
                    here(Value::String(text), Some(Arc::new(Origin { name, text: None })))
                }
            },
        };
        self.node(node, place.path, place.depth + 1)
    }

    /// The text as YAML, if it is well-formed; the Collector takes it for a string otherwise.
    fn parsed(&mut self, file: Option<&str>, text: &str, place: Place<'_>) -> Result<Node, NotYaml> {
        let source = file.map_or(place.at.source, |file| self.diagnostics.add_source(file, text));
        let trial = Diagnostics::new();
        let node = parse::parse(source, text, &trial);
        if trial.has_errors() {
            return Err(NotYaml {
                line: trial.sorted().iter().find_map(|found| found.at).map_or(1, |at| at.line),
            });
        }
        let node = node.ok_or(NotYaml { line: 1 })?;
        self.spent = self.spent.saturating_add(parse::full_weight(&node));
        Ok(node)
    }

    /// Looks up what stands between `${` and `}`, recording why that fails.
    fn substitute(&mut self, reference: &str, place: Place<'_>) -> Option<Substitute> {
        let inner = pieces(reference);
        if inner.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains('$'))) {
            let message = format!("`$` cannot stand within `${{{reference}}}`");
            self.error(self.narrowed(place, reference), message, None);
            return None;
        }
        let expanded = self.text(reference, Place { written: false, ..place })?;
        let substitute = match self.look_up(&expanded) {
            Ok(substitute) => substitute,
            Err(error) => {
                let literally =
                    format!("if the text itself is meant, double the dollar: `$${{{reference}}}`");
                let help = error.help(reference).or(Some(literally));
                self.error(self.narrowed(place, reference), error.to_string(), help);
                return None;
            }
        };
        let length = match &substitute.text {
            Text::Some(text) => text.len(),
            Text::Empty => 0,
            Text::Unset => {
                let warning = Diagnostic::warning(place.path, format!("{} is not set", substitute.origin));
                let help = format!(
                    "set it, or give a default: `${{env:{}:-…}}`",
                    expanded.trim_start_matches("env:")
                );
                self.diagnostics.add(warning.at(self.narrowed(place, reference).at).help(help));
                0
            }
        };
        self.spent = self.spent.saturating_add(OVERHEAD + length);
        if self.spent > HEAVIEST {
            let message = format!("what is put in place of `${{…}}` takes more than {} MiB", HEAVIEST >> 20);
            self.error(place, message, None);
            return None;
        }
        Some(substitute)
    }

    fn look_up(&self, reference: &str) -> Result<Substitute, UriError> {
        let uri = Uri::reference(reference)?;
        let text = match (uri, uri.retrieve(self.environment)?) {
            (_, None) => Text::Unset,
            (Uri::Env { default: Some(""), .. }, Some(text)) if text.is_empty() => Text::Empty,
            (Uri::File(_), Some(text)) => Text::Some(without_line_end(&text).to_owned()),
            (_, Some(text)) => Text::Some(text),
        };
        let file = matches!(uri, Uri::File(_)).then(|| uri.source_name());
        Ok(Substitute { origin: uri.describe(), file, text })
    }

    /// The place of `${reference}` in the text being expanded.
    fn narrowed<'p>(&self, place: Place<'p>, reference: &str) -> Place<'p> {
        let found = if place.written {
            self.diagnostics.locate(place.at, &format!("${{{reference}}}"))
        } else {
            None
        };
        Place { at: found.unwrap_or(place.at), ..place }
    }

    fn error(&self, place: Place<'_>, message: String, help: Option<String>) {
        let mut diagnostic = Diagnostic::error(place.path, message).at(place.at);
        diagnostic.help = help;
        self.diagnostics.add(diagnostic);
    }

    fn too_deep(&self, place: Place<'_>) {
        let message = format!("values and references are nested more than {DEEPEST} deep");
        self.error(place, message, Some("does a variable or file refer to itself?".to_owned()));
    }
}

/// The tree as if everything in it stood at `at`.
fn placed(node: Node, at: Location, origin: Option<&Arc<Origin>>) -> Node {
    let value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(|item| placed(item, at, origin)).collect()),
        Value::Map(entries) => {
            let entry = |entry: Entry| Entry { key_at: at, value: placed(entry.value, at, origin), ..entry };
            Value::Map(entries.into_iter().map(entry).collect())
        }
        scalar => scalar,
    };
    Node { value, at, origin: origin.cloned() }
}

/// The text up to the line end that closes a file.
fn without_line_end(text: &str) -> &str {
    text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(text)
}

#[cfg(test)]
mod tests;
