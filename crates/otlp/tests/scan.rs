//! The reader against `prost`: what `prost` accepts is accepted and reads the same, field by field.

#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends where something is not as it must be"
)]

mod common;
mod mutate;
mod oracle;

use forebay_otlp::attribute::{AnyValue, Attribute};
use forebay_otlp::wire::{put_bytes, put_header, put_varint};
use forebay_otlp::{ScanError, SpanIndex, SpanView};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as proto;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use common::trace_request;
use mutate::{TRACE_REQUEST, varied};
use oracle::assert_reads_like_prost;

proptest! {
    #[test]
    fn requests_read_like_prost(request in trace_request()) {
        assert_reads_like_prost(&request.encode_to_vec()).expect("prost reads what it wrote");
    }

    #[test]
    fn requests_written_strangely_read_like_prost(request in varied(trace_request(), &TRACE_REQUEST)) {
        assert_reads_like_prost(&request).expect("variations are valid protobuf");
    }

    #[test]
    fn what_prost_accepts_of_damaged_requests_reads_the_same(
        mut request in varied(trace_request(), &TRACE_REQUEST),
        damages in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        kept in any::<Index>(),
        cut: bool,
    ) {
        prop_assume!(!request.is_empty());
        for (place, byte) in damages {
            let place = place.index(request.len());
            request[place] = byte;
        }
        if cut {
            request.truncate(kept.index(request.len()));
        }
        assert_reads_like_prost(&request);
    }

    #[test]
    fn bytes_that_are_no_request_do_no_harm(bytes: Vec<u8>) {
        assert_reads_like_prost(&bytes);
    }
}

/// A request with one span, to whose message `rest` is appended.
fn request_of(rest: &[u8]) -> Vec<u8> {
    let span = proto::Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "GET /".into(),
        ..Default::default()
    };
    let body = [span.encode_to_vec(), rest.to_vec()].concat();
    nested(&[1, 2, 2], body)
}

/// `body` as a field of a field of a field, outermost number first.
fn nested(numbers: &[u32], body: Vec<u8>) -> Vec<u8> {
    numbers.iter().rev().fold(body, |inner, &number| {
        let mut outer = Vec::new();
        put_bytes(&mut outer, number, &inner);
        outer
    })
}

fn key_value(key: &str, any_value: &[u8]) -> Vec<u8> {
    let mut attribute = Vec::new();
    put_bytes(&mut attribute, 1, key.as_bytes());
    put_bytes(&mut attribute, 2, any_value);
    nested(&[9], attribute)
}

#[test]
fn a_request_cut_short_anywhere_reads_as_prost_has_it() {
    let resource_spans = |service: &str| {
        let span = proto::Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state: "ot=th:8".into(),
            name: service.into(),
            status: Some(proto::Status { message: "no".into(), code: 2 }),
            ..Default::default()
        };
        let scope_spans =
            proto::ScopeSpans { spans: vec![span; 2], schema_url: "scope".into(), ..Default::default() };
        proto::ResourceSpans {
            scope_spans: vec![scope_spans],
            schema_url: "resource".into(),
            ..Default::default()
        }
    };
    let resource_spans = vec![resource_spans("a"), resource_spans("b")];
    let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
    let readable = (0..request.len()).filter(|&end| assert_reads_like_prost(&request[..end]).is_some());
    // Only between two resources is a part of a request a request.
    assert_eq!(readable.collect::<Vec<_>>(), [0, request.len() / 2]);
}

#[test]
fn errors_name_the_level_and_where_it_starts() {
    let level = |request: &[u8]| match SpanIndex::scan(request) {
        Err(ScanError::Wire { level, offset, .. }) => Some((level, offset)),
        _ => None,
    };
    assert_eq!(level(b"\x0a"), Some(("request", 0)));
    assert_eq!(level(b"\x0a\x00\x0a\x01\x0a"), Some(("resource", 4)));
    assert_eq!(level(b"\x0a\x03\x12\x01\x0a"), Some(("scope", 4)));
    assert_eq!(
        SpanIndex::scan(b"\x0a").unwrap_err().to_string(),
        "request is not valid protobuf: message ends inside a field (at byte 0 of the request)"
    );
    // resource_spans { scope_spans { spans { <a varint without end> } } }
    assert_eq!(SpanIndex::scan(b"\x0a\x06\x12\x04\x12\x02\x08\x80").unwrap().rejected.malformed, 1);
}

#[test]
fn values_nested_ten_thousand_deep_cost_no_stack_and_hide_nothing() {
    // any_value { array { values { array { ... } } } }, innermost first.
    let mut value = Vec::new();
    for _ in 0..10_000 {
        value = nested(&[5, 1], value);
    }
    let request = request_of(&[key_value("deep", &value), key_value("flat", b"\x10\x01")].concat());
    let index = SpanIndex::scan(&request).unwrap();
    let attributes: Vec<_> = SpanView::new(index.body(&request, &index.spans[0])).attributes().collect();
    assert_eq!(attributes[0].key, b"deep");
    assert!(matches!(attributes[0].value, AnyValue::Array(_)));
    assert_eq!(attributes[1], Attribute { key: b"flat", value: AnyValue::Bool(true) });
    assert!(
        ExportTraceServiceRequest::decode(&*request).is_err(),
        "prost gives up; then nothing is said of the rest"
    );
}

#[test]
fn a_million_nested_groups_are_one_unknown_field() {
    let groups = [[0xa3, 0x01].repeat(1_000_000), [0xa4, 0x01].repeat(1_000_000)].concat();
    let request = request_of(&groups);
    let index = SpanIndex::scan(&request).unwrap();
    assert!(index.body(&request, &index.spans[0]).ends_with(&groups));
    assert_eq!(SpanIndex::scan(&request_of(&groups[..groups.len() - 1])).unwrap().rejected.malformed, 1);
}

#[test]
fn an_attribute_of_four_megabytes_is_found_where_it_lies() {
    let mut value = Vec::new();
    put_bytes(&mut value, 1, &vec![b'x'; 4 << 20]);
    let request = request_of(&key_value("huge", &value));
    assert_reads_like_prost(&request).unwrap();
}

#[test]
fn a_hundred_thousand_attributes_are_all_found() {
    let mut rest = Vec::new();
    for number in 0..100_000_u64 {
        let mut value = vec![0x18];
        put_varint(&mut value, number);
        rest.extend(key_value(&number.to_string(), &value));
    }
    let request = request_of(&rest);
    let index = SpanIndex::scan(&request).unwrap();
    let attributes = SpanView::new(index.body(&request, &index.spans[0])).attributes();
    let last = attributes.enumerate().map(|(place, attribute)| (place, attribute.value)).last();
    assert_eq!(last, Some((99_999, AnyValue::Int(99_999))));
    assert_eq!(index.spans.capacity(), 4, "attributes are not indexed");
}

#[test]
fn megabytes_of_empty_messages_take_no_memory() {
    let empty = |number: u32| [&[u8::try_from(number << 3 | 2).unwrap()][..], &[0]].concat().repeat(1 << 20);
    for (request, spans) in [
        (empty(1), 0),
        (nested(&[1], empty(2)), 0),
        (nested(&[1, 2], empty(2)), 1 << 20),
        // Descriptions in as many pieces as there can be.
        (nested(&[1], b"\x12\x00\x18\x00".repeat(1 << 19)), 0),
        (nested(&[1, 2], b"\x12\x00\x18\x00".repeat(1 << 19)), 1 << 19),
    ] {
        let index = SpanIndex::scan(&request).unwrap();
        assert_eq!((index.spans.capacity(), index.envelopes.len(), index.rejected.trace_id), (0, 0, spans));
    }
}

#[test]
fn an_index_takes_a_few_times_its_request_at_worst() {
    // The smallest spans there can be, each in a scope of its own.
    let span =
        proto::Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Default::default() }.encode_to_vec();
    let scope = nested(&[2, 2], span);
    let mut request = Vec::new();
    put_header(&mut request, 1, scope.len() * 65_536);
    request.extend(scope.repeat(65_536));
    let index = SpanIndex::scan(&request).unwrap();
    assert_eq!((index.spans.len(), index.envelopes.len()), (65_536, 65_536));
    assert!(index.spans.capacity() * size_of_val(&index.spans[0]) <= 4 * request.len());
}
