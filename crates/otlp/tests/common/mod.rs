//! What the oracle tests share: generated requests of every signal as `prost` messages, and
//! recorded ones as JSON.
//!
//! The generators aim at shape, not at realism: every field of every message, every kind of value,
//! times and numbers at the ends of their ranges, and few enough trace ids that traces span
//! resources and scopes.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::env;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::iter;
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A trace request: all ids have their proper length and are not zero; traces are spread over
/// resources and scopes.
pub fn trace_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    vec(resource_spans(), 0..4).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// A metrics request with all kinds of points.
pub fn metrics_request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope_metrics = (option::of(scope()), vec(metric(), 0..4), text())
        .prop_map(|(scope, metrics, schema_url)| ScopeMetrics { scope, metrics, schema_url });
    let resource_metrics = (option::of(resource()), vec(scope_metrics, 0..3), text()).prop_map(
        |(resource, scope_metrics, schema_url)| ResourceMetrics { resource, scope_metrics, schema_url },
    );
    vec(resource_metrics, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

/// A logs request.
pub fn logs_request() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope_logs = (option::of(scope()), vec(log_record(), 0..5), text())
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let resource_logs = (option::of(resource()), vec(scope_logs, 0..3), text())
        .prop_map(|(resource, scope_logs, schema_url)| ResourceLogs { resource, scope_logs, schema_url });
    vec(resource_logs, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// An attribute value of any kind, nested a few levels, or none.
pub fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        text().prop_map(|text| Some(Value::StringValue(text))),
        any::<bool>().prop_map(|value| Some(Value::BoolValue(value))),
        any::<i64>().prop_map(|value| Some(Value::IntValue(value))),
        double().prop_map(|value| Some(Value::DoubleValue(value))),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Some(Value::BytesValue(bytes))),
        any::<i32>().prop_map(|index| Some(Value::StringValueStrindex(index))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 12, 3, |value| {
        prop_oneof![
            vec(value.clone(), 0..3).prop_map(|values| Value::ArrayValue(ArrayValue { values })),
            vec(key_value(value), 0..3).prop_map(|values| Value::KvlistValue(KeyValueList { values })),
        ]
        .prop_map(|value| AnyValue { value: Some(value) })
    })
}

/// Attributes with a few names that repeat and some that do not.
pub fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(key_value(any_value()), 0..4)
}

/// A span with ids of the right length.
pub fn span() -> impl Strategy<Value = Span> {
    let identity =
        (trace_id(), span_id(), prop_oneof![Just(Vec::new()), span_id()], trace_state(), any::<u32>());
    let timing = (text(), 0..7_i32, time(), time());
    let dropped = (any::<u32>(), any::<u32>(), any::<u32>());
    let status = option::of((text(), 0..4_i32).prop_map(|(message, code)| Status { message, code }));
    (identity, timing, attributes(), vec(event(), 0..3), vec(link(), 0..3), dropped, status).prop_map(
        |(identity, timing, attributes, events, links, dropped, status)| {
            let (trace_id, span_id, parent_span_id, trace_state, flags) = identity;
            let (name, kind, start_time_unix_nano, end_time_unix_nano) = timing;
            Span {
                trace_id,
                span_id,
                trace_state,
                parent_span_id,
                flags,
                name,
                kind,
                start_time_unix_nano,
                end_time_unix_nano,
                attributes,
                dropped_attributes_count: dropped.0,
                events,
                dropped_events_count: dropped.1,
                links,
                dropped_links_count: dropped.2,
                status,
            }
        },
    )
}

/// Sixteen bytes, not all zero; one of four in half of the cases.
pub fn trace_id() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (1..5_u8).prop_map(|number| vec![number; 16]),
        any::<[u8; 15]>().prop_map(|random| [&random[..], &[1]].concat())
    ]
}

/// Eight bytes, not all zero.
pub fn span_id() -> impl Strategy<Value = Vec<u8>> {
    any::<[u8; 7]>().prop_map(|random| [&random[..], &[1]].concat())
}

/// A finite or infinite number. Not NaN, which equals nothing.
pub fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => any::<f64>().prop_filter("NaN equals nothing", |value| !value.is_nan()),
        1 => prop::sample::select(vec![0.0, -0.0, 1.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 1e300]),
    ]
}

/// Short text, empty at times, with characters that JSON escapes.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z.]{1,12}",
        any::<String>(),
        Just("\u{0}\u{1f}\u{7f}\"\\/\u{2028}\u{1f600}".to_owned())
    ]
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let scope_spans = (option::of(scope()), vec(span(), 0..4), text())
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    (option::of(resource()), vec(scope_spans, 0..3), text())
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
}

fn resource() -> impl Strategy<Value = Resource> {
    let entity_ref = (text(), text(), vec(text(), 0..3), vec(text(), 0..3)).prop_map(
        |(schema_url, r#type, id_keys, description_keys)| EntityRef {
            schema_url,
            r#type,
            id_keys,
            description_keys,
        },
    );
    (attributes(), any::<u32>(), vec(entity_ref, 0..2)).prop_map(
        |(attributes, dropped_attributes_count, entity_refs)| Resource {
            attributes,
            dropped_attributes_count,
            entity_refs,
        },
    )
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    (text(), text(), attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    let key = prop_oneof![Just("service.name".to_owned()), Just("http.status_code".to_owned()), text()];
    (key, option::of(value), prop_oneof![Just(0), any::<i32>()])
        .prop_map(|(key, value, key_strindex)| KeyValue { key, value, key_strindex })
}

fn event() -> impl Strategy<Value = Event> {
    (time(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

fn link() -> impl Strategy<Value = Link> {
    (trace_id(), span_id(), trace_state(), attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

/// A log record.
pub fn log_record() -> impl Strategy<Value = LogRecord> {
    let times = (time(), time());
    let severity = (0..26_i32, text());
    let ids = (prop_oneof![Just(Vec::new()), trace_id()], prop_oneof![Just(Vec::new()), span_id()]);
    (times, severity, option::of(any_value()), attributes(), any::<u32>(), any::<u32>(), ids, text())
        .prop_map(|(times, severity, body, attributes, dropped_attributes_count, flags, ids, event_name)| {
            LogRecord {
                time_unix_nano: times.0,
                observed_time_unix_nano: times.1,
                severity_number: severity.0,
                severity_text: severity.1,
                body,
                attributes,
                dropped_attributes_count,
                flags,
                trace_id: ids.0,
                span_id: ids.1,
                event_name,
            }
        })
}

/// A metric of any kind, or of none.
pub fn metric() -> impl Strategy<Value = Metric> {
    (text(), text(), text(), attributes(), option::of(data())).prop_map(
        |(name, description, unit, metadata, data)| Metric { name, description, unit, metadata, data },
    )
}

fn data() -> impl Strategy<Value = Data> {
    let temporality = 0..4_i32;
    prop_oneof![
        vec(number_data_point(), 0..3).prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        (vec(number_data_point(), 0..3), temporality.clone(), any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| {
                Data::Sum(Sum { data_points, aggregation_temporality, is_monotonic })
            }
        ),
        (vec(histogram_data_point(), 0..3), temporality.clone()).prop_map(
            |(data_points, aggregation_temporality)| {
                Data::Histogram(Histogram { data_points, aggregation_temporality })
            }
        ),
        (vec(exponential_histogram_data_point(), 0..3), temporality).prop_map(
            |(data_points, aggregation_temporality)| {
                Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality })
            }
        ),
        vec(summary_data_point(), 0..3).prop_map(|data_points| Data::Summary(Summary { data_points })),
    ]
}

fn number_data_point() -> impl Strategy<Value = NumberDataPoint> {
    let value = prop_oneof![
        double().prop_map(number_data_point::Value::AsDouble),
        any::<i64>().prop_map(number_data_point::Value::AsInt),
    ];
    (attributes(), time(), time(), exemplars(), any::<u32>(), option::of(value)).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, exemplars, flags, value)| NumberDataPoint {
            attributes,
            start_time_unix_nano,
            time_unix_nano,
            exemplars,
            flags,
            value,
        },
    )
}

fn histogram_data_point() -> impl Strategy<Value = HistogramDataPoint> {
    let buckets = (vec(any::<u64>(), 0..4), vec(double(), 0..4));
    (attributes(), time(), time(), any::<u64>(), buckets, exemplars(), any::<u32>(), statistics()).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, count, buckets, exemplars, flags, statistics)| {
            HistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum: statistics.0,
                bucket_counts: buckets.0,
                explicit_bounds: buckets.1,
                exemplars,
                flags,
                min: statistics.1,
                max: statistics.2,
            }
        },
    )
}

fn exponential_histogram_data_point() -> impl Strategy<Value = ExponentialHistogramDataPoint> {
    let counts = (any::<u64>(), any::<u64>(), double(), any::<i32>());
    let sides = (option::of(buckets()), option::of(buckets()));
    (attributes(), time(), time(), counts, sides, exemplars(), any::<u32>(), statistics()).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, counts, sides, exemplars, flags, statistics)| {
            ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count: counts.0,
                sum: statistics.0,
                scale: counts.3,
                zero_count: counts.1,
                positive: sides.0,
                negative: sides.1,
                flags,
                exemplars,
                min: statistics.1,
                max: statistics.2,
                zero_threshold: counts.2,
            }
        },
    )
}

fn summary_data_point() -> impl Strategy<Value = SummaryDataPoint> {
    let quantile = (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    (attributes(), time(), time(), any::<u64>(), double(), vec(quantile, 0..3), any::<u32>()).prop_map(
        |(attributes, start_time_unix_nano, time_unix_nano, count, sum, quantile_values, flags)| {
            SummaryDataPoint {
                attributes,
                start_time_unix_nano,
                time_unix_nano,
                count,
                sum,
                quantile_values,
                flags,
            }
        },
    )
}

fn buckets() -> impl Strategy<Value = Buckets> {
    (any::<i32>(), vec(any::<u64>(), 0..4))
        .prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts })
}

fn exemplars() -> impl Strategy<Value = Vec<Exemplar>> {
    let value = prop_oneof![
        double().prop_map(exemplar::Value::AsDouble),
        any::<i64>().prop_map(exemplar::Value::AsInt),
    ];
    let exemplar = (attributes(), time(), span_id(), trace_id(), option::of(value)).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    );
    vec(exemplar, 0..2)
}

/// Sum, minimum and maximum, which are optional: set to zero is not unset.
fn statistics() -> impl Strategy<Value = (Option<f64>, Option<f64>, Option<f64>)> {
    (option::of(double()), option::of(double()), option::of(double()))
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        1_700_000_000_000_000_000..1_700_000_100_000_000_000_u64,
        any::<u64>(),
        Just(0),
        Just(u64::MAX)
    ]
}

fn trace_state() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("ot=th:c".to_owned()),
        Just("vendor=value,ot=th:fd70a;rv:ffffffffffffff".to_owned()),
        text()
    ]
}

/// The recorded requests, as OTLP/JSON: the excerpts in `testdata`, or all of
/// `$FOREBAY_DATASETS/*/traces.jsonl.zst`.
pub fn recorded_requests() -> impl Iterator<Item = String> {
    let recordings: Vec<PathBuf> = match env::var_os("FOREBAY_DATASETS") {
        Some(datasets) => {
            entries(Path::new(&datasets)).map(|dataset| dataset.join("traces.jsonl.zst")).collect()
        }
        None => entries(&Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")).collect(),
    };
    let mut recordings =
        recordings.into_iter().filter(|file| file.to_string_lossy().ends_with(".zst") && file.exists());
    let first = recordings.next().expect("recorded requests");
    iter::once(first).chain(recordings).flat_map(|file| {
        let lines = zstd::Decoder::new(File::open(file).unwrap()).unwrap();
        BufReader::new(lines).lines().map(Result::unwrap)
    })
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    directory.read_dir().unwrap().map(|entry| entry.unwrap().path())
}
