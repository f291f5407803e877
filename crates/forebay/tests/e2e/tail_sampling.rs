//! `tail_sampling` through the whole process: what is kept, why, and what its spans say.

use std::collections::BTreeSet;

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};

use crate::harness::{Backend, Forebay, ids, key_value, post, request_of, span, span_of, string_attribute};

const POLICIES: &str = "
- {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
- {name: slow, type: latency, latency: {threshold_ms: 500}}
- {name: api, type: string_attribute, string_attribute: {key: http.route, values: ['^/api/'], enabled_regex_matching: true}}
- name: half-of-big
  type: and
  and:
    and_sub_policy:
      - {name: big, type: numeric_attribute, numeric_attribute: {key: size, min_value: 1000}}
      - {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}
- {name: floor, type: probabilistic, probabilistic: {sampling_percentage: 6.25}}
";

/// The randomness of a trace that no percentage below 100 keeps, of one that 50 % keeps, and of one that 6.25 % does.
const UNLUCKY: u128 = 0;
const LUCKY: u128 = 0x80 << 48;
const VERY_LUCKY: u128 = 0xf0 << 48;

fn pipeline(wait: &str, policies: &str, backend: &Backend) -> String {
    let policies = policies.trim().replace('\n', "\n      ");
    format!(
        "
processors:
  tail_sampling:
    decision_wait: {wait}
    policies:
      {policies}
exporters: {{otlp: {{endpoint: 'http://{}'}}}}
service:
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling], exporters: [otlp]}}}}
",
        backend.address
    )
}

/// A trace of three spans of which the last is changed.
fn trace(id: u128, change: impl FnOnce(&mut Span)) -> Vec<Span> {
    let mut spans = vec![span_of(id, 1), span_of(id, 2), span_of(id, 3)];
    change(&mut spans[2]);
    spans
}

/// A trace, with the policy that keeps it and the threshold it leaves with.
type Expected = (Vec<Span>, Option<(&'static str, &'static str)>);

/// Traces of every kind.
fn traffic() -> Vec<Expected> {
    let id = |number: u128, randomness: u128| number << 64 | randomness;
    let plain = |_: &mut Span| {};
    let error =
        |span: &mut Span| span.status = Some(Status { code: StatusCode::Error.into(), ..Status::default() });
    let big = |span: &mut Span| span.attributes.push(key_value("size", Value::IntValue(1000)));
    let small = |span: &mut Span| span.attributes.push(key_value("size", Value::IntValue(999)));
    let api = |span: &mut Span| span.attributes = vec![string_attribute("http.route", "/api/cart")];
    let slow = |span: &mut Span| span.end_time_unix_nano += 490_000_001;
    let not_slow = |span: &mut Span| span.end_time_unix_nano += 490_000_000;
    vec![
        (trace(id(1, UNLUCKY), plain), None),
        (trace(id(2, LUCKY), plain), None),
        (trace(id(3, VERY_LUCKY), plain), Some(("floor", "f"))),
        (trace(id(4, UNLUCKY), error), Some(("errors", "0"))),
        (trace(id(5, UNLUCKY), slow), Some(("slow", "0"))),
        (trace(id(6, UNLUCKY), not_slow), None),
        (trace(id(7, UNLUCKY), api), Some(("api", "0"))),
        (trace(id(8, UNLUCKY), big), None),
        (trace(id(9, LUCKY), big), Some(("half-of-big", "8"))),
        (trace(id(10, LUCKY), small), None),
        // Two policies keep it: the more probable one says how probable it was.
        (trace(id(11, VERY_LUCKY), big), Some(("half-of-big", "8"))),
        (trace(id(12, VERY_LUCKY), error), Some(("errors", "0"))),
    ]
}

fn expected_ids() -> BTreeSet<u128> {
    traffic().iter().filter(|(_, kept)| kept.is_some()).flat_map(|(spans, _)| ids(spans)).collect()
}

/// The spans of all traces, mixed: first all first spans, then all second ones.
fn requests() -> Vec<bytes::Bytes> {
    let traffic = traffic();
    (0..3).map(|number| request_of(traffic.iter().map(|(spans, _)| spans[number].clone()))).collect()
}

/// The same at once, for samplers that may not wait long enough for more.
fn one_request() -> bytes::Bytes {
    requests().concat().into()
}

#[tokio::test]
async fn whole_traces_are_kept_by_the_policies_that_ask_for_them() {
    let backend = Backend::start().await;
    let process = Forebay::start(&pipeline("1h", POLICIES, &backend)).await;
    // Over both protocols, since a trace's spans rarely come from one process.
    let [first, second, third] = requests().try_into().unwrap();
    let client = process.client();
    client.export(Signal::Traces, first).await.unwrap();
    let protobuf = [("content-type", "application/x-protobuf")];
    assert_eq!(post(process.http, "/v1/traces", &protobuf, second).await.status, 200);
    client.export(Signal::Traces, third).await.unwrap();
    process.stop().await;
    let spans = backend.traces().into_spans();

    assert_eq!(ids(&spans), expected_ids());
    for (trace, kept) in traffic() {
        let Some((_, threshold)) = kept else { continue };
        for sent in trace {
            let same = |span: &&Span| span.trace_id == sent.trace_id && span.span_id == sent.span_id;
            let arrived = spans.iter().find(same).unwrap();
            assert_eq!(*arrived, Span { trace_state: format!("ot=th:{threshold}"), ..sent });
        }
    }
}

#[tokio::test]
async fn the_policy_is_recorded_when_the_gate_is_open() {
    let backend = Backend::start().await;
    let yaml = format!("--config=yaml:{}", pipeline("1h", POLICIES, &backend));
    let gate = "--feature-gates=processor.tailsamplingprocessor.recordpolicy";
    let process = Forebay::start_with(&[&yaml, gate], &[]).await;
    for request in requests() {
        process.client().export(Signal::Traces, request).await.unwrap();
    }
    process.stop().await;
    let spans = backend.traces().into_spans();
    for (trace, kept) in traffic() {
        let Some((policy, _)) = kept else { continue };
        for sent in trace {
            let arrived =
                spans.iter().filter(|span| span.trace_id == sent.trace_id && span.span_id == sent.span_id);
            let [arrived] = arrived.collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(arrived.attributes.last(), Some(&string_attribute("tailsampling.policy", policy)));
        }
    }
}

#[tokio::test]
async fn metrics_say_what_each_policy_has_said() {
    let backend = Backend::start().await;
    let process = Forebay::start(&pipeline("20ms", POLICIES, &backend)).await;
    process.client().export(Signal::Traces, one_request()).await.unwrap();
    backend.until_spans(expected_ids().len() * 3).await;
    let metrics = process
        .until("all decisions", |metrics| metrics.stage("processor/tail_sampling", "traces", "buffered") == 0)
        .await;
    let policy = |name, sampled| {
        let labels = [("policy", name), ("sampled", sampled)];
        metrics.sum("otelcol_processor_tail_sampling_count_traces_sampled", &labels)
    };
    for (name, sampled) in [("errors", 2), ("slow", 1), ("api", 1), ("half-of-big", 2), ("floor", 3)] {
        assert_eq!((policy(name, "true"), policy(name, "false")), (sampled, 12 - sampled), "{name}");
    }
    let global = "otelcol_processor_tail_sampling_global_count_traces_sampled";
    assert_eq!(metrics.sum(global, &[("sampled", "true")]), 7);
    assert_eq!(metrics.sum(global, &[("sampled", "false")]), 5);
    assert_eq!(metrics.sum("otelcol_processor_tail_sampling_new_trace_id_received", &[]), 12);
    assert_eq!(metrics.dropped("processor/tail_sampling", "not_sampled"), 15);
    assert_eq!(metrics.sum("otelcol_processor_tail_sampling_sampling_traces_on_memory", &[]), 0);
    process.stop().await;
}

#[tokio::test]
async fn a_late_span_gets_the_decision_of_its_trace() {
    let backend = Backend::start().await;
    let process = Forebay::start(&pipeline("20ms", POLICIES, &backend)).await;
    process.client().export(Signal::Traces, one_request()).await.unwrap();
    backend.until_spans(expected_ids().len() * 3).await;
    process
        .until("all decisions", |metrics| metrics.stage("processor/tail_sampling", "traces", "buffered") == 0)
        .await;

    // By itself every one of these would be dropped, or kept by the floor.
    let late =
        request_of(traffic().iter().map(|(spans, _)| Span { span_id: vec![9; 8], ..spans[0].clone() }));
    process.client().export(Signal::Traces, late).await.unwrap();
    let all = backend.until_spans(expected_ids().len() * 4).await;
    let late: Vec<_> = all.into_iter().filter(|span| span.span_id == [9; 8]).collect();
    assert_eq!(ids(&late), expected_ids());
    for (trace, kept) in traffic() {
        if let Some((_, threshold)) = kept {
            let arrived = late.iter().find(|span| span.trace_id == trace[0].trace_id).unwrap();
            assert_eq!(arrived.trace_state, format!("ot=th:{threshold}"));
        }
    }
    let metrics = process.until("balance", |metrics| metrics.unbalanced().is_empty()).await;
    let releases = "otelcol_processor_tail_sampling_early_releases_from_cache_decision";
    assert_eq!(metrics.sum(releases, &[("sampled", "true")]), 7);
    assert_eq!(metrics.sum(releases, &[("sampled", "false")]), 5);
    process.stop().await;
}

#[tokio::test]
async fn what_an_earlier_stage_has_done_stays_true() {
    let backend = Backend::start().await;
    let policies = "- {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}";
    let process = Forebay::start(&pipeline("1h", policies, &backend)).await;
    let spans = [
        Span { trace_state: "ot=th:c".into(), ..span(VERY_LUCKY) },
        Span { trace_state: "a=1,ot=rv:ffffffffffffff;th:4".into(), ..span(UNLUCKY + 1) },
        Span { trace_state: "ot=rv:00000000000000".into(), ..span(LUCKY) },
    ];
    process.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    process.stop().await;
    let mut states: Vec<_> = backend.traces().into_spans().into_iter().map(|span| span.trace_state).collect();
    states.sort();
    assert_eq!(states, ["ot=th:8;rv:ffffffffffffff,a=1", "ot=th:c"]);
}

#[tokio::test]
async fn too_many_traces_are_decided_early_and_none_is_lost() {
    let backend = Backend::start().await;
    let yaml = format!("--config=yaml:{}", pipeline("1h", POLICIES, &backend));
    let process = Forebay::start_with(
        &[&yaml, "--set=processors.tail_sampling.num_traces=2", "--set=forebay.shards=1"],
        &[],
    )
    .await;
    // Whole traces one after the other, so that the evidence is complete when room is made.
    for (spans, _) in traffic() {
        process.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    }
    let metrics = process
        .until("two pending traces", |metrics| {
            metrics.stage("processor/tail_sampling", "traces", "buffered") == 6
        })
        .await;
    assert_eq!(metrics.sum("forebay_tail_sampling_early_decisions", &[]), 10);
    process.stop().await;
    assert_eq!(backend.trace_ids(), expected_ids());
}

#[tokio::test]
async fn pending_traces_can_be_dropped_at_the_end_on_request() {
    let backend = Backend::start().await;
    let yaml = format!("--config=yaml:{}", pipeline("1h", POLICIES, &backend));
    let set = "--set=processors.tail_sampling.drop_pending_traces_on_shutdown=true";
    let process = Forebay::start_with(&[&yaml, set], &[]).await;
    for request in requests() {
        process.client().export(Signal::Traces, request).await.unwrap();
    }
    process.stop().await;
    assert!(backend.received().is_empty());
}

#[tokio::test]
async fn the_collectors_choices_can_be_had_back() {
    let backend = Backend::start().await;
    let policies = "
- {name: slow, type: latency, latency: {threshold_ms: 10}}
- {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50, hash_salt: pepper}}";
    let yaml = format!("--config=yaml:{}", pipeline("1h", policies, &backend));
    let compat = "--set=forebay.compat=[latency_milliseconds, probabilistic_hash]";
    let process = Forebay::start_with(&[&yaml, compat], &[]).await;
    // 10.9 ms are 10 ms to the Collector, so only the hash decides.
    let spans = (1..=400).map(|trace| {
        let mut span = span(trace);
        span.end_time_unix_nano += 900_000;
        span
    });
    process.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    process.stop().await;
    let expected: BTreeSet<u128> = (1..=400)
        .filter(|trace: &u128| {
            let bytes = b"pepper".iter().copied().chain(trace.to_be_bytes());
            let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
            hash <= u64::MAX / 2
        })
        .collect();
    assert_eq!(backend.trace_ids(), expected);
    assert!(backend.traces().into_spans().iter().all(|span| span.trace_state.is_empty()));
}
