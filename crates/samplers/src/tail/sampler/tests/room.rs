//! What happens when there is no room: the oldest traces are decided early, on what has been seen.

use super::*;
use crate::tail::store::SEGMENT_BYTES;
use crate::testing::{attribute, encode, text, under};

/// A span of about `bytes`.
fn bulky(number: u64, bytes: usize) -> Span {
    let attributes = vec![attribute("padding", text(&"x".repeat(bytes)))];
    Span { attributes, ..span(trace(number, HIGH), number) }
}

fn names(spans: Vec<Span>) -> Vec<String> {
    spans.into_iter().map(|span| span.name).collect()
}

fn bounded(policies: &str, pending_bytes: usize, pending_traces: usize) -> Tail {
    Tail::with(Settings { pending_bytes, pending_traces, ..settings(policies, Compatibility::default()) })
}

#[test]
fn beyond_the_number_of_traces_the_oldest_are_decided() {
    let mut tail = bounded(ALL, usize::MAX, 2);
    assert_eq!(tail.accept(0, &request(vec![span(trace(1, 0), 1), span(trace(2, 0), 2)])), []);
    // More spans of traces that wait already take no more room.
    assert_eq!(tail.accept(1, &request(vec![span(trace(1, 0), 3)])), []);
    assert_eq!(
        names(
            tail.accept(2, &request(vec![span(trace(3, 0), 4), span(trace(4, 0), 5), span(trace(2, 0), 6)]))
        ),
        ["span 1", "span 3", "span 2", "span 6"]
    );
    assert_eq!((tail.sampler.stats().early_decisions, tail.sampler.pending_traces()), (2, 2));
}

#[test]
fn an_early_decision_is_the_policies_and_counts_as_one() {
    let mut tail = bounded(ERRORS, usize::MAX, 1);
    tail.accept(0, &request(vec![error(1)]));
    assert_eq!(states(tail.accept(1, &request(vec![span(trace(2, 0), 2)]))), ["ot=th:0"]);
    assert_eq!(tail.accept(2, &request(vec![span(trace(3, 0), 3)])), []);
    // What comes later gets the decision that was taken.
    assert_eq!(tail.accept(3, &request(vec![span(trace(1, 0), 4)])).len(), 1);
    let bad = Span { trace_id: trace(2, 0).to_bytes().to_vec(), ..error(5) };
    assert_eq!(tail.accept(4, &request(vec![bad])), []);
    let stats = tail.sampler.stats();
    assert_eq!((stats.early_decisions, stats.kept_traces, stats.not_sampled_traces), (2, 1, 1));
    assert_eq!((stats.late_kept, stats.late_dropped, stats.pending_spans), (1, 1, 1));
}

#[test]
fn what_is_pending_stays_within_its_bytes_and_nothing_is_lost() {
    let bound = 20 * SEGMENT_BYTES;
    let mut tail = bounded(ALL, bound, usize::MAX);
    let (mut taken, mut left, mut peak) = (0, 0, 0);
    for number in 1..=2_000 {
        left += tail.accept(number, &request(vec![bulky(number, 5_000), bulky(number + 1, 1_000)])).len();
        taken += 2;
        assert!(tail.sampler.pending.store.in_use() <= bound);
        assert!(
            tail.sampler.pending.store.allocated() <= bound + 6 * SEGMENT_BYTES,
            "{}",
            tail.sampler.pending.store.allocated()
        );
        peak = peak.max(tail.sampler.pending.store.in_use());
    }
    let stats = tail.sampler.stats();
    assert_eq!((taken, stats.dropped_spans), (left + usize::try_from(stats.pending_spans).unwrap(), 0));
    assert!(stats.early_decisions > 1_000);
    assert!(peak > bound - 2 * SEGMENT_BYTES, "the room there is is used: {peak} of {bound}");
    left += tail.decide_all().len();
    assert_eq!(taken, left);
}

#[test]
fn a_trace_that_does_not_fit_at_all_is_decided_when_it_has_been_taken() {
    let mut tail = bounded(ERRORS, 1, usize::MAX);
    assert_eq!(tail.accept(0, &request(vec![error(1), span(trace(1, 0), 2)])).len(), 2);
    assert_eq!(tail.accept(1, &request(vec![span(trace(2, 0), 3)])), []);
    assert_eq!((tail.sampler.pending_traces(), tail.sampler.stats().dropped_spans), (0, 1));
}

#[test]
fn a_request_larger_than_the_room_is_decided_whole() {
    let mut tail = bounded(ERRORS, 2 * SEGMENT_BYTES, usize::MAX);
    let mut spans: Vec<_> = (1_u64..=100)
        .map(|number| Span { span_id: number.to_be_bytes().to_vec(), ..bulky(1, 10_000) })
        .collect();
    spans.push(Span { trace_id: trace(1, HIGH).to_bytes().to_vec(), ..error(101) });
    assert_eq!(tail.accept(0, &request(spans)).len(), 101);
}

#[test]
fn memory_moves_between_traces_and_their_spans() {
    let bound = 64 * SEGMENT_BYTES;
    let mut tail = bounded(ERRORS, bound, usize::MAX);
    let mut number = 0;
    let mut traces = |count: u64, bytes| {
        number += count;
        request((number - count + 1..=number).map(|number| bulky(number, bytes)).collect())
    };
    for (requests, traces_each, bytes) in [(100, 1_000, 0), (1_000, 10, 10_000), (100, 1_000, 0)] {
        for _ in 0..requests {
            tail.accept(0, &traces(traces_each, bytes));
            let allocated = tail.sampler.pending.store.allocated();
            assert!(allocated <= bound + 8 * SEGMENT_BYTES, "{allocated} of {bound}");
        }
        assert!(tail.sampler.pending.store.in_use() > bound - 3 * SEGMENT_BYTES);
    }
    tail.decide_all();
    assert!(
        tail.sampler.pending.store.allocated() < 8 * SEGMENT_BYTES,
        "{}",
        tail.sampler.pending.store.allocated()
    );
}

#[test]
fn a_flood_of_envelopes_does_not_take_room_for_good() {
    let bound = 16 * SEGMENT_BYTES;
    let mut tail = bounded(ERRORS, bound, usize::MAX);
    let resource = |number: u64| {
        under(vec![attribute("pod", text(&number.to_string()))], vec![span(trace(number, 0), number)])
    };
    for number in 1..20_000 {
        tail.accept(0, &encode(vec![resource(number)]));
        let allocated = tail.sampler.pending.store.allocated();
        assert!(allocated <= bound + 6 * SEGMENT_BYTES, "{allocated} of {bound}");
    }
    tail.decide_all();
    assert!(
        tail.sampler.pending.store.in_use() <= 2 * SEGMENT_BYTES,
        "{} in use",
        tail.sampler.pending.store.in_use()
    );
    let early = tail.sampler.stats().early_decisions;
    tail.accept(1, &request((1..=1_500).map(|number| bulky(30_000 + number, 1_000)).collect()));
    assert_eq!(tail.sampler.stats().early_decisions, early, "there is room again");
}
