//! Log records, seen as spans.
//!
//! A log record is compared by what a span is: its trace, its attributes, what stands around it. What samplers write
//! into the `ot` of a span's trace state stands in two attributes of a record. So cases on logs send spans turned
//! into records, and what comes out is turned back.

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;

use crate::Error;

const THRESHOLD: &str = "sampling.threshold";
const RANDOMNESS: &str = "sampling.randomness";

/// The records that these spans are.
pub(super) fn from_spans(request: ExportTraceServiceRequest) -> ExportLogsServiceRequest {
    let record = |span: Span| LogRecord {
        time_unix_nano: span.start_time_unix_nano,
        event_name: span.name,
        attributes: span.attributes,
        trace_id: span.trace_id,
        ..LogRecord::default()
    };
    let scope = |scope: ScopeSpans| ScopeLogs {
        scope: scope.scope,
        log_records: scope.spans.into_iter().map(record).collect(),
        schema_url: scope.schema_url,
    };
    let resource = |resource: ResourceSpans| ResourceLogs {
        resource: resource.resource,
        scope_logs: resource.scope_spans.into_iter().map(scope).collect(),
        schema_url: resource.schema_url,
    };
    ExportLogsServiceRequest { resource_logs: request.resource_spans.into_iter().map(resource).collect() }
}

/// The spans that these records were, with the trace state that their attributes stand for.
///
/// # Errors
/// If `request` is no OTLP.
pub fn to_spans(request: &Bytes) -> Result<Bytes, Error> {
    let request = ExportLogsServiceRequest::decode(&request[..])?;
    let span = |record: LogRecord| {
        seen(Span {
            start_time_unix_nano: record.time_unix_nano,
            name: record.event_name,
            attributes: record.attributes,
            trace_id: record.trace_id,
            ..Span::default()
        })
    };
    let scope = |scope: ScopeLogs| ScopeSpans {
        scope: scope.scope,
        spans: scope.log_records.into_iter().map(span).collect(),
        schema_url: scope.schema_url,
    };
    let resource = |resource: ResourceLogs| ResourceSpans {
        resource: resource.resource,
        scope_spans: resource.scope_logs.into_iter().map(scope).collect(),
        schema_url: resource.schema_url,
    };
    let resource_spans = request.resource_logs.into_iter().map(resource).collect();
    Ok(ExportTraceServiceRequest { resource_spans }.encode_to_vec().into())
}

/// The span that a record is which has what this one has.
pub(super) fn seen(mut span: Span) -> Span {
    span.trace_state = take_trace_state(&mut span.attributes);
    Span {
        name: span.name,
        start_time_unix_nano: span.start_time_unix_nano,
        attributes: span.attributes,
        trace_id: span.trace_id,
        trace_state: span.trace_state,
        ..Span::default()
    }
}

/// The trace state that stands for a record's attributes.
fn take_trace_state(attributes: &mut Vec<KeyValue>) -> String {
    let keys: Vec<_> = [("th", THRESHOLD), ("rv", RANDOMNESS)]
        .into_iter()
        .filter_map(|(name, key)| {
            let mut of_key: Vec<_> = attributes.extract_if(.., |attribute| attribute.key == key).collect();
            match of_key.pop()?.value?.value? {
                Value::StringValue(text) => Some(format!("{name}:{text}")),
                _ => None,
            }
        })
        .collect();
    if keys.is_empty() { String::new() } else { format!("ot={}", keys.join(";")) }
}
