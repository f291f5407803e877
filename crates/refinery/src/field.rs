//! Fields of Honeycomb's events as OTTL.
//!
//! Honeycomb makes one flat event of a span, its scope and its resource; an attribute of the span goes before one of
//! the scope or the resource. Some fields are no attributes but derived from the span. (Events and links of spans
//! are events of their own there; here they are not looked at.)

use std::fmt::Write as _;

/// Where a field's value may stand in OTTL, in the order in which it is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Whether only the root span is asked.
    pub(crate) of_root: bool,
    /// What is there is not `nil`.
    pub(crate) candidates: Vec<String>,
    /// Whether the value is in nanoseconds where Honeycomb has milliseconds.
    pub(crate) in_nanoseconds: bool,
}

/// Fields that Honeycomb derives from a span.
const DERIVED: [(&str, &str); 12] = [
    ("name", "span.name"),
    ("trace.trace_id", "span.trace_id.string"),
    ("trace.span_id", "span.span_id.string"),
    ("trace.parent_id", "span.parent_span_id.string"),
    ("span.kind", "ToLowerCase(span.kind.string)"),
    ("type", "ToLowerCase(span.kind.string)"),
    ("status_code", "span.status.code"),
    ("status_message", "span.status.message"),
    ("error", ERROR),
    ("library.name", "scope.name"),
    ("library.version", "scope.version"),
    (DURATION, "(span.end_time_unix_nano - span.start_time_unix_nano)"),
];
const DURATION: &str = "duration_ms";
/// Honeycomb sets `error` to true where this holds, and leaves it out elsewhere.
pub(crate) const ERROR: &str = "span.status.code == STATUS_CODE_ERROR";

impl Field {
    /// The field called `name`.
    ///
    /// # Errors
    /// Why there is no equivalent.
    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let (of_root, name) = name.strip_prefix("root.").map_or((false, name), |name| (true, name));
        if name.starts_with("?.") || name.starts_with("meta.") {
            return Err(format!("`{name}` is computed by Refinery, no part of the trace"));
        }
        let derived = DERIVED.into_iter().find(|(derived, _)| *derived == name);
        let candidates = match derived {
            Some((_, expression)) => vec![expression.to_owned()],
            None => places(name).iter().map(|place| format!("{place}.attributes[{}]", text(name))).collect(),
        };
        Ok(Self { of_root, candidates, in_nanoseconds: name == DURATION })
    }
}

/// Where an attribute can stand. Those that by the semantic conventions describe a resource stand there alone.
fn places(name: &str) -> &'static [&'static str] {
    const OF_RESOURCES: [&str; 9] =
        ["service.", "k8s.", "host.", "cloud.", "container.", "deployment.", "telemetry.", "process.", "os."];
    let is_of_resource = OF_RESOURCES.iter().any(|prefix| name.starts_with(prefix));
    if is_of_resource { &["resource"] } else { &["span", "scope", "resource"] }
}

/// The selector of a field in a fingerprint.
///
/// # Errors
/// Why there is no equivalent.
pub(crate) fn selector(name: &str) -> Result<String, String> {
    let (place, name) = name.strip_prefix("root.").map_or(("any", name), |name| ("root", name));
    let is_attribute = !name.starts_with("?.")
        && !name.starts_with("meta.")
        && DERIVED.iter().all(|(derived, _)| *derived != name);
    if !is_attribute || name.contains('"') {
        return Err(format!("`{name}` is no attribute, and only attributes make fingerprints"));
    }
    Ok(format!("{place}.attributes[\"{name}\"]"))
}

/// A string literal of OTTL.
pub(crate) fn text(value: &str) -> String {
    let mut literal = String::from('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => literal.extend(['\\', letter]),
            '\n' => literal.push_str("\\n"),
            '\t' => literal.push_str("\\t"),
            '\r' => literal.push_str("\\r"),
            // Writing to a string does not fail.
            letter if letter.is_control() => {
                let _ = write!(literal, "\\u{:04x}", u32::from(letter));
            }
            letter => literal.push(letter),
        }
    }
    literal.push('"');
    literal
}
