//! When traces are decided, and what their spans leave with.

mod configurations;
mod early;
mod invariants;
mod overload;
mod preservation;
mod recorded;
mod reports;
mod room;
mod simulation;
mod traffic;

use forebay_otlp::TraceId;
use proptest::prelude::*;

use super::*;
use crate::Compatibility;
use crate::tail::store::SEGMENT_BYTES;
use crate::testing::{
    MILLISECOND, SECOND, Span, Status, Tail, request, settings, span, span_with_state, trace,
};

const ALL: &str = "policies: [{name: all, type: always_sample}]";
const ERRORS: &str = "policies: [{name: bad, type: status_code, status_code: {status_codes: [ERROR]}}]";
const HALF: &str = "policies: [{name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}]";

/// The highest randomness.
const HIGH: u64 = (1 << 56) - 1;

fn waiting(wait: &str, policies: &str) -> Tail {
    Tail::new(&format!("{{decision_wait: {wait}, {policies}}}"))
}

fn error(number: u64) -> Span {
    Span { status: Some(Status { code: 2, ..Status::default() }), ..span(trace(1, 0), number) }
}

fn states(spans: Vec<Span>) -> Vec<String> {
    spans.into_iter().map(|span| span.trace_state).collect()
}

#[test]
fn a_trace_is_decided_at_the_tick_after_its_wait_and_not_a_nanosecond_earlier() {
    let mut tail = waiting("250ms", ALL);
    tail.accept(1_234_567, &request(vec![span(trace(1, 0), 1)]));
    let due = 260 * MILLISECOND;
    assert_eq!(tail.sampler.next_due(), Some(due));
    assert_eq!(tail.decide_due(due - 1), []);
    assert_eq!(tail.sampler.pending_traces(), 1);
    assert_eq!(tail.decide_due(due).len(), 1);
    assert_eq!((tail.sampler.pending_traces(), tail.sampler.next_due()), (0, None));
}

#[test]
fn a_trace_waits_from_its_first_span() {
    let mut tail = waiting("1s", ALL);
    for (number, now) in [(1, 0), (2, 500 * MILLISECOND), (3, 999 * MILLISECOND)] {
        assert_eq!(tail.accept(now, &request(vec![span(trace(1, 0), number)])), []);
    }
    tail.accept(SECOND / 2, &request(vec![span(trace(2, 0), 4)]));
    assert_eq!(tail.decide_due(SECOND).len(), 3);
    assert_eq!(tail.decide_due(SECOND + SECOND / 2).len(), 1);
}

#[test]
fn a_wait_that_is_a_multiple_of_ticks_ends_to_the_nanosecond() {
    let mut tail = waiting("10ms", ALL);
    tail.accept(20 * MILLISECOND, &request(vec![span(trace(1, 0), 1)]));
    assert_eq!(tail.decide_due(30 * MILLISECOND - 1), []);
    assert_eq!(tail.decide_due(30 * MILLISECOND).len(), 1);
}

#[test]
fn without_a_wait_a_trace_is_decided_at_the_next_tick() {
    let mut tail = waiting("0s", ALL);
    tail.accept(1, &request(vec![span(trace(1, 0), 1)]));
    assert_eq!(tail.decide_due(10 * MILLISECOND).len(), 1);
}

#[test]
fn a_wait_beyond_the_end_of_time_and_a_clock_that_goes_back_do_no_harm() {
    let mut tail = waiting("1s", ALL);
    tail.accept(5 * SECOND, &request(vec![span(trace(1, 0), 1)]));
    tail.accept(SECOND, &request(vec![span(trace(2, 0), 2)]));
    assert_eq!(tail.decide_due(6 * SECOND).len(), 2);
    tail.accept(Nanos::MAX - 1, &request(vec![span(trace(3, 0), 3)]));
    assert_eq!(tail.decide_due(Nanos::MAX).len(), 1);
}

proptest! {
    #[test]
    fn every_trace_is_due_at_the_first_tick_at_which_it_has_waited(
        wait in 0..5_000_u64,
        gaps in prop::collection::vec(0..3 * SECOND, 1..40),
    ) {
        let mut tail = waiting(&format!("{wait}ms"), ALL);
        let mut now = 0;
        let mut expected = Vec::new();
        for (gap, number) in gaps.into_iter().zip(1..) {
            now += gap;
            expected.push((now + wait * MILLISECOND).next_multiple_of(10 * MILLISECOND));
            tail.accept(now, &request(vec![span(trace(number, 0), number)]));
        }
        for (due, number) in expected.into_iter().zip(1_u64..) {
            let decided = tail.decide_due(due - 1);
            prop_assert!(decided.iter().all(|span| span.span_id < number.to_be_bytes().to_vec()), "{number} is early");
            tail.decide_due(due);
            prop_assert!(tail.sampler.next_due().is_none_or(|next| next > due));
        }
        prop_assert_eq!(tail.sampler.stats().early_decisions, 0);
    }
}

#[test]
fn late_spans_of_a_kept_trace_leave_at_once_with_its_stamp() {
    let mut tail = waiting("1s", HALF);
    tail.accept(0, &request(vec![span_with_state(trace(1, HIGH), 1, "ot=th:c")]));
    tail.decide_due(SECOND);
    let late = tail.accept(
        2 * SECOND,
        &request(vec![span(trace(1, HIGH), 2), span_with_state(trace(1, HIGH), 3, "a=b")]),
    );
    assert_eq!(states(late), ["ot=th:c", "ot=th:c,a=b"]);
    let stats = tail.sampler.stats();
    assert_eq!((stats.late_kept, stats.kept_spans, stats.traces, stats.pending_spans), (2, 1, 1, 0));
}

#[test]
fn late_spans_of_a_dropped_trace_are_dropped_even_if_they_would_have_kept_it() {
    let mut tail = waiting("1s", ERRORS);
    tail.accept(0, &request(vec![span(trace(1, 0), 1)]));
    tail.decide_due(SECOND);
    assert_eq!(tail.accept(2 * SECOND, &request(vec![error(2), error(3)])), []);
    let stats = tail.sampler.stats();
    assert_eq!((stats.late_dropped, stats.dropped_spans, stats.traces, stats.pending_spans), (2, 1, 1, 0));
}

#[test]
fn the_threshold_of_a_late_span_is_raised_and_never_lowered() {
    let mut tail = waiting("1s", HALF);
    tail.accept(0, &request(vec![span(trace(1, HIGH), 1)]));
    assert_eq!(states(tail.decide_due(SECOND)), ["ot=th:8"]);
    let late = [span_with_state(trace(1, HIGH), 2, "ot=th:c"), span_with_state(trace(1, HIGH), 3, "ot=th:4")];
    assert_eq!(states(tail.accept(SECOND, &request(late.to_vec()))), ["ot=th:c", "ot=th:8"]);
    let inconsistent = span_with_state(trace(1, HIGH), 4, "ot=th:c;rv:90000000000000");
    assert_eq!(states(tail.accept(SECOND, &request(vec![inconsistent]))), ["ot=th:8;rv:90000000000000"]);
}

#[test]
fn a_decision_that_is_forgotten_is_taken_anew() {
    let remember = Remember::Decisions(10);
    let mut tail = Tail::with(Settings {
        remember_kept: remember,
        remember_dropped: remember,
        ..settings(ERRORS, Compatibility::default())
    });
    tail.accept(0, &request(vec![span(trace(1, 0), 1)]));
    tail.decide_all();
    for number in 2..100 {
        tail.accept(0, &request(vec![span(trace(number, 0), number)]));
        tail.decide_all();
    }
    tail.accept(0, &request(vec![error(100)]));
    assert_eq!(tail.decide_all().len(), 1);
    assert_eq!(tail.sampler.stats().traces, 100);
}

#[test]
fn all_spans_leave_with_the_threshold_of_their_trace() {
    let mut tail = Tail::new(HALF);
    let id = trace(1, HIGH);
    let root = span_with_state(id, 1, "ot=th:c;x:y,vendor=1");
    tail.accept(
        0,
        &request(vec![
            span(id, 2),
            root,
            span_with_state(id, 3, "ot=th:9"),
            span_with_state(id, 4, "vendor=1"),
        ]),
    );
    assert_eq!(states(tail.decide_all()), ["ot=th:c", "ot=th:c;x:y,vendor=1", "ot=th:c", "ot=th:c,vendor=1"]);
}

#[test]
fn an_inconsistent_threshold_is_ignored_and_overwritten() {
    let mut tail = Tail::new(HALF);
    tail.accept(0, &request(vec![span_with_state(trace(1, 0x90_0000_0000_0000), 1, "ot=th:c;x:y")]));
    assert_eq!(states(tail.decide_all()), ["ot=th:8;x:y"]);
    assert_eq!(tail.sampler.stats().unknown_head_spans, 1);
}

#[test]
fn a_threshold_that_cannot_be_read_is_overwritten_and_a_trace_state_that_cannot_be_read_stays() {
    let mut tail = Tail::new(HALF);
    let states_before_and_after = [
        ("ot=th:C", "ot=th:8"),
        ("ot=th:;x:y", "ot=th:8;x:y"),
        ("ot=th:c;th:d", "ot=th:8"),
        ("ot=th:c;rv:FFFFFFFFFFFFFF", "ot=th:c;rv:FFFFFFFFFFFFFF"),
        ("=", "="),
        ("ot=th:c,ot=th:d", "ot=th:c,ot=th:d"),
        ("Vendor=1,ot=th:c", "Vendor=1,ot=th:c"),
        ("h\u{e9}", "h\u{e9}"),
    ];
    for (number, (before, after)) in (1..).zip(states_before_and_after) {
        tail.accept(0, &request(vec![span_with_state(trace(number, HIGH), number, before)]));
        assert_eq!(states(tail.decide_all()), [after], "{before}");
    }
}

#[test]
fn spans_whose_weight_before_is_not_known_are_counted() {
    let mut tail = Tail::new(ERRORS);
    let id = |number| trace(number, HIGH);
    // One span that says it speaks for the trace.
    tail.accept(0, &request(vec![span(id(1), 1), span_with_state(id(1), 2, "ot=th:c")]));
    tail.accept(0, &request(vec![span(id(2), 3), span_with_state(id(2), 4, "ot=rv:ffffffffffffff")]));
    tail.accept(0, &request(vec![span_with_state(id(3), 5, "=")]));
    tail.decide_all();
    assert_eq!(tail.sampler.stats().unknown_head_spans, 3);
}

#[test]
fn the_randomness_of_a_trace_is_the_explicit_one_of_any_span() {
    let mut tail = Tail::new(HALF);
    let (low, high) = (trace(1, 0), trace(2, HIGH));
    tail.accept(0, &request(vec![span(low, 1), span_with_state(low, 2, "ot=rv:ffffffffffffff")]));
    tail.accept(0, &request(vec![span(high, 3), span_with_state(high, 4, "ot=rv:00000000000000")]));
    assert_eq!(states(tail.decide_all()), ["ot=th:8", "ot=th:8;rv:ffffffffffffff"]);
}

#[test]
fn giving_up_what_is_pending_counts_its_spans_and_frees_them() {
    let mut tail = Tail::new(ALL);
    tail.accept(0, &request(vec![span(trace(1, 0), 1), span(trace(1, 0), 2), span(trace(2, 0), 3)]));
    assert_eq!(tail.sampler.abandon_all(), 3);
    assert_eq!((tail.sampler.stats().pending_spans, tail.sampler.pending_traces()), (0, 0));
    assert_eq!(tail.decide_all(), []);
    // They are not decided, so what comes later is a new trace.
    tail.accept(0, &request(vec![span(trace(1, 0), 4)]));
    assert_eq!(tail.decide_all().len(), 1);
}
