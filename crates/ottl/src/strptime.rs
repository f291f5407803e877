//! Times in the formats of the Collector's `Time`, which are those of `strptime` and a few of its own.
//!
//! Numbers may lack their leading zeros, and a second may have a fraction that the format does not mention.
//! There is no table of time zones here: times without an offset are UTC.

use crate::calendar::{Civil, SECOND};
use crate::error::EvalError;
use crate::json::excerpt;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
/// Directives that stand for others.
const COMPOUND: [(u8, &str); 7] = [
    (b'D', "%m/%d/%Y"),
    (b'x', "%m/%d/%Y"),
    (b'F', "%Y-%m-%d"),
    (b'T', "%H:%M:%S"),
    (b'X', "%H:%M:%S"),
    (b'R', "%H:%M"),
    (b'c', "%a %b %d %H:%M:%S %Y"),
];
const SIMPLE: &[u8] = b"YymoqbhBdegaAHlIpPMSLfsZzwijknt%";
const YEARS: &[u8] = b"YyDxFc";

/// What is left to parse, and what has been.
struct Parser<'t> {
    rest: &'t [u8],
    civil: Civil,
    afternoon: Option<bool>,
    /// Seconds east of Greenwich.
    offset: i128,
}

/// Whether a format can be used.
pub(crate) fn check(format: &[u8]) -> Result<(), String> {
    let mut has_year = false;
    let mut rest = format.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            continue;
        }
        let directive = rest.next().ok_or("format ends in `%`")?;
        if !SIMPLE.contains(&directive) && !COMPOUND.iter().any(|(name, _)| *name == directive) {
            return Err(format!("unknown directive `%{}` in a time's format", char::from(directive)));
        }
        has_year |= YEARS.contains(&directive);
    }
    if has_year { Ok(()) } else { Err("a time's format needs a year, such as `%Y`".to_owned()) }
}

/// Parses a time into nanoseconds since 1970.
pub(crate) fn parse(text: &[u8], format: &[u8]) -> Result<i128, EvalError> {
    let civil = Civil { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0, nanosecond: 0 };
    let mut parser = Parser { rest: text, civil, afternoon: None, offset: 0 };
    let time = parser.all(format).filter(|()| parser.rest.is_empty()).and_then(|()| parser.time());
    time.ok_or_else(|| EvalError::Text { text: excerpt(text), wanted: "a time of that format" })
}

impl Parser<'_> {
    fn all(&mut self, format: &[u8]) -> Option<()> {
        let mut format = format;
        while let Some((&byte, mut after)) = format.split_first() {
            if byte == b'%' {
                let (&directive, rest) = after.split_first()?;
                after = rest;
                self.directive(directive)?;
                if matches!(directive, b'S' | b'T' | b'X') && !matches!(after.first(), Some(b'.' | b',')) {
                    self.fraction_after_point();
                }
            } else {
                self.rest = self.rest.strip_prefix(&[byte])?;
            }
            format = after;
        }
        Some(())
    }

    fn directive(&mut self, directive: u8) -> Option<()> {
        match directive {
            b'Y' => self.civil.year = self.number(4, 4)?,
            b'y' => {
                let year = self.number(2, 2)?;
                self.civil.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            b'm' | b'o' | b'q' => self.civil.month = self.number(1, 2)?,
            b'd' | b'e' | b'g' => {
                self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
                self.civil.day = self.number(1, 2)?;
            }
            b'b' | b'h' | b'B' => self.civil.month = self.name(&MONTHS, directive == b'B')? + 1,
            b'a' | b'A' => {
                self.name(&WEEKDAYS, directive == b'A')?;
            }
            b'H' => self.civil.hour = self.number(1, 2)?,
            b'I' | b'l' => {
                self.civil.hour = self.number(1, 2)?;
                self.afternoon = self.afternoon.or(Some(false));
            }
            b'p' | b'P' => self.afternoon = Some(self.name(&["am", "pm"], true)? == 1),
            b'M' => self.civil.minute = self.number(1, 2)?,
            b'S' => self.civil.second = self.number(1, 2)?,
            b'L' | b'f' | b's' => self.fraction()?,
            b'Z' => {
                self.name(&["utc", "gmt"], true)?;
            }
            b'z' | b'w' | b'i' | b'j' | b'k' => self.offset()?,
            b'n' => self.rest = self.rest.strip_prefix(b"\n")?,
            b't' => self.rest = self.rest.strip_prefix(b"\t")?,
            b'%' => self.rest = self.rest.strip_prefix(b"%")?,
            compound => return self.all(COMPOUND.iter().find(|(name, _)| *name == compound)?.1.as_bytes()),
        }
        Some(())
    }

    fn number(&mut self, least: usize, most: usize) -> Option<i128> {
        let digits = self.rest.iter().take(most).take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits < least {
            return None;
        }
        Some(number.iter().fold(0, |number, digit| number * 10 + i128::from(digit - b'0')))
    }

    /// Index of a name; without its ending unless it is to be `long`.
    fn name(&mut self, names: &[&str], long: bool) -> Option<i128> {
        let names = names.iter().map(|name| if long { name } else { &name[..3] });
        let found = |name: &str| {
            self.rest.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name.as_bytes()))
        };
        let (index, name) = names.enumerate().find(|(_, name)| found(name))?;
        self.rest = &self.rest[name.len()..];
        i128::try_from(index).ok()
    }

    fn fraction(&mut self) -> Option<()> {
        let before = self.rest.len();
        let digits = self.number(1, 9)?;
        self.civil.nanosecond = (before - self.rest.len()..9).fold(digits, |value, _| value * 10);
        Some(())
    }

    fn fraction_after_point(&mut self) {
        if let [b'.' | b',', rest @ ..] = self.rest
            && rest.first().is_some_and(u8::is_ascii_digit)
        {
            self.rest = rest;
            self.fraction();
        }
    }

    fn offset(&mut self) -> Option<()> {
        let (&sign, rest) = self.rest.split_first()?;
        self.rest = rest;
        let sign = match sign {
            b'Z' => return Some(()),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let mut seconds = self.number(2, 2)? * 3600;
        for unit in [60, 1] {
            self.rest = self.rest.strip_prefix(b":").unwrap_or(self.rest);
            seconds += self.number(2, 2).unwrap_or(0) * unit;
        }
        self.offset = sign * seconds;
        Some(())
    }

    fn time(&self) -> Option<i128> {
        let mut civil = self.civil;
        if let Some(afternoon) = self.afternoon {
            civil.hour = civil.hour % 12 + if afternoon { 12 } else { 0 };
        }
        civil.exists().then(|| civil.time() - self.offset * SECOND)
    }
}

#[cfg(test)]
mod tests;
