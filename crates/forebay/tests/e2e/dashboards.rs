//! What dashboards and alerts ask for is there, and moves.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::harness::{Backend, Forebay, Metrics, eventually, free_port, request_of, span, within_deadline};

/// Traces of a request.
const TRACES: u128 = 8;

/// The metrics that a text names.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let is_metric = |word: &&str| word.starts_with("otelcol_") || word.starts_with("forebay_");
    words.filter(is_metric).map(str::to_owned).collect()
}

/// All metrics in `deploy/observability`.
fn wanted() -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/observability");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|file| named(&fs::read_to_string(file).unwrap())).collect()
}

/// Forgets the metrics of which some sample is above 0.
fn strike(wanted: &mut BTreeSet<String>, metrics: &Metrics) {
    wanted.retain(|name| metrics.sum(name, &[]) <= 0);
}

/// An agent of this coordinator.
async fn agent(coordinator: u16, backend: SocketAddr) -> Forebay {
    Forebay::start(&format!(
        "
processors:
  retroactive_sampling: {{coordinators: {{endpoints: ['127.0.0.1:{coordinator}'], tls: {{insecure: true}}}}, digest_interval: 200ms}}
exporters: {{otlp_grpc: {{endpoint: 'http://{backend}'}}}}
service: {{pipelines: {{traces: {{receivers: [otlp], processors: [retroactive_sampling], exporters: [otlp_grpc]}}}}}}
"
    ))
    .await
}

#[tokio::test]
async fn every_metric_of_dashboards_and_alerts_moves() {
    let backend = Backend::start().await;
    let (address, coordinator, nobody) = (backend.address, free_port(), free_port());
    // One of two backends is away, and one of two samplers has room for one trace.
    let gateway = format!(
        "
extensions: {{retroactive_coordinator: {{endpoint: '127.0.0.1:{coordinator}'}}}}
processors:
  tail_sampling:
    coordinator: retroactive_coordinator
    decision_wait: 3s
    evidence: economical
    policies:
      - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}
  tail_sampling/small:
    num_traces: 1
    policies: [{{name: all, type: always_sample}}]
exporters:
  otlp_grpc: {{endpoint: 'http://{address}'}}
  otlp_grpc/away: {{endpoint: 'http://127.0.0.1:{nobody}', retry_on_failure: {{max_elapsed_time: 1s, max_interval: 500ms, initial_interval: 100ms}}}}
service:
  pipelines:
    traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp_grpc, otlp_grpc/away]}}
    traces/small: {{receivers: [otlp], processors: [tail_sampling/small], exporters: [otlp_grpc]}}
"
    );
    let extensions = "--set=service.extensions=[health_check, retroactive_coordinator]";
    let gateway = Forebay::start_with(&[&format!("--config=yaml:{gateway}"), extensions], &[]).await;
    let mut agents = vec![agent(coordinator, address).await, agent(coordinator, address).await];

    let mut wanted = wanted();
    assert!(wanted.len() > 15, "{wanted:?}");
    // This takes an agent that dies.
    let lost = "forebay_retroactive_coordinator_lost_pieces";
    assert!(wanted.remove(lost));
    let mut trace = 0;
    let missing = within_deadline(async || {
        for process in [&gateway, &agents[0]] {
            trace += TRACES;
            let mut failed = span(trace);
            failed.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
            // A span without a trace is refused.
            let others = (1..TRACES).map(|number| span(trace + number)).chain([span(0)]);
            let request = request_of(others.chain([failed]));
            process.client().export(Signal::Traces, request).await.unwrap();
            strike(&mut wanted, &process.metrics().await);
        }
        if wanted.is_empty() { Ok(()) } else { Err(wanted.clone()) }
    })
    .await;
    assert_eq!(missing, Ok(()), "these are not there, or have not moved");

    eventually("what an agent has lost is counted", async || {
        trace += TRACES;
        let request = request_of((trace..trace + TRACES).map(span));
        agents[0].client().export(Signal::Traces, request).await.unwrap();
        let pieces = "forebay_retroactive_sampling_pieces";
        agents[0].until("the coordinator knows", |metrics| metrics.sum(pieces, &[]) > 0).await;
        agents[0].signal("KILL").await;
        agents.swap_remove(0).ended().await;
        agents.push(agent(coordinator, address).await);
        (gateway.metrics().await.sum(lost, &[]) > 0).then_some(())
    })
    .await;
    gateway.stop().await;
}
