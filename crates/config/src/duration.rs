//! Durations in the syntax of Go's `time.ParseDuration`.

use std::time::Duration;

use thiserror::Error;

/// What is wrong with the text of a duration.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DurationError {
    /// Not numbers each followed by a unit.
    #[error("expected numbers with units (h, m, s, ms, us, ns) such as 200ms or 1h30m")]
    Syntax,
    /// `10` in quotes: Go refuses it as well.
    #[error("the unit is missing (h, m, s, ms, us, ns)")]
    NoUnit,
    /// Below zero.
    #[error("a duration must not be negative")]
    Negative,
    /// More than `i64::MAX` nanoseconds, about 292 years, as in Go.
    #[error("longer than 292 years")]
    TooLong,
}

/// Reads a duration: `1h2m3.5s`, `200ms`, `.5s`, `0`. Digits below a nanosecond are cut off.
///
/// # Errors
/// Whatever Go refuses, and negative durations.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let nanoseconds = parse_nanoseconds(text)?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| DurationError::Negative)
}

/// Reads a duration that may be negative, in nanoseconds.
///
/// # Errors
/// Whatever Go refuses.
pub fn parse_nanoseconds(text: &str) -> Result<i64, DurationError> {
    let (negative, mut rest) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(DurationError::Syntax);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = component(rest)?;
        total = total.saturating_add(nanos);
        rest = after;
    }
    let total = i128::try_from(total).map_err(|_| DurationError::TooLong)?;
    i64::try_from(if negative { -total } else { total }).map_err(|_| DurationError::TooLong)
}

/// Writes a duration so that [`parse_duration`] reads it: `1h30m`, `200ms`.
pub(crate) fn format_duration(duration: Duration) -> String {
    const UNITS: [(u128, &str); 6] = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
        (1, "ns"),
    ];
    let (mut text, mut rest) = (String::new(), duration.as_nanos());
    for (nanoseconds, unit) in UNITS {
        if rest >= nanoseconds {
            text.push_str(&format!("{}{unit}", rest / nanoseconds));
            rest %= nanoseconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// One number and its unit in nanoseconds, and what follows them.
fn component(text: &str) -> Result<(u128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Syntax);
    }
    let unit_ends = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_ends);
    let scale: u128 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => return Err(DurationError::NoUnit),
        _ => return Err(DurationError::Syntax),
    };
    // An hour is below 10^13 ns: digits beyond the 18th of a fraction cannot matter.
    let fraction = &fraction[..fraction.len().min(18)];
    let number = |digits: &str| {
        if digits.is_empty() { Ok(0) } else { digits.parse().map_err(|_| DurationError::TooLong) }
    };
    let (whole, part): (u64, u64) = (number(whole)?, number(fraction)?);
    let denominator = fraction.bytes().fold(1_u128, |power, _| power * 10);
    Ok((u128::from(whole) * scale + u128::from(part) * scale / denominator, rest))
}

/// The digits at the front, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_and_their_sums_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("-0s", 0),
            ("1ns", 1),
            ("2us", 2_000),
            ("2µs", 2_000),
            ("2μs", 2_000),
            ("200ms", 200_000_000),
            ("+5s", 5_000_000_000),
            ("1m", 60_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1.5h", 5_400_000_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("0.9ns", 0),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for (text, error) in [
            ("", DurationError::Syntax),
            ("s", DurationError::Syntax),
            (".s", DurationError::Syntax),
            ("-", DurationError::Syntax),
            ("5 s", DurationError::Syntax),
            ("5d", DurationError::Syntax),
            ("5S", DurationError::Syntax),
            ("1s-1s", DurationError::Syntax),
            ("five", DurationError::Syntax),
            ("10", DurationError::NoUnit),
            ("1m10", DurationError::NoUnit),
            ("-5s", DurationError::Negative),
            ("9223372036854775808ns", DurationError::TooLong),
            ("300000000h", DurationError::TooLong),
            ("99999999999999999999999s", DurationError::TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }
}
