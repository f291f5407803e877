//! Putting values in place of `${env:NAME}`, `${NAME}`, `${env:NAME:-default}`, `${file:PATH}` and `${yaml:TEXT}`.
//!
//! As in the Collector, a scalar that is nothing but one reference takes its type from what is put there, even within
//! quotes, and keeps the text for fields that want a string; a reference within other text puts text there. What is put
//! there may hold references again. Unlike there, an escaped `$${…}` does not stop the expansion of what follows it, and
//! the line end that closes a file is no part of the value, so that a token read from a file works as a header.
//!
//! Everything that came out of a reference is placed at the reference, and diagnostics name the variable instead of
//! quoting its value. Only mappings and lists from a file keep their places in that file, which is configuration too.

use std::sync::Arc;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::node::{Entry, Location, Node, Origin, Value};
use crate::parse::{self, HEAVIEST};
use crate::path;
use crate::template::{Piece, has_unclosed, pieces};
use crate::uri::Uri;

/// Levels of mappings, lists and references within one another.
const DEEPEST: usize = 100;

/// Bytes each substitution counts at least, so that many small ones are bounded too.
const OVERHEAD: usize = 64;

/// Expands the references of a tree.
pub(crate) struct Expander<'e> {
    environment: &'e dyn Fn(&str) -> Option<String>,
    diagnostics: &'e Diagnostics,
    /// Bytes put in place of references so far, roughly; bounded, since references can multiply.
    spent: usize,
}

/// Substitutions in one text that diagnostics about it name.
const MOST_NAMED: usize = 4;

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

enum Text {
    Unset,
    /// `${env:NAME:-}`: the one way to say "an empty string".
    Empty,
    Some(String),
}

impl<'e> Expander<'e> {
    pub(crate) fn new(environment: &'e dyn Fn(&str) -> Option<String>, diagnostics: &'e Diagnostics) -> Self {
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
                Value::List(items.map(|(index, item)| self.node(item, &path::item(path, index), depth + 1)).collect())
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
                let at = self.place_of(reference, place);
                match self.substitute(reference, place) {
                    Some(substitute) => self.typed(substitute, Place { at, written: false, ..place }),
                    None => Node { value: Value::Null, at, origin },
                }
            }
            pieces => {
                if has_unclosed(text) {
                    let warning = Diagnostic::warning(place.path, "a `${` is never closed and is taken as text");
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
        let Substitute { origin, file, text } = substitute;
        let origin = |text| Some(Arc::new(Origin { name: origin.clone(), text }));
        let here = |value| Node { value, at: place.at, origin: origin(None) };
        let node = match text {
            Text::Unset => here(Value::Null),
            Text::Empty => here(Value::String(String::new())),
            Text::Some(text) => match self.parsed(file.as_deref(), &text, place) {
                Some(node) if file.is_some() && matches!(node.value, Value::List(_) | Value::Map(_)) => node,
                Some(node) if !matches!(node.value, Value::String(_)) => {
                    let node = placed(node, place.at, origin(None).as_ref());
                    // With references in it, the text is not what a string field would mean.
                    let text = if text.contains('$') { None } else { Some(text) };
                    Node { origin: origin(text), ..node }
                }
                _ => here(Value::String(text)),
            },
        };
        self.node(node, place.path, place.depth + 1)
    }

    /// The text as YAML, if it is well-formed; the Collector takes it for a string otherwise.
    fn parsed(&mut self, file: Option<&str>, text: &str, place: Place<'_>) -> Option<Node> {
        let source = file.map_or(place.at.source, |file| self.diagnostics.add_source(file, text));
        let trial = Diagnostics::new();
        let node = parse::parse(source, text, &trial).filter(|_| !trial.has_errors())?;
        self.spent = self.spent.saturating_add(parse::full_weight(&node));
        Some(node)
    }

    /// Looks up what stands between `${` and `}`.
    fn substitute(&mut self, reference: &str, place: Place<'_>) -> Option<Substitute> {
        let inner = pieces(reference);
        if inner.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains('$'))) {
            let at = self.place_of(reference, place);
            self.error(Place { at, ..place }, format!("`$` cannot stand within `${{{reference}}}`"), None);
            return None;
        }
        let expanded = self.text(reference, Place { written: false, ..place })?;
        let found = Uri::reference(&expanded).and_then(|uri| Ok((uri, uri.retrieve(self.environment)?)));
        let (uri, text) = match found {
            Ok(found) => found,
            Err(error) => {
                let literally = format!("if the text itself is meant, double the dollar: `$${{{reference}}}`");
                let at = self.place_of(reference, place);
                self.error(Place { at, ..place }, error.to_string(), error.help(reference).or(Some(literally)));
                return None;
            }
        };
        let text = match (uri, text) {
            (Uri::Env { default: Some(""), .. }, Some(text)) if text.is_empty() => Text::Empty,
            (Uri::File(_), Some(text)) => Text::Some(without_line_end(&text).to_owned()),
            (_, Some(text)) => Text::Some(text),
            (_, None) => {
                let warning = Diagnostic::warning(place.path, format!("{} is not set", uri.describe()))
                    .help(format!("set it, or give a default: `${{env:{}:-…}}`", expanded.trim_start_matches("env:")));
                self.diagnostics.add(warning.at(self.place_of(reference, place)));
                Text::Unset
            }
        };
        self.spent = self.spent.saturating_add(OVERHEAD + if let Text::Some(text) = &text { text.len() } else { 0 });
        if self.spent > HEAVIEST {
            self.error(place, format!("what is put in place of `${{…}}` takes more than {} MiB", HEAVIEST >> 20), None);
            return None;
        }
        let file = matches!(uri, Uri::File(_)).then(|| uri.source_name());
        Some(Substitute { origin: uri.describe(), file, text })
    }

    /// Where `${reference}` stands in the text being expanded.
    fn place_of(&self, reference: &str, place: Place<'_>) -> Location {
        let found = if place.written { self.diagnostics.locate(place.at, &format!("${{{reference}}}")) } else { None };
        found.unwrap_or(place.at)
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
