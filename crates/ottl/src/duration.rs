//! Durations as Go writes them: `1h30m`, `-1.5s`, `200ms`.

use forebay_config::parse_nanoseconds;

use crate::error::EvalError;
use crate::json::excerpt;

/// Parses a duration into nanoseconds.
pub(crate) fn parse(text: &[u8]) -> Result<i64, EvalError> {
    let parsed = str::from_utf8(text).ok().and_then(|text| parse_nanoseconds(text).ok());
    parsed.ok_or_else(|| EvalError::Text {
        text: excerpt(text),
        wanted: "a duration such as `1m30s` or `200ms`",
    })
}

#[cfg(test)]
mod tests;
