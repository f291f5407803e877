//! The type of an unquoted scalar, as the Collector's YAML library (`go.yaml.in/yaml/v3`) sees it.
//!
//! That is the YAML 1.2 core schema with Go's integer literals: `0042` is octal, `1_000` and `0b101` are
//! numbers.

use crate::node::Value;

/// What a plain scalar means.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        _ => number(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Value> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    // Go's reader drops underscores unless the number begins with its point.
    let digits = if text.starts_with('.') { text.to_owned() } else { text.replace('_', "") };
    integer(&digits).map(Value::Int).or_else(|| float(&digits).map(Value::Float))
}

/// Go's `strconv.ParseInt(text, 0, 64)`.
fn integer(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (radix, digits) = match unsigned.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &unsigned[2..]),
        [b'0', b'o' | b'O', ..] => (8, &unsigned[2..]),
        [b'0', b'b' | b'B', ..] => (2, &unsigned[2..]),
        [b'0', _, ..] => (8, &unsigned[1..]),
        _ => (10, unsigned),
    };
    // `from_str_radix` would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if text.starts_with('-') { -magnitude } else { magnitude }).ok()
}

/// Decimal digits with an optional fraction and exponent; what overflows stays a string.
fn float(text: &str) -> Option<f64> {
    // Rust also reads `inf` and `nan`, which YAML writes with a dot.
    let decimal = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|number: &f64| decimal && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_int(text: &str, expected: i64) {
        assert!(
            matches!(resolve(text), Value::Int(value) if value == expected),
            "{text}: {:?}",
            resolve(text)
        );
    }

    fn assert_float(text: &str, expected: f64) {
        assert!(
            matches!(resolve(text), Value::Float(value) if value == expected),
            "{text}: {:?}",
            resolve(text)
        );
    }

    #[test]
    fn integers_take_every_prefix_of_go() {
        for (text, expected) in [
            ("0", 0),
            ("42", 42),
            ("-17", -17),
            ("+5", 5),
            ("0x1F", 31),
            ("-0XfF", -255),
            ("0o17", 15),
            ("0042", 34),
            ("0b101", 5),
            ("1_000_000", 1_000_000),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_int(text, expected);
        }
    }

    #[test]
    fn fractions_exponents_and_oversized_integers_are_floats() {
        for (text, expected) in [
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-1e3", -1000.0),
            ("1E-2", 0.01),
            ("0089", 89.0),
            ("1_0.5", 10.5),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            (".inf", f64::INFINITY),
            ("-.INF", f64::NEG_INFINITY),
        ] {
            assert_float(text, expected);
        }
        assert!(matches!(resolve(".nan"), Value::Float(value) if value.is_nan()));
    }

    #[test]
    fn only_yaml_1_2_words_are_booleans_and_nulls() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert!(matches!(resolve(text), Value::Null), "{text}");
        }
        for (text, expected) in [("true", true), ("True", true), ("FALSE", false)] {
            assert!(matches!(resolve(text), Value::Bool(value) if value == expected), "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_string() {
        for text in [
            "yes",
            "on",
            "y",
            "nil",
            "tRUE",
            "-",
            "+",
            ".",
            "...",
            "--1",
            ".5_0",
            "+-1",
            "1-2",
            "0x",
            "0xG",
            "0b2",
            "1e400",
            "inf",
            "nan",
            "_1",
            "1 2",
            "0.0.0.0:4317",
            "2026-01-02",
            "10s",
            "é",
        ] {
            assert!(
                matches!(resolve(text), Value::String(ref value) if value == text),
                "{text}: {:?}",
                resolve(text)
            );
        }
    }
}
