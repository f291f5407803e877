//! Clients that speak HTTP/2 and HTTP/1.1 correctly, but not to be answered.

use forebay_otlp::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PROTOBUF, Victim};
use crate::harness::{DEADLINE, Forebay, request_of, span};

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const STREAMS: u32 = 10_000;

/// A frame of RFC 9113.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `POST path`, its fields as literals of RFC 7541.
fn headers(path: &str, content_type: &str) -> Vec<u8> {
    let literal =
        |index: &[u8], value: &str| [index, &[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat();
    let [authority, path, content_type] =
        [literal(&[0x01], "a"), literal(&[0x04], path), literal(&[0x0f, 0x10], content_type)];
    [b"\x83\x86".to_vec(), authority, path, content_type].concat()
}

/// A connection on which many calls begin of which no body comes, each given up at once if they are `reset`.
fn connection(headers: &[u8], reset: bool) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    for stream in (1..).step_by(2).take(STREAMS as usize) {
        bytes.extend(frame(HEADERS, END_HEADERS, stream, headers));
        if reset {
            bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
        }
    }
    bytes
}

#[tokio::test]
async fn floods_of_streams_open_or_reset_do_not_keep_others_from_being_served() {
    let mut victim = Victim::start().await;
    let endpoints = [
        (victim.process.grpc, headers(Signal::Traces.grpc_path(), "application/grpc")),
        (victim.process.http, headers(Signal::Traces.http_path(), PROTOBUF.1)),
    ];
    let mut open = Vec::new();
    for (address, headers) in &endpoints {
        for reset in [true, false].repeat(5) {
            let flood = connection(headers, reset);
            victim.count(flood.len());
            let (mut answers, mut calls) = TcpStream::connect(address).await.unwrap().into_split();
            let answers = tokio::spawn(async move { copy(&mut answers, &mut sink()).await });
            // It may be cut for what it does.
            let _ = calls.write_all(&flood).await;
            open.push((calls, answers));
            victim.still_works().await;
            victim.post(&[PROTOBUF], request_of([]), 200).await;
        }
    }
    // Their clients go away, and what they began is over.
    for (calls, answers) in open {
        drop(calls);
        let _ = timeout(DEADLINE, answers).await.expect("the connection ends").unwrap();
    }
    assert!(victim.delivered().await.is_empty());
}

#[tokio::test]
async fn a_body_that_does_not_come_in_time_is_given_up() {
    let yaml = "
receivers: {otlp: {protocols: {http: {read_timeout: 50ms}}}}
exporters: {nop: }
service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}
";
    let process = Forebay::start(yaml).await;
    let mut client = TcpStream::connect(process.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n";
    client.write_all(&[head.as_bytes(), &request_of([span(1)])].concat()).await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, client.read_to_end(&mut answer)).await.expect("the connection ends").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    process.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
    process.stop().await;
}
