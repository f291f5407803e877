//! Telemetry to send, and reading it back with prost.

use std::collections::BTreeSet;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// 2026-01-01T00:00:00Z
const BEGIN: u64 = 1_767_225_600_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// Requests that were read back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traces(pub(crate) Vec<ResourceSpans>);

/// A span of 10 ms, the root of its trace if its id is 1.
pub(crate) fn span_of(trace: u128, id: u64) -> Span {
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if id == 1 { Vec::new() } else { 1_u64.to_be_bytes().to_vec() },
        name: format!("GET /{id}"),
        kind: 2,
        start_time_unix_nano: BEGIN,
        end_time_unix_nano: BEGIN + 10 * MILLISECOND,
        attributes: vec![string_attribute("http.route", "/cart")],
        ..Span::default()
    }
}

/// The root span of a trace.
pub(crate) fn span(trace: u128) -> Span {
    span_of(trace, 1)
}

/// One request of these spans.
pub(crate) fn request_of(spans: impl IntoIterator<Item = Span>) -> Bytes {
    let scope_spans =
        ScopeSpans { scope: Some(scope()), spans: spans.into_iter().collect(), schema_url: String::new() };
    let resource_spans = ResourceSpans {
        resource: Some(resource()),
        scope_spans: vec![scope_spans],
        schema_url: "https://opentelemetry.io/schemas/1.30.0".into(),
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
}

/// A request of one gauge with so many data points.
pub(crate) fn metrics_request(points: u64) -> Bytes {
    let point = |number| NumberDataPoint {
        time_unix_nano: BEGIN + number,
        value: Some(number_data_point::Value::AsDouble(0.5)),
        ..NumberDataPoint::default()
    };
    let data = Data::Gauge(Gauge { data_points: (0..points).map(point).collect() });
    let metric =
        Metric { name: "queue.length".into(), unit: "1".into(), data: Some(data), ..Metric::default() };
    let scope_metrics =
        vec![ScopeMetrics { scope: Some(scope()), metrics: vec![metric], ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource()), scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec().into()
}

/// A request of so many log records.
pub(crate) fn logs_request(records: u64) -> Bytes {
    let record = |number| LogRecord {
        time_unix_nano: BEGIN + number,
        severity_text: "WARN".into(),
        body: Some(AnyValue { value: Some(Value::StringValue("the basin is full".into())) }),
        ..LogRecord::default()
    };
    let log_records = (0..records).map(record).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() }];
    let resource_logs =
        vec![ResourceLogs { resource: Some(resource()), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec().into()
}

/// An attribute.
pub(crate) fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// An attribute that is a string.
pub(crate) fn string_attribute(key: &str, value: &str) -> KeyValue {
    key_value(key, Value::StringValue(value.into()))
}

/// The traces that spans belong to.
pub(crate) fn ids<'a>(spans: impl IntoIterator<Item = &'a Span>) -> BTreeSet<u128> {
    spans.into_iter().map(|span| u128::from_be_bytes(span.trace_id.as_slice().try_into().unwrap())).collect()
}

fn resource() -> Resource {
    Resource { attributes: vec![string_attribute("service.name", "checkout")], ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "e2e".into(), version: "1".into(), ..InstrumentationScope::default() }
}

impl Traces {
    pub(crate) fn decode(request: &[u8]) -> Self {
        Self(ExportTraceServiceRequest::decode(request).unwrap().resource_spans)
    }

    pub(crate) fn into_spans(self) -> Vec<Span> {
        self.0.into_iter().flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }

    pub(crate) fn ids(self) -> BTreeSet<u128> {
        ids(&self.into_spans())
    }
}

impl FromIterator<Self> for Traces {
    fn from_iter<I: IntoIterator<Item = Self>>(traces: I) -> Self {
        Self(traces.into_iter().flat_map(|traces| traces.0).collect())
    }
}
