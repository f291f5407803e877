//! Bad input through the whole process: answered as the protocols say, bounded in memory, and harmless to what
//! was accepted before.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use forebay_otlp::Signal;
use futures_util::future::join_all;
use http::{Method, header};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use crate::harness::{
    Backend, Forebay, eventually, post, request, request_of, span, span_of, string_attribute,
};

const MIB: usize = 1 << 20;
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// A process that holds what it accepts until it ends, and a backend.
struct Victim {
    process: Forebay,
    backend: Backend,
    accepted: usize,
    input: usize,
    largest: usize,
}

impl Victim {
    async fn start() -> Self {
        Self::start_waiting("1h").await
    }

    /// The same, but it holds traces only for `wait`.
    async fn start_waiting(wait: &str) -> Self {
        let backend = Backend::start().await;
        let yaml = format!(
            "
processors: {{tail_sampling: {{decision_wait: {wait}, policies: [{{name: all, type: always_sample}}]}}}}
exporters: {{otlp: {{endpoint: 'http://{}', compression: none}}, file: {{path: out.jsonl}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp, file]}}}}}}
",
            backend.address
        );
        let mut victim =
            Self { process: Forebay::start(&yaml).await, backend, accepted: 0, input: 0, largest: 0 };
        victim.still_works().await;
        victim
    }

    /// A good request is accepted.
    async fn still_works(&mut self) {
        self.accepted += 1;
        let good = request_of([span(u128::MAX - self.accepted as u128)]);
        self.process.client().export(Signal::Traces, good).await.unwrap();
    }

    /// Posts traces, and expects this status; the body of what is not accepted is a `google.rpc.Status`.
    async fn post(&mut self, headers: &[(&str, &str)], body: impl Into<Bytes>, status: u16) -> String {
        let body = body.into();
        self.count(body.len());
        let answer = post(self.process.http, "/v1/traces", headers, body).await;
        let message = match answer.headers[header::CONTENT_TYPE].to_str().unwrap() {
            "application/json" => String::from_utf8(answer.body.to_vec()).unwrap(),
            _ if answer.status == 200 => {
                let response = ExportTraceServiceResponse::decode(answer.body).unwrap();
                response.partial_success.map(|partial| partial.error_message).unwrap_or_default()
            }
            _ => RpcStatus::decode(answer.body).unwrap().message,
        };
        assert_eq!(answer.status.as_u16(), status, "{message}");
        assert!(status == 200 || !message.is_empty());
        message
    }

    fn count(&mut self, bytes: usize) {
        self.input += bytes;
        self.largest = self.largest.max(bytes);
    }

    /// What the process may have used at most.
    fn bound(&self) -> usize {
        64 * MIB + 8 * self.largest + 4 * self.input
    }

    /// Ends the process, and returns what it has delivered beside the good spans, none of which is missing.
    async fn delivered(mut self) -> Vec<Span> {
        self.still_works().await;
        let bound = self.bound();
        let peak = self.process.peak_memory();

        assert!(peak <= bound, "{} MiB at most, of {} MiB", peak / MIB, bound / MIB);
        self.process.stop().await;
        let is_good = |span: &Span| span.trace_id.starts_with(&[0xff; 8]);
        let (good, others): (Vec<_>, Vec<_>) =
            self.backend.traces().into_spans().into_iter().partition(is_good);
        assert_eq!(good.len(), self.accepted);
        others
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

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
async fn values_nested_ten_thousand_deep_pass_untouched() {
    let mut victim = Victim::start().await;
    let deep = nested(10_000);
    victim.post(&[PROTOBUF], deep.clone(), 200).await;
    victim.process.client().export(Signal::Traces, deep.clone()).await.unwrap();
    victim.still_works().await;
    let (process, backend) = (victim.process, victim.backend);
    process.stop().await;
    // prost would refuse to look so deep, so the attribute is looked for as bytes.
    let inside = &deep[deep.len() - 50_000..];
    let messages = backend.messages(Signal::Traces);
    let found: usize = messages
        .iter()
        .map(|message| message.windows(inside.len()).filter(|window| *window == inside).count())
        .sum();
    assert_eq!(found, 2);
}

#[tokio::test]
async fn twenty_mebibytes_of_nested_values_do_no_harm() {
    let mut victim = Victim::start_waiting("10ms").await;
    let deep = nested(2_000_000);
    assert!(deep.len() > 18 * MIB && deep.len() < 20 * MIB, "{}", deep.len());
    victim.post(&[PROTOBUF], deep, 200).await;
    victim.still_works().await;
    let bound = victim.bound();
    let (process, backend) = (victim.process, victim.backend);
    eventually("everything at the backend", async || {
        let arrived = backend.messages(Signal::Traces).iter().map(Bytes::len).sum::<usize>();
        (arrived > 18 * MIB).then_some(())
    })
    .await;
    let peak = process.peak_memory();
    assert!(peak <= bound, "{} MiB at most, of {} MiB", peak / MIB, bound / MIB);
    process.stop().await;
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
