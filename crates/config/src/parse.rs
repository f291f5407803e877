//! YAML text to [`Node`]: the events of `saphyr-parser` built into a tree with positions.
//!
//! Read as the Collector reads it: the first document only, core schema ([`scalar`]), unique keys,
//! anchors and `<<`. Everything hostile is bounded: depth, and the memory of the tree with its aliases
//! written out.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::node::{Entry, Location, Node, SourceId, Value};
use crate::{path, scalar};

/// Lists and mappings within one another. Real configurations stay below 20.
const DEEPEST: usize = 100;

/// Characters in a key; YAML itself allows 1024 in one that is not introduced by `?`.
const LONGEST_KEY: usize = 1000;

/// Bytes a tree may take with its aliases written out, roughly.
pub(crate) const HEAVIEST: usize = 64 << 20;

/// Reads the first document of `text`, which was registered as `source`. Nothing at all is null.
///
/// Returns `None` if the text cannot be read as a tree; why has been added to `diagnostics`, which also
/// gets duplicate keys (as errors) and further documents (as a warning).
pub(crate) fn parse(source: SourceId, text: &str, diagnostics: &Diagnostics) -> Option<Node> {
    let mut builder =
        Builder { source, diagnostics, open: Vec::new(), root: None, anchors: HashMap::new(), weight: 0 };
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let result = match event {
            Ok((Event::DocumentStart(_), span)) => {
                documents += 1;
                if documents > 1 {
                    let warning = Diagnostic::warning("", "only the first YAML document is read")
                        .help("remove the `---`, or give each document to a `--config` of its own");
                    diagnostics.add(warning.at(builder.location(span)));
                    break;
                }
                Ok(())
            }
            Ok((event, span)) => builder.take(event, span),
            Err(error) => Err(builder.syntax_error(&error, text)),
        };
        if let Err(mut diagnostic) = result {
            diagnostic.path = builder.path();
            diagnostics.add(diagnostic);
            return None;
        }
    }
    Some(builder.root.unwrap_or_else(|| Node::new(Value::Null, Location::start_of(source))))
}

/// The tree as far as it has been read.
struct Builder<'d> {
    source: SourceId,
    diagnostics: &'d Diagnostics,
    /// The lists and mappings that are not closed, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    /// Anchored nodes and their weight, by the parser's number for the anchor.
    anchors: HashMap<usize, (Node, usize)>,
    /// Bytes the tree takes so far, roughly.
    weight: usize,
}

/// A list or mapping that is not closed.
struct Open {
    at: Location,
    anchor: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        places: HashMap<String, Location>,
        /// The key whose value comes next.
        key: Option<(Key, Location)>,
        /// Values of `<<`.
        merged: Vec<Node>,
    },
}

enum Key {
    Word(String),
    /// `<<`: takes over the entries of another mapping.
    Merge,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Diagnostic> {
        let at = self.location(span);
        match event {
            Event::Scalar(text, style, anchor, tag) if !self.expects_key() => {
                // Nothing after a key: point at the key.
                let at = if span.is_empty() { self.pending_key().unwrap_or(at) } else { at };
                let value = typed(&text, style, tag.as_deref())
                    .map_err(|message| Diagnostic::error("", message).at(at))?;
                self.attach(Node::new(value, at), anchor)
            }
            Event::Scalar(text, style, ..) => self.begin_entry(text.into_owned(), style, at),
            Event::SequenceStart(anchor, tag) => {
                self.open(at, anchor, tag.as_deref(), Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let content = Content::Map {
                    entries: Vec::new(),
                    places: HashMap::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.open(at, anchor, tag.as_deref(), content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(_) if self.expects_key() => {
                Err(Diagnostic::error("", "an alias cannot be a key").at(at))
            }
            Event::Alias(anchor) => {
                let Some((node, weight)) = self.anchors.get(&anchor) else {
                    return Err(Diagnostic::error("", "the alias stands inside of what it refers to").at(at));
                };
                let node = Node { at, ..bounded(self.weight, *weight, at).map(|()| node.clone())? };
                self.weight += weight;
                self.attach(node, 0)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(
        &mut self,
        at: Location,
        anchor: usize,
        tag: Option<&Tag>,
        content: Content,
    ) -> Result<(), Diagnostic> {
        if self.expects_key() {
            return Err(Diagnostic::error("", "a key must be a word, not a list or mapping")
                .at(at)
                .help("text that begins with { or [ needs quotes"));
        }
        if self.open.len() == DEEPEST {
            return Err(Diagnostic::error("", format!("nested more than {DEEPEST} deep")).at(at));
        }
        let own_tag = match content {
            Content::List(_) => "seq",
            Content::Map { .. } => "map",
        };
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own_tag)) {
            return Err(Diagnostic::error("", unsupported(tag)).at(at));
        }
        self.open.push(Open { at, anchor, content });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Diagnostic> {
        let Some(Open { at, anchor, content }) = self.open.pop() else { return Ok(()) };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map { mut entries, mut places, merged, .. } => {
                for entry in merged.into_iter().flat_map(merged_entries) {
                    if !places.contains_key(&entry.key) {
                        places.insert(entry.key.clone(), entry.key_at);
                        entries.push(entry);
                    }
                }
                Value::Map(entries)
            }
        };
        self.attach(Node::new(value, at), anchor)
    }

    /// Takes the key of the innermost mapping's next entry.
    fn begin_entry(&mut self, text: String, style: ScalarStyle, at: Location) -> Result<(), Diagnostic> {
        if text.is_empty() {
            return Err(Diagnostic::error("", "a key is missing before the `:`").at(at));
        }
        if text.chars().nth(LONGEST_KEY).is_some() {
            return Err(Diagnostic::error("", format!("a key longer than {LONGEST_KEY} characters")).at(at));
        }
        let path = self.path();
        let Some(Open { content: Content::Map { key, places, .. }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        if let Some(first) = places.insert(text.clone(), at) {
            let message =
                format!("the key `{text}` is already on line {}, column {}", first.line, first.column);
            let help = "remove one of them, or merge what they hold";
            self.diagnostics.add(Diagnostic::error(path, message).at(at).help(help));
        }
        let merge = style == ScalarStyle::Plain && text == "<<";
        *key = Some((if merge { Key::Merge } else { Key::Word(text) }, at));
        Ok(())
    }

    /// Puts a finished node into what encloses it.
    fn attach(&mut self, node: Node, anchor: usize) -> Result<(), Diagnostic> {
        let own = own_weight(&node);
        bounded(self.weight, own, node.at)?;
        self.weight += own;
        if anchor > 0 {
            let weight = full_weight(&node);
            bounded(self.weight, weight, node.at)?;
            self.weight += weight;
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, key, merged, .. }) => match key.take() {
                Some((Key::Merge, at)) if !mergeable(&node) => {
                    return Err(Diagnostic::error("", "`<<` takes a mapping or a list of mappings").at(at));
                }
                Some((Key::Merge, _)) => merged.push(node),
                Some((Key::Word(key), key_at)) => entries.push(Entry { key, key_at, value: node }),
                None => {}
            },
        }
        Ok(())
    }

    /// Whether the next node is a key.
    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn pending_key(&self) -> Option<Location> {
        match self.open.last() {
            Some(Open { content: Content::Map { key: Some((_, at)), .. }, .. }) => Some(*at),
            _ => None,
        }
    }

    /// The keys that lead to the node being read.
    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| match &open.content {
            Content::List(items) => path::item(&path, items.len()),
            Content::Map { key: Some((Key::Word(key), _)), .. } => path::child(&path, key),
            Content::Map { .. } => path,
        })
    }

    fn location(&self, span: Span) -> Location {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let one_line = span.start.line() == span.end.line();
        let width = if one_line { span.end.col().saturating_sub(span.start.col()).max(1) } else { 1 };
        Location {
            source: self.source,
            line: number(span.start.line()),
            column: number(span.start.col() + 1),
            width: number(width),
        }
    }

    fn syntax_error(&self, error: &ScanError, text: &str) -> Diagnostic {
        let at = self.location(Span::empty(*error.marker()));
        let diagnostic = Diagnostic::error("", format!("not YAML: {}", error.info())).at(at);
        let line = text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default();
        let before = line.char_indices().nth(error.marker().col()).map_or(line, |(end, _)| &line[..end]);
        let indentation = &line[..line.len() - line.trim_start().len()];
        if indentation.contains('\t') {
            diagnostic.help("YAML is indented with spaces: replace the tab")
        } else if before.ends_with('$') {
            diagnostic.help("within [ ] and { }, put `${…}` in quotes")
        } else if error.info().starts_with("invalid indentation") {
            diagnostic
                .help("what stands in brackets or quotes and goes on must be indented more than its key")
        } else {
            diagnostic
        }
    }
}

fn mergeable(node: &Node) -> bool {
    match &node.value {
        Value::Map(_) => true,
        Value::List(items) => items.iter().all(|item| matches!(item.value, Value::Map(_))),
        _ => false,
    }
}

fn merged_entries(node: Node) -> Vec<Entry> {
    match node.value {
        Value::Map(entries) => entries,
        Value::List(items) => items.into_iter().flat_map(merged_entries).collect(),
        _ => Vec::new(),
    }
}

/// A scalar's value by its style and tag.
fn typed(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain {
            scalar::resolve(text)
        } else {
            Value::String(text.to_owned())
        });
    };
    let value = match (tag.is_yaml_core_schema(), tag.suffix.as_str(), scalar::resolve(text)) {
        (true, "str", _) => Value::String(text.to_owned()),
        #[expect(clippy::cast_precision_loss, reason = "`!!float` asks for it")]
        (true, "float", Value::Int(value)) => Value::Float(value as f64),
        (true, "null", value @ Value::Null)
        | (true, "bool", value @ Value::Bool(_))
        | (true, "int", value @ Value::Int(_))
        | (true, "float", value @ Value::Float(_)) => value,
        (true, "null" | "bool" | "int" | "float", _) => return Err(format!("this is no `!!{}`", tag.suffix)),
        _ => return Err(unsupported(tag)),
    };
    Ok(value)
}

fn unsupported(tag: &Tag) -> String {
    let handle = if tag.is_yaml_core_schema() { "!!" } else { tag.handle.as_str() };
    format!("the tag `{handle}{}` is not supported here", tag.suffix)
}

/// Bytes a node takes by itself, roughly.
fn own_weight(node: &Node) -> usize {
    size_of::<Entry>() + if let Value::String(text) = &node.value { text.len() } else { 0 }
}

/// Bytes a node takes with all below it, roughly.
pub(crate) fn full_weight(node: &Node) -> usize {
    let below: usize = match &node.value {
        Value::List(items) => items.iter().map(full_weight).sum(),
        Value::Map(entries) => entries.iter().map(|e| e.key.len() + full_weight(&e.value)).sum(),
        _ => 0,
    };
    own_weight(node) + below
}

fn bounded(weight: usize, more: usize, at: Location) -> Result<(), Diagnostic> {
    if weight.saturating_add(more) > HEAVIEST {
        let message =
            format!("too large: with its aliases written out this takes more than {} MiB", HEAVIEST >> 20);
        return Err(Diagnostic::error("", message).at(at));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
