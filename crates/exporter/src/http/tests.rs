use std::io::Read as _;

use forebay_config::read_str;
use forebay_otlp::response::{PartialSuccess, Status};
use forebay_pipeline::{Batch, Refusal};
use http::{Response, Version};

use super::*;
use crate::testing::{Answer, Backend, Pki, Seen, context, fate, shut_down, spans};

const RETRY: &str = "retry_on_failure: {initial_interval: 20ms, max_interval: 50ms}";

fn config(yaml: &str) -> HttpConfig {
    let (config, diagnostics) = read_str(&format!("{RETRY}\n{yaml}"), HttpConfig::read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    config
}

async fn export(yaml: &str, batch: Batch) -> [u64; 3] {
    let context = context();
    let exporter = build("otlphttp", config(yaml), &context).unwrap();
    fate(&exporter, &context, "otlphttp", batch).await
}

fn plain(backend: &Backend) -> String {
    format!("endpoint: http://{}", backend.address)
}

fn ok() -> Answer {
    Answer::status(200).header("content-type", "application/x-protobuf")
}

/// The body of a request, with its compression undone.
fn body(seen: &Seen) -> Vec<u8> {
    let mut out = Vec::new();
    match seen.headers.get("content-encoding").map(|name| name.to_str().unwrap()) {
        None => out.extend_from_slice(&seen.body),
        Some("gzip") => {
            flate2::read::GzDecoder::new(&seen.body[..]).read_to_end(&mut out).map(drop).unwrap();
        }
        Some("deflate" | "zlib") => {
            flate2::read::ZlibDecoder::new(&seen.body[..]).read_to_end(&mut out).map(drop).unwrap();
        }
        Some("zstd") => out = zstd::decode_all(&seen.body[..]).unwrap(),
        other => panic!("{other:?}"),
    }
    out
}

#[tokio::test]
async fn every_compression_carries_the_same_bytes() {
    for (compression, name) in [
        ("gzip", Some("gzip")),
        ("zstd", Some("zstd")),
        ("zlib", Some("zlib")),
        ("deflate", Some("deflate")),
        ("none", None),
    ] {
        let backend = Backend::start([], ok()).await;
        let batch = spans(200, 1000);
        let yaml = format!("{}\ncompression: {compression}\nheaders: {{x-token: t}}", plain(&backend));
        assert_eq!(export(&yaml, batch.clone()).await, [200, 0, 0]);
        let seen = &backend.seen()[0];
        assert!(body(seen) == batch.bytes, "{compression}");
        assert_eq!(seen.headers.get("content-encoding").map(|value| value.to_str().unwrap()), name);
        assert_eq!(seen.headers["content-type"], "application/x-protobuf");
        assert_eq!(seen.headers["content-length"], seen.body.len().to_string());
        assert_eq!(seen.headers["x-token"], "t");
        assert!(seen.headers["user-agent"].to_str().unwrap().starts_with("forebay/"));
        assert_eq!((seen.path.as_str(), seen.version), ("/v1/traces", Version::HTTP_11));
    }
}

#[tokio::test]
async fn json_says_the_same_as_protobuf() {
    let backend = Backend::start([], ok()).await;
    let batch = spans(20, 10);
    let yaml = format!("{}\nencoding: json", plain(&backend));
    assert_eq!(export(&yaml, batch.clone()).await, [20, 0, 0]);
    let seen = &backend.seen()[0];
    assert_eq!(seen.headers["content-type"], "application/json");
    let again = json::decode(Signal::Traces, &body(seen)).unwrap();
    assert!(again == batch.bytes);
}

#[tokio::test]
async fn merged_batches_are_one_body() {
    for encoding in ["proto", "json"] {
        let backend = Backend::start([], ok()).await;
        let context = context();
        let yaml = format!(
            "{}\nencoding: {encoding}\ncompression: none\nsending_queue: {{batch: {{min_size: 30}}}}",
            plain(&backend)
        );
        let exporter = build("otlphttp", config(&yaml), &context).unwrap();
        let batches = [spans(10, 10), spans(10, 20_000), spans(10, 10)];
        for batch in batches.clone() {
            exporter.consume(batch).await.unwrap();
        }
        shut_down(exporter.as_ref()).await;
        let seen = backend.seen();
        assert_eq!(seen.len(), 1);
        let sent = match encoding {
            "json" => json::decode(Signal::Traces, &seen[0].body).unwrap(),
            _ => seen[0].body.to_vec(),
        };
        assert!(sent == batches.map(|batch| batch.bytes).concat(), "{encoding}");
    }
}

#[tokio::test]
async fn each_signal_goes_to_its_own_url() {
    let backend = Backend::start([], ok()).await;
    let context = context();
    let yaml = format!("{0}/base/\nlogs_endpoint: http://{1}/logs?a=b", plain(&backend), backend.address);
    let exporter = build("otlphttp", config(&yaml), &context).unwrap();
    for signal in Signal::ALL {
        exporter.consume(Batch::new(signal, Bytes::from_static(&[10, 0]), 1)).await.unwrap();
    }
    shut_down(exporter.as_ref()).await;
    let mut paths: Vec<String> = backend.seen().into_iter().map(|seen| seen.path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/base/v1/metrics", "/base/v1/traces", "/logs?a=b"]);
}

#[tokio::test]
async fn a_signal_without_a_url_is_rejected_with_what_to_set() {
    let yaml = "logs_endpoint: http://127.0.0.1:1/logs\nsending_queue: {enabled: false}";
    let exporter = build("otlphttp", config(yaml), &context()).unwrap();
    let refusal = exporter.consume(spans(1, 1)).await.unwrap_err();
    assert!(matches!(&refusal, Refusal::Permanent(text) if text.contains("traces_endpoint")), "{refusal}");
}

#[tokio::test]
async fn statuses_are_retried_or_final_as_the_specification_says() {
    for status in [400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 501, 502, 503, 504] {
        let backend = Backend::start([Answer::status(status)], ok()).await;
        let retryable = [429, 502, 503, 504].contains(&status);
        let expected = if retryable { [3, 0, 0] } else { [0, 3, 0] };
        assert_eq!(export(&plain(&backend), spans(3, 1)).await, expected, "status {status}");
        assert_eq!(backend.seen().len(), if retryable { 2 } else { 1 }, "status {status}");
    }
}

#[tokio::test]
async fn a_server_that_names_a_time_is_not_asked_before_it() {
    let busy = Answer::status(429).header("retry-after", "1");
    let backend = Backend::start([busy], ok()).await;
    let begun = std::time::Instant::now();
    assert_eq!(export(&plain(&backend), spans(3, 1)).await, [3, 0, 0]);
    assert!(begun.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn partial_success_is_counted_in_both_encodings() {
    let partial = PartialSuccess { rejected: 2, message: "too old".into() };
    let json = partial.encode_json(Signal::Traces);
    for answer in [
        ok().body(partial.encode()),
        Answer::status(200).header("content-type", "application/json; charset=utf-8").body(json),
    ] {
        let backend = Backend::start([], answer).await;
        assert_eq!(export(&plain(&backend), spans(5, 1)).await, [3, 2, 0]);
    }
}

#[tokio::test]
async fn every_status_in_the_two_hundreds_is_a_delivery_whatever_the_body() {
    for answer in [
        Answer::status(202),
        ok().body("\u{ff}junk"),
        Answer::status(200).header("content-type", "text/html").body("<html>"),
        ok().body(vec![0; 10 * MAX_ANSWER]),
    ] {
        let backend = Backend::start([], answer).await;
        assert_eq!(export(&plain(&backend), spans(5, 1)).await, [5, 0, 0]);
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
async fn a_restarted_backend_is_connected_to_again() {
    let backend = Backend::start([], ok()).await;
    let address = backend.address.clone();
    let context = context();
    let exporter = build("otlphttp", config(&plain(&backend)), &context).unwrap();
    exporter.consume(spans(3, 1)).await.unwrap();
    while backend.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    backend.stop().await;
    let backend = Backend::at(&address, None, [], ok()).await;
    assert_eq!(fate(&exporter, &context, "otlphttp", spans(4, 1)).await, [7, 0, 0]);
    assert!(!backend.seen().is_empty());
}

#[tokio::test]
async fn tls_speaks_http2_where_the_server_does() {
    for (alpn, force, version) in [
        (&[&b"h2"[..], b"http/1.1"][..], true, Version::HTTP_2),
        (&[&b"http/1.1"[..]], true, Version::HTTP_11),
        (&[&b"h2"[..], b"http/1.1"], false, Version::HTTP_11),
        (&[], true, Version::HTTP_11),
    ] {
        let pki = Pki::new();
        let tls = pki.server(true, alpn);
        let backend = Backend::at("127.0.0.1:0", Some(tls), [], ok()).await;
        let yaml = format!(
            "endpoint: https://{}\nforce_attempt_http2: {force}\ntls: {}",
            backend.address,
            pki.client(true)
        );
        assert_eq!(export(&yaml, spans(3, 1)).await, [3, 0, 0]);
        assert_eq!(backend.seen()[0].version, version, "{alpn:?} {force}");
    }
}

fn outcome(answer: Response<&[u8]>, now: SystemTime) -> Outcome {
    let (head, body) = answer.into_parts();
    answer::outcome(Signal::Traces, &head, body, now)
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = httpdate::parse_http_date("Sat, 21 Nov 2026 12:00:00 GMT").unwrap();
    for (text, after) in [
        ("120", Some(120)),
        ("Sat, 21 Nov 2026 12:01:00 GMT", Some(60)),
        ("Sat, 21 Nov 2026 11:00:00 GMT", Some(0)),
        ("soon", None),
        ("-5", None),
    ] {
        let answer = Response::builder().status(503).header("retry-after", text).body(&b""[..]).unwrap();
        let Outcome::Failed { after: told, .. } = outcome(answer, now) else { panic!("{text}") };
        assert_eq!(told, after.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn error_messages_say_what_the_server_said() {
    let status = Status { code: 3, message: "bad span".into(), retry_delay: None }.encode();
    let long = "x".repeat(5000);
    for (kind, body, expected) in [
        ("application/x-protobuf", &status[..], "400 Bad Request: bad span"),
        ("text/plain", b"no\nway\n", "400 Bad Request: no way"),
        ("text/plain", b"", "400 Bad Request"),
        ("text/plain", long.as_bytes(), &format!("400 Bad Request: {}", "x".repeat(200))),
    ] {
        let answer = Response::builder().status(400).header("content-type", kind).body(body).unwrap();
        assert_eq!(outcome(answer, SystemTime::now()), Outcome::Rejected(expected.into()));
    }
}

#[test]
fn redirects_are_not_followed() {
    let answer = Response::builder().status(308).header("location", "https://b/").body(&b""[..]).unwrap();
    let Outcome::Rejected(message) = outcome(answer, SystemTime::now()) else { panic!() };
    assert!(message.contains("redirects are not followed") && message.contains("https://b/"), "{message}");
}
