//! Values as text, for functions that take anything: strings are themselves, bytes are hexadecimal, and the
//! rest is the JSON that Go writes, with its sorted keys and its escapes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use forebay_otlp::attribute::AnyValue;

use crate::calendar;
use crate::error::EvalError;
use crate::value::{Text, Value};

/// Levels of nesting that are written.
const MAX_DEPTH: usize = 64;

/// A value as text; `nil` has none.
pub(crate) fn string_like<'a>(value: Value<'a>) -> Result<Option<Text<'a>>, EvalError> {
    let text = match value {
        Value::Nil => return Ok(None),
        Value::String(text) => return Ok(Some(text)),
        Value::Bytes(bytes) => hex::encode(bytes),
        Value::TraceId(id) => hex::encode(id),
        Value::SpanId(id) => hex::encode(id),
        Value::Time(time) => format!("\"{}\"", calendar::rfc3339(time)),
        Value::Duration(duration) => duration.to_string(),
        Value::Status | Value::Records(_) => {
            return Err(EvalError::Type { expected: "a value that can be text", found: value.kind() });
        }
        _ => {
            let mut out = String::new();
            write(&mut out, &value, MAX_DEPTH)?;
            out
        }
    };
    Ok(Some(Text::Owned(text.into_bytes())))
}

/// An attribute's value as text, as the Collector's `AsString` writes it: bytes are base64, nothing is empty, and
/// what JSON cannot say is named by its kind.
#[must_use]
pub fn as_string(value: AnyValue<'_>) -> Cow<'_, [u8]> {
    let value = Value::from(value);
    let mut out = String::new();
    match value {
        Value::Nil => {}
        Value::String(text) => return text,
        Value::Bytes(bytes) => base64(&mut out, &bytes),
        other => {
            if write(&mut out, &other, MAX_DEPTH).is_err() {
                out = format!("<{}>", other.kind());
            }
            // A number that stands alone has no zero before the digits of its exponent.
            if matches!(other, Value::Float(_)) {
                out = out.replace("e-0", "e-");
            }
        }
    }
    Cow::Owned(out.into_bytes())
}

fn write(out: &mut String, value: &Value<'_>, depth: usize) -> Result<(), EvalError> {
    let depth = depth.checked_sub(1).ok_or(EvalError::TooDeep)?;
    match value {
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => write_float(out, *number)?,
        Value::String(text) => write_string(out, text),
        // Empty bytes are `nil` to the Collector.
        Value::Bytes(bytes) if !bytes.is_empty() => {
            out.push('"');
            base64(out, bytes);
            out.push('"');
        }
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                write(out, &item, depth)?;
            }
            out.push_str(if list.len() == 0 { "[]" } else { "]" });
        }
        Value::Map(map) => {
            // Of equal keys, the last counts here: they become a Go map one by one.
            let entries: BTreeMap<_, _> = map.iter().collect();
            for (index, (key, item)) in entries.iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                write_string(out, key);
                out.push(':');
                write(out, item, depth)?;
            }
            out.push_str(if entries.is_empty() { "{}" } else { "}" });
        }
        _ => out.push_str("null"),
    }
    Ok(())
}

/// The shortest digits that mean the number; of very small and very large ones, with an exponent of two digits
/// at least.
fn write_float(out: &mut String, number: f64) -> Result<(), EvalError> {
    if !number.is_finite() {
        return Err(EvalError::Type { expected: "a finite float", found: "infinity or not a number" });
    }
    if number == 0.0 || (1e-6..1e21).contains(&number.abs()) {
        out.push_str(&number.to_string());
        return Ok(());
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    out.extend([digits, "e"]);
    out.push(sign);
    out.extend([if exponent.len() == 1 { "0" } else { "" }, exponent]);
    Ok(())
}

fn write_string(out: &mut String, text: &[u8]) {
    out.push('"');
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                // Writing to a string does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

fn base64(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let bits = chunk
            .iter()
            .enumerate()
            .fold(0, |bits, (index, &byte)| bits | u32::from(byte) << (16 - 8 * index));
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 63;
            out.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
}

/// A text for a message, cut short.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const MAX: usize = 64;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => Cow::into_owned(text),
    }
}
