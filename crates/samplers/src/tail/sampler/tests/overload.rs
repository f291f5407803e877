//! Far more than there is room for, and traces of all lives at once.

use forebay_otlp::TraceId;

use super::*;
use crate::testing::{attribute, random, text};

/// A span of about `bytes`.
fn bulky(id: TraceId, number: u64, bytes: usize) -> Span {
    Span { attributes: vec![attribute("padding", text(&"x".repeat(bytes)))], ..span(id, number) }
}

fn child(span: Span) -> Span {
    Span { parent_span_id: vec![1; 8], ..span }
}

/// Minutes of traces of one to nine spans of up to 4 KB that come over four seconds, ten times what fits.
fn overload(yaml: &str) {
    const PENDING: usize = 8 << 20;
    const REMEMBERED: usize = 256 << 10;
    const WAIT: u64 = 30;
    const SPAN_BYTES: usize = 4_000;
    let yaml = format!("{{decision_wait: {WAIT}s, {yaml}}}");
    let mut tail = Tail::with(Settings {
        pending_bytes: PENDING,
        remember_kept: Remember::Bytes(REMEMBERED),
        remember_dropped: Remember::Bytes(REMEMBERED),
        ..settings(&yaml, Compatibility::default())
    });
    let bound = (PENDING + 2 * REMEMBERED) * 105 / 100;
    let spans_each_second = 10 * PENDING as u64 / WAIT / (SPAN_BYTES as u64 / 2);
    let mut random = random(7);
    let mut below = |bound: u64| random.next().unwrap() % bound;
    let (mut number, mut came, mut left, mut peak) = (0, 0, 0, 0);
    for step in 0..4 * 90 {
        let now = step * SECOND / 4;
        let spans: Vec<_> = (0..spans_each_second / 4)
            .map(|_| {
                number += 1;
                // Spans of the traces that began up to four seconds ago, five on average.
                let first = number / 5;
                let id = first + below(4 * spans_each_second / 5);
                let bytes = usize::try_from(below(SPAN_BYTES as u64)).unwrap();
                let span = bulky(trace(id, (id % 2) << 55 | id), number, bytes);
                if below(5) > 0 { child(span) } else { span }
            })
            .collect();
        came += spans.len();
        left += tail.accept(now, &request(spans)).len();
        assert!(tail.sampler.allocated() <= bound, "{} of {bound}", tail.sampler.allocated());
        left += tail.decide_due(now).len();
        assert!(tail.sampler.allocated() <= bound, "{} of {bound}", tail.sampler.allocated());
        peak = peak.max(tail.sampler.allocated());
    }
    assert!(peak > PENDING, "the room there is is used: {peak}");
    left += tail.decide_all().len();
    let stats = tail.sampler.stats();
    assert!(stats.early_decisions > stats.traces / 2, "{stats:?}");
    assert_eq!(stats.traces, stats.kept_traces + stats.not_sampled_traces);
    assert_eq!(came as u64, stats.kept_spans + stats.dropped_spans + stats.late_kept + stats.late_dropped);
    assert_eq!(left as u64, stats.kept_spans + stats.late_kept);
    assert!(stats.kept_traces > 1_000 && stats.not_sampled_traces > 1_000, "{stats:?}");
}

#[test]
fn at_ten_times_the_load_that_fits_the_bytes_hold_and_every_trace_is_decided() {
    overload(HALF);
}

#[test]
fn the_bytes_hold_when_most_traces_leave_early_and_the_others_stay() {
    overload(&format!("decision_wait_after_root_received: 1s, {HALF}"));
}

#[test]
fn traces_that_stay_do_not_keep_the_memory_of_those_that_have_left() {
    let mut tail =
        Tail::new(&format!("{{decision_wait: 300s, decision_wait_after_root_received: 1s, {ERRORS}}}"));
    let mut number = 0;
    for step in 0..10 * 120 {
        let spans = (0..50).map(|_| {
            number += 1;
            let span = bulky(trace(number, number), number, 1_000);
            // One in twenty never gets its root.
            if number.is_multiple_of(20) { child(span) } else { span }
        });
        tail.accept(step * SECOND / 10, &request(spans.collect()));
        tail.decide_due(step * SECOND / 10);
        let pending = usize::try_from(tail.sampler.stats().pending_spans).unwrap() * 1_300;
        let allocated = tail.sampler.pending.store.allocated();
        assert!(allocated <= 2 * pending + 20 * SEGMENT_BYTES, "{allocated} for {pending}");
    }
    let pending = tail.sampler.pending_traces();
    assert!((3_000..4_000).contains(&pending), "{pending} stay");
}

#[test]
fn a_trace_of_very_many_pieces_is_kept_whole_among_others_that_come_and_go() {
    const PIECES: u64 = 30_000;
    let mut tail = Tail::new(&format!("{{decision_wait: 1h, decision_wait_after_root_received: 1s, {ALL}}}"));
    let giant = trace(1, HIGH);
    for number in 1..=PIECES {
        let spans = vec![child(span(giant, number)), bulky(trace(number + 1, 0), number, 300)];
        tail.accept(number * MILLISECOND, &request(spans));
        tail.outputs.clear();
        tail.sampler.decide_due(number * MILLISECOND, &mut tail.outputs);
    }
    let expected = (1..=PIECES).map(|number| number.to_be_bytes().to_vec());
    let left = tail.decide_all().into_iter().filter(|span| span.trace_id == giant.to_bytes());
    assert!(left.map(|span| span.span_id).eq(expected));
    assert!(tail.sampler.pending.store.in_use() < 8 * SEGMENT_BYTES);
}
