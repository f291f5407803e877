//! Functions on strings. Positions and lengths are in bytes, as in Go.

use std::borrow::Cow;
use std::ops::Range;

use super::{Function, Parameter, TEXT_LIKE};
use crate::arguments::Arguments;
use crate::collection::List;
use crate::error::EvalError;
use crate::json;
use crate::types::Types;
use crate::value::{Text, Value};

const TARGET: &[Parameter] = &[Parameter::string("target")];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::pure(
        "Concat",
        &[Parameter::list_of("vals", TEXT_LIKE), Parameter::string("delimiter")],
        Types::STRING,
        concat,
    ),
    Function::pure(
        "Substring",
        &[
            Parameter::string("target"),
            Parameter::value("start", Types::INT),
            Parameter::value("length", Types::INT),
            Parameter::literal("utf8_safe", Types::BOOL).optional(),
        ],
        Types::STRING,
        substring,
    ),
    Function::pure(
        "Split",
        &[Parameter::string("target"), Parameter::string("delimiter")],
        Types::LIST,
        split,
    ),
    Function::pure("ToLowerCase", TARGET, Types::STRING, |of| Ok(to_case(of.string(0)?, lower))),
    Function::pure("ToUpperCase", TARGET, Types::STRING, |of| Ok(to_case(of.string(0)?, upper))),
    Function::pure(
        "Trim",
        &[Parameter::string("target"), Parameter::literal("replacement", Types::STRING).optional()],
        Types::STRING,
        trim,
    ),
    Function::pure(
        "TrimPrefix",
        &[Parameter::string("target"), Parameter::string("prefix")],
        Types::STRING,
        |of| {
            let (target, prefix) = (of.string(0)?, of.string(1)?);
            let start = if target.starts_with(&prefix) { prefix.len() } else { 0 };
            let end = target.len();
            Ok(Value::String(part(target, start..end)))
        },
    ),
    Function::pure(
        "TrimSuffix",
        &[Parameter::string("target"), Parameter::string("suffix")],
        Types::STRING,
        |of| {
            let (target, suffix) = (of.string(0)?, of.string(1)?);
            let end = target.len() - if target.ends_with(&suffix) { suffix.len() } else { 0 };
            Ok(Value::String(part(target, 0..end)))
        },
    ),
];

fn concat<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let delimiter = arguments.string(1)?;
    let mut out = Vec::new();
    for (index, value) in arguments.values(0).enumerate() {
        if index > 0 {
            out.extend_from_slice(&delimiter);
        }
        // What Go prints for nothing.
        out.extend_from_slice(&json::string_like(value?)?.unwrap_or(Cow::Borrowed(b"<nil>")));
    }
    Ok(Value::String(Text::Owned(out)))
}

fn substring<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let (start, length) = (arguments.int(1)?, arguments.int(2)?);
    let target = arguments.string(0)?;
    let range = usize::try_from(start).ok().zip(usize::try_from(length).ok()).and_then(|(start, length)| {
        let end = start.checked_add(length).filter(|&end| length > 0 && end <= target.len())?;
        Some(start..end)
    });
    let mut range = range.ok_or(EvalError::Substring { start, length, available: target.len() })?;
    if arguments.flag(3)? {
        let continues = |at: usize| target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        while continues(range.start) {
            range.start += 1;
        }
        while range.start < range.end && continues(range.end) {
            range.end -= 1;
        }
        range.end = range.end.max(range.start);
    }
    Ok(Value::String(part(target, range)))
}

fn split<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let (target, delimiter) = (arguments.string(0)?, arguments.string(1)?);
    let mut parts = Vec::new();
    let mut start = 0;
    while let Some(found) = find(&target[start..], &delimiter).filter(|_| !delimiter.is_empty()) {
        parts.push(start..start + found);
        start += found + delimiter.len();
    }
    if delimiter.is_empty() {
        parts.extend(
            target
                .utf8_chunks()
                .flat_map(|chunk| {
                    // Characters, and bytes that are none.
                    chunk
                        .valid()
                        .chars()
                        .map(char::len_utf8)
                        .chain(chunk.invalid().iter().map(|_| 1))
                        .collect::<Vec<_>>()
                })
                .map(|length| {
                    start += length;
                    start - length..start
                }),
        );
    } else {
        parts.push(start..target.len());
    }
    let parts = parts.into_iter().map(|range| Value::String(part(target.clone(), range)));
    Ok(Value::List(List::Owned(parts.collect())))
}

/// Where `needle` starts.
pub(super) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    text.windows(needle.len()).position(|window| window == needle)
}

fn trim<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let target = arguments.string(0)?;
    let cut = match arguments.value(1)? {
        Value::String(cut) => cut,
        _ => Cow::Borrowed(b" ".as_slice()),
    };
    let cut = String::from_utf8_lossy(&cut);
    let text = String::from_utf8_lossy(&target);
    let is_cut = |character: char| cut.contains(character);
    let start = text.len() - text.trim_start_matches(is_cut).len();
    let end = text.trim_end_matches(is_cut).len();
    let range = start..end.max(start);
    Ok(Value::String(match &text {
        Cow::Borrowed(_) => part(target, range),
        Cow::Owned(text) => Text::Owned(text[range].into()),
    }))
}

fn to_case(text: Text<'_>, map: fn(char) -> char) -> Value<'_> {
    if text.iter().all(|&byte| byte.is_ascii() && char::from(byte) == map(char::from(byte))) {
        return Value::String(text);
    }
    let mapped: String = String::from_utf8_lossy(&text).chars().map(map).collect();
    Value::String(Text::Owned(mapped.into_bytes()))
}

/// The one character that is this one in lower case, as Go maps them.
fn lower(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// The one character that is this one in upper case; some have none.
fn upper(character: char) -> char {
    let mut mapped = character.to_uppercase();
    mapped.next().filter(|_| mapped.len() == 0).unwrap_or(character)
}

/// A part of a text, borrowed if the text is.
fn part(text: Text<'_>, range: Range<usize>) -> Text<'_> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(range).unwrap_or_default()),
        Cow::Owned(text) => Cow::Owned(text.get(range).unwrap_or_default().to_vec()),
    }
}
