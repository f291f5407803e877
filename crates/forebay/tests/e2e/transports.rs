//! Every way in and every way out, and what passes them unchanged.

use std::fs;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use forebay_otlp::Signal;
use http::header;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use tonic::codec::CompressionEncoding;

use crate::harness::{
    Backend, Forebay, GrpcClient, Traces, gzip, logs_request, metrics_request, post, request_of, span,
};

/// Compresses a body.
type Encode = fn(&[u8]) -> Vec<u8>;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// All signals from the receiver to one exporter.
fn all_to(exporter: &str) -> String {
    let pipeline =
        "{receivers: [otlp], exporters: [out]}".replace("out", exporter.split_once(':').unwrap().0);
    format!(
        "{{exporters: {{{exporter}}}, service: {{pipelines: {{traces: {pipeline}, metrics: {pipeline}, logs: {pipeline}}}}}}}"
    )
}

fn over_grpc(backend: &Backend) -> String {
    all_to(&format!("otlp: {{endpoint: '{}', tls: {{insecure: true}}}}", backend.address))
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::encode_all(body, 1).unwrap()
}

/// With a field that OTLP does not know at every level that a decoder would have to look at.
fn with_unknown_fields(message: &[u8]) -> Bytes {
    // Field 1000, length-delimited: "later".
    [message, b"\xc2\x3e\x05later"].concat().into()
}

#[tokio::test]
async fn all_signals_pass_byte_for_byte_with_fields_from_the_future() {
    let backend = Backend::start().await;
    let process = Forebay::start(&over_grpc(&backend)).await;
    let sent = [
        (Signal::Traces, with_unknown_fields(&request_of([span(1), span(2)]))),
        (Signal::Metrics, with_unknown_fields(&metrics_request(3))),
        (Signal::Logs, with_unknown_fields(&logs_request(4))),
    ];
    for (signal, message) in &sent {
        let answer = process.client().export(*signal, message.clone()).await.unwrap();
        assert!(answer.is_empty(), "full success is an empty response");
    }
    process.stop().await;
    for (signal, message) in sent {
        assert_eq!(backend.messages(signal), [message], "{signal}");
    }
}

#[tokio::test]
async fn every_compression_is_understood_over_grpc() {
    let backend = Backend::start().await;
    let process = Forebay::start(&over_grpc(&backend)).await;
    let client = process.client();
    for (trace, coding) in
        (1..).zip([CompressionEncoding::Gzip, CompressionEncoding::Zstd, CompressionEncoding::Deflate])
    {
        client.export_compressed(Signal::Traces, request_of([span(trace)]), coding).await.unwrap();
    }
    process.stop().await;
    assert_eq!(backend.trace_ids(), [1, 2, 3].into());
}

#[tokio::test]
async fn every_compression_and_encoding_is_understood_over_http() {
    let backend = Backend::start().await;
    let process = Forebay::start(&over_grpc(&backend)).await;
    let codings: [(&str, Encode); 5] =
        [("identity", <[u8]>::to_vec), ("gzip", gzip), ("GZIP", gzip), ("deflate", zlib), ("zstd", zstd)];
    for (trace, (name, compress)) in (1_u128..).zip(codings) {
        let coding = ("content-encoding", name);
        let answer =
            post(process.http, "/v1/traces", &[PROTOBUF, coding], compress(&request_of([span(trace)]))).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b""[..]), "{name}");
        let trace = trace + 100;
        let answer =
            post(process.http, "/v1/traces", &[JSON, coding], compress(json_request(trace).as_bytes())).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_ref()), (200, &b"{}"[..]), "{name}");
    }
    process.stop().await;
    let expected = (1..=5).chain(101..=105).collect();
    assert_eq!(backend.trace_ids(), expected);
}

fn json_request(trace: u128) -> String {
    // As Node.js and Rust write them: a NaN, a time as a string, an integer as a number.
    let attributes = json!([
        {"key": "ratio", "value": {"doubleValue": null}},
        {"key": "size", "value": {"intValue": 5}},
        {"key": "count", "value": {"intValue": "9007199254740993"}},
    ]);
    let span = json!({
        "traceId": format!("{trace:032X}"), "spanId": "00000000000000AB", "parentSpanId": "", "name": "GET /",
        "kind": 2, "startTimeUnixNano": "1767225600000000001", "endTimeUnixNano": "1767225600000000002",
        "attributes": attributes, "flags": 257, "fromTheFuture": {"a": [1]},
    });
    json!({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": [span]}]}]}).to_string()
}

#[tokio::test]
async fn json_arrives_as_the_protobuf_it_means() {
    let backend = Backend::start().await;
    let process = Forebay::start(&over_grpc(&backend)).await;
    assert_eq!(post(process.http, "/v1/traces", &[JSON], json_request(0xab)).await.status, 200);
    process.stop().await;
    let [span] = backend.traces().into_spans().try_into().unwrap();
    assert_eq!(
        (span.span_id, span.start_time_unix_nano, span.flags),
        (vec![0, 0, 0, 0, 0, 0, 0, 0xab], 1_767_225_600_000_000_001, 257)
    );
    let values: Vec<_> =
        span.attributes.into_iter().map(|attribute| attribute.value.unwrap_or_default().value).collect();
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    assert_eq!(values, [None, Some(Value::IntValue(5)), Some(Value::IntValue(9_007_199_254_740_993))]);
}

#[tokio::test]
async fn every_exporter_setting_reaches_the_backend() {
    for (exporter, coding) in [
        (
            "otlp: {endpoint: 'BACKEND', tls: {insecure: true}, compression: none, headers: {x-tenant: shop}}",
            None,
        ),
        ("otlp_grpc: {endpoint: 'http://BACKEND', headers: {x-tenant: shop}}", Some("gzip")),
        (
            "otlp/zstd: {endpoint: 'dns:///BACKEND', tls: {insecure: true}, compression: zstd, headers: {x-tenant: shop}}",
            Some("zstd"),
        ),
        ("otlphttp: {endpoint: 'http://BACKEND', headers: {x-tenant: shop}}", Some("gzip")),
        (
            "otlp_http/zstd: {endpoint: 'http://BACKEND/', compression: zstd, headers: [{name: x-tenant, value: shop}]}",
            Some("zstd"),
        ),
        ("otlphttp/none: {endpoint: 'http://BACKEND', compression: none, headers: {x-tenant: shop}}", None),
    ] {
        let backend = Backend::start().await;
        let exporter = exporter.replace("BACKEND", &backend.address.to_string());
        let process = Forebay::start(&all_to(&exporter)).await;
        // Large enough to be worth compressing.
        let sent = [
            (Signal::Traces, request_of((1..=100).map(span))),
            (Signal::Metrics, metrics_request(100)),
            (Signal::Logs, logs_request(100)),
        ];
        for (signal, message) in &sent {
            process.client().export(*signal, message.clone()).await.unwrap();
        }
        process.stop().await;
        for (signal, message) in sent {
            assert_eq!(backend.messages(signal), [message], "{exporter}");
        }
        for received in backend.received() {
            assert_eq!(received.headers["x-tenant"], "shop", "{exporter}");
            let name = if received.headers[header::CONTENT_TYPE] == "application/grpc" {
                "grpc-encoding"
            } else {
                "content-encoding"
            };
            let found = received
                .headers
                .get(name)
                .map(|coding| coding.to_str().unwrap())
                .filter(|coding| *coding != "identity");
            assert_eq!(found, coding, "{exporter}");
        }
    }
}

#[tokio::test]
async fn a_chain_over_json_and_a_file_loses_nothing() {
    let first = Forebay::start(&all_to("file: {path: spans.jsonl}")).await;
    let next = format!("otlphttp: {{endpoint: 'http://{}', encoding: json}}", first.http);
    let second = Forebay::start(&all_to(&next)).await;
    second.client().export(Signal::Traces, request_of([span(7), span(8)])).await.unwrap();
    second.stop().await;
    let file = first.directory().join("spans.jsonl");
    let text = fs::read_to_string(file).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    let spans = line["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    let ids: Vec<_> = spans.iter().map(|span| span["traceId"].as_str().unwrap()).collect();
    assert_eq!(ids, [format!("{:032x}", 7), format!("{:032x}", 8)]);
    assert_eq!(line["resourceSpans"][0]["schemaUrl"], "https://opentelemetry.io/schemas/1.30.0");
    first.stop().await;
}

#[tokio::test]
async fn a_request_beyond_the_usual_message_limit_is_cut_for_the_backend() {
    let backend = Backend::start().await;
    let process = Forebay::start(&over_grpc(&backend)).await;
    let large = request_of((1..=90_000).map(span));
    assert!(large.len() > 6 << 20);
    let answer = post(process.http, "/v1/traces", &[PROTOBUF], large).await;
    assert_eq!(answer.status, 200);
    process.stop().await;
    let messages = backend.messages(Signal::Traces);
    assert!(messages.len() > 1 && messages.iter().all(|message| message.len() <= 4 << 20));
    assert_eq!(
        messages.iter().map(|message| Traces::decode(message)).collect::<Traces>().into_spans().len(),
        90_000
    );
}

#[tokio::test]
async fn unix_sockets_are_listened_on_and_removed() {
    let yaml = "{receivers: {otlp/local: {protocols: {grpc: {endpoint: 'unix:otlp.sock'}}}}, exporters: {nop: }, \
                 service: {pipelines: {traces: {receivers: [otlp, otlp/local], exporters: [nop]}}}}";
    let first = Forebay::start(yaml).await;
    let socket = first.directory().join("otlp.sock");
    let next = format!("otlp: {{endpoint: 'unix://{}', tls: {{insecure: true}}}}", socket.display());
    let second = Forebay::start(&all_to(&next)).await;
    second.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
    second.stop().await;
    let metrics = first.metrics().await;
    assert_eq!(
        metrics.sum("otelcol_receiver_accepted_spans", &[("receiver", "otlp/local"), ("transport", "grpc")]),
        1
    );
    first.signal("TERM").await;
    crate::harness::eventually("the socket's end", async || (!socket.exists()).then_some(())).await;
    assert_eq!(first.ended().await.0, Some(0));
}

/// A directory with a certificate authority's certificate, and certificates of `server` and `client` by it.
fn certificates() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
    for name in ["server", "client"] {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        fs::write(directory.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(directory.path().join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    directory
}

#[tokio::test]
async fn both_protocols_speak_mutual_tls() {
    let directory = certificates();
    let pem = |name: &str| directory.path().join(name).display().to_string();
    let server = format!(
        "{{cert_file: {}, key_file: {}, client_ca_file: {}}}",
        pem("server.pem"),
        pem("server.key"),
        pem("ca.pem")
    );
    let gateway = format!(
        "{{receivers: {{otlp: {{protocols: {{grpc: {{tls: {server}}}, http: {{tls: {server}}}}}}}}}, exporters: {{nop: }}, \
          service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [nop]}}}}}}}}"
    );
    let gateway = Forebay::start(&gateway).await;
    let anonymous = format!("ca_file: {}, server_name_override: server", pem("ca.pem"));
    let client = format!("{anonymous}, cert_file: {}, key_file: {}", pem("client.pem"), pem("client.key"));
    for (exporter, transport) in [
        (format!("otlp: {{endpoint: '{}', tls: {{{client}}}}}", gateway.grpc), "grpc"),
        (format!("otlphttp: {{endpoint: 'https://{}', tls: {{{client}}}}}", gateway.http), "http"),
    ] {
        let agent = Forebay::start(&all_to(&exporter)).await;
        agent.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
        agent.stop().await;
        let labels = [("transport", transport)];
        assert_eq!(gateway.metrics().await.sum("otelcol_receiver_accepted_spans", &labels), 1, "{transport}");
    }
    for exporter in [
        format!("otlp: {{endpoint: '{}', tls: {{{anonymous}}}}}", gateway.grpc),
        format!("otlp: {{endpoint: '{}', tls: {{insecure: true}}}}", gateway.grpc),
        format!(
            "otlphttp: {{endpoint: 'https://{}', tls: {{ca_file: {}}}}}",
            gateway.http,
            pem("client.pem")
        ),
    ] {
        let yaml = format!("--config=yaml:{}", all_to(&exporter));
        let agent = Forebay::start_with(&[&yaml, "--set=forebay.shutdown_grace=10ms"], &[]).await;
        agent.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
        agent.until_logged("export failed").await;
        agent.stop().await;
    }
    assert_eq!(gateway.metrics().await.sum("otelcol_receiver_accepted_spans", &[]), 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a_signal_without_a_pipeline_is_not_served() {
    let yaml = "{exporters: {nop: }, service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}";
    let process = Forebay::start(yaml).await;
    let refused = GrpcClient::new(process.grpc).export(Signal::Logs, logs_request(1)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unimplemented);
    let answer = post(process.http, "/v1/logs", &[PROTOBUF], logs_request(1)).await;
    assert_eq!(answer.status, 404);
    process.stop().await;
}
