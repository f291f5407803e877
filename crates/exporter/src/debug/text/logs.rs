//! Log records.

use super::value::{attributes, key_values, plain, typed};
use super::{Message, Text};

pub(super) fn line(out: &mut Text, record: Message<'_>) {
    out.line(format_args!("{}{}", plain(record.message(5)), key_values(record, 6)));
}

pub(super) fn record(out: &mut Text, index: usize, record: Message<'_>) {
    out.line(format_args!("LogRecord #{index}"));
    out.line(format_args!("ObservedTimestamp: {}", record.time(11)));
    out.line(format_args!("Timestamp: {}", record.time(1)));
    out.line(format_args!("SeverityText: {}", record.text(3)));
    out.line(format_args!("SeverityNumber: {}", severity(record.number(2))));
    if !record.bytes(12).is_empty() {
        out.line(format_args!("EventName: {}", record.text(12)));
    }
    out.line(format_args!("Body: {}", typed(record.message(5))));
    attributes(out, "Attributes:", record, 6);
    out.line(format_args!("Trace ID: {}", record.hex(9)));
    out.line(format_args!("Span ID: {}", record.hex(10)));
    out.line(format_args!("Flags: {}", record.number(8)));
}

/// Six names of four levels each, the first of which has no digit.
fn severity(number: u64) -> String {
    const NAMES: [&str; 6] = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"];
    let name = number
        .checked_sub(1)
        .and_then(|level| usize::try_from(level / 4).ok())
        .and_then(|name| NAMES.get(name));
    match (name, number % 4) {
        (None, _) => format!("Unspecified({number})"),
        (Some(name), 1) => format!("{name}({number})"),
        (Some(name), rest) => format!("{name}{}({number})", if rest == 0 { 4 } else { rest }),
    }
}
