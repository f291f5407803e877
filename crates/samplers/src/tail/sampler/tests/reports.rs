//! What agents report waits for the next tick.

use forebay_otlp::{SpanIndex, TraceId};

use super::*;
use crate::retroactive::message::Piece;
use crate::tail::AgentNumber;
use crate::tail::digest::Digest;

/// Ticks are a second long.
const TICK: Nanos = SECOND;

fn coordinator(pending_bytes: usize) -> TailSampler {
    let settings = settings(&format!("{{decision_wait: 5s, {HALF}}}"), Compatibility::default());
    TailSampler::new(Settings { coordinates: true, pending_bytes, ..settings })
}

/// A window of an agent, with a trace of each of these randomnesses.
fn reported(window: u64, randomness: &[u64]) -> Reported {
    let piece = |&randomness: &u64| Piece::new(TraceId(randomness.into()), Digest::EMPTY);
    let pieces = randomness.iter().map(piece).collect();
    Reported { agent: AgentNumber(1), window, horizon: 100 * SECOND, pieces, moved_on: Vec::new() }
}

fn notices(sampler: &mut TailSampler) -> (usize, Vec<u64>) {
    let (settled, kept): (Vec<_>, Vec<_>) =
        sampler.take_notices().partition(|notice| matches!(notice, Notice::Settled(..)));
    let windows = settled.into_iter().filter_map(|notice| match notice {
        Notice::Settled(_, window) => Some(window),
        _ => None,
    });
    (kept.len(), windows.collect())
}

#[test]
fn reports_count_from_the_next_tick_and_wait_from_then_on() {
    let (mut sampler, mut out) = (coordinator(1 << 30), Vec::new());
    sampler.report(reported(1, &[0]), 1, &mut out);
    sampler.report(reported(2, &[0, HIGH]), TICK - 1, &mut out);
    let held = sampler.allocated();
    assert_eq!((sampler.next_due(), sampler.pending_traces()), (Some(TICK), 0));
    sampler.decide_due(TICK - 1, &mut out);
    assert_eq!(sampler.pending_traces(), 0);
    // Late, as timers are.
    sampler.decide_due(TICK + 1, &mut out);
    assert_eq!((sampler.next_due(), sampler.pending_traces()), (Some(TICK + 5 * SECOND), 2));
    assert!(sampler.allocated() > 0 && held > 3 * size_of::<Piece>());
    sampler.decide_due(TICK + 5 * SECOND - 1, &mut out);
    assert_eq!(notices(&mut sampler), (0, vec![]));
    sampler.decide_due(TICK + 5 * SECOND, &mut out);
    assert_eq!(notices(&mut sampler), (1, vec![1, 2]));
    assert_eq!(sampler.next_due(), None);
}

#[test]
fn whatever_comes_after_the_tick_finds_them_merged() {
    for spans in [false, true] {
        let (mut sampler, mut out) = (coordinator(1 << 30), Vec::new());
        sampler.report(reported(1, &[HIGH]), 1, &mut out);
        if spans {
            sampler.accept(&[], &Envelopes::default(), &[], TICK + 1, &mut out);
        } else {
            sampler.report(reported(2, &[0]), TICK + 1, &mut out);
        }
        assert_eq!(sampler.pending_traces(), 1);
    }
}

#[test]
fn reports_that_hold_much_do_not_wait() {
    let (mut sampler, mut out) = (coordinator(1 << 20), Vec::new());
    let much = (1 << 20) / 16 / size_of::<Piece>() as u64 + 1;
    let window: Vec<_> = (0..much).map(|number| number << 8).collect();
    sampler.report(reported(1, &window), 1, &mut out);
    assert_eq!(sampler.pending_traces() as u64, much);
}

#[test]
fn reports_that_wait_are_decided_when_everything_is() {
    let (mut sampler, mut out) = (coordinator(1 << 30), Vec::new());
    sampler.report(reported(1, &[0, HIGH]), 1, &mut out);
    sampler.decide_all(&mut out);
    let kept = sampler.stats().kept_traces;
    assert_eq!((kept, sampler.stats().not_sampled_traces, sampler.pending_traces()), (1, 1, 0));
}

#[test]
fn nothing_is_decided_while_that_is_unsafe_but_reports_count() {
    let (mut sampler, mut out) = (coordinator(1 << 30), Vec::new());
    sampler.hold(8 * SECOND);
    sampler.report(reported(1, &[HIGH]), 1, &mut out);
    assert_eq!(sampler.next_due(), Some(TICK));
    sampler.decide_due(7 * SECOND, &mut out);
    assert_eq!((sampler.next_due(), sampler.pending_traces()), (Some(8 * SECOND), 1));
    sampler.decide_due(8 * SECOND, &mut out);
    assert_eq!(notices(&mut sampler), (1, vec![1]));
}

#[test]
fn what_agents_have_told_of_waits_while_they_are_all_away() {
    let (mut sampler, mut out) = (coordinator(1 << 30), Vec::new());
    sampler.report(reported(1, &[HIGH]), 1, &mut out);
    let own = request(vec![span(trace(2, HIGH - (1 << 8)), 1)]);
    let index = SpanIndex::scan(&own).unwrap();
    sampler.accept(&own, &index.envelopes, &index.spans, TICK, &mut out);
    sampler.set_deserted(true);
    for second in 5..60 {
        sampler.decide_due(TICK + second * SECOND, &mut out);
    }
    assert_eq!((out.len(), sampler.pending_traces()), (1, 1), "its own spans do not wait for agents");
    sampler.set_deserted(false);
    sampler.decide_due(TICK + 60 * SECOND, &mut out);
    assert_eq!(sampler.pending_traces(), 0);
    assert_eq!(sampler.stats().kept_traces, 2);
}

#[test]
fn a_trace_that_has_moved_on_was_never_here() {
    let (mut sampler, mut out) = (coordinator(1 << 30), Vec::new());
    let moved_on = |window, agent, randomness| Reported {
        agent: AgentNumber(agent),
        moved_on: vec![TraceKey::of(TraceId(randomness))],
        ..reported(window, &[])
    };
    sampler.report(reported(1, &[0, 1 << 8]), 1, &mut out);
    sampler.report(Reported { agent: AgentNumber(2), ..reported(1, &[0]) }, 1, &mut out);
    sampler.report(moved_on(2, 1, 0), 2, &mut out);
    sampler.report(moved_on(3, 1, 1 << 8), 2, &mut out);
    sampler.decide_due(TICK, &mut out);
    assert_eq!(sampler.pending_traces(), 1, "another agent holds the first");
    sampler.report(moved_on(2, 2, 0), TICK + 1, &mut out);
    sampler.decide_due(6 * SECOND, &mut out);
    assert_eq!(sampler.pending_traces(), 0);
    let stats = sampler.stats();
    assert_eq!((stats.kept_traces, stats.not_sampled_traces), (0, 0));
    // Nothing is remembered of it.
    sampler.report(reported(4, &[1 << 8]), 6 * SECOND, &mut out);
    sampler.decide_due(7 * SECOND, &mut out);
    assert_eq!(sampler.pending_traces(), 1);
}
