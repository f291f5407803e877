//! Literals as values, with the rules of Go, in which the Collector reads them.

use crate::error::Mistake;

/// Hexadecimal digits after `0x`, as bytes.
pub(crate) fn bytes(at: usize, text: &str) -> Result<Vec<u8>, Mistake> {
    hex::decode(&text[2..]).map_err(|_| {
        Mistake::new(at, format!("`{text}` is not a whole number of bytes"))
            .with_help("write two digits for each byte")
    })
}

/// A number with a point.
pub(crate) fn float(at: usize, text: &str) -> Result<f64, Mistake> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| Mistake::new(at, format!("`{text}` does not fit a float")))
}

/// Digits; octal ones after a zero.
pub(crate) fn int(at: usize, text: &str) -> Result<i64, Mistake> {
    let radix = if text.len() > 1 && text.starts_with('0') { 8 } else { 10 };
    i64::from_str_radix(text, radix).map_err(|_| {
        let what = if radix == 8 { "an octal number" } else { "a 64-bit integer" };
        Mistake::new(at, format!("`{text}` is not {what}"))
    })
}

/// What stands between quotes.
pub(crate) fn string(at: usize, text: &str) -> Result<String, Mistake> {
    let inner = &text[1..text.len() - 1];
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let (character, after) = escape(escaped).ok_or_else(|| {
            let at = at + 1 + inner.len() - escaped.len() - 1;
            let escape: String = escaped.chars().take(1).collect();
            Mistake::new(at, format!("unknown escape `\\{escape}` in a string"))
                .with_help("a backslash is written twice: `\\\\`")
        })?;
        out.push(character);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The character that an escape stands for, and what follows.
fn escape(text: &str) -> Option<(char, &str)> {
    let first = text.chars().next()?;
    let after = &text[first.len_utf8()..];
    Some(match first {
        'a' => ('\x07', after),
        'b' => ('\x08', after),
        'f' => ('\x0c', after),
        'n' => ('\n', after),
        'r' => ('\r', after),
        't' => ('\t', after),
        'v' => ('\x0b', after),
        '\\' | '"' => (first, after),
        'x' => number(after, 2, 16)?,
        'u' => number(after, 4, 16)?,
        'U' => number(after, 8, 16)?,
        '0'..='7' => number(text, 3, 8).filter(|(character, _)| u32::from(*character) <= 255)?,
        _ => return None,
    })
}

fn number(text: &str, length: usize, radix: u32) -> Option<(char, &str)> {
    let (digits, after) = text.split_at_checked(length)?;
    let digits = Some(digits).filter(|digits| digits.chars().all(|digit| digit.is_digit(radix)))?;
    Some((char::from_u32(u32::from_str_radix(digits, radix).ok()?)?, after))
}

#[cfg(test)]
mod tests;
