//! `opentelemetry/proto/collector/{trace,metrics,logs}/v1`

use super::Kind::{Int64, Nested, String};
use super::logs::RESOURCE_LOGS;
use super::metrics::RESOURCE_METRICS;
use super::trace::RESOURCE_SPANS;
use super::{Message, repeated, single};

pub(super) static TRACE_REQUEST: Message =
    Message::new("ExportTraceServiceRequest", &[repeated(1, "resourceSpans", Nested(&RESOURCE_SPANS))]);

pub(super) static TRACE_RESPONSE: Message = Message::new(
    "ExportTraceServiceResponse",
    &[single(1, "partialSuccess", Nested(&TRACE_PARTIAL_SUCCESS))],
);

static TRACE_PARTIAL_SUCCESS: Message = Message::new(
    "ExportTracePartialSuccess",
    &[single(1, "rejectedSpans", Int64), single(2, "errorMessage", String)],
);

pub(super) static METRICS_REQUEST: Message =
    Message::new("ExportMetricsServiceRequest", &[repeated(1, "resourceMetrics", Nested(&RESOURCE_METRICS))]);

pub(super) static METRICS_RESPONSE: Message = Message::new(
    "ExportMetricsServiceResponse",
    &[single(1, "partialSuccess", Nested(&METRICS_PARTIAL_SUCCESS))],
);

static METRICS_PARTIAL_SUCCESS: Message = Message::new(
    "ExportMetricsPartialSuccess",
    &[single(1, "rejectedDataPoints", Int64), single(2, "errorMessage", String)],
);

pub(super) static LOGS_REQUEST: Message =
    Message::new("ExportLogsServiceRequest", &[repeated(1, "resourceLogs", Nested(&RESOURCE_LOGS))]);

pub(super) static LOGS_RESPONSE: Message =
    Message::new("ExportLogsServiceResponse", &[single(1, "partialSuccess", Nested(&LOGS_PARTIAL_SUCCESS))]);

static LOGS_PARTIAL_SUCCESS: Message = Message::new(
    "ExportLogsPartialSuccess",
    &[single(1, "rejectedLogRecords", Int64), single(2, "errorMessage", String)],
);
