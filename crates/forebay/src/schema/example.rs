//! The settings as a configuration: every key with its default, what has none as a comment.
//!
//! What is required, and what a configuration needs to be whole, is in `example.yaml`.

use forebay_config::{Entry, Loader, Node, Setting, Value};

use super::{Schema, literal, recurs, usable, words};

const HEAD: &str = "\
# Every key of every component, with its default. Keys without one, and optional mappings, are comments. It starts as
# it is, but nobody needs all of it: write what differs.
# Written by `forebay schema --format example`; a test compares.
";

/// What is written beside the defaults.
const REQUIRED: &str = include_str!("example.yaml");

struct Printer<'a> {
    schema: &'a Schema,
    text: String,
}

/// Where a key stands.
#[derive(Clone, Copy)]
struct Line<'a> {
    depth: usize,
    /// What comes before the key: `- ` where it begins an item.
    marker: &'a str,
    commented: bool,
}

pub(super) fn print(schema: &Schema) -> String {
    let (root, _) = Loader::new(|_| None).config(format!("yaml:{REQUIRED}")).load();
    let mut printer = Printer { schema, text: HEAD.to_owned() };
    for kind in &schema.kinds {
        printer.text.push_str(&format!("\n{}:\n", kind.key));
        let written = entry(root.as_ref(), kind.key);
        for component in &kind.components {
            let name = component.name();
            printer.text.push_str(&format!("  {name}:\n"));
            let line = Line { depth: 2, marker: "", commented: false };
            printer.keys(&[kind.key, name], &component.settings, entry(written, name), line, &[]);
        }
    }
    let service = entry(root.as_ref(), "service");
    printer.text.push_str("\nservice:\n  telemetry:\n");
    let line = Line { depth: 2, marker: "", commented: false };
    printer.keys(&["service", "telemetry"], &schema.telemetry, entry(service, "telemetry"), line, &[]);
    for key in ["extensions", "pipelines"] {
        if let Some(value) = entry(service, key) {
            printer.text.push_str(&format!("  {key}: {}\n", flow(value)));
        }
    }
    printer.text.push_str("\nforebay:\n");
    let line = Line { depth: 1, ..line };
    printer.keys(&["forebay"], &schema.process, entry(root.as_ref(), "forebay"), line, &[]);
    printer.text
}

impl Printer<'_> {
    /// The keys of a mapping, of which `written` is what does not follow from defaults.
    fn keys(
        &mut self,
        path: &[&str],
        setting: &Setting,
        written: Option<&Node>,
        line: Line<'_>,
        above: &[&Setting],
    ) {
        let mut marker = line.marker;
        let has_types = setting.get("type").is_some();
        let above = [above, &[setting]].concat();
        for (key, child) in usable(setting) {
            // Which keys there are depends on the `type` that is written.
            let commented = line.commented || (has_types && entry(written, key).is_none());
            let line = Line { marker, commented, ..line };
            self.key(&[path, &[key]].concat(), child, entry(written, key), line, &above);
            if !marker.is_empty() {
                marker = "  ";
            }
        }
    }

    fn key(
        &mut self,
        path: &[&str],
        setting: &Setting,
        written: Option<&Node>,
        line: Line<'_>,
        above: &[&Setting],
    ) {
        let idle = written.is_none() && setting.default.is_none() && !has_defaults(setting);
        let line = Line { commented: line.commented || idle, ..line };
        let inner = Line { depth: line.depth + 1 + usize::from(!line.marker.is_empty()), marker: "", ..line };
        let item = setting.item.as_deref().filter(|item| item.keys.is_some() && !setting.open);
        let again = above.iter().any(|outer| recurs(item.unwrap_or(setting), outer));
        match item {
            _ if again => self.line(path, setting, None, Line { commented: true, ..line }),
            Some(item) => {
                self.line(path, setting, None, line);
                let items = match written.map(|written| &written.value) {
                    Some(Value::List(items)) => items.as_slice(),
                    _ => &[],
                };
                self.keys(path, item, items.first(), Line { marker: "- ", ..inner }, above);
                for item in items.iter().skip(1) {
                    self.text.push_str(&format!("{}- {}\n", "  ".repeat(inner.depth), flow(item)));
                }
            }
            None if setting.keys.is_some() && !setting.open => {
                self.line(path, setting, None, line);
                self.keys(path, setting, written, inner, above);
            }
            None => {
                let value = written.map(flow).or_else(|| setting.default.as_ref().map(literal));
                self.line(path, setting, value, line);
            }
        }
    }

    fn line(&mut self, path: &[&str], setting: &Setting, value: Option<serde_json::Value>, line: Line<'_>) {
        let mut text = "  ".repeat(line.depth);
        // A comment begins where its key would.
        text.push_str(match (line.commented, line.marker) {
            (true, "- ") => "# - ",
            (true, "  ") => "  # ",
            (true, _) => "# ",
            (false, marker) => marker,
        });
        text.push_str(path.last().copied().unwrap_or_default());
        text.push(':');
        if let Some(value) = value {
            text.push_str(&format!(" {}", plain(&value)));
        }
        let about: Vec<_> = [words(setting), self.schema.meanings.of(path).unwrap_or_default().to_owned()]
            .into_iter()
            .filter(|text| !text.is_empty() && text != "mapping")
            .collect();
        if !about.is_empty() {
            text.push_str(&format!("  # {}", about.join(". ")));
        }
        self.text.push_str(&text);
        self.text.push('\n');
    }
}

/// Text without quotes, where YAML takes it for the same.
fn plain(value: &serde_json::Value) -> String {
    let word = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '/')
            && text.chars().all(|char| char.is_ascii_alphanumeric() || "._-/:".contains(char))
            && !text.ends_with(':')
            && text.parse::<f64>().is_err()
            && !["true", "false", "null"].contains(&text)
    };
    match value.as_str() {
        Some(text) if word(text) => text.to_owned(),
        _ => value.to_string(),
    }
}

fn entry<'n>(node: Option<&'n Node>, key: &str) -> Option<&'n Node> {
    entries(node?).iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Value::Map(entries) => entries,
        _ => &[],
    }
}

/// Whether something of it is written though nobody has asked for it.
fn has_defaults(setting: &Setting) -> bool {
    setting.section && usable(setting).any(|(_, child)| child.default.is_some() || has_defaults(child))
}

/// In one line, as YAML and JSON have it.
pub(super) fn flow(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(flow).collect(),
        Value::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), flow(&entry.value))).collect(),
    }
}
