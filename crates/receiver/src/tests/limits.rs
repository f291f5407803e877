use forebay_otlp::wire;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tonic::Code;

use super::*;

const ID: &[u8] = &[1; 16];
const MIB: usize = 1 << 20;

/// Both limits are 1 MiB.
const SMALL: &str = "protocols: {
    grpc: {endpoint: '127.0.0.1:0', max_recv_msg_size_mib: 1},
    http: {endpoint: '127.0.0.1:0', max_request_body_size: 1048576}}";

#[tokio::test]
async fn a_bomb_stops_at_the_limit_and_holds_no_more_than_that() {
    // Anything that held much more than the limit would find no room: another answer.
    let fixture = Fixture::with_budget(SMALL, 5 * MIB).await;
    let (grpc, http) = (fixture.grpc().await, fixture.http2().await);
    for (encoding, body) in encoded(&vec![0; 100 * MIB]) {
        assert!(body.len() < MIB, "{encoding}");
        let outcome = grpc.call(TRACES, Some(encoding), framed(true, &body)).await;
        assert_eq!(outcome.code, Code::ResourceExhausted, "{encoding}: {outcome:?}");
        assert!(outcome.message.contains("1048576 bytes (`max_recv_msg_size_mib`)"), "{outcome:?}");
        assert_eq!(outcome.details.retry_delay, None);

        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding)];
        let answered = http.post("/v1/traces", &headers, body).await;
        assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE, "{encoding}");
        let status = response::Status::decode(&answered.body).unwrap();
        assert!(status.message.contains("max_request_body_size"), "{}", status.message);
    }
    assert_eq!(fixture.budget.used(), 0);
}

/// A request with an unknown field that makes it so long.
fn padded(length: usize) -> Vec<u8> {
    let mut message = request(&[ID]);
    // One byte of tag and three of length.
    let padding = vec![0; length - message.len() - 4];
    wire::put_bytes(&mut message, 15, &padding);
    assert_eq!(message.len(), length);
    message
}

#[tokio::test]
async fn a_message_of_just_the_limit_passes_and_one_byte_more_does_not() {
    let fixture = Fixture::start(SMALL).await;
    let (grpc, http) = (fixture.grpc().await, fixture.http2().await);
    let (fits, exceeds) = (padded(MIB), padded(MIB + 1));
    assert_eq!(grpc.call(TRACES, None, framed(false, &fits)).await.code, Code::Ok);
    assert_eq!(grpc.call(TRACES, None, framed(false, &exceeds)).await.code, Code::ResourceExhausted);
    for (encoding, body) in encoded(&fits) {
        assert_eq!(grpc.call(TRACES, Some(encoding), framed(true, &body)).await.code, Code::Ok);
    }
    for (encoding, body) in encoded(&exceeds) {
        let outcome = grpc.call(TRACES, Some(encoding), framed(true, &body)).await;
        assert_eq!(outcome.code, Code::ResourceExhausted);
    }
    let headers = [("content-type", "application/x-protobuf")];
    assert_eq!(http.post("/v1/traces", &headers, fits).await.status, StatusCode::OK);
    assert_eq!(http.post("/v1/traces", &headers, exceeds).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn bodies_that_inflate_much_wait_for_each_other_but_not_for_a_slow_sender() {
    let fixture = Fixture::start(SMALL).await;
    let body = gzip(&padded(MIB));
    let (start, end) = body.split_at(body.len() - 9);
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: application/x-protobuf\r\n\
         content-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut slow = fixture.http1().await;
    slow.write_all(&[head.as_bytes(), start].concat()).await.unwrap();
    let http = fixture.http2().await;
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (http, body) = (http.clone(), body.clone());
        others.spawn(async move { http.post("/v1/traces", &headers, body).await.status });
    }
    assert_eq!(others.join_all().await, [StatusCode::OK; 8]);
    slow.write_all(end).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(fixture.sink.bytes(), vec![padded(MIB); 9]);
}

#[tokio::test]
async fn the_budget_holds_exactly_what_waits() {
    let fixture = Fixture::start(SMALL).await;
    let client = fixture.grpc().await;
    let message = request(&[ID; 100]);
    for (encoding, body) in encoded(&message) {
        assert_eq!(client.call(TRACES, Some(encoding), framed(true, &body)).await.code, Code::Ok);
    }
    let index = 100 * size_of::<forebay_otlp::Span>();
    assert_eq!(fixture.budget.used(), 3 * (message.len() + index));
    fixture.sink.taken.lock().unwrap().clear();
    assert_eq!(fixture.budget.used(), 0);
}

#[tokio::test]
async fn brief_overload_is_waited_out() {
    let fixture = Fixture::with_budget(SMALL, MIB).await;
    let client = fixture.grpc().await;
    let held = fixture.budget.charge(MIB);
    let call = tokio::spawn(async move { client.call(TRACES, None, framed(false, &request(&[ID]))).await });
    tokio::task::yield_now().await;
    drop(held);
    assert_eq!(call.await.unwrap().code, Code::Ok);
}

#[tokio::test]
async fn lasting_overload_is_refused_with_a_delay() {
    let fixture = Fixture::with_budget(SMALL, MIB).await;
    let (grpc, http) = (fixture.grpc().await, fixture.http2().await);
    let held = fixture.budget.charge(MIB);
    let outcome = grpc.call(TRACES, None, framed(false, &request(&[ID]))).await;
    assert_eq!(outcome.code, Code::Unavailable);
    assert_eq!(outcome.details.retry_delay, Some(Duration::from_secs(1)));
    assert!(outcome.message.contains("memory budget exhausted"), "{outcome:?}");
    let headers = [("content-type", "application/json")];
    let answered = http.post("/v1/traces", &headers, "{}").await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answered.headers["retry-after"], "1");
    drop(held);
    assert_eq!(grpc.call(TRACES, None, framed(false, &request(&[ID]))).await.code, Code::Ok);
}

#[tokio::test]
async fn what_can_never_fit_the_budget_is_too_large() {
    let fixture = Fixture::with_budget(SMALL, 10_000).await;
    let client = fixture.grpc().await;
    let outcome = client.call(TRACES, None, framed(false, &vec![0; 20_000])).await;
    assert_eq!(outcome.code, Code::ResourceExhausted, "{outcome:?}");
    assert_eq!(outcome.details.retry_delay, None);
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up() {
    let (mut config, _) = read_str(SMALL, OtlpConfig::read);
    config.grpc.as_mut().unwrap().read_timeout = Some(Duration::from_millis(50));
    config.http.as_mut().unwrap().server.read_timeout = Some(Duration::from_millis(50));
    let fixture = Fixture::with_config(config, 256 << 20).await;
    let (grpc, http) = (fixture.grpc().await, fixture.http2().await);
    for start in [&b""[..], &[0, 0], &framed(false, &request(&[ID]))[..20], &framed(false, &request(&[ID]))] {
        let answered = grpc.stall(TRACES, "application/grpc", start.to_vec()).await.unwrap();
        let outcome = Outcome::of(answered);
        assert_eq!(outcome.code, Code::DeadlineExceeded, "{start:?}: {outcome:?}");
        let answered = http.stall("/v1/traces", "application/x-protobuf", start.to_vec()).await.unwrap();
        assert_eq!(answered.status, StatusCode::REQUEST_TIMEOUT);
    }
    assert!(fixture.sink.bytes().is_empty());
    assert_eq!(fixture.budget.used(), 0);
}

#[tokio::test]
async fn a_flood_of_stalled_calls_leaves_room_for_others() {
    let fixture = Fixture::start(SMALL).await;
    // A megabyte is announced and a few bytes are sent.
    let start = [&[0, 0, 0x0f, 0xff, 0xff][..], &request(&[ID])].concat();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let client = fixture.grpc().await;
        for _ in 0..200 {
            let (client, start) = (client.clone(), start.clone());
            calls.spawn(async move { client.stall(TRACES, "application/grpc", start).await.is_ok() });
        }
    }
    let client = fixture.grpc().await;
    for _ in 0..100 {
        assert_eq!(client.call(TRACES, None, framed(false, &request(&[ID]))).await.code, Code::Ok);
    }
    fixture.sink.taken.lock().unwrap().clear();
    // 100 streams of each connection, each with what a call holds and sixteen times what has arrived.
    assert!(fixture.budget.used() <= 1000 * (5 << 10), "{}", fixture.budget.used());
}
