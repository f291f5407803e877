//! `opentelemetry/proto/logs/v1`

use super::Kind::{Enum, Fixed32, Fixed64, Id, Nested, String, Uint32};
use super::common::{ANY_VALUE, KEY_VALUE, RESOURCE, SCOPE};
use super::{Message, repeated, single};

pub(super) static RESOURCE_LOGS: Message = Message::new(
    "ResourceLogs",
    &[
        single(1, "resource", Nested(&RESOURCE)),
        repeated(2, "scopeLogs", Nested(&SCOPE_LOGS)),
        single(3, "schemaUrl", String),
    ],
);

static SCOPE_LOGS: Message = Message::new(
    "ScopeLogs",
    &[
        single(1, "scope", Nested(&SCOPE)),
        repeated(2, "logRecords", Nested(&LOG_RECORD)),
        single(3, "schemaUrl", String),
    ],
);

static LOG_RECORD: Message = Message::new(
    "LogRecord",
    &[
        single(1, "timeUnixNano", Fixed64),
        single(11, "observedTimeUnixNano", Fixed64),
        single(2, "severityNumber", Enum(SEVERITY_NUMBER)),
        single(3, "severityText", String),
        single(5, "body", Nested(&ANY_VALUE)),
        repeated(6, "attributes", Nested(&KEY_VALUE)),
        single(7, "droppedAttributesCount", Uint32),
        single(8, "flags", Fixed32),
        single(9, "traceId", Id),
        single(10, "spanId", Id),
        single(12, "eventName", String),
    ],
);

const SEVERITY_NUMBER: &[(&str, i32)] = &[
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];
