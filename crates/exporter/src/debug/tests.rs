use bytes::Bytes;
use forebay_config::read_str;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
    exponential_histogram_data_point, number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;

use super::*;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(text: &str) -> Value {
    Value::StringValue(text.into())
}

fn resource() -> Option<Resource> {
    Some(Resource { attributes: vec![attribute("service.name", text("shop"))], ..Resource::default() })
}

fn scope() -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: "lib".into(), version: "1.2".into(), ..Default::default() })
}

fn traces() -> Batch {
    let list = ArrayValue {
        values: vec![
            AnyValue { value: Some(text("a\"b")) },
            AnyValue { value: Some(Value::DoubleValue(1.5)) },
        ],
    };
    let map = KeyValueList { values: vec![attribute("k", Value::ArrayValue(list))] };
    let span = Span {
        trace_id: vec![0x5b; 16],
        span_id: vec![0xee; 8],
        name: "GET /".into(),
        kind: 2,
        trace_state: "ot=th:8".into(),
        start_time_unix_nano: 1_544_712_660_000_000_001,
        end_time_unix_nano: 1_544_712_661_000_000_000,
        attributes: vec![
            attribute("http.status_code", Value::IntValue(-200)),
            attribute("nested", Value::KvlistValue(map)),
            attribute("raw", Value::BytesValue(vec![1, 255])),
            KeyValue { key: "nothing".into(), ..KeyValue::default() },
        ],
        events: vec![Event { name: "boom".into(), ..Event::default() }],
        links: vec![Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Link::default() }],
        status: Some(Status { code: 2, message: "failed".into() }),
        ..Span::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: resource(),
            schema_url: "https://schema/1".into(),
            scope_spans: vec![ScopeSpans { scope: scope(), spans: vec![span], schema_url: String::new() }],
        }],
    };
    Batch::new(Signal::Traces, Bytes::from(request.encode_to_vec()), 1)
}

fn logs() -> Batch {
    let record = LogRecord {
        severity_number: 12,
        severity_text: "INFO4".into(),
        body: Some(AnyValue { value: Some(text("it happened")) }),
        attributes: vec![attribute("who", text("me"))],
        trace_id: vec![3; 16],
        ..LogRecord::default()
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: resource(),
            scope_logs: vec![ScopeLogs { scope: scope(), log_records: vec![record], ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    };
    Batch::new(Signal::Logs, Bytes::from(request.encode_to_vec()), 1)
}

fn metrics() -> Batch {
    let metric = |name: &str, data| Metric { name: name.into(), data: Some(data), ..Metric::default() };
    let point = |value| NumberDataPoint {
        attributes: vec![attribute("host", text("a"))],
        value: Some(value),
        ..NumberDataPoint::default()
    };
    let data = vec![
        metric(
            "gauge",
            Data::Gauge(Gauge { data_points: vec![point(number_data_point::Value::AsDouble(2.5))] }),
        ),
        metric(
            "sum",
            Data::Sum(Sum {
                data_points: vec![point(number_data_point::Value::AsInt(-7))],
                aggregation_temporality: 2,
                is_monotonic: true,
            }),
        ),
        metric(
            "histogram",
            Data::Histogram(Histogram {
                data_points: vec![HistogramDataPoint {
                    count: 3,
                    sum: Some(6.0),
                    bucket_counts: vec![1, 2],
                    explicit_bounds: vec![5.0],
                    ..HistogramDataPoint::default()
                }],
                aggregation_temporality: 1,
            }),
        ),
        metric(
            "exponential",
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![ExponentialHistogramDataPoint {
                    count: 4,
                    zero_count: 1,
                    scale: 0,
                    positive: Some(exponential_histogram_data_point::Buckets {
                        offset: -1,
                        bucket_counts: vec![1, 300],
                    }),
                    ..ExponentialHistogramDataPoint::default()
                }],
                aggregation_temporality: 2,
            }),
        ),
        metric(
            "summary",
            Data::Summary(Summary {
                data_points: vec![SummaryDataPoint {
                    count: 9,
                    sum: 1.0,
                    quantile_values: vec![summary_data_point::ValueAtQuantile { quantile: 0.5, value: 3.0 }],
                    ..SummaryDataPoint::default()
                }],
            }),
        ),
    ];
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: resource(),
            scope_metrics: vec![ScopeMetrics { scope: scope(), metrics: data, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    };
    Batch::new(Signal::Metrics, Bytes::from(request.encode_to_vec()), 5)
}

fn shown(verbosity: Verbosity, batch: &Batch) -> String {
    let output = Output::Plain(Mutex::new(Box::new(std::io::sink())));
    Debug::new("debug", verbosity, output, &Telemetry::new()).describe(batch)
}

#[test]
fn basic_counts() {
    let shown = |batch: &Batch| shown(Verbosity::Basic, batch);
    assert_eq!(shown(&traces()), r#"Traces {"resource spans": 1, "spans": 1}"#);
    assert_eq!(shown(&metrics()), r#"Metrics {"resource metrics": 1, "data points": 5}"#);
    assert_eq!(shown(&logs()), r#"Logs {"resource logs": 1, "log records": 1}"#);
}

#[test]
fn normal_shows_each_item_in_a_line() {
    assert_eq!(
        shown(Verbosity::Normal, &traces()),
        r#"Traces {"resource spans": 1, "spans": 1}
ResourceTraces #0 [https://schema/1] service.name=shop
ScopeTraces #0 lib@1.2
GET / 5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b eeeeeeeeeeeeeeee http.status_code=-200 nested={"k":["a\"b",1.5]} raw=01ff nothing=
"#
    );
    assert_eq!(
        shown(Verbosity::Normal, &logs()),
        r#"Logs {"resource logs": 1, "log records": 1}
ResourceLog #0 service.name=shop
ScopeLog #0 lib@1.2
it happened who=me
"#
    );
    assert_eq!(
        shown(Verbosity::Normal, &metrics()),
        r#"Metrics {"resource metrics": 1, "data points": 5}
ResourceMetrics #0 service.name=shop
ScopeMetrics #0 lib@1.2
gauge{host=a} 2.500000
sum{host=a} -7
histogram{} count=3 sum=6 le5=1
exponential{} count=4
summary{} count=9 sum=1 q0.5=3
"#
    );
}

#[test]
fn detailed_shows_all_of_a_span() {
    assert_eq!(
        shown(Verbosity::Detailed, &traces()),
        r#"Traces {"resource spans": 1, "spans": 1}
ResourceSpans #0
Resource SchemaURL: https://schema/1
Resource attributes:
     -> service.name: Str(shop)
ScopeSpans #0
ScopeSpans SchemaURL: 
InstrumentationScope lib 1.2
Span #0
    Trace ID       : 5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b
    Parent ID      : 
    ID             : eeeeeeeeeeeeeeee
    Name           : GET /
    Kind           : Server
    TraceState     : ot=th:8
    Start time     : 2018-12-13 14:51:00.000000001 +0000 UTC
    End time       : 2018-12-13 14:51:01.000000000 +0000 UTC
    Status code    : Error
    Status message : failed
Attributes:
     -> http.status_code: Int(-200)
     -> nested: Map({"k":["a\"b",1.5]})
     -> raw: Bytes(01ff)
     -> nothing: Empty()
Events:
SpanEvent #0
     -> Name: boom
     -> Timestamp: 1970-01-01 00:00:00.000000000 +0000 UTC
     -> DroppedAttributesCount: 0
Links:
SpanLink #0
     -> Trace ID: 01010101010101010101010101010101
     -> ID: 0202020202020202
     -> TraceState: 
     -> DroppedAttributesCount: 0
"#
    );
}

#[test]
fn detailed_shows_all_of_a_log_record() {
    let shown = shown(Verbosity::Detailed, &logs());
    for line in [
        "ResourceLog #0",
        "LogRecord #0",
        "SeverityText: INFO4",
        "SeverityNumber: Info4(12)",
        "Body: Str(it happened)",
        "     -> who: Str(me)",
        "Trace ID: 03030303030303030303030303030303",
        "Flags: 0",
    ] {
        assert!(shown.lines().any(|have| have == line), "{line}\n{shown}");
    }
}

#[test]
fn detailed_shows_all_kinds_of_metrics() {
    let shown = shown(Verbosity::Detailed, &metrics());
    for line in [
        "     -> DataType: Gauge",
        "Value: 2.500000",
        "     -> DataType: Sum",
        "     -> IsMonotonic: true",
        "     -> AggregationTemporality: Cumulative",
        "Value: -7",
        "HistogramDataPoints #0",
        "     -> AggregationTemporality: Delta",
        "Sum: 6.000000",
        "ExplicitBounds #0: 5.000000",
        "Buckets #1, Count: 2",
        "ExponentialHistogramDataPoints #0",
        "Bucket [0, 0], Count: 1",
        "Bucket (0.500000, 1.000000], Count: 1",
        "Bucket (1.000000, 2.000000], Count: 300",
        "SummaryDataPoints #0",
        "QuantileValue #0: Quantile 0.500000, Value 3.000000",
    ] {
        assert!(shown.lines().any(|have| have == line), "{line}\n{shown}");
    }
}

#[test]
fn garbage_and_bottomless_values_are_shown_as_far_as_they_go() {
    let mut value = vec![];
    for _ in 0..10_000 {
        // An AnyValue with a list of one AnyValue.
        let mut list = Vec::new();
        forebay_otlp::wire::put_bytes(&mut list, 1, &value);
        value.clear();
        forebay_otlp::wire::put_bytes(&mut value, 5, &list);
    }
    let mut bytes = value;
    for field in [2, 1, 1, 1] {
        let mut outer = Vec::new();
        forebay_otlp::wire::put_bytes(&mut outer, field, &bytes);
        bytes = outer;
    }
    let deep = Batch::new(Signal::Traces, Bytes::from(bytes), 0);
    assert!(shown(Verbosity::Detailed, &deep).contains('…'));
    for garbage in [&b"\xff\xff"[..], b"\x0a\x7f", b"\x0a\x02\x12\xff"] {
        for signal in Signal::ALL {
            let batch = Batch::new(signal, Bytes::copy_from_slice(garbage), 0);
            shown(Verbosity::Detailed, &batch);
            shown(Verbosity::Normal, &batch);
        }
    }
}

/// What is written, for others to read.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_request_is_written_and_counted() {
    let (written, telemetry) = (Written::default(), Telemetry::new());
    let output = Output::Plain(Mutex::new(Box::new(written.clone())));
    let debug = Debug::new("debug", Verbosity::Basic, output, &telemetry);
    for _ in 0..3 {
        debug.consume(traces()).await.unwrap();
    }
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 3);
    let ledger = telemetry.ledger("exporter/debug", Signal::Traces);
    assert_eq!((ledger.incoming.get(), ledger.outgoing.get()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn sampling_shows_the_first_and_then_some() {
    for (initial, thereafter, shown) in [(2, 1, 10), (2, 4, 4), (3, 0, 3), (0, 5, 2), (100, 0, 10)] {
        let mut sampling = Sampling::new(initial, thereafter);
        for _ in 0..2 {
            let count = (0..10).filter(|_| sampling.admit()).count();
            assert_eq!(count, shown, "{initial} {thereafter}");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}

#[test]
fn keys_of_the_collector_are_known() {
    assert_eq!(read_str("", DebugConfig::read).0, DebugConfig::default());
    let yaml = "
verbosity: detailed
sampling_initial: 5
sampling_thereafter: 200
use_internal_logger: false
";
    let (config, diagnostics) = read_str(yaml, DebugConfig::read);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    assert_eq!(config.verbosity, Verbosity::Detailed);
    let (_, diagnostics) = read_str("verbosity: loud", DebugConfig::read);
    assert!(diagnostics.render(false).contains("one of basic, normal, detailed"));
}
