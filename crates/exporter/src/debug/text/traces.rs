//! Spans.

use super::value::{attributes, key_values};
use super::{Message, Text};

pub(super) fn line(out: &mut Text, span: Message<'_>) {
    out.line(format_args!("{} {} {}{}", span.text(5), span.hex(1), span.hex(2), key_values(span, 9)));
}

pub(super) fn span(out: &mut Text, index: usize, span: Message<'_>) {
    out.line(format_args!("Span #{index}"));
    let status = span.message(15);
    field(out, "Trace ID", &span.hex(1));
    field(out, "Parent ID", &span.hex(4));
    field(out, "ID", &span.hex(2));
    field(out, "Name", &span.text(5));
    field(out, "Kind", kind(span.number(6)));
    if !span.bytes(3).is_empty() {
        field(out, "TraceState", &span.text(3));
    }
    field(out, "Start time", &span.time(7));
    field(out, "End time", &span.time(8));
    field(out, "Status code", status_code(status.number(3)));
    field(out, "Status message", &status.text(2));
    for (number, name) in
        [(10, "DroppedAttributesCount"), (12, "DroppedEventsCount"), (14, "DroppedLinksCount")]
    {
        if span.number(number) > 0 {
            field(out, name, &span.number(number).to_string());
        }
    }
    attributes(out, "Attributes:", span, 9);
    for (index, event) in span.messages(11).enumerate() {
        if index == 0 {
            out.line(format_args!("Events:"));
        }
        out.line(format_args!("SpanEvent #{index}"));
        out.line(format_args!("     -> Name: {}", event.text(2)));
        out.line(format_args!("     -> Timestamp: {}", event.time(1)));
        out.line(format_args!("     -> DroppedAttributesCount: {}", event.number(4)));
        attributes(out, "     -> Attributes:", event, 3);
    }
    for (index, link) in span.messages(13).enumerate() {
        if index == 0 {
            out.line(format_args!("Links:"));
        }
        out.line(format_args!("SpanLink #{index}"));
        out.line(format_args!("     -> Trace ID: {}", link.hex(1)));
        out.line(format_args!("     -> ID: {}", link.hex(2)));
        out.line(format_args!("     -> TraceState: {}", link.text(3)));
        out.line(format_args!("     -> DroppedAttributesCount: {}", link.number(5)));
        attributes(out, "     -> Attributes:", link, 4);
    }
}

fn field(out: &mut Text, name: &str, value: &str) {
    out.line(format_args!("    {name:<15}: {value}"));
}

fn kind(number: u64) -> &'static str {
    match number {
        1 => "Internal",
        2 => "Server",
        3 => "Client",
        4 => "Producer",
        5 => "Consumer",
        _ => "Unspecified",
    }
}

fn status_code(number: u64) -> &'static str {
    match number {
        1 => "Ok",
        2 => "Error",
        _ => "Unset",
    }
}
