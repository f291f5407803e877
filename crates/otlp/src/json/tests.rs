use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

use super::*;
use crate::wire::{put_bytes, put_varint_field};

/// A trace request around one span.
fn span_json(span: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)
}

fn span(json: &str) -> Span {
    let bytes = decode(Signal::Traces, span_json(json).as_bytes()).unwrap();
    let mut request = ExportTraceServiceRequest::decode(&*bytes).unwrap();
    request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

/// What is wrong with a span, and where in it.
fn span_error(json: &str) -> String {
    let error = decode(Signal::Traces, span_json(json).as_bytes()).unwrap_err();
    let path = error.path.strip_prefix("resourceSpans[0].scopeSpans[0].spans[0]").unwrap();
    format!("{path}: {}", error.message)
}

fn value(json: &str) -> Option<Value> {
    span(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#))
        .attributes
        .remove(0)
        .value
        .unwrap()
        .value
}

fn value_error(json: &str) -> String {
    span_error(&format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#))
}

/// The JSON of a trace request whose one span is `span`.
fn encoded_span(span: &[u8]) -> String {
    let mut out = Vec::new();
    encode(Signal::Traces, &wrapped(span.to_vec(), &[2, 2, 1]), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The contents in one message after another, the innermost number first.
fn wrapped(contents: Vec<u8>, numbers: &[u32]) -> Vec<u8> {
    numbers.iter().fold(contents, |inner, &number| {
        let mut outer = Vec::new();
        put_bytes(&mut outer, number, &inner);
        outer
    })
}

#[test]
fn ids_are_hex_of_any_case_and_length() {
    let read = span(r#"{"traceId":"0123456789abcdefABCDEF0123456789","spanId":"ABCD","parentSpanId":""}"#);
    assert_eq!(read.trace_id, b"\x01\x23\x45\x67\x89\xab\xcd\xef\xab\xcd\xef\x01\x23\x45\x67\x89");
    assert_eq!((read.span_id, read.parent_span_id), (vec![0xab, 0xcd], Vec::new()));
    assert_eq!(
        span_error(r#"{"traceId":"abc"}"#),
        ".traceId: expected an even number of hex digits, found 3"
    );
    assert_eq!(span_error(r#"{"spanId":"abxy"}"#), ".spanId: expected hex digits, found 'x' at 2");
    assert_eq!(
        span_error(r#"{"spanId":7}"#),
        ".spanId: invalid type: integer `7`, expected a string of hex digits"
    );
}

#[test]
fn null_leaves_any_field_unset() {
    let names =
        ["traceId", "traceState", "flags", "kind", "startTimeUnixNano", "attributes", "events", "status"];
    let nulls: Vec<_> = names.iter().map(|name| format!(r#""{name}":null"#)).collect();
    assert_eq!(span(&format!("{{{}}}", nulls.join(","))), Span::default());
    for json in ["null", "{}", r#"{"doubleValue":null}"#, r#"{"stringValue":null}"#, r#"{"arrayValue":null}"#]
    {
        let json = format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#);
        assert_eq!(span(&json).attributes[0].value.clone().unwrap_or_default().value, None, "{json}");
    }
}

#[test]
fn null_in_a_list_keeps_its_place_if_it_can() {
    let list = value(r#"{"arrayValue":{"values":[null,{"intValue":1}]}}"#);
    let values = vec![AnyValue::default(), AnyValue { value: Some(Value::IntValue(1)) }];
    assert_eq!(list, Some(Value::ArrayValue(ArrayValue { values })));
    let json = br#"{"resourceMetrics":[{"resource":{"entityRefs":[{"idKeys":["a",null]}]}}]}"#;
    let error = decode(Signal::Metrics, json).unwrap_err();
    assert_eq!(error.path, "resourceMetrics[0].resource.entityRefs[0].idKeys[1]");
    assert_eq!(error.message, "null in a list of numbers or strings");
}

#[test]
fn integers_are_numbers_or_strings_and_may_have_an_exponent() {
    for json in ["1500", "\"1500\"", "1.5e3", "\"1.5e3\"", "1500.0"] {
        let read = span(&format!(r#"{{"startTimeUnixNano":{json},"droppedEventsCount":{json}}}"#));
        assert_eq!((read.start_time_unix_nano, read.dropped_events_count), (1500, 1500), "{json}");
    }
    assert_eq!(span(r#"{"endTimeUnixNano":"18446744073709551615"}"#).end_time_unix_nano, u64::MAX);
    assert_eq!(span(r#"{"endTimeUnixNano":18446744073709551615}"#).end_time_unix_nano, u64::MAX);
    for (json, found) in [
        ("-1", "integer `-1`"),
        ("1.5", "floating point `1.5`"),
        ("1e20", "floating point `1e+20`"),
        ("\"\"", "string \"\""),
        ("\"now\"", "string \"now\""),
    ] {
        assert_eq!(
            span_error(&format!(r#"{{"endTimeUnixNano":{json}}}"#)),
            format!(".endTimeUnixNano: invalid value: {found}, expected an unsigned 64-bit integer")
        );
    }
    let error = span_error(r#"{"flags":4294967296}"#);
    assert_eq!(error, ".flags: invalid value: integer `4294967296`, expected an unsigned 32-bit integer");
}

#[test]
fn an_int_value_that_is_no_int64_is_a_double_value() {
    assert_eq!(value(r#"{"intValue":"-9223372036854775808"}"#), Some(Value::IntValue(i64::MIN)));
    assert_eq!(value(r#"{"intValue":7}"#), Some(Value::IntValue(7)));
    assert_eq!(value(r#"{"intValue":0}"#), Some(Value::IntValue(0)));
    assert_eq!(value(r#"{"intValue":1e300}"#), Some(Value::DoubleValue(1e300)));
    assert_eq!(
        value(r#"{"intValue":"9223372036854775808"}"#),
        Some(Value::DoubleValue(9_223_372_036_854_775_808.0))
    );
    assert_eq!(value(r#"{"intValue":0.5}"#), Some(Value::DoubleValue(0.5)));
    let error = value_error(r#"{"intValue":"many"}"#);
    assert_eq!(error, r#".attributes[0].value.intValue: invalid value: string "many", expected a number"#);
}

#[test]
fn doubles_are_numbers_or_the_names_of_what_json_has_no_number_for() {
    assert_eq!(value(r#"{"doubleValue":1}"#), Some(Value::DoubleValue(1.0)));
    assert_eq!(value(r#"{"doubleValue":"2.5"}"#), Some(Value::DoubleValue(2.5)));
    assert_eq!(value(r#"{"doubleValue":"-Infinity"}"#), Some(Value::DoubleValue(f64::NEG_INFINITY)));
    assert!(matches!(value(r#"{"doubleValue":"NaN"}"#), Some(Value::DoubleValue(nan)) if nan.is_nan()));
}

#[test]
fn enums_are_numbers_or_names() {
    assert_eq!(span(r#"{"kind":3,"status":{"code":"STATUS_CODE_ERROR"}}"#).kind, 3);
    assert_eq!(span(r#"{"kind":"SPAN_KIND_CLIENT"}"#).kind, 3);
    assert_eq!(span(r#"{"kind":99}"#).kind, 99);
    assert_eq!(
        span_error(r#"{"kind":"CLIENT"}"#),
        r#".kind: invalid value: string "CLIENT", expected a number or a name such as SPAN_KIND_CONSUMER"#
    );
}

#[test]
fn bytes_are_base64_of_either_alphabet_with_or_without_padding() {
    for text in ["+/8=", "+/8", "-_8=", "-_8"] {
        assert_eq!(
            value(&format!(r#"{{"bytesValue":"{text}"}}"#)),
            Some(Value::BytesValue(vec![0xfb, 0xff]))
        );
    }
    assert_eq!(value(r#"{"bytesValue":""}"#), Some(Value::BytesValue(Vec::new())));
    assert!(
        value_error(r#"{"bytesValue":"*"}"#).starts_with(".attributes[0].value.bytesValue: expected base64")
    );
}

#[test]
fn lone_surrogates_are_replaced_and_other_bytes_that_are_not_utf8_are_errors() {
    let read = span(r#"{"name":"cut \ud83d","traceState":"\ud83d\ude00\udc00\ud800!"}"#);
    assert_eq!((&*read.name, &*read.trace_state), ("cut \u{fffd}", "\u{1f600}\u{fffd}\u{fffd}!"));
    let error = decode(Signal::Traces, b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}").unwrap_err();
    assert_eq!(error.path, "resourceSpans[0].schemaUrl");
    assert_eq!(error.message, "string is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0");
}

#[test]
fn unknown_names_are_ignored_at_any_depth() {
    let deep = format!("{}0{}", "[{\"spans\":".repeat(100_000), "}]".repeat(100_000));
    let json = format!(r#"{{"":1,"trace_id":"zz","traceid":"zz","unknown":{deep},"name":"n"}}"#);
    assert_eq!(span(&json), Span { name: "n".to_owned(), ..Span::default() });
}

#[test]
fn of_a_repeated_name_the_last_scalar_stands_and_the_rest_merges() {
    let read =
        span(r#"{"kind":3,"name":"a","kind":0,"name":"","status":{"code":2},"status":{"message":"m"}}"#);
    assert_eq!((read.kind, &*read.name), (0, ""));
    let status = read.status.unwrap();
    assert_eq!((status.code, &*status.message), (2, "m"));
    assert_eq!(span(r#"{"events":[{}],"events":[{},{}]}"#).events.len(), 3);
    assert_eq!(value(r#"{"intValue":1,"boolValue":false}"#), Some(Value::BoolValue(false)));
}

#[test]
fn errors_say_where_they_are() {
    let json = b"{\n \"resourceSpans\": [{}, {\n  \"schemaUrl\": 7 }]}";
    let error = decode(Signal::Traces, json).unwrap_err();
    assert_eq!((error.line, error.column), (3, 16));
    assert_eq!(
        error.to_string(),
        "resourceSpans[1].schemaUrl: invalid type: integer `7`, expected a string, at line 3 column 16"
    );
    for (json, message) in [
        ("", "EOF while parsing a value"),
        ("null", "null is not a request"),
        ("[]", "invalid type: sequence, expected an object (ExportTraceServiceRequest)"),
        ("{} {}", "trailing characters"),
        ("{}]", "trailing characters"),
        ("{", "EOF while parsing an object"),
    ] {
        let error = decode(Signal::Traces, json.as_bytes()).unwrap_err();
        assert_eq!((&*error.path, &*error.message), ("", message), "{json}");
    }
    assert_eq!(decode(Signal::Traces, b" {} \n"), Ok(Vec::new()));
}

#[test]
fn what_is_found_is_quoted_in_part() {
    let error = span_error(&format!(r#"{{"kind":"{}"}}"#, "ä".repeat(1_000_000)));
    assert!(error.len() < 300 && error.ends_with('…'), "{error}");
}

/// A request with a value in `levels` arrays, each of two messages, below the messages of `path`.
fn nested(levels: usize, path: &[u32]) -> Vec<u8> {
    let value = (0..levels).fold(b"\x18\x07".to_vec(), |inner, _| wrapped(inner, &[1, 5]));
    wrapped(value, path)
}

#[test]
fn messages_nest_as_deep_as_prost_reads_them() {
    let [in_span, in_resource]: [&[u32]; 2] = [&[2, 9, 2, 2, 1], &[2, 1, 1, 1]];
    for path in [in_span, in_resource] {
        let prost_reads = |levels: &usize| ExportTraceServiceRequest::decode(&*nested(*levels, path)).is_ok();
        let deepest = (0..).take_while(prost_reads).last().unwrap();
        let survives = |levels| {
            let request = nested(levels, path);
            let mut out = Vec::new();
            encode(Signal::Traces, &request, &mut out).unwrap();
            decode(Signal::Traces, &out).unwrap() == request
        };
        assert!(survives(deepest), "{deepest}");
        assert!(!survives(deepest + 1), "{deepest}");
    }
}

#[test]
fn deeper_messages_are_an_error_in_json_and_left_out_of_it() {
    let value =
        (0..10_000).fold("null".to_owned(), |value, _| format!(r#"{{"arrayValue":{{"values":[{value}]}}}}"#));
    let error = value_error(&value);
    assert!(error.ends_with("messages are nested more than 100 deep"), "{error}");
    let mut out = Vec::new();
    encode(Signal::Traces, &nested(10_000, &[2, 9, 2, 2, 1]), &mut out).unwrap();
    assert!(out.len() < 10_000);
}

#[test]
fn json_has_the_order_of_the_proto_files_and_no_defaults() {
    let span = Span {
        trace_id: vec![0xab; 16],
        span_id: vec![1; 8],
        flags: 257,
        kind: 2,
        start_time_unix_nano: 1,
        attributes: vec![
            KeyValue {
                key: "b".into(),
                value: Some(AnyValue { value: Some(Value::BoolValue(false)) }),
                key_strindex: 0,
            },
            KeyValue { key: "n".into(), value: Some(AnyValue::default()), key_strindex: 0 },
            KeyValue {
                key: "i".into(),
                value: Some(AnyValue { value: Some(Value::IntValue(-1)) }),
                key_strindex: 0,
            },
            KeyValue {
                key: "d".into(),
                value: Some(AnyValue { value: Some(Value::DoubleValue(f64::NAN)) }),
                key_strindex: 0,
            },
            KeyValue {
                key: "x".into(),
                value: Some(AnyValue { value: Some(Value::BytesValue(vec![0xfb, 0xff])) }),
                key_strindex: 0,
            },
        ],
        status: Some(Default::default()),
        ..Span::default()
    };
    let expected = r#"{"traceId":"abababababababababababababababab","spanId":"0101010101010101","flags":257,"kind":2,
        "startTimeUnixNano":"1","attributes":[{"key":"b","value":{"boolValue":false}},{"key":"n","value":{}},
        {"key":"i","value":{"intValue":"-1"}},{"key":"d","value":{"doubleValue":"NaN"}},
        {"key":"x","value":{"bytesValue":"+/8="}}],"status":{}}"#;
    assert_eq!(encoded_span(&span.encode_to_vec()), span_json(&expected.replace("\n        ", "")));
}

#[test]
fn optional_zeros_are_written_and_lists_of_numbers_are_packed_or_not() {
    let point =
        HistogramDataPoint { sum: Some(0.0), bucket_counts: vec![1, 2], ..HistogramDataPoint::default() };
    let mut point = point.encode_to_vec();
    // A third count that is not packed, and a fourth of the wrong type.
    point.extend(b"\x31\x03\0\0\0\0\0\0\0\x35\x04\0\0\0");
    let mut out = Vec::new();
    encode(Signal::Metrics, &wrapped(point, &[1, 9, 2, 2, 1]), &mut out).unwrap();
    let point = r#"{"sum":0.0,"bucketCounts":["1","2","3"]}"#;
    let metric = format!(r#"{{"histogram":{{"dataPoints":[{point}]}}}}"#);
    let expected = format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}"#);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn what_is_unknown_or_of_another_type_is_dropped() {
    let mut bytes = Vec::new();
    put_varint_field(&mut bytes, 5, 7);
    put_bytes(&mut bytes, 900, b"unknown");
    put_bytes(&mut bytes, 5, b"name \xff");
    assert_eq!(encoded_span(&bytes), span_json("{\"name\":\"name \u{fffd}\"}"));
}

#[test]
fn of_a_oneof_the_last_member_stands() {
    let metrics = [
        Metric { data: Some(Data::Gauge(Default::default())), ..Metric::default() },
        Metric { data: Some(Data::Summary(Default::default())), ..Metric::default() },
    ];
    let metric = |indices: &[usize]| {
        let bytes = indices.iter().flat_map(|&index| metrics[index].encode_to_vec()).collect();
        let mut out = Vec::new();
        encode(Signal::Metrics, &wrapped(bytes, &[2, 2, 1]), &mut out).unwrap();
        let bytes = decode(Signal::Metrics, &out).unwrap();
        let mut request = ExportMetricsServiceRequest::decode(&*bytes).unwrap();
        request.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0)
    };
    assert_eq!(metric(&[0, 1]), metrics[1]);
    assert_eq!(metric(&[0, 1, 0]), metrics[0]);
}

#[test]
fn requests_that_are_not_protobuf_leave_nothing_behind() {
    let mut out = b"before".to_vec();
    for broken in [&b"\x0a\x05"[..], b"\x0a\x02\x12\x05", b"\x0e"] {
        assert!(encode(Signal::Logs, broken, &mut out).is_err());
        assert_eq!(out, b"before");
    }
}

#[test]
fn an_empty_log_body_stays() {
    let json = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":"SEVERITY_NUMBER_INFO","body":{}}]}]}]}"#;
    let bytes = decode(Signal::Logs, json).unwrap();
    let request = ExportLogsServiceRequest::decode(&*bytes).unwrap();
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.severity_number, record.body.clone()), (9, Some(AnyValue::default())));
    let mut out = Vec::new();
    encode(Signal::Logs, &bytes, &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().contains(r#""severityNumber":9,"body":{}"#));
}
