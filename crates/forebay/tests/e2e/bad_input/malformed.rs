//! What is not OTLP, and what is strange but is.

use bytes::Bytes;
use fastrand::Rng;
use forebay_otlp::Signal;
use http::Method;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use prost::Message;
use tonic::Code;

use super::{JSON, MIB, PROTOBUF, Victim};
use crate::harness::{RpcStatus, gzip, post, request, request_of, span, span_of, string_attribute};

/// Protobuf that no parser may accept.
fn broken_protobuf() -> Vec<(&'static str, Vec<u8>)> {
    let good = request_of((1..=5).map(span)).to_vec();
    vec![
        ("cut in the middle", good[..good.len() / 2].to_vec()),
        ("cut at the end", good[..good.len() - 1].to_vec()),
        ("a length beyond the end", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, 1]),
        ("a length of 2^63", vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        ("an endless varint", vec![0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("wire type 7", vec![0x0f, 0]),
        ("field number 0", vec![0x02, 0]),
        ("a group that does not end", [&good[..], &[0xc3, 0x3e, 0x08, 0x01]].concat()),
        ("the end of a group that did not begin", [&good[..], &[0xc4, 0x3e]].concat()),
        ("text", b"hello, I am not protobuf".to_vec()),
    ]
}

#[tokio::test]
async fn what_is_not_otlp_is_bad_data_over_both_protocols() {
    let mut victim = Victim::start().await;
    for (name, body) in broken_protobuf() {
        victim.count(body.len());
        let status = victim.process.client().export(Signal::Traces, body.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status}");
        victim.post(&[PROTOBUF], body, 400).await;
    }
    for json in [
        "",
        "{",
        "[]",
        "{} {}",
        "{\"resourceSpans\": 5}",
        "{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [5]}]}]}",
        "\u{feff}{}",
    ] {
        victim.post(&[JSON], json, 400).await;
    }
    victim.post(&[JSON], b"{\"resourceSpans\": \"\xff\xfe\"}".to_vec(), 400).await;
    victim.post(&[JSON], "[".repeat(MIB), 400).await;
    victim.post(&[JSON], "{\"a\":".repeat(MIB), 400).await;
    assert!(victim.delivered().await.is_empty());
}

#[tokio::test]
async fn what_is_not_spoken_here_is_said_so() {
    let mut victim = Victim::start().await;
    let good = request_of([span(1)]);
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/grpc")],
        &[PROTOBUF, ("content-encoding", "br")],
    ] {
        victim.post(headers, good.clone(), 415).await;
    }
    for coding in ["gzip", "zstd", "deflate"] {
        victim.post(&[PROTOBUF, ("content-encoding", coding)], good.clone(), 400).await;
    }
    let whole = gzip(&good);
    victim.post(&[PROTOBUF, ("content-encoding", "gzip")], whole[..whole.len() - 4].to_vec(), 400).await;
    for (method, path, status) in [
        (Method::GET, "/v1/traces", 405),
        (Method::POST, "/v1/spans", 404),
        (Method::POST, "/v1/metrics", 404),
    ] {
        let answer = request(victim.process.http, method, path, &[PROTOBUF], good.clone()).await.unwrap();
        assert_eq!(answer.status, status, "{path}");
        assert!(!RpcStatus::decode(answer.body).unwrap().message.is_empty());
    }
    // An empty request is a valid one.
    victim.post(&[PROTOBUF], "", 200).await;
    victim.post(&[JSON], "{}", 200).await;
    assert!(victim.delivered().await.is_empty());
}

/// Spans with ids that OTLP does not allow, among good ones.
fn with_wrong_ids() -> Vec<Span> {
    let with = |change: fn(&mut Span)| {
        let mut span = span_of(0xbad, 7);
        change(&mut span);
        span
    };
    vec![
        span_of(1, 1),
        with(|span| _ = span.trace_id.pop()),
        with(|span| span.trace_id.push(0)),
        with(|span| span.trace_id.clear()),
        with(|span| span.trace_id.fill(0)),
        span_of(1, 2),
        with(|span| _ = span.span_id.pop()),
        with(|span| span.span_id.fill(0)),
        with(|span| span.parent_span_id.push(0)),
        span_of(1, 3),
    ]
}

#[tokio::test]
async fn spans_with_wrong_ids_are_rejected_and_their_neighbours_kept() {
    let mut victim = Victim::start().await;
    let expected = "7 spans rejected";
    let answer = victim.process.client().export(Signal::Traces, request_of(with_wrong_ids())).await.unwrap();
    let partial = ExportTraceServiceResponse::decode(answer).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 7);
    assert!(partial.error_message.starts_with(expected), "{}", partial.error_message);
    let message = victim.post(&[PROTOBUF], request_of(with_wrong_ids()), 200).await;
    assert!(message.starts_with(expected), "{message}");
    let all_wrong =
        request_of(with_wrong_ids().into_iter().filter(|span| span.trace_id[..] != 1_u128.to_be_bytes()));
    victim.post(&[PROTOBUF], all_wrong, 200).await;
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"00000000000000000000000000000001","spanId":"0000000000000004"},
        {"traceId":"00000000000000000000000000000000","spanId":"0000000000000005"}]}]}]}"#;
    let answer = victim.post(&[JSON], json, 200).await;
    assert!(answer.contains(r#""rejectedSpans":"1""#), "{answer}");
    let mut delivered = victim.delivered().await;
    delivered.sort_by(|a, b| a.span_id.cmp(&b.span_id));
    let ids: Vec<_> = delivered.iter().map(|span| span.span_id[7]).collect();
    assert_eq!(ids, [1, 1, 2, 2, 3, 3, 4]);
}

/// Spans that nobody could read, among good ones.
fn with_malformed_content() -> Bytes {
    let good = |id| span_of(1, id).encode_to_vec();
    let with = |rest: &[u8]| [&span_of(0xbad, 7).encode_to_vec(), rest].concat();
    let mut deep = Vec::new();
    (0..10_000).for_each(|_| deep = [&[0x2a], &*delimited(&[&[0x0a], &*delimited(&deep)].concat())].concat());
    let spans = [
        good(1),
        with(b"\x4a\x02\xff\xff"),
        with(b"\x2a\x02\xc3\x28"),
        with(b"\x28\x01"),
        good(2),
        with(&[&[0x4a], &*delimited(&[&[0x12], &*delimited(&deep)].concat())].concat()),
        good(3),
    ];
    let spans = spans.iter().flat_map(|span| [&[0x12], &*delimited(span)].concat()).collect::<Vec<_>>();
    let scope = |more: &[u8]| [&[0x12], &*delimited(&[more, &*spans].concat())].concat();
    let resource = |body: &[u8]| [&[0x0a], &*delimited(body)].concat();
    // Once as it is, once under a scope whose name is no text, once under a resource that ends too early.
    let bad_scope = scope(b"\x0a\x03\x0a\x01\xff");
    let bad_resource = [b"\x0a\x02\x0a\x05", &*scope(b"")].concat();
    [resource(&[scope(b""), bad_scope].concat()), resource(&bad_resource)].concat().into()
}

fn delimited(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend_from_slice(body);
    out
}

#[tokio::test]
async fn malformed_spans_are_rejected_and_their_neighbours_kept() {
    let mut victim = Victim::start().await;
    let message = victim.post(&[PROTOBUF], with_malformed_content(), 200).await;
    assert_eq!(
        message,
        "18 spans rejected: 18 malformed (KeyValue is not valid protobuf: message ends inside a field)"
    );
    let mut delivered = victim.delivered().await;
    delivered.sort_by(|a, b| a.span_id.cmp(&b.span_id));
    assert_eq!(delivered.iter().map(|span| span.span_id[7]).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn what_is_strange_but_valid_is_delivered_as_it_came() {
    let mut victim = Victim::start().await;
    let mut strange = vec![
        Span { start_time_unix_nano: u64::MAX, end_time_unix_nano: 0, ..span(1) },
        Span { start_time_unix_nano: 0, end_time_unix_nano: u64::MAX, ..span(2) },
        Span { kind: -5, name: "\u{0}\u{1b}[31m\u{202e}".into(), ..span(3) },
        Span { attributes: vec![string_attribute("large", &"x".repeat(4_000_000))], ..span(4) },
        Span {
            attributes: (0..100_000).map(|number| string_attribute(&format!("a{number}"), "v")).collect(),
            ..span(5)
        },
        Span { attributes: vec![string_attribute("", "")], trace_state: "=,=,;;ot=\u{ff}".into(), ..span(6) },
    ];
    for span in &strange {
        victim.post(&[PROTOBUF], request_of([span.clone()]), 200).await;
    }
    let mut delivered = victim.delivered().await;
    delivered.sort_by(|a, b| a.trace_id.cmp(&b.trace_id));
    // The trace state that nobody can read stays, the others get one.
    strange[..5].iter_mut().for_each(|span| span.trace_state = "ot=th:0".into());
    assert!(delivered == strange, "something was changed");
}

#[tokio::test]
async fn random_damage_is_accepted_or_refused_but_never_worse() {
    let mut victim = Victim::start().await;
    let mut rng = Rng::with_seed(7);
    let span_with_depth = |id| {
        let mut event = Event { name: "retry".into(), time_unix_nano: 1, ..Default::default() };
        event.attributes = vec![string_attribute("attempt", "2")];
        let attributes = vec![string_attribute("http.route", "/a"), string_attribute("user.id", "b")];
        Span { attributes, events: vec![event; 2], ..span_of(0xdead, id) }
    };
    let protobuf = request_of((1..=5).map(span_with_depth)).to_vec();
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{:016x}"}}]}}]}}]}}"#,
        0xdead, 1
    );
    for _ in 0..200 {
        for (content_type, good) in [(PROTOBUF, protobuf.as_slice()), (JSON, json.as_bytes())] {
            let mut body = good.to_vec();
            for _ in 0..rng.usize(1..4) {
                let place = rng.usize(..body.len());
                match rng.u8(..4) {
                    0 => body[place] ^= 1 << rng.u8(..8),
                    1 => body[place] = rng.u8(..),
                    2 => body.truncate(place.max(1)),
                    _ => body.insert(place, rng.u8(..)),
                }
            }
            victim.count(body.len());
            let status = post(victim.process.http, "/v1/traces", &[content_type], body).await.status;
            assert!([200, 400].contains(&status.as_u16()), "{status}");
        }
        victim.still_works().await;
    }
    // What was let in can be read: the backend and the file exporter decode all of it.
    victim.delivered().await;
}
