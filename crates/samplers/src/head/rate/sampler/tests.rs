//! Which spans are left of a request under a limit, and what they leave with.

use super::*;
use crate::head::Limit;
use crate::testing::{Span as Proto, decode, random, request, span, span_with_state, trace};

const MILLISECOND: Nanos = 1_000_000;

fn limited(per_second: f64, counts_traces: bool) -> RateSampler {
    let limit = Limit { per_second, burst: per_second };
    RateSampler::new(&RateConfig { limit, counts_traces })
}

fn sample(sampler: &mut RateSampler, now: Nanos, spans: Vec<Proto>) -> Vec<Proto> {
    let request = request(spans);
    let sampled = sampler.sample(now, &request, &SpanIndex::scan(&request).unwrap());
    let left = decode(&sampled.request);
    assert_eq!(left.len(), sampled.items);
    left.into_iter().map(|located| located.span).collect()
}

/// A thousand spans of one trace each.
fn thousand(seed: u64) -> Vec<Proto> {
    random(seed).take(1_000).map(|number| span(trace(number | 1, number), number | 1)).collect()
}

/// A sampler at a tenth of what comes.
fn at_a_tenth() -> RateSampler {
    let mut sampler = limited(1_000.0, false);
    for window in 0..20 {
        let _ = sample(&mut sampler, window * 100 * MILLISECOND, thousand(window));
    }
    sampler
}

fn state(sampler: &mut RateSampler, randomness: u64, state: &str) -> Option<String> {
    let left = sample(sampler, 2_000 * MILLISECOND, vec![span_with_state(trace(1, randomness), 1, state)]);
    left.into_iter().next().map(|span| span.trace_state)
}

#[test]
fn kept_spans_leave_with_the_threshold_that_they_reach() {
    let mut sampler = limited(1_000.0, false);
    let mut kept = Vec::new();
    for window in 0..30 {
        kept.extend(sample(&mut sampler, window * 100 * MILLISECOND, thousand(window)));
    }
    assert!((3_000..6_000).contains(&kept.len()), "{}", kept.len());
    for span in kept {
        let threshold: Threshold = span.trace_state.strip_prefix("ot=th:").unwrap().parse().unwrap();
        let id = span.trace_id.try_into().unwrap();
        assert!(threshold.keeps(Randomness::from_trace_id(id)));
    }
}

#[test]
fn two_samplers_with_one_limit_prefer_the_same_traces() {
    let mut samplers = [at_a_tenth(), at_a_tenth()];
    // The same load, other spans of the same traces.
    let [first, second] =
        [0, 1].map(|number: usize| sample(&mut samplers[number], 2_000 * MILLISECOND, thousand(99)));
    let ids = |spans: Vec<Proto>| spans.into_iter().map(|span| span.trace_id).collect::<Vec<_>>();
    assert!(!first.is_empty());
    assert_eq!(ids(first), ids(second));
}

#[test]
fn a_threshold_that_was_passed_before_is_never_lowered() {
    assert_eq!(state(&mut at_a_tenth(), u64::MAX >> 8, "ot=th:ffff"), Some("ot=th:ffff".to_owned()));
    let raised = state(&mut at_a_tenth(), u64::MAX >> 8, "a=b,ot=th:4;x:y").unwrap();
    let threshold = raised.strip_prefix("ot=th:").and_then(|rest| rest.strip_suffix(";x:y,a=b")).unwrap();
    assert!(threshold.parse::<Threshold>().unwrap() > "c".parse().unwrap(), "{raised}");
}

#[test]
fn explicit_randomness_goes_before_the_trace_id() {
    assert_eq!(state(&mut at_a_tenth(), u64::MAX >> 8, "ot=rv:00000000000000"), None);
    assert!(state(&mut at_a_tenth(), 0, "ot=rv:ffffffffffffff").unwrap().ends_with(";rv:ffffffffffffff"));
}

#[test]
fn what_cannot_be_read_or_is_inconsistent_is_limited_too_and_gets_no_threshold() {
    assert_eq!(state(&mut at_a_tenth(), u64::MAX >> 8, "ot=th:G"), Some("ot=th:G".to_owned()));
    assert_eq!(state(&mut at_a_tenth(), 0, "ot=th:G"), None);
    // Reaches this threshold but not the one it claims.
    let inconsistent = "ot=th:ffffffffffffff;rv:fffffffffffff0";
    assert_eq!(state(&mut at_a_tenth(), 0, inconsistent), Some("ot=rv:fffffffffffff0".to_owned()));
}

#[test]
fn a_trace_counts_once_where_traces_are_limited() {
    // Ten traces of a hundred spans a window: a hundred traces a second.
    let mut sampler = limited(100.0, true);
    let mut kept = 0;
    for window in 0..50 {
        let ids: Vec<_> = random(window).take(10).map(|number| trace(number | 1, number)).collect();
        let spans = (1..=1_000).zip(ids.iter().cycle()).map(|(number, &id)| span(id, number)).collect();
        kept += sample(&mut sampler, window * 100 * MILLISECOND, spans).len();
    }
    assert_eq!(kept, 50_000);
    // In spans it would have been far too much.
    let mut sampler = limited(100.0, false);
    let spans = (0..1_000_u64).map(|number| span(trace(number + 1, number << 46), number + 1)).collect();
    assert!(sample(&mut sampler, 0, spans).len() < 500);
}
