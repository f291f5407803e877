//! Durations as Go writes them: `1h30m`, `-1.5s`, `200ms`.

use crate::error::EvalError;
use crate::json::excerpt;

const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration into nanoseconds.
pub(crate) fn parse(text: &[u8]) -> Result<i64, EvalError> {
    let parsed = str::from_utf8(text).ok().and_then(nanoseconds);
    parsed.ok_or_else(|| EvalError::Text {
        text: excerpt(text),
        wanted: "a duration such as `1m30s` or `200ms`",
    })
}

fn nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_i128;
    while !rest.is_empty() {
        let (whole, after) = split_while(rest, |byte| byte.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_while(after, |byte| byte.is_ascii_digit()),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let (unit, after) = split_while(after, |byte| byte != b'.' && !byte.is_ascii_digit());
        let (_, scale) = *UNITS.iter().find(|(name, _)| *name == unit)?;
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(scale)?)?.checked_add(part(fraction, scale))?;
        if total > i128::from(i64::MAX) + 1 {
            return None;
        }
        rest = after;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// That fraction of a unit, rounded down.
fn part(fraction: &str, scale: i128) -> i128 {
    // No unit has more than 13 digits of nanoseconds; further ones change nothing.
    let digits = &fraction[..fraction.len().min(18)];
    let value: i128 = digits.parse().unwrap_or(0);
    let divisor = digits.bytes().fold(1, |divisor, _| divisor * 10);
    value * scale / divisor
}

fn split_while(text: &str, wanted: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !wanted(byte)).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests;
