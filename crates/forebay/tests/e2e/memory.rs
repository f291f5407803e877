//! Too much of everything: the limit holds, refusals are worth a retry, and what was accepted is delivered.

use std::collections::BTreeSet;
use std::time::Duration;

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::{Code, Status};

use crate::harness::{Backend, Forebay, RpcStatus, free_port, post, request_of, span, string_attribute};

const MIB: usize = 1 << 20;
const LIMIT: usize = 64 * MIB;
/// What the Collector's memory_limiter says of itself: "about 50 MiB higher".
const ALLOWANCE: usize = 50 * MIB;
const CLIENTS: u128 = 8;
/// The flood goes on until so many requests have been refused.
const REFUSALS: usize = 40;
/// But not for longer.
const FLOOD: Duration = Duration::from_secs(20);

/// A request of some 200 KB with a trace for each of 50 spans.
fn request(client: u128, number: u128) -> (BTreeSet<u128>, bytes::Bytes) {
    let ids: BTreeSet<_> = (0..50).map(|index| client << 96 | number << 32 | (index + 1)).collect();
    let text = "x".repeat(4_000);
    let spans = ids.iter().map(|&id| Span { attributes: vec![string_attribute("text", &text)], ..span(id) });
    let request = request_of(spans);
    (ids, request)
}

fn assert_worth_a_retry(status: &Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    let details = RpcStatus::decode(status.details()).unwrap().details;
    assert!(details.iter().any(|detail| detail.type_url.ends_with("google.rpc.RetryInfo")), "{status}");
}

/// Sends from all clients at once until enough was refused; the traces that were accepted.
async fn flood(process: &Forebay) -> BTreeSet<u128> {
    let end = Instant::now() + FLOOD;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let connection = process.client();
        clients.spawn(async move {
            let (mut accepted, mut refused) = (BTreeSet::new(), 0);
            for number in 0.. {
                if Instant::now() >= end || refused == REFUSALS / usize::try_from(CLIENTS).unwrap() {
                    break;
                }
                let (ids, request) = request(client, number);
                match connection.export(Signal::Traces, request).await {
                    Ok(_) => accepted.extend(ids),
                    Err(status) => {
                        assert_worth_a_retry(&status);
                        refused += 1;
                    }
                }
            }
            accepted
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

/// Floods a pipeline whose backend is away, then lets the backend come back.
async fn overload(processors: &str) {
    let port = free_port();
    let yaml = format!(
        "
forebay: {{memory_limit_mib: 64}}
processors:
  tail_sampling: {{decision_wait: 1s, policies: [{{name: all, type: always_sample}}]}}
  batch:
exporters:
  otlp: {{endpoint: 'http://127.0.0.1:{port}', retry_on_failure: {{initial_interval: 50ms, max_interval: 500ms}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [{processors}], exporters: [otlp]}}}}}}
"
    );
    let process = Forebay::start(&yaml).await;
    let accepted = flood(&process).await;
    assert!(accepted.len() > 1_000, "{} traces accepted", accepted.len());
    let headers = [("content-type", "application/x-protobuf")];
    let answer = post(process.http, "/v1/traces", &headers, request(99, 0).1).await;
    if answer.status != 200 {
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains_key("retry-after"));
    }

    let backend = Backend::on(port).await;
    let metrics = process
        .until("everything delivered", |metrics| {
            let buffered = |(stage, signal): &(String, String)| metrics.stage(stage, signal, "buffered");
            metrics.stages().iter().map(buffered).sum::<i64>() == 0 && metrics.unbalanced().is_empty()
        })
        .await;
    let peak = process.peak_memory();
    assert!(peak <= LIMIT + ALLOWANCE, "{} MiB", peak / MIB);
    assert_eq!(metrics.sum("otelcol_exporter_send_failed_spans", &[]), 0);
    process.stop().await;
    let missing = accepted.difference(&backend.trace_ids()).count();
    assert_eq!(missing, 0, "of {}", accepted.len());
}

#[tokio::test]
async fn a_queue_before_a_dead_backend_fills_and_empties_again() {
    overload("").await;
}

#[tokio::test]
async fn a_tail_sampler_before_a_dead_backend_fills_and_empties_again() {
    overload("tail_sampling, batch").await;
}
