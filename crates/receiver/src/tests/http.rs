use forebay_otlp::response::{PartialSuccess, Status};
use forebay_otlp::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const ID: &[u8] = &[1; 16];
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// One OTLP/JSON request with one span.
fn json_request() -> String {
    format!(
        r#"{{"resourceSpans": [{{"scopeSpans": [{{"spans": [
            {{"traceId": "{}", "spanId": "{}", "name": "work", "unheardOf": 1}}]}}]}}]}}"#,
        "01".repeat(16),
        "07".repeat(8)
    )
}

/// What a server said over HTTP/1.1, and whether it closed the connection after that.
#[derive(Debug)]
struct Http1 {
    status: u16,
    head: String,
    body: Vec<u8>,
}

/// Sends bytes as they are and reads one answer.
async fn exchange(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) -> Http1 {
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Http1 { status, head, body }
}

async fn is_closed(mut stream: TcpStream) -> bool {
    stream.read(&mut [0; 1]).await.is_ok_and(|read| read == 0)
}

/// A request with a `Content-Length`.
fn plain(headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /v1/traces HTTP/1.1\r\nhost: a\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A chunked request.
fn chunked(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /v1/traces HTTP/1.1\r\nhost: a\r\n{headers}transfer-encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for chunk in body.chunks(10) {
        request.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
    }
    request.extend(b"0\r\n\r\n");
    request
}

const PROTOBUF_LINE: &str = "content-type: application/x-protobuf\r\n";

#[tokio::test]
async fn protobuf_and_json_are_taken_over_both_versions_and_answered_in_kind() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.http2().await;
    let answered = client.post("/v1/traces", &[PROTOBUF], request(&[ID])).await;
    assert_eq!((answered.status, answered.body.as_ref()), (StatusCode::OK, &b""[..]));
    assert_eq!(answered.headers["content-type"], "application/x-protobuf");
    let kind = ("content-type", "Application/JSON; charset=utf-8");
    let answered = client.post("/v1/traces", &[kind], json_request()).await;
    assert_eq!((answered.status, answered.body.as_ref()), (StatusCode::OK, &b"{}"[..]));
    assert_eq!(answered.headers["content-type"], "application/json");

    let mut stream = fixture.http1().await;
    assert_eq!(exchange(&mut stream, plain(PROTOBUF_LINE, &request(&[ID]))).await.status, 200);
    let json = chunked("content-type: application/json\r\n", json_request().as_bytes());
    assert_eq!(exchange(&mut stream, json).await.status, 200);
    assert_eq!(fixture.sink.bytes(), vec![request(&[ID]); 4]);
}

#[tokio::test]
async fn a_large_json_body_is_decoded_too() {
    let fixture = Fixture::start(BOTH).await;
    let padded =
        json_request().replace("unheardOf\": 1", &format!("unheardOf\": \"{}\"", "x".repeat(300_000)));
    let answered = fixture.http2().await.post("/v1/traces", &[JSON], padded).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(fixture.sink.bytes(), [request(&[ID])]);
}

#[tokio::test]
async fn every_content_coding_is_understood_in_any_case() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.http2().await;
    for (coding, body) in encoded(&request(&[ID])) {
        for name in [coding.to_owned(), coding.to_uppercase()] {
            let headers = [PROTOBUF, ("content-encoding", name.as_str())];
            let answered = client.post("/v1/traces", &headers, body.clone()).await;
            assert_eq!(answered.status, StatusCode::OK, "{name}");
        }
        let headers = [JSON, ("content-encoding", coding)];
        let body =
            encoded(json_request().as_bytes()).into_iter().find(|(name, _)| *name == coding).unwrap().1;
        assert_eq!(client.post("/v1/traces", &headers, body).await.status, StatusCode::OK, "{coding}");
    }
    assert_eq!(fixture.sink.bytes(), vec![request(&[ID]); 9]);
}

#[tokio::test]
async fn unknown_codings_and_content_types_are_415_and_say_what_is_known() {
    let fixture =
        Fixture::start("protocols: {http: {endpoint: '127.0.0.1:0', compression_algorithms: ['', gzip]}}")
            .await;
    let client = fixture.http2().await;
    let body = gzip(&gzip(&request(&[ID])));
    for headers in [
        vec![PROTOBUF, ("content-encoding", "br")],
        vec![PROTOBUF, ("content-encoding", "zstd")],
        vec![PROTOBUF, ("content-encoding", "gzip, gzip")],
        vec![PROTOBUF, ("content-encoding", "gzip"), ("content-encoding", "gzip")],
    ] {
        let answered = client.post("/v1/traces", &headers, body.clone()).await;
        assert_eq!(answered.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
        assert_eq!(answered.headers["accept-encoding"], "identity, gzip");
        assert!(Status::decode(&answered.body).unwrap().message.contains("content-encoding"));
    }
    for headers in [vec![], vec![("content-type", "text/plain")], vec![("content-type", "application/grpc")]]
    {
        let answered = client.post("/v1/traces", &headers, request(&[ID])).await;
        assert_eq!(answered.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
        assert!(Status::decode(&answered.body).unwrap().message.contains("application/x-protobuf"));
    }
    assert!(fixture.sink.bytes().is_empty());
}

#[tokio::test]
async fn every_error_carries_a_status_in_the_requests_encoding() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.http2().await;
    for (path, code) in [("/v1/spans", 404), ("/v1/logs", 404), ("/v1/traces", 400)] {
        let answered = client.post(path, &[PROTOBUF], &b"\x0a\x05"[..]).await;
        assert_eq!(answered.status, code, "{path}");
        assert!(!Status::decode(&answered.body).unwrap().message.is_empty());
        let answered = client.post(path, &[JSON], r#"{"resourceSpans": 7}"#).await;
        assert_eq!(answered.status, code, "{path}");
        assert_eq!(answered.headers["content-type"], "application/json");
        assert!(answered.body.starts_with(br#"{"code":"#), "{:?}", answered.body);
    }
    let mut stream = fixture.http1().await;
    let answer = exchange(&mut stream, "GET /v1/traces HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("\r\nallow: post\r\n"), "{answer:?}");
    assert!(Status::decode(&answer.body).unwrap().message.contains("POST"));
}

#[tokio::test]
async fn malformed_bodies_are_bad_requests() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.http2().await;
    for (coding, body) in encoded(&request(&[ID])) {
        let headers = [PROTOBUF, ("content-encoding", coding)];
        for body in [body[..body.len() - 2].to_vec(), b"something else".to_vec()] {
            let answered = client.post("/v1/traces", &headers, body).await;
            assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{coding}");
        }
    }
    for json in
        ["", "{", "{} {}", "null and void", "{\"resourceSpans\": [{\"scopeSpans\": 1}]}", "\u{fffd}\"\\ud800"]
    {
        let answered = client.post("/v1/traces", &[JSON], json).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{json}");
    }
    assert_eq!(fixture.budget.used(), 0);
    let failed = "otelcol_receiver_requests{outcome=\"failure\",receiver=\"otlp\",transport=\"http\"}";
    assert_eq!(fixture.metric(failed), 12);
}

#[tokio::test]
async fn a_partial_success_is_told_in_both_encodings() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.http2().await;
    let answered = client.post("/v1/traces", &[PROTOBUF], request(&[ID, &[1; 15]])).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(PartialSuccess::decode(&answered.body).unwrap().unwrap().rejected, 1);
    let json = json_request().replace(&"01".repeat(16), &"00".repeat(16));
    let answered = client.post("/v1/traces", &[JSON], json).await;
    let partial = PartialSuccess::decode_json(Signal::Traces, &answered.body).unwrap();
    assert_eq!(partial.rejected, 1);
}

#[tokio::test]
async fn refusals_say_when_to_come_back() {
    let fixture = Fixture::start(BOTH).await;
    let client = fixture.http2().await;
    let after = Some(Duration::from_millis(2100));
    fixture.sink.refusals.lock().unwrap().extend([
        Refusal::Retryable { message: "later".into(), after },
        Refusal::retryable("queue full"),
        Refusal::Permanent("never".into()),
    ]);
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(client.post("/v1/traces", &[PROTOBUF], request(&[ID])).await);
    }
    assert_eq!(answers[0].status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answers[0].headers["retry-after"], "3");
    assert_eq!(Status::decode(&answers[0].body).unwrap().retry_delay, after);
    assert_eq!(answers[1].headers["retry-after"], "1");
    assert_eq!(answers[2].status, StatusCode::BAD_REQUEST);
    assert!(!answers[2].headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_connection_closes_after_length_and_chunks_and_only_then() {
    let fixture = Fixture::start(BOTH).await;
    let body = request(&[ID]);
    let mut stream = fixture.http1().await;
    for message in [chunked(PROTOBUF_LINE, &body), plain(PROTOBUF_LINE, &body), chunked(PROTOBUF_LINE, &body)]
    {
        let answer = exchange(&mut stream, message).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.head.contains("connection: close"), "{answer:?}");
    }
    let both = chunked(&format!("{PROTOBUF_LINE}Content-Length: 3\r\n"), &body);
    let answer = exchange(&mut stream, both).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("connection: close"), "{answer:?}");
    assert!(is_closed(stream).await);

    let mut stream = fixture.http1().await;
    let head = "POST /v1/traces HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nCONTENT-LENGTH: 3\r\n";
    let answer = exchange(&mut stream, format!("{head}{PROTOBUF_LINE}\r\n0\r\n\r\n")).await;
    assert_eq!(answer.status, 200);
    assert!(is_closed(stream).await);
    assert_eq!(fixture.sink.bytes(), vec![body; 4]);
}

#[tokio::test]
async fn a_body_of_unknown_length_may_fill_the_budget() {
    let fixture = Fixture::with_budget("protocols: {http: {endpoint: '127.0.0.1:0'}}", 1 << 20).await;
    let mut body = request(&[ID]);
    wire::put_bytes(&mut body, 15, &[0; 900 << 10]);
    let answer = exchange(&mut fixture.http1().await, chunked(PROTOBUF_LINE, &body)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(fixture.sink.bytes(), [body]);
}

#[tokio::test]
async fn a_client_that_sends_too_much_still_reads_why() {
    let fixture =
        Fixture::start("protocols: {http: {endpoint: '127.0.0.1:0', max_request_body_size: 1000}}").await;
    for message in [plain(PROTOBUF_LINE, &vec![0; 4 << 20]), chunked(PROTOBUF_LINE, &vec![0; 1 << 20])] {
        let mut stream = fixture.http1().await;
        let answer = exchange(&mut stream, message).await;
        assert_eq!(answer.status, 413);
        assert!(Status::decode(&answer.body).unwrap().message.contains("1000 bytes"));
    }
}

#[tokio::test]
async fn heads_that_never_end_and_idle_connections_are_closed() {
    let yaml = "protocols: {http: {endpoint: '127.0.0.1:0', read_header_timeout: 50ms, idle_timeout: 10m}}";
    let fixture = Fixture::start(yaml).await;
    let mut stream = fixture.http1().await;
    stream.write_all(b"POST /v1/traces HTTP/1.1\r\nhost: a\r\nx: ").await.unwrap();
    assert!(is_closed(stream).await);

    let fixture = Fixture::start("protocols: {http: {endpoint: '127.0.0.1:0', idle_timeout: 50ms}}").await;
    for start in [&b""[..], b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = fixture.http1().await;
        stream.write_all(start).await.unwrap();
        let mut rest = Vec::new();
        // Whatever it says before, it ends.
        let _ = stream.read_to_end(&mut rest).await;
    }
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let fixture = Fixture::start(BOTH).await;
    let mut stream = fixture.http1().await;
    let head = format!("POST /v1/traces HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    assert_eq!(exchange(&mut stream, head).await.status, 431);
    let client = fixture.http2().await;
    let long = "y".repeat(20_000);
    let answered = client.post("/v1/traces", &[PROTOBUF, ("x", &long)], "").await;
    assert_eq!(answered.status, 431);
}

#[tokio::test]
async fn browsers_are_told_what_they_may_do() {
    let yaml = "protocols: {http: {endpoint: '127.0.0.1:0', response_headers: {x-served-by: forebay},
        cors: {allowed_origins: ['https://*.example.com'], allowed_headers: [X-Tenant], max_age: 600,
               exposed_headers: [retry-after]}}}";
    let fixture = Fixture::start(yaml).await;
    let preflight = |origin: &str, headers: &str| {
        format!(
            "OPTIONS /v1/traces HTTP/1.1\r\nhost: a\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
             access-control-request-headers: {headers}\r\n\r\n"
        )
    };
    let mut stream = fixture.http1().await;
    let answer = exchange(&mut stream, preflight("https://app.example.com", "content-type, x-tenant")).await;
    assert_eq!(answer.status, 204);
    for line in [
        "access-control-allow-origin: https://app.example.com",
        "access-control-allow-methods: post",
        "access-control-allow-headers: content-type, x-tenant",
        "access-control-max-age: 600",
        "vary: origin",
        "x-served-by: forebay",
    ] {
        assert!(answer.head.contains(&format!("\r\n{line}\r\n")), "{line}: {}", answer.head);
    }
    for (origin, headers) in [("https://evil.example", "content-type"), ("https://app.example.com", "cookie")]
    {
        let answer = exchange(&mut stream, preflight(origin, headers)).await;
        assert!(!answer.head.contains("allow-methods"), "{}", answer.head);
    }
    let from = |origin| format!("{PROTOBUF_LINE}origin: {origin}\r\n");
    let answer = exchange(&mut stream, plain(&from("https://app.example.com"), &request(&[ID]))).await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-expose-headers: retry-after"), "{}", answer.head);
    let answer = exchange(&mut stream, plain(&from("https://evil.example"), &request(&[ID]))).await;
    assert!(!answer.head.contains("access-control-allow-origin"), "{}", answer.head);
}

#[tokio::test]
async fn paths_and_keep_alive_are_configurable() {
    let yaml =
        "protocols: {http: {endpoint: '127.0.0.1:0', traces_url_path: spans, keep_alives_enabled: false}}";
    let fixture = Fixture::start(yaml).await;
    let mut stream = fixture.http1().await;
    let message = String::from_utf8(plain(PROTOBUF_LINE, b"")).unwrap().replace("/v1/traces", "/spans");
    assert_eq!(exchange(&mut stream, message).await.status, 200);
    assert!(is_closed(stream).await);
}
