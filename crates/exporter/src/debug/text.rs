//! Requests as text, in the shape that the Collector's `debug` exporter made familiar.

use std::fmt::{self, Write as _};

use forebay_pipeline::Signal;

use super::message::Message;

mod logs;
mod metrics;
mod traces;
mod value;

use value::{attributes, key_values};

/// What a signal calls the parts of a request.
struct Names {
    /// In the detailed text.
    resource: &'static str,
    scope: &'static str,
    /// In the text of one line each.
    resource_line: &'static str,
    scope_line: &'static str,
}

impl Names {
    fn of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => Self {
                resource: "ResourceSpans",
                scope: "ScopeSpans",
                resource_line: "ResourceTraces",
                scope_line: "ScopeTraces",
            },
            Signal::Metrics => Self {
                resource: "ResourceMetrics",
                scope: "ScopeMetrics",
                resource_line: "ResourceMetrics",
                scope_line: "ScopeMetrics",
            },
            Signal::Logs => Self {
                resource: "ResourceLog",
                scope: "ScopeLogs",
                resource_line: "ResourceLog",
                scope_line: "ScopeLog",
            },
        }
    }
}

/// Verbosity `normal`: a line for each item, under a line for its resource and one for its scope.
pub(super) fn lines(signal: Signal, request: &Message<'_>) -> String {
    let names = Names::of(signal);
    let mut out = Text::default();
    for (index, resource) in request.messages(1).enumerate() {
        out.line(format_args!(
            "{} #{index}{}{}",
            names.resource_line,
            bracketed(&resource.text(3)),
            key_values(resource.message(1), 1)
        ));
        for (index, scope) in resource.messages(2).enumerate() {
            let about = scope.message(1);
            let (name, version) = (about.text(1), about.text(2));
            let at = if version.is_empty() { "" } else { "@" };
            let space = if name.is_empty() { "" } else { " " };
            out.line(format_args!(
                "{} #{index}{space}{name}{at}{version}{}{}",
                names.scope_line,
                bracketed(&scope.text(3)),
                key_values(about, 3)
            ));
            for item in scope.messages(2) {
                match signal {
                    Signal::Traces => traces::line(&mut out, item),
                    Signal::Metrics => metrics::lines(&mut out, item),
                    Signal::Logs => logs::line(&mut out, item),
                }
            }
        }
    }
    out.0
}

/// Verbosity `detailed`.
pub(super) fn everything(signal: Signal, request: &Message<'_>) -> String {
    let names = Names::of(signal);
    let mut out = Text::default();
    for (index, resource) in request.messages(1).enumerate() {
        out.line(format_args!("{} #{index}", names.resource));
        out.line(format_args!("Resource SchemaURL: {}", resource.text(3)));
        attributes(&mut out, "Resource attributes:", resource.message(1), 1);
        for (index, scope) in resource.messages(2).enumerate() {
            let about = scope.message(1);
            out.line(format_args!("{} #{index}", names.scope));
            out.line(format_args!("{} SchemaURL: {}", names.scope, scope.text(3)));
            out.line(format_args!("InstrumentationScope {} {}", about.text(1), about.text(2)));
            attributes(&mut out, "InstrumentationScope attributes:", about, 3);
            for (index, item) in scope.messages(2).enumerate() {
                match signal {
                    Signal::Traces => traces::span(&mut out, index, item),
                    Signal::Metrics => metrics::metric(&mut out, index, item),
                    Signal::Logs => logs::record(&mut out, index, item),
                }
            }
        }
    }
    out.0
}

fn bracketed(schema: &str) -> String {
    if schema.is_empty() { String::new() } else { format!(" [{schema}]") }
}

/// Lines of text.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "{line}");
    }
}
