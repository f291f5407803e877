//! Hours of random traffic against the reference model: the policies that it can reproduce keep the same traces, with
//! the same thresholds.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::option;
use proptest::sample::select;

use super::traffic::{Encoder, Request, TRACE_STATES, TRACES, of_seed, requests};
use super::*;
use crate::testing::model::{Code, Condition, Grouped, Model, Rule, grouped, trace_of};
use crate::testing::{Located, decode};

/// A run of the sampler.
#[derive(Clone, Debug)]
struct Scenario {
    rules: Vec<Rule>,
    first_match: bool,
    /// In milliseconds.
    wait: u64,
    pending_bytes: usize,
    pending_traces: usize,
    requests: Vec<Request>,
}

const CONDITIONS: &[Condition] =
    &[Condition::KeyIsA, Condition::NoKey, Condition::RootOfA, Condition::Long, Condition::Failing];

fn scenario() -> impl Strategy<Value = Scenario> {
    let bytes = prop_oneof![2 => Just(usize::MAX), 1 => Just(1), 3 => 2 * SEGMENT_BYTES..6 * SEGMENT_BYTES];
    let traces = prop_oneof![3 => Just(usize::MAX), 1 => 1..TRACES];
    (vec(rule(), 1..4), any::<bool>(), 0..20_000_u64, bytes, traces, requests(TRACE_STATES)).prop_map(
        |(rules, first_match, wait, pending_bytes, pending_traces, requests)| Scenario {
            rules,
            first_match,
            wait,
            pending_bytes,
            pending_traces,
            requests,
        },
    )
}

fn rule() -> impl Strategy<Value = Rule> {
    let key = || select(vec!["key", "n"]).prop_map(str::to_owned);
    let values = vec(select(vec!["a", "b", "abc", "^a", "c$", ""]).prop_map(str::to_owned), 1..3);
    let bounds = prop_oneof![
        (1..6_i64).prop_map(|min| (Some(min), None)),
        (-5..0_i64).prop_map(|max| (None, Some(max))),
        (1..4_i64, 4..8_i64).prop_map(|(min, max)| (Some(min), Some(max))),
    ];
    let latency = (0..2_000_u64, option::of(1..2_000_u64));
    let leaf = prop_oneof![
        1 => Just(Rule::Always),
        3 => latency.prop_map(|(above_ms, width)| Rule::Latency { above_ms, at_most_ms: width.map(|width| above_ms + width) }),
        3 => vec(select(vec![Code::Unset, Code::Ok, Code::Error]), 1..3).prop_map(Rule::Status),
        4 => (0.1..100.0_f64).prop_map(|percentage| Rule::Share { percentage }),
        3 => (key(), values, any::<bool>(), any::<bool>())
            .prop_map(|(key, values, regex, invert)| Rule::Text { key, values, regex, invert }),
        2 => (any::<bool>(), any::<bool>())
            .prop_map(|(value, invert)| Rule::Bool { key: "flag".to_owned(), value, invert }),
        2 => (0..6_usize, option::of(0..6_usize))
            .prop_map(|(min, width)| Rule::Count { min, max: width.map(|width| min.max(1) + width) }),
        1 => Just(Rule::Flagged),
        1 => vec(select(vec!["1", "2"]).prop_map(str::to_owned), 1..3)
            .prop_map(|values| Rule::Member { key: "a".to_owned(), values }),
        3 => select(CONDITIONS).prop_map(Rule::Condition),
        3 => (key(), bounds, any::<bool>()).prop_map(|(key, (min, max), invert)| Rule::Number { key, min, max, invert }),
    ];
    let part = prop_oneof![3 => leaf.clone(), 1 => leaf.clone().prop_map(|rule| Rule::Not(Box::new(rule)))];
    prop_oneof![
        6 => leaf.clone(),
        2 => vec(part.clone(), 1..4).prop_map(Rule::And),
        1 => leaf.prop_map(|rule| Rule::Not(Box::new(rule))),
        1 => vec(part, 1..4).prop_map(Rule::Drop),
    ]
}

/// What went in and came out.
#[derive(Default)]
struct Account {
    taken: HashMap<TraceId, usize>,
    left: HashMap<TraceId, usize>,
}

impl Account {
    fn leaves(&mut self, spans: Vec<Located>) -> Grouped {
        spans.iter().for_each(|located| *self.left.entry(trace_of(&located.span)).or_default() += 1);
        grouped(spans)
    }

    fn balances(&self, tail: &Tail) -> Result<(), TestCaseError> {
        let stats = tail.sampler.stats();
        let sum = |spans: &HashMap<_, usize>| spans.values().sum::<usize>() as u64;
        prop_assert_eq!(
            sum(&self.taken),
            sum(&self.left) + stats.pending_spans + stats.dropped_spans + stats.late_dropped
        );
        prop_assert_eq!(sum(&self.left), stats.kept_spans + stats.late_kept);
        Ok(())
    }
}

fn run(seed: u64) -> Result<(), TestCaseError> {
    let scenario = of_seed(&scenario(), seed);
    let mut encoder = Encoder::new(seed);
    let mut model = Model::new(scenario.rules.clone(), scenario.wait * MILLISECOND);
    let yaml = format!("sample_on_first_match: {}\n{}", scenario.first_match, Model::yaml(&scenario.rules));
    let mut tail = Tail::with(Settings {
        decision_wait: scenario.wait * MILLISECOND,
        pending_bytes: scenario.pending_bytes,
        pending_traces: scenario.pending_traces,
        ..settings(&yaml, Compatibility::default())
    });
    let mut account = Account::default();
    let mut now = 0;
    for Request { gap, spans } in &scenario.requests {
        now += gap;
        tail.decide_due(now);
        assert_same(&account.leaves(tail.located()), &grouped(model.decide_due(now)), now)?;

        let request = encoder.request(spans);
        let spans = decode(&request);
        spans.iter().for_each(|located| *account.taken.entry(trace_of(&located.span)).or_default() += 1);
        let early = tail.sampler.stats().early_decisions;
        tail.accept(now, &request);
        // Which are decided early is for the sampler to say in number only: they are the oldest.
        let early = usize::try_from(tail.sampler.stats().early_decisions - early).unwrap();
        let mut expected = model.accept(now, spans);
        expected.extend(model.decide_oldest(early));
        assert_same(&account.leaves(tail.located()), &grouped(expected), now)?;

        account.balances(&tail)?;
        prop_assert_eq!(tail.sampler.stats().pending_spans, model.pending_spans() as u64);
        prop_assert_eq!(tail.sampler.pending_traces(), model.pending_traces());
        prop_assert!(tail.sampler.pending_traces() <= scenario.pending_traces);
        prop_assert!(
            tail.sampler.pending.store.in_use() <= scenario.pending_bytes
                || tail.sampler.pending_traces() == 0
        );
    }
    tail.decide_all();
    let last = grouped(model.decide_oldest(model.pending_traces()));
    assert_same(&account.leaves(tail.located()), &last, now)?;
    account.balances(&tail)?;
    let stats = tail.sampler.stats();
    prop_assert_eq!(stats.dropped_spans + stats.late_dropped, model.dropped_spans as u64);
    for (trace, taken) in &account.taken {
        let left = account.left.get(trace).copied().unwrap_or(0);
        prop_assert!(left == 0 || left == *taken, "{left} of {taken} spans of {trace} left");
    }
    prop_assert!(tail.sampler.pending.store.envelopes.is_empty());
    Ok(())
}

/// The first trace for which they differ, and how: all of it would be pages.
fn assert_same(left: &Grouped, expected: &Grouped, now: Nanos) -> Result<(), TestCaseError> {
    let keys = left.keys().chain(expected.keys());
    let Some(key) = keys.into_iter().find(|key| left.get(key) != expected.get(key)) else { return Ok(()) };
    let short = |spans: Option<&Vec<Span>>| {
        let short = |span: &Span| format!("{:?} {:?}", span.span_id, span.trace_state);
        spans.map(|spans| spans.iter().map(short).collect::<Vec<_>>())
    };
    let (left, expected) = (short(left.get(key)), short(expected.get(key)));
    Err(TestCaseError::fail(format!("at {now} ns, of trace {}: {left:?}, not {expected:?}", key.0)))
}

proptest! {
    // A seed cannot be made simpler.
    #![proptest_config(ProptestConfig {
        cases: 96,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_sampler_lets_out_what_the_model_lets_out(seed: u64) {
        run(seed)?;
    }
}
