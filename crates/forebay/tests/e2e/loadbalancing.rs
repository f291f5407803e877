//! `loadbalancing` in front of gateways that have to see whole traces.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;

use forebay_otlp::Signal;

use crate::harness::{Backend, Forebay, Metrics, NameServer, eventually, free_port, request_of, span_of};

/// The traces, as ids that differ everywhere.
const TRACES: u128 = 40;

fn id(trace: u128) -> u128 {
    (trace + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
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

/// Sends a span of each of these traces, and waits until all spans that were ever sent are delivered.
async fn deliver(balancer: &Forebay, traces: RangeInclusive<u128>) {
    let before = balancer.metrics().await.sum("otelcol_receiver_accepted_spans", &[]);
    let spans: Vec<_> = traces.map(|trace| span_of(id(trace), 1)).collect();
    let all = before + i64::try_from(spans.len()).unwrap();
    balancer.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    let sent = |metrics: &Metrics| metrics.sum("otelcol_exporter_sent_spans", &[]) == all;
    balancer.until("all is delivered", sent).await;
}

#[tokio::test]
async fn members_that_a_name_gains_and_loses_gain_and_lose_their_share() {
    let addresses = [1, 2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let [first, second, third] = addresses;
    let Some(names) = NameServer::start(&[first, second]).await else {
        eprintln!("skipped: this process may not be a name server, or have a namespace for mounts");
        return;
    };
    let port = free_port();
    let mut backends = Vec::new();
    for address in addresses {
        backends.push(Backend::at(SocketAddr::from((address, port))).await);
    }
    let have = || -> Vec<BTreeSet<u128>> { backends.iter().map(Backend::trace_ids).collect() };
    let yaml = format!(
        "
exporters:
  loadbalancing:
    protocol: {{otlp: {{tls: {{insecure: true}}}}}}
    resolver: {{dns: {{hostname: gateways.test, port: {port}, interval: 100ms}}}}
service:
  pipelines: {{traces: {{receivers: [otlp], exporters: [loadbalancing]}}}}
"
    );
    let balancer =
        Forebay::start_resolving_by(names.configuration(), &[&format!("--config=yaml:{yaml}")]).await;
    // The list is looked at for each request.
    let members = async |count| {
        let probe = async || {
            deliver(&balancer, 0..=0).await;
            let known = balancer.metrics().await.sum("otelcol_loadbalancer_num_backends", &[]);
            (known == count).then_some(())
        };
        eventually("the members are known", probe).await;
    };
    members(2).await;
    deliver(&balancer, 1..=TRACES).await;
    let begun = have();
    assert!(!begun[0].is_empty() && !begun[1].is_empty() && begun[2].is_empty(), "{begun:?}");

    names.set(Some(&[second]));
    members(1).await;
    names.set(Some(&[second, third]));
    members(2).await;
    deliver(&balancer, 1..=TRACES).await;
    let changed = have();
    assert_eq!(changed[0], begun[0]);
    // What the first had is shared out among the others, and of what the second had only the newcomer takes a part.
    let took = |member: usize, from: usize| !changed[member].is_disjoint(&begun[from]);
    assert!(took(1, 0) && took(2, 0) && took(2, 1), "{begun:?}, then {changed:?}");

    names.set(None);
    balancer.until_logged("cannot look up the peers").await;
    deliver(&balancer, TRACES + 1..=2 * TRACES).await;
    let unanswered = have();
    assert_eq!(unanswered[0], begun[0]);
    assert!((1..3).all(|member| unanswered[member].len() > changed[member].len()), "{unanswered:?}");
    balancer.stop().await;
}
