//! Attributes and their values.

use std::fmt::Write as _;

use super::Text;
use crate::debug::message::Message;

/// Deeper values are not shown: who nests so deep does it to break something.
const MAX_DEPTH: usize = 16;

/// A block of the attributes in field `number`, if there are any.
pub(super) fn attributes(out: &mut Text, title: &str, of: Message<'_>, number: u32) {
    let mut titled = false;
    for pair in of.messages(number) {
        if !titled {
            out.line(format_args!("{title}"));
            titled = true;
        }
        out.line(format_args!("     -> {}: {}", pair.text(1), typed(pair.message(2))));
    }
}

/// The attributes in field `number` as ` key=value key=value`.
pub(super) fn key_values(of: Message<'_>, number: u32) -> String {
    of.messages(number).fold(String::new(), |mut out, pair| {
        let _ = write!(out, " {}={}", pair.text(1), plain(pair.message(2)));
        out
    })
}

/// A value with its type, such as `Str(x)`.
pub(super) fn typed(value: Message<'_>) -> String {
    let kind = match value.which(&[1, 2, 3, 4, 5, 6, 7]) {
        Some(1) => "Str",
        Some(2) => "Bool",
        Some(3) => "Int",
        Some(4) => "Double",
        Some(5) => "Slice",
        Some(6) => "Map",
        Some(7) => "Bytes",
        _ => "Empty",
    };
    format!("{kind}({})", plain(value))
}

/// A value alone; lists and maps as JSON.
pub(super) fn plain(value: Message<'_>) -> String {
    match value.which(&[1, 2, 3, 4, 5, 6, 7]) {
        Some(1) => value.text(1).into_owned(),
        _ => {
            let mut out = String::new();
            json(&mut out, value, MAX_DEPTH);
            out
        }
    }
}

fn json(out: &mut String, value: Message<'_>, depth: usize) {
    let _ = match value.which(&[1, 2, 3, 4, 5, 6, 7]) {
        Some(1) => write!(out, "{:?}", value.text(1)),
        Some(2) => write!(out, "{}", value.number(2) != 0),
        Some(3) => write!(out, "{}", value.number(3).cast_signed()),
        Some(4) => write!(out, "{}", value.double(4).unwrap_or_default()),
        Some(5 | 6) if depth == 0 => write!(out, "…"),
        Some(5) => {
            out.push('[');
            for (index, item) in value.message(5).messages(1).enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                json(out, item, depth - 1);
            }
            write!(out, "]")
        }
        Some(6) => {
            out.push('{');
            for (index, pair) in value.message(6).messages(1).enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(out, "{comma}{:?}:", pair.text(1));
                json(out, pair.message(2), depth - 1);
            }
            write!(out, "}}")
        }
        Some(7) => write!(out, "{}", value.hex(7)),
        _ => Ok(()),
    };
}
