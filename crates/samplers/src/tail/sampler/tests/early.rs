//! Traces that leave before they have waited, and that wait longer.

use super::*;
use crate::tail::waits::Reason;

fn child(number: u64) -> Span {
    Span { parent_span_id: vec![9; 8], ..span(trace(1, 0), number) }
}

#[test]
fn after_its_root_a_trace_waits_no_longer_than_that() {
    let mut tail = waiting("10s", &format!("decision_wait_after_root_received: 1s, {ALL}"));
    tail.accept(0, &request(vec![child(1)]));
    assert_eq!(tail.sampler.next_due(), Some(10 * SECOND));
    tail.accept(2 * SECOND, &request(vec![span(trace(1, 0), 2)]));
    assert_eq!(tail.sampler.next_due(), Some(3 * SECOND));
    // A second root does not make it wait longer, nor does a root that is late itself.
    tail.accept(2 * SECOND + SECOND / 2, &request(vec![span(trace(1, 0), 3)]));
    assert_eq!(tail.decide_due(3 * SECOND).len(), 3);
    tail.accept(20 * SECOND, &request(vec![Span { trace_id: trace(2, 0).to_bytes().to_vec(), ..child(4) }]));
    tail.accept(29 * SECOND + SECOND / 2, &request(vec![span(trace(2, 0), 5)]));
    assert_eq!(tail.sampler.next_due(), Some(30 * SECOND));
}

#[test]
fn what_is_certain_leaves_at_once_if_that_is_wanted() {
    let policies = "policies: [
        {name: bad, type: status_code, status_code: {status_codes: [ERROR]}},
        {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}},
        {name: short, type: span_count, span_count: {max_spans: 3}}]";
    let mut tail = waiting("10s", &format!("early_decision: true, {policies}"));
    // Neither chance nor "at most" is certain before the end, nor a trace without an error.
    let lucky = span(trace(2, 1 << 55), 2);
    assert_eq!(tail.accept(0, &request(vec![span(trace(1, 0), 1), lucky])), []);
    assert_eq!(states(tail.accept(1, &request(vec![error(3)]))), ["ot=th:0"; 2]);
    assert_eq!(states(tail.accept(2, &request(vec![span(trace(1, 0), 4)]))), ["ot=th:0"]);
    assert_eq!(tail.decide_due(10 * SECOND).len(), 1);
    let stats = tail.sampler.stats();
    assert_eq!((stats.early_releases, stats.early_decisions, stats.late_kept), (1, 0, 1));
    assert_eq!((stats.kept_traces, stats.pending_spans), (2, 0));

    let mut patient = waiting("10s", policies);
    assert_eq!(patient.accept(0, &request(vec![error(3)])), []);
    let drop = "{name: d, type: drop, drop: {drop_sub_policy: [\
        {name: n, type: span_count, span_count: {min_spans: 2}}]}}";
    let mut dropping = waiting(
        "10s",
        &format!("early_decision: true, {}", policies.replacen('[', &format!("[{drop}, "), 1)),
    );
    // Further spans can still get it dropped.
    assert_eq!(dropping.accept(0, &request(vec![error(3)])), []);
    assert_eq!(dropping.accept(1, &request(vec![error(4)])), []);
    assert_eq!(dropping.decide_due(10 * SECOND), []);
}

#[test]
fn policies_asked_as_spans_come_keep_or_drop_at_once_and_what_is_due_is_not_sampled() {
    let policies = "policies: [
        {name: bad, type: status_code, status_code: {status_codes: [ERROR]}},
        {name: noise, type: drop, drop: {drop_sub_policy: [\
            {name: n, type: string_attribute, string_attribute: {key: k, values: [noise]}}]}}]";
    let mut keeping = waiting("10s", &format!("sampling_strategy: span-ingest, {ERRORS}"));
    assert_eq!(keeping.accept(0, &request(vec![span(trace(1, 0), 1)])), []);
    assert_eq!(keeping.accept(1, &request(vec![error(2)])).len(), 2);
    assert_eq!(keeping.sampler.pending_traces(), 0);
    let mut tail = waiting("10s", &format!("sampling_strategy: span-ingest, {policies}"));
    // A span that is still to come may get it dropped.
    assert_eq!(tail.accept(1, &request(vec![error(2)])), []);
    let noise = Span {
        attributes: vec![crate::testing::attribute("k", crate::testing::text("noise"))],
        ..span(trace(2, 0), 3)
    };
    assert_eq!(tail.accept(2, &request(vec![noise])), []);
    tail.accept(3, &request(vec![span(trace(3, 0), 4)]));
    assert_eq!(tail.sampler.pending_traces(), 2);
    assert_eq!(tail.decide_due(10 * SECOND + 10 * MILLISECOND).len(), 1);
    let stats = tail.sampler.stats();
    assert_eq!((stats.kept_traces, stats.dropped_traces, stats.not_sampled_traces), (1, 1, 1));
    assert_eq!((stats.policies[0].sampled.traces, stats.policies[1].dropped.traces), (1, 1));
}

#[test]
fn several_traces_of_one_request_that_share_an_envelope_may_leave_from_it() {
    let mut tail = waiting("10s", &format!("early_decision: true, {ERRORS}"));
    let bad = |id: u64, number| Span { trace_id: trace(id, 0).to_bytes().to_vec(), ..error(number) };
    let spans = vec![bad(1, 1), bad(2, 2), bad(1, 3), span(trace(3, 0), 4), bad(2, 5), bad(3, 6)];
    assert_eq!(tail.accept(0, &request(spans)).len(), 6);
    assert_eq!(tail.sampler.pending_traces(), 0);
}

#[test]
fn a_trace_that_is_too_large_is_dropped_with_all_that_still_comes() {
    let mut tail = waiting("10s", &format!("maximum_trace_size_bytes: 1000, {ALL}"));
    let large = Span { name: "n".repeat(600), ..span(trace(1, 0), 1) };
    assert_eq!(tail.accept(0, &request(vec![large.clone()])), []);
    assert_eq!((tail.accept(1, &request(vec![large.clone()])), tail.sampler.pending_traces()), (vec![], 0));
    assert_eq!(tail.accept(2, &request(vec![large])), []);
    let stats = tail.sampler.stats();
    assert_eq!((stats.too_large_traces, stats.dropped_spans, stats.late_dropped), (1, 2, 1));
}

#[test]
fn a_trace_that_would_fill_the_shard_is_decided_on_what_has_come_of_it() {
    let mut tail = Tail::with(Settings {
        trace_bytes: 1 << 20,
        ..settings(&format!("{{decision_wait: 10s, {ALL}}}"), Compatibility::default())
    });
    let large = |number| Span { name: "n".repeat(300_000), ..span(trace(1, 0), number) };
    let left: usize = (1..=10).map(|number| tail.accept(0, &request(vec![large(number)])).len()).sum();
    assert_eq!((left, tail.sampler.pending_traces()), (10, 0));
    assert_eq!((tail.sampler.stats().early_decisions, tail.sampler.stats().late_kept), (1, 6));
}

#[test]
fn a_trace_that_reaches_its_number_of_spans_is_decided_on_what_has_come_of_it() {
    let mut tail = waiting("10s", &format!("maximum_trace_spans: 3, {ERRORS}"));
    assert_eq!(tail.accept(0, &request(vec![span(trace(1, 0), 1), span(trace(1, 0), 2)])), []);
    assert_eq!(tail.sampler.pending_traces(), 1);
    // What comes with the span that fills it still counts, what comes later does not.
    assert_eq!(tail.accept(1, &request(vec![span(trace(1, 0), 3), error(4)])).len(), 4);
    assert_eq!(tail.accept(2, &request((1..=3).map(|number| span(trace(2, 0), number)).collect())), []);
    assert_eq!(
        tail.accept(3, &request(vec![Span { trace_id: trace(2, 0).to_bytes().to_vec(), ..error(5) }])),
        []
    );
    let stats = tail.sampler.stats();
    assert_eq!((stats.early_decisions, stats.kept_traces, stats.not_sampled_traces), (2, 1, 1));
    assert_eq!((tail.sampler.pending_traces(), stats.late_dropped), (0, 1));

    let mut unbounded = waiting("10s", &format!("maximum_trace_spans: 0, {ERRORS}"));
    assert_eq!(unbounded.accept(0, &request((1..=50).map(error).collect())), []);
}

#[test]
fn a_full_sampler_says_so_if_its_senders_are_to_wait() {
    let yaml = format!("{{decision_wait: 1s, block_on_overflow: true, {ALL}}}");
    let settings = Settings { pending_traces: 2, ..settings(&yaml, Compatibility::default()) };
    let mut tail = Tail::with(settings.clone());
    tail.accept(0, &request(vec![span(trace(1, 0), 1)]));
    assert!(!tail.sampler.is_full());
    // What is taken while there is room is taken whole.
    assert_eq!(tail.accept(0, &request((2..6).map(|id| span(trace(id, 0), id)).collect())), []);
    assert!(tail.sampler.is_full());
    assert_eq!(tail.decide_due(SECOND).len(), 5);
    assert!(!tail.sampler.is_full());
    let mut other = Tail::with(Settings { block_on_overflow: false, ..settings });
    assert_eq!(other.accept(0, &request((1..6).map(|id| span(trace(id, 0), id)).collect())).len(), 3);
    assert!(!other.sampler.is_full());
}

#[test]
fn late_spans_of_kept_traces_say_how_late_they_are() {
    let mut tail = waiting("1s", ALL);
    tail.accept(0, &request(vec![span(trace(1, 0), 1)]));
    tail.decide_due(SECOND);
    tail.accept(3 * SECOND + SECOND / 2, &request(vec![span(trace(1, 0), 2), span(trace(1, 0), 3)]));
    assert_eq!(tail.sampler.take_late_ages(), [2.5]);
    assert_eq!(tail.sampler.take_late_ages(), [0.0; 0]);
}

#[test]
fn how_long_traces_waited_is_told_by_why_they_were_decided() {
    let yaml = format!("{{decision_wait: 10s, early_decision: true, maximum_trace_spans: 3, {ERRORS}}}");
    let mut tail = Tail::with(Settings { pending_traces: 2, ..settings(&yaml, Compatibility::default()) });
    let of = |id, number| span(trace(id, 0), number);
    let waits = |tail: &mut Tail| {
        let waits = tail.sampler.take_waits();
        waits.map(|Wait { reason, seconds, traces }| (reason, seconds, traces)).collect::<Vec<_>>()
    };
    tail.accept(0, &request(vec![of(1, 1), of(2, 2)]));
    tail.accept(2 * SECOND + SECOND / 2, &request(vec![error(3)]));
    assert_eq!(waits(&mut tail), [(Reason::Certain, 2, 1)]);
    tail.accept(4 * SECOND, &request(vec![of(2, 4), of(2, 5)]));
    assert_eq!(waits(&mut tail), [(Reason::Size, 4, 1)]);
    tail.accept(5 * SECOND, &request(vec![of(3, 6), of(4, 7)]));
    tail.accept(6 * SECOND, &request(vec![of(5, 8), of(6, 9)]));
    assert_eq!(waits(&mut tail), [(Reason::Room, 1, 2)]);
    tail.decide_due(16 * SECOND);
    assert_eq!(waits(&mut tail), [(Reason::Due, 10, 2)]);
    tail.accept(17 * SECOND, &request(vec![of(7, 10)]));
    tail.decide_due(18 * SECOND + SECOND / 2);
    tail.decide_all();
    assert_eq!(waits(&mut tail), [(Reason::Shutdown, 1, 1)]);
    assert_eq!(waits(&mut tail), []);
}
