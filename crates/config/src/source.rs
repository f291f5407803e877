//! Putting one configuration together from `--config` and `--set`.

use std::collections::HashMap;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::expand::Expander;
use crate::node::{Entry, Location, Node, SourceId, Value};
use crate::parse;
use crate::uri::{Environment, Uri};

/// Collects where a configuration comes from, then reads it.
///
/// Sources are merged in the order given, all `--set` after all `--config` as in the Collector: mappings
/// deeply, while anything else, null included, replaces what was there. References `${…}` are expanded in
/// the result. Every value keeps the place it was written.
///
/// ```
/// use forebay_config::Loader;
///
/// let (node, diagnostics) = Loader::new(|_| None)
///     .config("yaml:processors: {batch: {timeout: 1s}}")
///     .set("processors.batch.timeout=2s")
///     .load();
/// assert!(diagnostics.is_empty());
/// assert!(node.is_some());
/// ```
pub struct Loader<'e> {
    environment: Box<Environment<'e>>,
    configs: Vec<String>,
    assignments: Vec<String>,
}

impl<'e> Loader<'e> {
    /// Nothing to load yet; `environment` looks up the variables.
    #[must_use]
    pub fn new(environment: impl Fn(&str) -> Option<String> + 'e) -> Self {
        Self { environment: Box::new(environment), configs: Vec::new(), assignments: Vec::new() }
    }

    /// Adds a `--config`: a path, `file:PATH`, `env:NAME` (whose content is YAML), or `yaml:TEXT`.
    #[must_use]
    pub fn config(mut self, uri: impl Into<String>) -> Self {
        self.configs.push(uri.into());
        self
    }

    /// Adds a `--set`: `processors.batch.timeout=2s`, where dots separate keys and the value is YAML.
    #[must_use]
    pub fn set(mut self, assignment: impl Into<String>) -> Self {
        self.assignments.push(assignment.into());
        self
    }

    /// The configuration, a mapping, and what was found wrong in it.
    ///
    /// There is none if a source could not be read or is not YAML: then nothing can be said about the
    /// keys it lacks.
    #[must_use]
    pub fn load(self) -> (Option<Node>, Diagnostics) {
        let diagnostics = Diagnostics::new();
        let mut merged = None;
        let mut complete = true;
        let configs = self.configs.iter().map(|uri| read_config(uri, &*self.environment, &diagnostics));
        let assignments = self.assignments.iter().map(|assignment| read_assignment(assignment, &diagnostics));
        for node in configs.chain(assignments) {
            match (node, &mut merged) {
                (None, _) => complete = false,
                (Some(node), None) => merged = Some(node),
                (Some(node), Some(merged)) => merge(merged, node),
            }
        }
        if merged.is_none() && complete {
            diagnostics
                .add(Diagnostic::error("", "no configuration is given").help("name a file: --config FILE"));
        }
        let expanded = merged
            .filter(|_| complete)
            .map(|node| Expander::new(&*self.environment, &diagnostics).expand(node));
        (expanded, diagnostics)
    }
}

fn read_config(text: &str, environment: &Environment<'_>, diagnostics: &Diagnostics) -> Option<Node> {
    let retrieved = Uri::config(text).and_then(|uri| Ok((uri, uri.retrieve(environment)?)));
    let (uri, content) = match retrieved {
        Ok((uri, Some(content))) => (uri, content),
        Ok((uri, None)) => {
            let message = format!("{} is not set", uri.describe());
            diagnostics
                .add(Diagnostic::error("", message).help(format!("`--config {text}` reads YAML from it")));
            return None;
        }
        Err(error) => {
            let mut diagnostic = Diagnostic::error("", error.to_string());
            diagnostic.help = error.help(text);
            diagnostics.add(diagnostic);
            return None;
        }
    };
    let source = diagnostics.add_source(uri.source_name(), content.as_str());
    let Node { value, at, .. } = parse::parse(source, &content, diagnostics)?;
    match value {
        Value::Map(entries) => Some(nested(entries, at)),
        Value::Null => Some(Node::new(Value::Map(Vec::new()), at)),
        _ => {
            let help = "a configuration begins with keys such as `receivers:` and `service:`";
            diagnostics.add(Diagnostic::error("", "expected a mapping").at(at).help(help));
            None
        }
    }
}

/// Spells out the keys of a document: `processors::batch: x` means `processors: {batch: x}`.
fn nested(entries: Vec<Entry>, at: Location) -> Node {
    let (joined, plain): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.key.contains("::"));
    let mut root = Node::new(Value::Map(plain), at);
    for Entry { key, key_at, value } in joined {
        let keys = key.split("::").map(|key| (key.to_owned(), key_at)).collect();
        merge(&mut root, wrapped(keys, value));
    }
    root
}

/// `a.b=c` as `{a: {b: c}}`.
fn read_assignment(assignment: &str, diagnostics: &Diagnostics) -> Option<Node> {
    let source = diagnostics.add_source("--set", assignment);
    let whole = Location { width: characters(assignment), ..Location::start_of(source) };
    let Some((dotted, value)) = assignment.split_once('=') else {
        let diagnostic = Diagnostic::error("", "expected KEY=VALUE").at(whole);
        diagnostics.add(diagnostic.help("for instance processors.batch.timeout=2s"));
        return None;
    };
    let keys = keys(dotted, source);
    if keys.iter().any(|(key, _)| key.is_empty()) {
        diagnostics.add(Diagnostic::error("", "a key is empty").at(whole).help("dots separate keys: a.b=c"));
        return None;
    }
    // With blanks before it, the value has the columns it has in the assignment.
    let padded = format!("{:width$}{value}", "", width = dotted.chars().count() + 1);
    Some(wrapped(keys, parse::parse(source, &padded, diagnostics)?))
}

/// The keys of `a.b`, without blanks around them, each with its place.
fn keys(dotted: &str, source: SourceId) -> Vec<(String, Location)> {
    let mut column = 1;
    let place = |part: &str| {
        let key = part.trim();
        let indent = characters(&part[..part.len() - part.trim_start().len()]);
        let at = Location { source, line: 1, column: column + indent, width: characters(key).max(1) };
        column += characters(part) + 1;
        (key.to_owned(), at)
    };
    dotted.split('.').map(place).collect()
}

/// A value below the keys that lead to it.
fn wrapped(keys: Vec<(String, Location)>, value: Node) -> Node {
    keys.into_iter()
        .rev()
        .fold(value, |value, (key, key_at)| Node::new(Value::Map(vec![Entry { key, key_at, value }]), key_at))
}

/// Lays `over` on top of `base`: mappings are merged, anything else replaces what was there.
fn merge(base: &mut Node, over: Node) {
    match (&mut base.value, over) {
        (Value::Map(entries), Node { value: Value::Map(added), .. }) => {
            let places: HashMap<String, usize> =
                entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
            for entry in added {
                match places.get(&entry.key).and_then(|index| entries.get_mut(*index)) {
                    None => entries.push(entry),
                    Some(Entry { value, .. })
                        if matches!((&value.value, &entry.value.value), (Value::Map(_), Value::Map(_))) =>
                    {
                        merge(value, entry.value);
                    }
                    Some(replaced) => *replaced = entry,
                }
            }
        }
        (_, over) => *base = over,
    }
}

fn characters(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
