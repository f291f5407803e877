//! `probabilistic_sampler` through the whole process: what is kept, and what it says of itself.

use std::collections::{BTreeMap, BTreeSet};

use forebay_otlp::Signal;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;

use crate::harness::{Backend, Forebay, key_value, request_of, span};

/// Runs `spans` through a sampler with these settings; of each kept trace, its trace state.
async fn kept(settings: &str, spans: Vec<Span>) -> BTreeMap<u128, String> {
    let backend = Backend::start().await;
    let process = Forebay::start(&sampler(settings, &backend)).await;
    process.client().export(Signal::Traces, request_of(spans)).await.unwrap();
    process.stop().await;
    states(backend.traces().into_spans())
}

fn sampler(settings: &str, backend: &Backend) -> String {
    format!(
        "{{processors: {{probabilistic_sampler: {settings}}}, exporters: {{otlp: {{endpoint: 'http://{}'}}}}, service: \
          {{pipelines: {{traces: {{receivers: [otlp], processors: [probabilistic_sampler], exporters: [otlp]}}}}}}}}",
        backend.address
    )
}

fn states(spans: Vec<Span>) -> BTreeMap<u128, String> {
    spans
        .into_iter()
        .map(|span| (u128::from_be_bytes(span.trace_id.try_into().unwrap()), span.trace_state))
        .collect()
}

/// A trace whose 56 random bits begin with these 16.
fn trace(randomness: u64) -> u128 {
    u128::from(randomness << 40) | 1 << 100
}

fn with_state(randomness: u64, state: &str) -> Span {
    Span { trace_state: state.into(), ..span(trace(randomness)) }
}

#[tokio::test]
async fn equalizing_brings_all_spans_to_one_probability() {
    let spans = vec![
        span(trace(0xbfff)),
        span(trace(0xc000)),
        // A stricter stage was here before.
        with_state(0xf000, "ot=th:f"),
        // A weaker one was.
        with_state(0xd000, "vendor=1,ot=th:8;x:y"),
        with_state(0x9000, "ot=th:8"),
        // The randomness is not the trace id's.
        with_state(0x0001, "ot=rv:ffffffffffffff"),
        with_state(0xffff, "ot=rv:00000000000000"),
    ];
    let expected = [
        (0xc000, "ot=th:c"),
        (0xf000, "ot=th:f"),
        (0xd000, "ot=th:c;x:y,vendor=1"),
        (0x0001, "ot=th:c;rv:ffffffffffffff"),
    ];
    let expected =
        expected.into_iter().map(|(randomness, state)| (trace(randomness), state.to_owned())).collect();
    assert_eq!(kept("{mode: equalizing, sampling_percentage: 25}", spans).await, expected);
}

#[tokio::test]
async fn proportional_keeps_its_share_of_what_arrives() {
    let spans = vec![
        span(trace(0x7fff)),
        span(trace(0x8000)),
        // Half of a half.
        with_state(0xbfff, "ot=th:8"),
        with_state(0xc000, "ot=th:8"),
    ];
    let expected = [(0x8000, "ot=th:8"), (0xc000, "ot=th:c")];
    let expected =
        expected.into_iter().map(|(randomness, state)| (trace(randomness), state.to_owned())).collect();
    assert_eq!(kept("{mode: proportional, sampling_percentage: 50}", spans).await, expected);
}

/// The Collector's choice: 14 bits of FNV-1a over the seed and the trace id.
fn collector_keeps(seed: u32, trace: u128, percentage: f64) -> bool {
    let bytes = seed.to_le_bytes().into_iter().chain(trace.to_be_bytes());
    let hash = bytes.fold(2_166_136_261_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(16_777_619));
    f64::from(hash & 0x3fff) < (percentage / 100.0 * 16384.0).floor()
}

#[tokio::test]
async fn hash_seed_keeps_what_the_collector_keeps_and_says_by_which_number() {
    let traces: Vec<u128> = (1..=1_000_u128)
        .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
        .collect();
    for (seed, percentage) in [(0, 10.0), (22, 37.5)] {
        let settings = format!("{{mode: hash_seed, hash_seed: {seed}, sampling_percentage: {percentage}}}");
        let kept = kept(&settings, traces.iter().map(|&trace| span(trace)).collect()).await;
        let expected = traces.iter().copied().filter(|&trace| collector_keeps(seed, trace, percentage));
        assert_eq!(kept.keys().copied().collect::<BTreeSet<_>>(), expected.collect());
        assert!(kept.len() > 50);
        assert!(kept.values().all(|state| state.starts_with("ot=th:") && state.contains(";rv:")), "{kept:?}");
    }
}

#[tokio::test]
async fn two_tiers_with_one_seed_keep_what_the_stricter_one_keeps() {
    let backend = Backend::start().await;
    let gateway = Forebay::start(&sampler("{hash_seed: 7, sampling_percentage: 20}", &backend)).await;
    let agent = format!(
        "{{processors: {{probabilistic_sampler: {{hash_seed: 7, sampling_percentage: 60}}}}, \
          exporters: {{otlp: {{endpoint: 'http://{}'}}}}, service: {{pipelines: {{traces: \
          {{receivers: [otlp], processors: [probabilistic_sampler], exporters: [otlp]}}}}}}}}",
        gateway.grpc
    );
    let agent = Forebay::start(&agent).await;
    agent.client().export(Signal::Traces, request_of((1..=1_000).map(span))).await.unwrap();
    agent.stop().await;
    gateway.stop().await;
    let expected = (1..=1_000).filter(|&trace| collector_keeps(7, trace, 20.0)).collect();
    assert_eq!(backend.trace_ids(), expected);
}

#[tokio::test]
async fn a_priority_overrides_the_choice() {
    let with_priority = |trace, priority| {
        let mut span = span(trace);
        span.attributes.push(key_value("sampling.priority", Value::IntValue(priority)));
        span
    };
    let spans = vec![with_priority(trace(0), 1), with_priority(trace(0xffff), 0), span(trace(0xfffe))];
    let kept = kept("{mode: equalizing, sampling_percentage: 25}", spans).await;
    assert_eq!(kept, [(trace(0), "ot=th:0".to_owned()), (trace(0xfffe), "ot=th:c".to_owned())].into());
}

#[tokio::test]
async fn a_trace_state_that_contradicts_itself_fails_as_told() {
    // Such a span cannot have passed the stage that it names.
    let spans =
        || vec![with_state(0x0001, "ot=th:f"), with_state(0xffff, "ot=th:xyz"), span(trace(0xffff_u64 - 1))];
    let closed = kept("{mode: equalizing, sampling_percentage: 50}", spans()).await;
    assert_eq!(closed.keys().copied().collect::<Vec<_>>(), [trace(0xfffe)]);
    let open = kept("{mode: equalizing, sampling_percentage: 50, fail_closed: false}", spans()).await;
    assert_eq!(open.len(), 3);
    assert_eq!(open[&trace(0x0001)], "");
}

#[tokio::test]
async fn precision_rounds_the_threshold_that_is_written() {
    let third = |precision| {
        format!("{{mode: equalizing, sampling_percentage: 33.333333, sampling_precision: {precision}}}")
    };
    for (precision, state) in [(1, "ot=th:b"), (4, "ot=th:aaab"), (6, "ot=th:aaaaab")] {
        let kept = kept(&third(precision), vec![span(trace(0xffff))]).await;
        assert_eq!(kept.into_values().collect::<Vec<_>>(), [state], "precision {precision}");
    }
}
