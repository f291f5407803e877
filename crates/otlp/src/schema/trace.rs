//! `opentelemetry/proto/trace/v1`

use super::Kind::{Enum, Fixed32, Fixed64, Id, Nested, String, Uint32};
use super::common::{KEY_VALUE, RESOURCE, SCOPE};
use super::{Message, repeated, single};

pub(crate) static RESOURCE_SPANS: Message = Message::new(
    "ResourceSpans",
    &[
        single(1, "resource", Nested(&RESOURCE)),
        repeated(2, "scopeSpans", Nested(&SCOPE_SPANS)),
        single(3, "schemaUrl", String),
    ],
);

pub(crate) static SCOPE_SPANS: Message = Message::new(
    "ScopeSpans",
    &[
        single(1, "scope", Nested(&SCOPE)),
        repeated(2, "spans", Nested(&SPAN)),
        single(3, "schemaUrl", String),
    ],
);

pub(crate) static SPAN: Message = Message::new(
    "Span",
    &[
        single(1, "traceId", Id),
        single(2, "spanId", Id),
        single(3, "traceState", String),
        single(4, "parentSpanId", Id),
        single(16, "flags", Fixed32),
        single(5, "name", String),
        single(6, "kind", Enum(SPAN_KINDS)),
        single(7, "startTimeUnixNano", Fixed64),
        single(8, "endTimeUnixNano", Fixed64),
        repeated(9, "attributes", Nested(&KEY_VALUE)),
        single(10, "droppedAttributesCount", Uint32),
        repeated(11, "events", Nested(&EVENT)),
        single(12, "droppedEventsCount", Uint32),
        repeated(13, "links", Nested(&LINK)),
        single(14, "droppedLinksCount", Uint32),
        single(15, "status", Nested(&STATUS)),
    ],
);

/// The members of `Span.SpanKind`, each in the place of its number.
pub const SPAN_KINDS: &[(&str, i32)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

static EVENT: Message = Message::new(
    "Span.Event",
    &[
        single(1, "timeUnixNano", Fixed64),
        single(2, "name", String),
        repeated(3, "attributes", Nested(&KEY_VALUE)),
        single(4, "droppedAttributesCount", Uint32),
    ],
);

static LINK: Message = Message::new(
    "Span.Link",
    &[
        single(1, "traceId", Id),
        single(2, "spanId", Id),
        single(3, "traceState", String),
        repeated(4, "attributes", Nested(&KEY_VALUE)),
        single(5, "droppedAttributesCount", Uint32),
        single(6, "flags", Fixed32),
    ],
);

static STATUS: Message =
    Message::new("Status", &[single(2, "message", String), single(3, "code", Enum(STATUS_CODES))]);

/// The members of `Status.StatusCode`.
pub const STATUS_CODES: &[(&str, i32)] =
    &[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];
