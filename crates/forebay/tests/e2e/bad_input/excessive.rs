//! Too much at once: nested, inflated, empty, minimal, large, and many.

use bytes::Bytes;
use forebay_otlp::Signal;
use futures_util::future::join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use super::{MIB, PROTOBUF, Victim};
use crate::harness::{gzip, post, request_of, span, string_attribute};

/// A span whose only attribute is nested so deep, and the request around it.
fn nested(depth: usize) -> Bytes {
    // Written from the inside out, backwards: AnyValue.array_value = ArrayValue, ArrayValue.values = AnyValue.
    let mut reversed = Vec::new();
    let wrap = |reversed: &mut Vec<u8>, tag: u8| {
        let mut header = vec![tag];
        prost::encode_length_delimiter(reversed.len(), &mut header).unwrap();
        header.reverse();
        reversed.extend(header);
    };
    for _ in 0..depth {
        wrap(&mut reversed, 0x0a);
        wrap(&mut reversed, 0x2a);
    }
    // KeyValue.value, Span.attributes
    wrap(&mut reversed, 0x12);
    wrap(&mut reversed, 0x4a);
    reversed.reverse();
    let mut body = Span { attributes: Vec::new(), ..span(1) }.encode_to_vec();
    body.extend(reversed);
    [0x12, 0x12, 0x0a]
        .into_iter()
        .fold(body, |inner, tag| {
            let mut outer = vec![tag];
            prost::encode_length_delimiter(inner.len(), &mut outer).unwrap();
            outer.extend(inner);
            outer
        })
        .into()
}

#[tokio::test]
async fn values_nested_too_deep_for_a_decoder_are_rejected_and_do_no_harm() {
    let mut victim = Victim::start().await;
    // Ten thousand levels, and 20 MiB of them.
    for depth in [10_000, 2_000_000] {
        let message = victim.post(&[PROTOBUF], nested(depth), 200).await;
        assert_eq!(message, "1 span rejected: 1 malformed (messages are nested more than 100 deep)");
        victim.still_works().await;
    }
    victim.post(&[PROTOBUF], nested(40), 200).await;
    assert_eq!(victim.delivered().await.len(), 1);
}

#[tokio::test]
async fn bombs_stop_at_the_limit_sixteen_at_once() {
    let zeros = vec![0_u8; 256 * MIB];
    let (gzip, zstd) = (gzip(&zeros), zstd::encode_all(&*zeros, 1).unwrap());
    for (coding, bomb) in [("gzip", Bytes::from(gzip)), ("zstd", Bytes::from(zstd))] {
        let mut victim = Victim::start().await;
        let http = victim.process.http;
        let bombs =
            (0..16).map(|_| {
                victim.count(bomb.len());
                let bomb = bomb.clone();
                async move {
                    post(http, "/v1/traces", &[PROTOBUF, ("content-encoding", coding)], bomb).await.status
                }
            });
        let bombs: Vec<_> = bombs.collect();
        assert_eq!(join_all(bombs).await, [413; 16], "{coding}");
        assert!(victim.delivered().await.is_empty());
    }
}

#[tokio::test]
async fn bombs_over_grpc_stop_at_its_own_limit() {
    let mut victim = Victim::start().await;
    let client = victim.process.client();
    for coding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd, CompressionEncoding::Deflate] {
        let bombs = (0..16).map(|_| client.export_compressed(Signal::Traces, vec![0; 16 * MIB], coding));
        for outcome in join_all(bombs).await {
            assert_eq!(outcome.unwrap_err().code(), Code::ResourceExhausted);
        }
        victim.still_works().await;
    }
    assert!(victim.delivered().await.is_empty());
}

#[tokio::test]
async fn megabytes_of_empty_messages_cost_little() {
    let mut victim = Victim::start().await;
    let empty_spans = ScopeSpans { spans: vec![Span::default(); MIB], ..ScopeSpans::default() };
    let spans = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans: vec![empty_spans], ..ResourceSpans::default() }],
    };
    let resources = ExportTraceServiceRequest { resource_spans: vec![ResourceSpans::default(); MIB] };
    let scopes = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans::default(); MIB],
            ..ResourceSpans::default()
        }],
    };
    let message = victim.post(&[PROTOBUF], spans.encode_to_vec(), 200).await;
    assert!(message.starts_with("1048576 spans rejected"), "{message}");
    victim.post(&[PROTOBUF], resources.encode_to_vec(), 200).await;
    victim.post(&[PROTOBUF], scopes.encode_to_vec(), 200).await;
    assert!(victim.delivered().await.is_empty());
}

#[tokio::test]
async fn minimal_spans_with_ids_cost_little_more_than_their_bytes() {
    let mut victim = Victim::start().await;
    let minimal = |number: u128| Span {
        trace_id: (number + 1).to_be_bytes().to_vec(),
        span_id: vec![1; 8],
        ..Span::default()
    };
    let request = request_of((0..100_000).map(minimal));
    victim.post(&[PROTOBUF], request, 200).await;
    assert_eq!(victim.delivered().await.len(), 100_000);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_size() {
    let mut victim = Victim::start().await;
    let large =
        request_of([Span { attributes: vec![string_attribute("x", &"x".repeat(20 * MIB))], ..span(1) }]);
    let message = victim.post(&[PROTOBUF], large, 413).await;
    assert!(message.contains("max_request_body_size"), "{message}");
    let large =
        request_of([Span { attributes: vec![string_attribute("x", &"x".repeat(4 * MIB))], ..span(1) }]);
    victim.count(large.len());
    let status = victim.process.client().export(Signal::Traces, large).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("max_recv_msg_size_mib"), "{status}");
    assert!(victim.delivered().await.is_empty());
}

#[tokio::test]
async fn hundreds_of_clients_that_never_finish_are_in_nobodys_way() {
    let mut victim = Victim::start().await;
    let head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 20000000\r\n\r\n";
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let mut clients = Vec::new();
    for _ in 0..300 {
        for (address, start) in
            [(victim.process.http, head), (victim.process.grpc, preface), (victim.process.http, "POST")]
        {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(start.as_bytes()).await.unwrap();
            victim.count(start.len());
            clients.push(client);
        }
    }
    victim.still_works().await;
    victim.post(&[PROTOBUF], request_of([span(1)]), 200).await;
    assert_eq!(victim.delivered().await.len(), 1);
}
