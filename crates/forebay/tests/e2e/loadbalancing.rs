//! `loadbalancing` in front of gateways that have to see whole traces.

use std::collections::BTreeSet;

use forebay_otlp::Signal;

use crate::harness::{Backend, Forebay, request_of, span_of};

/// The traces, as ids that differ everywhere.
const TRACES: u128 = 40;

fn id(trace: u128) -> u128 {
    trace.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// A gateway that keeps what it has seen three spans of.
async fn gateway(backend: &Backend) -> Forebay {
    let yaml = format!(
        "
processors:
  tail_sampling:
    decision_wait: 60s
    policies: [{{name: whole, type: span_count, span_count: {{min_spans: 3}}}}]
exporters: {{otlp: {{endpoint: 'http://{}'}}}}
service:
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}
",
        backend.address
    );
    Forebay::start(&yaml).await
}

#[tokio::test]
async fn traces_that_come_in_pieces_are_whole_at_one_of_two_gateways() {
    let backends = [Backend::start().await, Backend::start().await];
    let gateways = [gateway(&backends[0]).await, gateway(&backends[1]).await];
    let balancer = Forebay::start(&format!(
        "
exporters:
  loadbalancing:
    protocol: {{otlp: {{tls: {{insecure: true}}}}}}
    resolver: {{static: {{hostnames: ['{}', '{}']}}}}
service:
  pipelines: {{traces: {{receivers: [otlp], exporters: [loadbalancing]}}}}
",
        gateways[0].grpc, gateways[1].grpc
    ))
    .await;
    for piece in 1..=3 {
        let spans = (1..=TRACES).map(|trace| span_of(id(trace), piece));
        balancer.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    }
    let metrics = balancer
        .until("all is delivered", |metrics| {
            metrics.sum("otelcol_exporter_sent_spans", &[("exporter", "loadbalancing")]) == 120
        })
        .await;
    assert_eq!(metrics.sum("otelcol_loadbalancer_num_backends", &[]), 2);
    assert!(metrics.unbalanced().is_empty(), "{}", metrics.ledgers());
    balancer.stop().await;
    // Stopping decides what waits.
    for gateway in gateways {
        gateway.stop().await;
    }
    let [one, other] = backends.map(|backend| backend.trace_ids());
    assert!(!one.is_empty() && !other.is_empty() && one.is_disjoint(&other));
    let all: BTreeSet<_> = (1..=TRACES).map(id).collect();
    assert_eq!(&one | &other, all);
}
