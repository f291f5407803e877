//! A fleet of agents and coordinators, as processes.

mod faults;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::Status;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::harness::{Backend, Forebay, Metrics, eventually, free_port, request_of, span};

const POLICIES: &str = "{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
                        {name: slow, type: latency, latency: {threshold_ms: 500}}, \
                        {name: floor, type: probabilistic, probabilistic: {sampling_percentage: 10}}";

/// A random number that no floor keeps, below one that differs.
const UNLUCKY: u128 = 1 << 40;
/// One that every floor keeps.
const LUCKY: u128 = 0x00ff_ffff_ffff_ffff;

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn coordinator_yaml(listen: SocketAddr, backend: SocketAddr, wait: &str) -> String {
    format!(
        "--config=yaml:{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, exporters: {{otlp_grpc: {{endpoint: '{backend}', tls: \
         {{insecure: true}}}}}}, extensions: {{retroactive_coordinator: {{endpoint: '{listen}'}}}}, processors: {{tail_sampling: \
         {{coordinator: retroactive_coordinator, decision_wait: {wait}, policies: [{POLICIES}]}}}}, service: {{pipelines: \
         {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp_grpc]}}}}}}}}"
    )
}

async fn coordinator(listen: SocketAddr, backend: SocketAddr, wait: &str) -> Forebay {
    let config = coordinator_yaml(listen, backend, wait);
    let extensions = "--set=service.extensions=[health_check, retroactive_coordinator]";
    Forebay::start_with(&[&config, extensions], &[]).await
}

/// An agent that a coordinator decides for.
async fn agent(coordinators: &[SocketAddr], backend: SocketAddr) -> Forebay {
    agent_with(coordinators, backend, "").await
}

/// The same, with more settings.
async fn agent_with(coordinators: &[SocketAddr], backend: SocketAddr, settings: &str) -> Forebay {
    let endpoints: Vec<_> = coordinators.iter().map(|address| format!("'{address}'")).collect();
    let endpoints = endpoints.join(", ");
    let config = format!(
        "--config=yaml:{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, exporters: {{otlp_grpc: {{endpoint: '{backend}', tls: \
         {{insecure: true}}}}}}, processors: {{retroactive_sampling: {{coordinators: {{endpoints: [{endpoints}], tls: \
         {{insecure: true}}}}, digest_interval: 200ms{settings}}}}}, service: {{pipelines: {{traces: {{receivers: [otlp], \
         processors: [retroactive_sampling], exporters: [otlp_grpc]}}}}}}}}"
    );
    let agent = Forebay::start_with(&[&config], &[]).await;
    let attended = |metrics: &Metrics| metrics.sum("forebay_retroactive_sampling_attended", &[]) == 1;
    agent.until("a coordinator decides", attended).await;
    agent
}

/// Waits until the coordinator has been told of so much.
async fn until_pieces(agent: &Forebay, pieces: i64) {
    let told = |metrics: &Metrics| metrics.sum("forebay_retroactive_sampling_pieces", &[]) == pieces;
    agent.until("the coordinator knows", told).await;
}

async fn until_decided(agents: &[Forebay]) {
    for agent in agents {
        let decided =
            |metrics: &Metrics| metrics.sum("forebay_retroactive_sampling_pending_traces", &[]) == 0;
        agent.until("everything is decided", decided).await;
    }
}

/// Sends traces to two agents, a half of each to each, of which a tenth is slow as a whole: those, with their spans.
async fn send_halves(agents: &[Forebay; 2], mut sent: impl AsyncFnMut(u128)) -> BTreeMap<u128, usize> {
    let mut slow_traces = BTreeMap::new();
    for number in 1..200_u128 {
        let trace = UNLUCKY | number << 8;
        let slow = number % 10 == 0;
        send(&agents[0], vec![timed(trace, 0, 10)]).await;
        send(&agents[1], vec![timed(trace, 20, if slow { 600 } else { 30 })]).await;
        if slow {
            slow_traces.insert(trace, 2);
        }
        sent(number).await;
    }
    slow_traces
}

/// A span of a trace, from `start` to `end` in milliseconds.
fn timed(trace: u128, start: u64, end: u64) -> Span {
    let mut span = span(trace);
    span.start_time_unix_nano = 1_700_000_000_000_000_000 + start * 1_000_000;
    span.end_time_unix_nano = 1_700_000_000_000_000_000 + end * 1_000_000;
    span
}

fn failed(trace: u128) -> Span {
    let mut span = timed(trace, 0, 1);
    span.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
    span
}

async fn send(agent: &Forebay, spans: Vec<Span>) {
    agent.client().export(Signal::Traces, request_of(spans)).await.unwrap();
}

/// How many spans of each trace have arrived.
fn arrived(backend: &Backend) -> BTreeMap<u128, usize> {
    let mut arrived = BTreeMap::new();
    for span in backend.traces().into_spans() {
        let trace = u128::from_be_bytes(span.trace_id.try_into().unwrap());
        *arrived.entry(trace).or_default() += 1;
    }
    arrived
}

#[tokio::test]
async fn what_is_kept_leaves_whole_and_nothing_else_leaves() {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let coordinator = coordinator(listen, backend.address, "4s").await;
    let mut agents = Vec::new();
    for _ in 0..3 {
        agents.push(agent(&[listen], backend.address).await);
    }
    // A trace that fails at one agent, one that is slow only as a whole, one that the floor keeps, and many others.
    let (error, slow, lucky) = (UNLUCKY | 1 << 8, UNLUCKY | 2 << 8, LUCKY);
    send(&agents[0], vec![failed(error), timed(slow, 0, 300), timed(lucky, 0, 1)]).await;
    send(&agents[1], vec![timed(error, 0, 1), timed(slow, 400, 600), timed(lucky, 0, 1)]).await;
    send(&agents[2], vec![timed(error, 0, 1), timed(error, 0, 1)]).await;
    for number in 10..500 {
        let trace = UNLUCKY | number << 8;
        send(&agents[usize::try_from(number % 3).unwrap()], vec![timed(trace, 0, 1)]).await;
    }
    // And one of which a part comes to the gateway itself.
    let mixed = UNLUCKY | 3 << 8;
    send(&agents[2], vec![failed(mixed)]).await;
    send(&coordinator, vec![timed(mixed, 0, 1), timed(mixed, 0, 1)]).await;
    let expected = BTreeMap::from([(error, 4), (slow, 2), (lucky, 2), (mixed, 3)]);
    eventually("whole traces at the backend", async || (arrived(&backend) == expected).then_some(())).await;
    until_decided(&agents).await;
    assert_eq!(arrived(&backend), expected);
    let states: BTreeMap<_, _> = backend
        .traces()
        .into_spans()
        .into_iter()
        .map(|span| (u128::from_be_bytes(span.trace_id.try_into().unwrap()), span.trace_state))
        .collect();
    assert_eq!((&*states[&error], &*states[&slow], &*states[&lucky]), ("ot=th:0", "ot=th:0", "ot=th:e666"));
    for agent in agents {
        agent.stop().await;
    }
    coordinator.stop().await;
}

#[tokio::test]
async fn a_coordinator_that_is_killed_and_comes_back_loses_and_splits_nothing() {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let first = coordinator(listen, backend.address, "3s").await;
    let agents = [agent(&[listen], backend.address).await, agent(&[listen], backend.address).await];
    let expected = send_halves(&agents, async |number| {
        if number == 100 {
            first.signal("KILL").await;
        }
    })
    .await;
    first.ended().await;
    for agent in &agents {
        agent.until_logged("no coordinator can be reached").await;
    }
    let second = coordinator(listen, backend.address, "3s").await;
    eventually("all slow traces, whole", async || (arrived(&backend) == expected).then_some(())).await;
    until_decided(&agents).await;
    assert_eq!(arrived(&backend), expected);
    for agent in agents {
        agent.stop().await;
    }
    second.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_stopped_waits_for_what_is_decided_of_its_spans() {
    let backend = Backend::start().await;
    let listen = address(free_port());
    let coordinator = coordinator(listen, backend.address, "300s").await;
    let agents = [agent(&[listen], backend.address).await, agent(&[listen], backend.address).await];
    let slow = UNLUCKY | 1 << 8;
    send(&agents[0], vec![timed(slow, 0, 10)]).await;
    send(&agents[1], vec![timed(slow, 590, 600)]).await;
    for agent in &agents {
        until_pieces(agent, 1).await;
    }
    for agent in agents {
        agent.stop().await;
    }
    assert_eq!(arrived(&backend), BTreeMap::from([(slow, 2)]));
    coordinator.stop().await;
}

#[tokio::test]
async fn several_coordinators_share_the_traces_of_a_fleet() {
    let backend = Backend::start().await;
    let listen = [address(free_port()), address(free_port())];
    let coordinators = [
        coordinator(listen[0], backend.address, "4s").await,
        coordinator(listen[1], backend.address, "4s").await,
    ];
    let agents = [agent(&listen, backend.address).await, agent(&listen, backend.address).await];
    let expected = send_halves(&agents, async |_| {}).await;
    eventually("all slow traces, whole", async || (arrived(&backend) == expected).then_some(())).await;
    for coordinator in &coordinators {
        coordinator
            .until("it has decided its share", |metrics| {
                let traces = metrics.sum("otelcol_processor_tail_sampling_new_trace_id_received", &[]);
                (40..160).contains(&traces)
            })
            .await;
    }
    for process in agents.into_iter().chain(coordinators) {
        process.stop().await;
    }
}
