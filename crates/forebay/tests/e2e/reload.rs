//! SIGHUP: the configuration is read again.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;
use tempfile::TempDir;

use crate::harness::{Backend, Forebay, Metrics, free_port, request_of, span, string_attribute};

/// A configuration in a file that can be replaced.
struct File {
    _directory: TempDir,
    path: PathBuf,
}

impl File {
    fn new(yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = Self { path: directory.path().join("config.yaml"), _directory: directory };
        file.write(yaml);
        file
    }

    fn write(&self, yaml: &str) {
        fs::write(&self.path, yaml).unwrap();
    }

    async fn run(&self) -> Forebay {
        Forebay::start_with(&[&format!("--config={}", Path::display(&self.path))], &[]).await
    }
}

/// Everything that comes waits for an hour and is kept.
fn waiting(backend: SocketAddr) -> String {
    through("tail_sampling", "{decision_wait: 1h, policies: [{name: all, type: always_sample}]}", backend)
}

/// What comes passes a processor.
fn through(processor: &str, settings: &str, backend: SocketAddr) -> String {
    passing(backend)
        .replacen('{', &format!("{{processors: {{{processor}: {settings}}}, "), 1)
        .replace("receivers: [otlp],", &format!("receivers: [otlp], processors: [{processor}],"))
}

/// Everything that comes is handed on.
fn passing(backend: SocketAddr) -> String {
    format!(
        "{{exporters: {{otlp: {{endpoint: '{backend}', tls: {{insecure: true}}}}}}, \
          service: {{pipelines: {{traces: {{receivers: [otlp], exporters: [otlp]}}}}}}}}"
    )
}

async fn send(process: &Forebay, number: u128) {
    process.client().export(Signal::Traces, request_of([span(number)])).await.unwrap();
}

/// Waits until pipelines have started so many times.
async fn until_ready(process: &Forebay, times: usize) {
    process.until_logged_times(times, "everything is ready").await;
}

#[tokio::test]
async fn a_new_configuration_takes_over_and_what_was_pending_is_delivered() {
    let (old, new) = (Backend::start().await, Backend::start().await);
    let file = File::new(&waiting(old.address));
    let process = file.run().await;
    send(&process, 1).await;
    file.write(&passing(new.address));
    process.signal("HUP").await;
    old.until_spans(1).await;
    until_ready(&process, 2).await;
    send(&process, 2).await;
    new.until_spans(1).await;
    assert_eq!(old.traces().into_spans().len(), 1);
    process.stop().await;
}

#[tokio::test]
async fn a_configuration_with_mistakes_changes_nothing() {
    let backend = Backend::start().await;
    let file = File::new(&passing(backend.address));
    let process = file.run().await;
    file.write("{exporters: {otlp: {endpiont: nowhere}}}");
    process.signal("HUP").await;
    process.until_logged("what runs goes on as it is").await;
    process.until_logged("endpiont").await;
    send(&process, 1).await;
    backend.until_spans(1).await;
    process.stop().await;
}

#[tokio::test]
async fn a_configuration_that_does_not_start_gives_way_to_the_one_before() {
    let backend = Backend::start().await;
    let file = File::new(&passing(backend.address));
    let process = file.run().await;
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let receiver = format!(
        "receivers: {{otlp/2: {{protocols: {{http: {{endpoint: '{}'}}}}}}}}",
        taken.local_addr().unwrap()
    );
    let with_another = passing(backend.address).replace("receivers: [otlp]", "receivers: [otlp, otlp/2]");
    file.write(&with_another.replacen('{', &format!("{{{receiver}, "), 1));
    process.signal("HUP").await;
    process.until_logged("back to the one before").await;
    until_ready(&process, 2).await;
    send(&process, 1).await;
    backend.until_spans(1).await;
    process.stop().await;
}

#[tokio::test]
async fn a_process_that_has_been_reloaded_often_still_ends_when_told_to() {
    let backend = Backend::start().await;
    let file = File::new(&passing(backend.address));
    let process = file.run().await;
    for round in 1..=5_usize {
        process.signal("HUP").await;
        until_ready(&process, 1 + round).await;
        send(&process, round as u128).await;
    }
    let log = process.stop().await;
    assert_eq!(backend.traces().into_spans().len(), 5, "{log}");
}

/// A budget, divided among kinds.
fn learning(backend: SocketAddr) -> String {
    let settings = r#"{trace_timeout: 1s, decision_delay: 1ms, rules: [{name: all, sampler: {
        type: adaptive_throughput, algorithm: water_filling, goal_throughput: 1000,
        fingerprint_attributes: ['span.attributes["kind"]']}}]}"#;
    through("adaptive_tail_sampling", settings, backend)
}

#[tokio::test]
async fn what_has_been_learned_of_the_traffic_outlives_the_configuration() {
    let keys = [("processor", "adaptive_tail_sampling"), ("policy", "all")];
    let kinds = |metrics: &Metrics| metrics.sum("forebay_tail_sampling_budget_keys", &keys);
    let backend = Backend::start().await;
    let file = File::new(&learning(backend.address));
    let process = file.run().await;
    let of_kind = |number: u128| Span {
        attributes: vec![string_attribute("kind", &number.to_string())],
        ..span(number)
    };
    process.client().export(Signal::Traces, request_of((1..=7).map(of_kind))).await.unwrap();
    backend.until_spans(7).await;
    process.until("seven kinds", |metrics| kinds(metrics) == 7).await;

    process.signal("HUP").await;
    until_ready(&process, 2).await;
    process.until("the same kinds without any traffic", |metrics| kinds(metrics) == 7).await;
    process.stop().await;
}
