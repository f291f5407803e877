//! Starting, stopping, and being asked how it goes.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use forebay_otlp::Signal;
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{
    Backend, Behaviour, Forebay, eventually, free_port, get, ids, request, request_of, span, span_of,
};

/// A tail sampler that would wait for an hour, before a backend.
fn patient(backend: SocketAddr) -> String {
    format!(
        "{{processors: {{tail_sampling: {{decision_wait: 1h, policies: \
            [{{name: half, type: probabilistic, probabilistic: {{sampling_percentage: 50}}}}]}}}}, \
          exporters: {{otlp: {{endpoint: '{backend}', tls: {{insecure: true}}, compression: none, timeout: 1s, \
            retry_on_failure: {{initial_interval: 100ms}}}}}}, \
          service: {{pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}}}}}"
    )
}

/// The configuration without a sampler: what comes in goes out.
fn direct(backend: SocketAddr) -> String {
    patient(backend).replace("processors: [tail_sampling], ", "")
}

/// Two traces that 50 % keeps and two that it drops, of two spans each.
fn four_traces() -> bytes::Bytes {
    let traces = [
        0x0001_0080_0000_0000_0000_u128,
        0x0001_00ff_ffff_ffff_ffff,
        0x0001_007f_ffff_ffff_ffff,
        0x0001_0000_0000_0000_0001,
    ];
    request_of(traces.into_iter().flat_map(|trace| [span_of(trace, 1), span_of(trace, 2)]))
}

#[tokio::test]
async fn either_signal_decides_what_is_pending_and_delivers_it() {
    for signal in ["TERM", "INT"] {
        let backend = Backend::start().await;
        let process = Forebay::start(&patient(backend.address)).await;
        process.client().export(Signal::Traces, four_traces()).await.unwrap();
        process
            .until("pending spans", |metrics| {
                metrics.stage("processor/tail_sampling", "traces", "buffered") == 8
            })
            .await;
        assert!(backend.received().is_empty());

        process.signal(signal).await;
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(0), "SIG{signal}: {log}");
        let spans = backend.traces().into_spans();
        assert_eq!(spans.len(), 4, "SIG{signal}");
        assert_eq!(ids(&spans), [0x0001_0080_0000_0000_0000, 0x0001_00ff_ffff_ffff_ffff].into());
    }
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let backend = Backend::start().await;
    backend.behave(Behaviour::Hang);
    let process = Forebay::start(&direct(backend.address)).await;
    process.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
    process.signal("TERM").await;
    process.until_logged("a second signal ends at once").await;
    process.signal("INT").await;
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(130), "{log}");
    assert!(log.contains("what is pending is lost"), "{log}");
}

#[tokio::test]
async fn a_backend_that_comes_back_during_shutdown_gets_everything() {
    let port = free_port();
    let process = Forebay::start(&patient(([127, 0, 0, 1], port).into())).await;
    process.client().export(Signal::Traces, four_traces()).await.unwrap();
    process.signal("TERM").await;
    process.until_logged("export failed, will retry").await;
    let backend = Backend::on(port).await;
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(backend.traces().into_spans().len(), 4);
    assert!(!log.contains("lost"), "{log}");
}

#[tokio::test]
async fn what_cannot_be_delivered_in_time_is_lost_aloud() {
    let yaml = format!("--config=yaml:{}", direct(([127, 0, 0, 1], free_port()).into()));
    let process = Forebay::start_with(&[&yaml, "--set=forebay.shutdown_grace=100ms"], &[]).await;
    process.client().export(Signal::Traces, request_of([span(1), span(2)])).await.unwrap();
    process.signal("TERM").await;
    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("2 spans could not be delivered in time and are lost"), "{log}");
}

#[tokio::test]
async fn a_backend_that_is_too_slow_does_not_hold_up_the_end() {
    let backend = Backend::start().await;
    backend.behave(Behaviour::Delay(Duration::from_millis(200)));
    let yaml = format!("--config=yaml:{}", direct(backend.address));
    let process = Forebay::start_with(
        &[
            &yaml,
            "--config=yaml:{processors: {batch: {timeout: 1h, send_batch_max_size: 1, send_batch_size: 1}}}",
            "--set=service.pipelines.traces.processors=[batch]",
            "--set=exporters.otlp.sending_queue.enabled=false",
            "--set=forebay.shutdown_grace=1s",
        ],
        &[],
    )
    .await;
    process.client().export(Signal::Traces, request_of((1..=100).map(span))).await.unwrap();
    let log = process.stop().await;
    assert!(log.contains("did not take them before the process had to end"), "{log}");
    assert!(!backend.traces().into_spans().is_empty());
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_end() {
    let backend = Backend::start().await;
    let yaml = format!("--config=yaml:{}", patient(backend.address));
    let process = Forebay::start_with(&[&yaml, "--set=forebay.shutdown_grace=2s"], &[]).await;
    process.client().export(Signal::Traces, four_traces()).await.unwrap();
    let _stuck = stuck_client(&process).await;
    let mut silent = TcpStream::connect(process.grpc).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    process.stop().await;
    assert_eq!(backend.traces().into_spans().len(), 4);
}

/// A client that announces a body and does not send it.
async fn stuck_client(process: &Forebay) -> TcpStream {
    let mut stream = TcpStream::connect(process.http).await.unwrap();
    let head = "POST /v1/traces HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-protobuf\r\nContent-Length: 1000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn with_everything_stuck_each_stage_has_its_time_and_every_span_is_accounted_for() {
    let (dead, healthy) = (Backend::start().await, Backend::start().await);
    dead.behave(Behaviour::Hang);
    let yaml = format!("--config=yaml:{}", patient(dead.address));
    let neighbour = format!(
        "--config=yaml:{{exporters: {{otlp/healthy: {{endpoint: '{}', tls: {{insecure: true}}}}, otlp: {{sending_queue: \
            {{queue_size: 1, block_on_overflow: true}}}}}}}}",
        healthy.address
    );
    let process = Forebay::start_with(
        &[
            &yaml,
            &neighbour,
            "--set=service.pipelines.traces.exporters=[otlp, otlp/healthy]",
            "--set=processors.tail_sampling.decision_wait=10ms",
            "--set=forebay.shutdown_grace=6s",
            // So that what is decided together leaves together.
            "--set=forebay.shards=1",
        ],
        &[],
    )
    .await;
    let (sampler, exporter) = ("processor/tail_sampling", "exporter/otlp");

    // The first request fills the queue, the second waits for room in it, the third waits for the second.
    let second = (1..=3).map(|id| span_of(0x0002_00ff_ffff_ffff_ffff, id));
    let third = [span_of(0x0003_00ff_ffff_ffff_ffff, 1)];
    process.client().export(Signal::Traces, four_traces()).await.unwrap();
    process.until("a full queue", |metrics| metrics.stage(exporter, "traces", "buffered") == 4).await;
    process.client().export(Signal::Traces, request_of(second)).await.unwrap();
    healthy.until_spans(7).await;
    process.client().export(Signal::Traces, request_of(third)).await.unwrap();
    let mut stuck = stuck_client(&process).await;

    process.signal("TERM").await;
    let metrics = process
        .until("a sampler that has given up", |metrics| metrics.dropped(sampler, "shutdown") == 4)
        .await;
    assert_eq!(metrics.unbalanced(), Vec::<String>::new());
    assert_eq!(metrics.sum("otelcol_receiver_accepted_spans", &[]), 12);
    assert_eq!(metrics.stage(sampler, "traces", "buffered"), 0);
    assert_eq!(metrics.dropped(sampler, "not_sampled"), 4);
    assert_eq!(metrics.stage(exporter, "traces", "buffered"), 4, "the exporter has time of its own");
    let mut answer = Vec::new();
    // Cut, with or without a reset.
    let _ = stuck.read_to_end(&mut answer).await;
    assert!(answer.is_empty());

    let (code, log) = process.ended().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("shutdown: 4 spans could not be delivered in time and are lost"), "{log}");
    assert_eq!(
        healthy.traces().into_spans().len(),
        8,
        "what the dead backend cannot take is not its neighbour's loss"
    );
}

#[tokio::test]
async fn the_health_check_says_when_the_pipelines_stop() {
    let backend = Backend::start().await;
    backend.behave(Behaviour::Hang);
    let process = Forebay::start(&direct(backend.address)).await;
    assert_eq!(process.health().await, Some(200));
    process.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
    process.signal("TERM").await;
    eventually("an unhealthy answer", async || (process.health().await == Some(503)).then_some(())).await;
    // The metrics of the shutdown can still be read.
    assert_eq!(process.metrics().await.stage("exporter/otlp", "traces", "buffered"), 1);
    backend.behave(Behaviour::Accept);
    assert_eq!(process.ended().await.0, Some(0));
    assert_eq!(backend.traces().into_spans().len(), 1);
}

#[tokio::test]
async fn nothing_is_accepted_once_the_end_has_begun() {
    let backend = Backend::start().await;
    backend.behave(Behaviour::Hang);
    let process = Forebay::start(&direct(backend.address)).await;
    process.client().export(Signal::Traces, request_of([span(1)])).await.unwrap();
    process.signal("TERM").await;
    let (grpc, http) = (process.grpc, process.http);
    eventually("closed ports", async || {
        let closed = TcpStream::connect(grpc).await.is_err() && TcpStream::connect(http).await.is_err();
        closed.then_some(())
    })
    .await;
    backend.behave(Behaviour::Accept);
    assert_eq!(process.ended().await.0, Some(0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_the_component_that_wants_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port();
    let reader = format!("[{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {port}}}}}}}}}]");
    for (setting, component) in [
        (format!("receivers.otlp.protocols.grpc.endpoint={address}"), "receiver `otlp`"),
        (format!("receivers.otlp.protocols.http.endpoint={address}"), "receiver `otlp`"),
        (format!("extensions.health_check.endpoint={address}"), "extension `health_check`"),
        (format!("service.telemetry.metrics.readers={reader}"), "the metrics endpoint"),
    ] {
        let nop = "--config=yaml:{exporters: {nop: }, service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}";
        let process = Forebay::launch(&[nop, "--set", &setting], &[]);
        let (code, log) = process.ended().await;
        assert_eq!(code, Some(1), "{setting}: {log}");
        let error = log.lines().find(|line| line.starts_with("error: ")).expect("an error");
        for fragment in [component, &address.to_string(), "Address already in use"] {
            assert!(error.contains(fragment), "{setting}: no {fragment:?} in {error}");
        }
    }
}

#[tokio::test]
async fn the_health_check_answers_as_configured() {
    let yaml = "{exporters: {nop: }, extensions: {health_check: {path: /ready, response_body: {healthy: yes-sir}}}, \
                 service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}";
    let process = Forebay::launch(&[&format!("--config=yaml:{yaml}")], &[]);
    let health = process.health;
    let answer = eventually("a healthy answer", async || {
        let answer = request(health, Method::GET, "/ready", &[], bytes::Bytes::new()).await.ok()?;
        (answer.status == 200).then_some(answer)
    })
    .await;
    assert_eq!(answer.body, "yes-sir");
    for (method, path, status) in
        [(Method::GET, "/", 404), (Method::POST, "/ready", 405), (Method::HEAD, "/ready", 200)]
    {
        assert_eq!(
            request(health, method, path, &[], bytes::Bytes::new()).await.unwrap().status,
            status,
            "{path}"
        );
    }
    process.stop().await;
}

#[tokio::test]
async fn log_lines_can_be_json() {
    let yaml = "{exporters: {nop: }, service: {telemetry: {logs: {encoding: json, level: debug}}, \
                 pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}";
    let log = Forebay::start(yaml).await.stop().await;
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert!(
        lines.iter().any(|line| line["message"] == "everything is ready" && line["level"] == "INFO"),
        "{log}"
    );
}

#[tokio::test]
async fn an_endpoint_without_a_host_is_every_address() {
    let (port, metrics) = (free_port(), free_port());
    let reader = format!("[{{pull: {{exporter: {{prometheus: {{host: '', port: {metrics}}}}}}}}}]");
    let nop = "--config=yaml:{exporters: {nop: }, service: {pipelines: {traces: {receivers: [otlp], exporters: [nop]}}}}";
    let health = format!("--set=extensions.health_check.endpoint=:{port}");
    let process =
        Forebay::launch(&[nop, &health, &format!("--set=service.telemetry.metrics.readers={reader}")], &[]);
    process.until_logged("everything is ready").await;
    for (port, path) in [(port, "/"), (metrics, "/metrics")] {
        assert_eq!(get(([127, 0, 0, 1], port).into(), path).await.unwrap().status, 200, "{path}");
    }
    process.stop().await;
}
