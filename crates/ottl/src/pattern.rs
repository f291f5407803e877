//! Regular expressions of the Collector, which are Go's.
//!
//! The two dialects are sisters, and nearly all patterns mean the same in both. Where they do not, the pattern
//! is rewritten: Go's `\d`, `\w`, `\s` and `\b` are of ASCII, `\Q` quotes, `\101` is a character by its octal
//! number, a brace that starts no repetition is a character, as in `/cart/{id}`, and within brackets `[`, `&&`
//! and `~~` are characters like others.

use regex::bytes::{Regex, RegexBuilder};

use crate::error::EvalError;

/// Bytes that a compiled pattern may take.
const MAX_SIZE: usize = 1 << 20;
const NESTING: u32 = 100;

/// Compiles a pattern.
pub(crate) fn compile(pattern: &str) -> Result<Regex, EvalError> {
    let built = RegexBuilder::new(&translate(pattern)).size_limit(MAX_SIZE).nest_limit(NESTING).build();
    built.map_err(|error| {
        // What is wrong, without the drawing above it, which does not fit on a line.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default().trim();
        EvalError::Pattern(last.strip_prefix("error: ").unwrap_or(last).to_owned())
    })
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut in_brackets = false;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        rest = match character {
            '\\' => escape(after, in_brackets, &mut out),
            '[' if !in_brackets => {
                in_brackets = true;
                open(after, &mut out)
            }
            '[' => match after.find(":]").filter(|_| after.starts_with(':')) {
                // `[:alpha:]`
                Some(end) => {
                    out.push('[');
                    out.push_str(&after[..end + 2]);
                    &after[end + 2..]
                }
                None => {
                    out.push_str("\\[");
                    after
                }
            },
            ']' if in_brackets => {
                in_brackets = false;
                out.push(']');
                after
            }
            '{' if !in_brackets && !starts_repetition(after) => {
                out.push_str("\\{");
                after
            }
            '&' | '~' if in_brackets => {
                out.extend(['\\', character]);
                after
            }
            _ => {
                out.push(character);
                after
            }
        };
    }
    out
}

/// The start of a bracket: a `]` that comes first is a character.
fn open<'p>(after: &'p str, out: &mut String) -> &'p str {
    out.push('[');
    let after = match after.strip_prefix('^') {
        Some(after) => {
            out.push('^');
            after
        }
        None => after,
    };
    match after.strip_prefix(']') {
        Some(after) => {
            out.push_str("\\]");
            after
        }
        None => after,
    }
}

/// Whether `{` starts `{2}`, `{2,}` or `{2,3}`.
fn starts_repetition(after: &str) -> bool {
    after.split_once('}').is_some_and(|(bounds, _)| {
        let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        !least.is_empty() && is_number(least) && is_number(most)
    })
}

/// What follows a backslash.
fn escape<'p>(after: &'p str, in_brackets: bool, out: &mut String) -> &'p str {
    let Some(escaped) = after.chars().next() else {
        out.push('\\');
        return after;
    };
    let rest = &after[escaped.len_utf8()..];
    let ascii = match escaped {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => "[\\t\\n\\f\\r ]",
        'S' => "[^\\t\\n\\f\\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        'b' if !in_brackets => "(?-u:\\b)",
        'B' if !in_brackets => "(?-u:\\B)",
        'Q' => {
            let (quoted, rest) = rest.split_once("\\E").unwrap_or((rest, ""));
            out.push_str(&regex::escape(quoted));
            return rest;
        }
        'p' | 'P' | 'x' if rest.starts_with('{') => {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            out.extend(['\\', escaped]);
            out.push_str(&rest[..end]);
            return &rest[end..];
        }
        // A single digit would refer to a group, which neither dialect knows.
        '0'..='7' if escaped == '0' || rest.starts_with(is_octal) => {
            let length = after.bytes().take(3).take_while(|&byte| is_octal(char::from(byte))).count();
            let (digits, rest) = after.split_at(length);
            let number = digits.bytes().fold(0, |number, digit| number * 8 + u32::from(digit - b'0'));
            out.push_str(&format!("\\x{{{number:x}}}"));
            return rest;
        }
        _ => {
            out.extend(['\\', escaped]);
            return rest;
        }
    };
    out.push_str(ascii);
    rest
}

const fn is_octal(character: char) -> bool {
    matches!(character, '0'..='7')
}

#[cfg(test)]
mod tests;
