//! A [`Node`] as YAML again: what `print-config` shows.

use crate::node::{Node, Value};
use crate::{path, scalar};

/// What stands in place of a secret, as in the Collector.
const REDACTED: &str = "[REDACTED]";

/// Writes a node as block YAML, keys in the order of the node.
///
/// `hide` is asked for the path of every scalar, `exporters::otlp::headers::authorization`; those it says
/// `true` to become `[REDACTED]`, nulls excepted. [`is_sensitive`] hides what the Collector treats as
/// secret.
#[must_use]
pub fn print(node: &Node, hide: &dyn Fn(&str) -> bool) -> String {
    let mut printer = Printer { out: String::new(), hide };
    printer.value(node, "", 0, After::Nothing);
    printer.out
}

/// Whether the value at `path` is likely a secret: passwords, tokens, keys in PEM, values of headers.
/// Names of files that hold one are none.
#[must_use]
pub fn is_sensitive(path: &str) -> bool {
    const ENDINGS: [&str; 8] =
        ["password", "secret", "token", "tokens", "_pem", "api_key", "apikey", "private_key"];
    let last = path
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .split('[')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let in_headers = path.split(['[', ':']).any(|key| key == "headers") && last != "name";
    in_headers || ENDINGS.iter().any(|ending| last.ends_with(ending)) || path.ends_with("htpasswd::inline")
}

struct Printer<'h> {
    out: String,
    hide: &'h dyn Fn(&str) -> bool,
}

/// What stands before a value on its line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Nothing,
    Key,
    Dash,
}

impl Printer<'_> {
    /// Writes a value after its key or dash, ending the line; what needs lines of its own is indented by
    /// `indent`.
    fn value(&mut self, node: &Node, path: &str, indent: usize, after: After) {
        match &node.value {
            Value::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.begin_line(index, indent, after);
                    self.out.push('-');
                    self.value(item, &path::item(path, index), indent + 2, After::Dash);
                }
            }
            Value::Map(entries) if !entries.is_empty() => {
                for (index, entry) in entries.iter().enumerate() {
                    self.begin_line(index, indent, after);
                    self.out.push_str(&text(&entry.key));
                    self.out.push(':');
                    self.value(&entry.value, &path::child(path, &entry.key), indent + 2, After::Key);
                }
            }
            scalar => {
                if after != After::Nothing {
                    self.out.push(' ');
                }
                let hidden =
                    !node.is_null() && !matches!(scalar, Value::List(_) | Value::Map(_)) && (self.hide)(path);
                self.out.push_str(&if hidden { text(REDACTED) } else { inline(scalar) });
                self.out.push('\n');
            }
        }
    }

    /// The first item of a list in a list goes on the line of the dash, `- - a`.
    fn begin_line(&mut self, index: usize, indent: usize, after: After) {
        match (after, index) {
            (After::Dash, 0) => self.out.push(' '),
            (After::Key, 0) => {
                self.out.push('\n');
                self.out.extend(std::iter::repeat_n(' ', indent));
            }
            _ => self.out.extend(std::iter::repeat_n(' ', indent)),
        }
    }
}

/// What fits behind a key.
fn inline(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) if value.is_nan() => ".nan".to_owned(),
        Value::Float(value) if value.is_infinite() => if *value > 0.0 { ".inf" } else { "-.inf" }.to_owned(),
        Value::Float(value) => format!("{value:?}"),
        Value::String(value) => text(value),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

/// A string, in double quotes unless every reader of YAML takes it for a string without.
fn text(value: &str) -> String {
    if is_plain(value) { value.to_owned() } else { quoted(value) }
}

fn is_plain(value: &str) -> bool {
    // YAML 1.1 readers take these for booleans.
    const BOOLEANS: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/');
    value.starts_with(word)
        && value.chars().all(|c| word(c) || matches!(c, '-' | '.' | ':'))
        && !value.ends_with(':')
        && !BOOLEANS.contains(&value.to_ascii_lowercase().as_str())
        && matches!(scalar::resolve(value), Value::String(_))
}

fn quoted(value: &str) -> String {
    let mut quoted = String::from('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // Controls, line separators and the byte order mark would not survive as they are.
            c if c.is_control()
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') =>
            {
                quoted.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
