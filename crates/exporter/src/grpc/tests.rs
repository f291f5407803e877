use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use forebay_config::read_str;
use forebay_otlp::response::{PartialSuccess, Status};
use forebay_pipeline::Batch;
use http::{HeaderMap, StatusCode, response};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;

use super::*;
use crate::testing::{Answer, Backend, Pki, Seen, context, fate, shut_down, spans};

const RETRY: &str = "retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}";

fn config(yaml: &str) -> GrpcConfig {
    let (config, diagnostics) = read_str(&format!("{RETRY}\n{yaml}"), GrpcConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config
}

/// Sends one batch with the exporter of this configuration: spans delivered, rejected, given up.
async fn export(yaml: &str, batch: Batch) -> [u64; 3] {
    let context = context();
    let exporter = build("otlp", config(yaml), &context).unwrap();
    fate(&exporter, &context, "otlp", batch).await
}

fn plain(backend: &Backend) -> String {
    format!("endpoint: http://{}", backend.address)
}

fn ok() -> Answer {
    Answer::status(200)
        .header("content-type", "application/grpc")
        .body(&[0_u8; 5][..])
        .trailer("grpc-status", "0")
}

fn status(code: i32) -> Answer {
    Answer::status(200)
        .header("content-type", "application/grpc")
        .trailer("grpc-status", &code.to_string())
        .trailer("grpc-message", "because%20so")
}

fn details(retry_delay: Option<Duration>) -> String {
    let status = Status { code: 8, message: "busy".into(), retry_delay };
    STANDARD_NO_PAD.encode(status.encode())
}

/// The message of a call, with its compression undone.
fn message(seen: &Seen) -> Vec<u8> {
    let (prefix, body) = seen.body.split_at(PREFIX);
    assert_eq!(u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize, body.len());
    let encoding = seen.headers.get("grpc-encoding").map(|name| name.to_str().unwrap());
    match (prefix[0], encoding) {
        (0, None) => body.to_vec(),
        (1, Some("gzip")) => {
            let mut out = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut out).unwrap();
            out
        }
        (1, Some("zstd")) => zstd::decode_all(body).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A backend built from the generated code.
#[derive(Clone, Default)]
struct Generated(Arc<Mutex<Vec<tonic::Request<ExportTraceServiceRequest>>>>);

#[tonic::async_trait]
impl TraceService for Generated {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.0.lock().unwrap().push(request);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn generated() -> (Generated, String) {
    let backend = Generated::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TraceServiceServer::new(backend.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    (backend, format!("endpoint: http://{address}"))
}

#[tokio::test]
async fn a_generated_server_reads_what_is_sent() {
    for compression in ["gzip", "zstd", "none"] {
        let (backend, endpoint) = generated().await;
        let batch = spans(100, 30);
        let expected = ExportTraceServiceRequest::decode(&batch.bytes[..]).unwrap();
        let yaml =
            format!("{endpoint}\ncompression: {compression}\nheaders: {{x-tenant: a, x-raw-bin: hello}}");
        assert_eq!(export(&yaml, batch).await, [100, 0, 0], "{compression}");
        let requests = backend.0.lock().unwrap();
        assert_eq!(requests[0].get_ref(), &expected);
        let metadata = requests[0].metadata();
        assert_eq!(metadata.get("x-tenant").unwrap(), "a");
        assert_eq!(&metadata.get_bin("x-raw-bin").unwrap().to_bytes().unwrap()[..], b"hello");
        assert!(metadata.get("user-agent").unwrap().to_str().unwrap().starts_with("forebay/"));
        assert_eq!(metadata.get("grpc-timeout").unwrap(), "5000m");
    }
}

#[tokio::test]
async fn a_server_with_the_usual_limit_gets_a_large_request_in_parts() {
    let (backend, endpoint) = generated().await;
    let batch = spans(700, 10_000);
    assert!(batch.bytes.len() > 6 * 1024 * 1024);
    assert_eq!(export(&format!("{endpoint}\ncompression: none"), batch).await, [700, 0, 0]);
    assert_eq!(backend.0.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn every_compression_carries_the_same_bytes() {
    for compression in ["gzip", "zstd", "none"] {
        let backend = Backend::start([], ok()).await;
        let batch = spans(200, 1000);
        let yaml = format!("{}\ncompression: {compression}", plain(&backend));
        assert_eq!(export(&yaml, batch.clone()).await, [200, 0, 0]);
        assert!(message(&backend.seen()[0]) == batch.bytes, "{compression}");
    }
}

#[tokio::test]
async fn merged_batches_are_one_message() {
    let backend = Backend::start([], ok()).await;
    let context = context();
    let yaml = format!("{}\ncompression: none\nsending_queue: {{batch: {{min_size: 30}}}}", plain(&backend));
    let exporter = build("otlp", config(&yaml), &context).unwrap();
    let batches = [spans(10, 10), spans(10, 20_000), spans(10, 10)];
    for batch in batches.clone() {
        exporter.consume(batch).await.unwrap();
    }
    shut_down(exporter.as_ref()).await;
    let seen = backend.seen();
    assert_eq!(seen.len(), 1);
    assert!(message(&seen[0]) == batches.map(|batch| batch.bytes).concat());
}

#[tokio::test]
async fn each_signal_has_its_method_and_the_authority_can_be_set() {
    let backend = Backend::start([], ok()).await;
    let context = context();
    let yaml = format!("{}\nauthority: elsewhere:99\nuser_agent: mine/1", plain(&backend));
    let exporter = build("otlp", config(&yaml), &context).unwrap();
    for signal in Signal::ALL {
        exporter.consume(Batch::new(signal, Bytes::from_static(&[10, 0]), 1)).await.unwrap();
    }
    shut_down(exporter.as_ref()).await;
    let mut paths: Vec<String> = backend.seen().into_iter().map(|seen| seen.path).collect();
    paths.sort_unstable();
    let mut expected = Signal::ALL.map(Signal::grpc_path);
    expected.sort_unstable();
    assert_eq!(paths, expected);
    assert_eq!(backend.seen()[0].authority.as_deref(), Some("elsewhere:99"));
    assert_eq!(backend.seen()[0].headers["user-agent"], "mine/1");
}

#[tokio::test]
async fn codes_are_retried_or_final_as_the_specification_says() {
    for code in 1..=17 {
        let backend = Backend::start([status(code)], ok()).await;
        let retryable = [1, 4, 10, 11, 14, 15].contains(&code);
        let expected = if retryable { [3, 0, 0] } else { [0, 3, 0] };
        assert_eq!(export(&plain(&backend), spans(3, 1)).await, expected, "code {code}");
        assert_eq!(backend.seen().len(), if retryable { 2 } else { 1 }, "code {code}");
    }
}

#[tokio::test]
async fn exhausted_resources_are_retried_if_the_server_says_when() {
    let delay = Duration::from_millis(300);
    for (details, expected) in
        [(details(Some(delay)), [3, 0, 0]), (details(None), [0, 3, 0]), ("!junk!".into(), [0, 3, 0])]
    {
        let busy = status(8).trailer("grpc-status-details-bin", &details);
        let backend = Backend::start([busy], ok()).await;
        let begun = std::time::Instant::now();
        assert_eq!(export(&plain(&backend), spans(3, 1)).await, expected);
        if expected[0] > 0 {
            assert!(begun.elapsed() >= delay);
        }
    }
}

#[tokio::test]
async fn a_status_without_a_body_stands_in_the_headers() {
    let headers_only =
        Answer::status(200).header("content-type", "application/grpc").header("grpc-status", "14");
    let backend = Backend::start([headers_only], ok()).await;
    assert_eq!(export(&plain(&backend), spans(3, 1)).await, [3, 0, 0]);
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn partial_success_is_counted() {
    let response = PartialSuccess { rejected: 2, message: "too old".into() }.encode();
    let mut body = prefix(false, response.len()).unwrap().to_vec();
    body.extend(response);
    let backend = Backend::start([], ok().body(body)).await;
    assert_eq!(export(&plain(&backend), spans(5, 1)).await, [3, 2, 0]);
}

#[tokio::test]
async fn junk_after_a_good_status_changes_nothing() {
    for body in [&b""[..], b"\0", b"\0\0\0\0\x09", b"\x01\0\0\0\x02ab", b"\0\0\0\0\x02\xff\xff"] {
        let backend = Backend::start([], ok().body(body)).await;
        assert_eq!(export(&plain(&backend), spans(5, 1)).await, [5, 0, 0], "{body:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let backend = Backend::start([], ok().body(vec![0; MAX_ANSWER + 1])).await;
    assert_eq!(export(&plain(&backend), spans(5, 1)).await, [0, 5, 0]);
}

#[tokio::test]
async fn answers_of_something_else_than_grpc_are_understood() {
    for (answer, expected) in [
        (Answer::status(503), [3, 0, 0]),
        (Answer::status(429), [3, 0, 0]),
        (Answer::status(404), [0, 3, 0]),
        (Answer::status(401), [0, 3, 0]),
        (Answer::status(200).header("content-type", "text/html").body("<html>"), [0, 3, 0]),
        (Answer::status(200).header("content-type", "application/grpc"), [0, 3, 0]),
        (status(0).trailer("grpc-status", "NaN"), [0, 3, 0]),
    ] {
        let backend = Backend::start([answer.clone()], ok()).await;
        assert_eq!(export(&plain(&backend), spans(3, 1)).await, expected, "{answer:?}");
    }
}

#[tokio::test]
async fn a_hanging_backend_is_asked_again() {
    let backend = Backend::start([Answer::hang()], ok()).await;
    let yaml = format!("{}\ntimeout: 100ms", plain(&backend));
    assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);
    // More than once where the machine is slow.
    assert!(backend.seen().len() >= 2);
}

#[tokio::test]
async fn a_backend_that_comes_up_late_gets_everything() {
    let probe = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = probe.local_addr().unwrap().to_string();
    drop(probe);
    let context = context();
    let exporter = build("otlp", config(&format!("endpoint: http://{address}")), &context).unwrap();
    exporter.consume(spans(3, 1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let backend = Backend::at(&address, None, [], ok()).await;
    assert_eq!(fate(&exporter, &context, "otlp", spans(4, 1)).await, [7, 0, 0]);
    assert!(!backend.seen().is_empty());
}

#[tokio::test]
async fn a_restarted_backend_is_connected_to_again() {
    let backend = Backend::start([], ok()).await;
    let address = backend.address.clone();
    let context = context();
    let exporter = build("otlp", config(&plain(&backend)), &context).unwrap();
    exporter.consume(spans(3, 1)).await.unwrap();
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    backend.stop().await;
    let backend = Backend::at(&address, None, [], ok()).await;
    let [delivered, rejected, lost] = fate(&exporter, &context, "otlp", spans(4, 1)).await;
    assert_eq!([delivered, rejected, lost], [7, 0, 0]);
    assert!(!backend.seen().is_empty());
}

#[tokio::test]
async fn a_backend_may_close_the_connection_after_each_answer() {
    let backend = Backend::start([], ok().goodbye()).await;
    let context = context();
    let yaml = format!("{}\nsending_queue: {{enabled: false}}", plain(&backend));
    let exporter = build("otlp", config(&yaml), &context).unwrap();
    for _ in 0..5 {
        exporter.consume(spans(3, 1)).await.unwrap();
    }
    assert_eq!(backend.seen().len(), 5);
}

/// Something that reads a little, answers `answer` and hangs up.
async fn junk(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 100]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    format!("endpoint: http://{address}")
}

#[tokio::test]
async fn what_does_not_speak_http2_is_an_outage() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ] {
        let yaml = format!("{}\nsending_queue: {{enabled: false}}", junk(answer).await);
        let mut config = config(&yaml);
        config.sending.retry = None;
        let exporter = build("otlp", config, &context()).unwrap();
        let refusal = exporter.consume(spans(1, 1)).await.unwrap_err();
        assert!(matches!(refusal, forebay_pipeline::Refusal::Retryable { .. }), "{refusal}");
    }
}

#[tokio::test]
async fn tls_needs_a_server_of_a_known_authority() {
    let pki = Pki::new();
    let tls = pki.server(false, &[b"h2"]);
    let backend = Backend::at("127.0.0.1:0", Some(tls), [], ok()).await;
    let endpoint = format!("endpoint: {}", backend.address);
    let yaml = format!("{endpoint}\ntls: {}", pki.client(false));
    assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);

    let mut stranger = config(&format!("{endpoint}\ntls: {}", Pki::new().client(false)));
    stranger.sending.retry = None;
    let context = context();
    let exporter = build("otlp", stranger, &context).unwrap();
    assert_eq!(fate(&exporter, &context, "otlp", spans(3, 1)).await, [0, 0, 3]);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn mutual_tls_shows_the_clients_certificate() {
    let pki = Pki::new();
    let tls = pki.server(true, &[b"h2"]);
    let backend = Backend::at("127.0.0.1:0", Some(tls), [], ok()).await;
    let yaml = format!("endpoint: {}\ntls: {}", backend.address, pki.client(true));
    assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);

    let mut bare = config(&format!("endpoint: {}\ntls: {}", backend.address, pki.client(false)));
    bare.sending.retry = None;
    let context = context();
    let exporter = build("otlp", bare, &context).unwrap();
    assert_eq!(fate(&exporter, &context, "otlp", spans(3, 1)).await, [0, 0, 3]);
}

#[tokio::test]
async fn a_server_name_can_be_verified_instead_of_the_host() {
    let pki = Pki::new();
    let backend = Backend::at("127.0.0.1:0", Some(pki.server(false, &[b"h2"])), [], ok()).await;
    let tls = pki.client(false).replace('{', "{server_name_override: 127.0.0.1, ");
    let port = backend.address.rsplit(':').next().unwrap();
    let yaml = format!("endpoint: localhost:{port}\ntls: {tls}");
    assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);
}

#[tokio::test]
async fn a_unix_socket_is_an_endpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("otlp.sock");
    let backend = Backend::at_socket(&path, ok());
    let yaml = format!("endpoint: unix://{}\ntls: {{insecure: true}}", path.display());
    assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);
    assert_eq!(backend.seen()[0].authority.as_deref(), Some("localhost"));
}

#[tokio::test]
async fn keepalive_does_not_get_in_the_way() {
    let backend = Backend::start([], ok()).await;
    let yaml =
        format!("{}\nkeepalive: {{time: 10ms, timeout: 5s, permit_without_stream: true}}", plain(&backend));
    assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);
}

#[test]
fn error_messages_name_the_code_and_what_the_server_said() {
    let (head, ()) = http::Response::new(()).into_parts();
    let head: response::Parts = head;
    assert_eq!(head.status, StatusCode::OK);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "7".parse().unwrap());
    trailers.insert("grpc-message", "no%20%C3%A9ntry".parse().unwrap());
    assert_eq!(
        answer::outcome(&head, Some(&trailers), b""),
        Outcome::Rejected("PERMISSION_DENIED (7): no éntry".into())
    );
}
