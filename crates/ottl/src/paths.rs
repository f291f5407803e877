//! The paths of the contexts, and what they name.

use forebay_otlp::{SPAN_KINDS, STATUS_CODES};

use crate::error::Mistake;
use crate::reading::Reading;
use crate::slots::{Level, What};
use crate::types::Types;

/// What a condition is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Context {
    /// A span, with its scope and its resource.
    Span,
    /// An event of a span, with the span, its scope and its resource.
    SpanEvent,
}

/// A path.
pub(crate) struct Path {
    /// Without its context.
    pub(crate) name: &'static str,
    pub(crate) names: Names,
    pub(crate) types: Types,
}

/// What a path names.
pub(crate) enum Names {
    /// A field of the message.
    Field(u32, Reading),
    /// A field of the message around.
    Around(u32, Reading),
    /// How many fields there are.
    Count(u32),
    /// The attributes, or one by its key.
    Attributes,
    /// The trace state, or a member by its key.
    TraceState(u32),
    /// The index of an event in its span.
    EventIndex,
    /// The Collector's scratch pad, which is empty in conditions.
    Cache,
}

/// What stands before the first point of a path.
pub(crate) struct Prefix {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    paths: &'static [Path],
}

const SPAN: Prefix = Prefix {
    name: "span",
    level: Level::Span,
    paths: &[
        field("trace_id", 1, Reading::TraceId, Types::TRACE_ID),
        field("trace_id.string", 1, Reading::TraceIdText, Types::STRING),
        field("span_id", 2, Reading::SpanId, Types::SPAN_ID),
        field("span_id.string", 2, Reading::SpanIdText, Types::STRING),
        Path { name: "trace_state", names: Names::TraceState(3), types: Types::STRING },
        field("parent_span_id", PARENT_SPAN_ID, Reading::SpanId, Types::SPAN_ID),
        field("parent_span_id.string", PARENT_SPAN_ID, Reading::SpanIdText, Types::STRING),
        field("name", 5, Reading::Text, Types::STRING),
        field("kind", 6, Reading::Kind, Types::INT),
        field("kind.string", 6, Reading::KindText, Types::STRING),
        field("kind.deprecated_string", 6, Reading::KindConstant, Types::STRING),
        field("start_time_unix_nano", 7, Reading::UnixNano, Types::INT),
        field("start_time", 7, Reading::Time, Types::TIME),
        field("end_time_unix_nano", 8, Reading::UnixNano, Types::INT),
        field("end_time", 8, Reading::Time, Types::TIME),
        ATTRIBUTES,
        field("dropped_attributes_count", 10, Reading::Int, Types::INT),
        Path { name: "events", names: Names::Count(11), types: Types::RECORDS },
        field("dropped_events_count", 12, Reading::Int, Types::INT),
        Path { name: "links", names: Names::Count(13), types: Types::RECORDS },
        field("dropped_links_count", 14, Reading::Int, Types::INT),
        field("status", 15, Reading::Status, Types::STATUS),
        field("status.code", 15, Reading::StatusCode, Types::INT),
        field("status.message", 15, Reading::StatusMessage, Types::STRING),
        field("flags", 16, Reading::Int, Types::INT),
        CACHE,
    ],
};
const EVENT: Prefix = Prefix {
    name: "spanevent",
    level: Level::Event,
    paths: &[
        field("time_unix_nano", 1, Reading::UnixNano, Types::INT),
        field("time", 1, Reading::Time, Types::TIME),
        field("name", 2, Reading::Text, Types::STRING),
        ATTRIBUTES,
        field("dropped_attributes_count", 4, Reading::Int, Types::INT),
        Path { name: "event_index", names: Names::EventIndex, types: Types::INT },
        CACHE,
    ],
};
const RESOURCE: Prefix = Prefix {
    name: "resource",
    level: Level::Resource,
    paths: &[
        ATTRIBUTES,
        field("dropped_attributes_count", 2, Reading::Int, Types::INT),
        Path { name: "schema_url", names: Names::Around(3, Reading::Text), types: Types::STRING },
    ],
};
const SCOPE: Prefix = Prefix {
    name: "scope",
    level: Level::Scope,
    paths: &[
        field("name", 1, Reading::Text, Types::STRING),
        field("version", 2, Reading::Text, Types::STRING),
        ATTRIBUTES,
        field("dropped_attributes_count", 4, Reading::Int, Types::INT),
        Path { name: "schema_url", names: Names::Around(3, Reading::Text), types: Types::STRING },
    ],
};
/// The scope's name of old.
const INSTRUMENTATION_SCOPE: Prefix = Prefix { name: "instrumentation_scope", ..SCOPE };

const ATTRIBUTES: Path = Path { name: "attributes", names: Names::Attributes, types: Types::MAP };
const CACHE: Path = Path { name: "cache", names: Names::Cache, types: Types::MAP };
/// Field number of a span's parent.
const PARENT_SPAN_ID: u32 = 4;

/// What `IsRootSpan` looks at.
pub(crate) const ROOT_SPAN: (Level, What, Reading) =
    (Level::Span, What::Field(PARENT_SPAN_ID), Reading::NoSpanId);

const fn field(name: &'static str, number: u32, reading: Reading, types: Types) -> Path {
    Path { name, names: Names::Field(number, reading), types }
}

/// The number of an enum's member; enums are integers.
pub(crate) fn enum_member(name: &str, at: usize) -> Result<i64, Mistake> {
    let members = || SPAN_KINDS.iter().chain(STATUS_CODES);
    let found = members().find(|(known, _)| *known == name);
    found.map(|(_, number)| i64::from(*number)).ok_or_else(|| {
        let known: Vec<_> = members().map(|(known, _)| *known).collect();
        Mistake::unknown(at, "enum", name, &known)
    })
}

impl Context {
    const fn prefixes(self) -> &'static [Prefix] {
        match self {
            Self::Span => &[SPAN, RESOURCE, SCOPE, INSTRUMENTATION_SCOPE],
            Self::SpanEvent => &[EVENT, SPAN, RESOURCE, SCOPE, INSTRUMENTATION_SCOPE],
        }
    }

    /// What paths without a prefix belong to.
    const fn own(self) -> &'static Prefix {
        match self {
            Self::Span => &SPAN,
            Self::SpanEvent => &EVENT,
        }
    }

    /// Finds a dotted name. Without a known prefix it is one of the context's own.
    pub(crate) fn find(self, names: &[&str], at: usize) -> Result<(&'static Prefix, &'static Path), Mistake> {
        let prefixes = self.prefixes();
        let named = names.split_first().filter(|(_, rest)| !rest.is_empty());
        let named = named.and_then(|(first, rest)| {
            prefixes.iter().find(|prefix| prefix.name == *first).map(|prefix| (prefix, rest))
        });
        let (prefix, rest) = named.unwrap_or((self.own(), names));
        let wanted = rest.join(".");
        let found = prefix.paths.iter().find(|path| path.name == wanted);
        // Only the context's own scratch pad is there.
        if let Some(path) =
            found.filter(|path| prefix.name == self.own().name || !matches!(path.names, Names::Cache))
        {
            return Ok((prefix, path));
        }
        let known: Vec<_> = prefix.paths.iter().map(|path| path.name).collect();
        let contexts =
            prefixes.iter().map(|prefix| format!("{}.", prefix.name)).collect::<Vec<_>>().join(", ");
        let mistake =
            Mistake::unknown(at, &format!("path in the context `{}`", prefix.name), &wanted, &known);
        Err(mistake.and_help(&format!("; other contexts start with {contexts}")))
    }
}
