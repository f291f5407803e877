//! What the processes of a fleet are told.

use std::{net::SocketAddr, time::Duration};

use super::Arrangement;

/// How long the gateway waits for a trace.
pub(super) const WAIT: Duration = Duration::from_secs(5);
const POLICIES: &str = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
                         {name: slow, type: latency, latency: {threshold_ms: 500}}, \
                         {name: floor, type: probabilistic, probabilistic: {sampling_percentage: 0.5}}]";
const QUIET: &str = "telemetry: {metrics: {level: none}}";

fn exporter(endpoint: SocketAddr, compression: &str) -> String {
    format!(
        "exporters: {{otlp_grpc: {{endpoint: '{endpoint}', tls: {{insecure: true}}, compression: {compression}}}}}"
    )
}

fn receiver(listen: SocketAddr) -> String {
    format!("receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{listen}'}}}}}}}}")
}

pub(super) fn gateway(
    arrangement: Arrangement,
    otlp: SocketAddr,
    coordinator: SocketAddr,
    backend: SocketAddr,
) -> String {
    let (extensions, of_sampler, named) = if arrangement.is_retroactive() {
        (
            format!("extensions: {{retroactive_coordinator: {{endpoint: '{coordinator}'}}}}, "),
            if arrangement == Arrangement::Economical {
                "coordinator: retroactive_coordinator, evidence: economical, "
            } else {
                "coordinator: retroactive_coordinator, "
            },
            "extensions: [retroactive_coordinator], ",
        )
    } else {
        (String::new(), "", "")
    };
    let samples = arrangement == Arrangement::Tail || arrangement.is_retroactive();
    let processors = if samples { "[tail_sampling]" } else { "[]" };
    let wait = WAIT.as_secs();
    format!(
        "{{{}, {}, {extensions}processors: {{tail_sampling: {{{of_sampler}decision_wait: {wait}s, policies: {POLICIES}}}}}, \
          service: {{{named}{QUIET}, pipelines: {{traces: {{receivers: [otlp], processors: {processors}, \
          exporters: [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 1024, shards: 1}}}}",
        receiver(otlp),
        exporter(backend, "none"),
    )
}

pub(super) fn forwarding_agent(arrangement: Arrangement, listen: SocketAddr, gateway: SocketAddr) -> String {
    let compression = if arrangement == Arrangement::Forward { "none" } else { "zstd" };
    let processors = if arrangement == Arrangement::Head { "[probabilistic_sampler]" } else { "[]" };
    format!(
        "{{{}, {}, processors: {{probabilistic_sampler: {{mode: equalizing, sampling_percentage: 10}}}}, \
          service: {{{QUIET}, pipelines: {{traces: {{receivers: [otlp], processors: {processors}, \
          exporters: [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 512, shards: 1}}}}",
        receiver(listen),
        exporter(gateway, compression),
    )
}

/// Its metrics are served at `metrics`.
pub(super) fn retroactive_agent(
    listen: SocketAddr,
    coordinator: SocketAddr,
    backend: SocketAddr,
    metrics: SocketAddr,
) -> String {
    let (host, port) = (metrics.ip(), metrics.port());
    format!(
        "{{{}, {}, processors: {{retroactive_sampling: {{coordinators: {{endpoints: ['{coordinator}'], tls: \
          {{insecure: true}}}}}}}}, service: {{telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: \
          {{host: '{host}', port: {port}}}}}}}}}]}}}}, pipelines: {{traces: {{receivers: [otlp], processors: \
          [retroactive_sampling], exporters: [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 512, shards: 1}}}}",
        receiver(listen),
        exporter(backend, "zstd"),
    )
}
