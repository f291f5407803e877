//! Minutes of random traffic against the reference model.

use std::collections::HashMap;

use forebay_otlp::TraceId;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::collection::vec;
use proptest::option;
use proptest::sample::select;

use super::*;
use crate::testing::model::{Code, Grouped, Model, Rule, grouped, trace_of};
use crate::testing::{Located, ResourceSpans, ScopeSpans, Value, attribute, decode, encode, text};

const TRACES: usize = 12;
const ENVELOPES: usize = 5;

/// A run of the sampler.
#[derive(Clone, Debug)]
struct Scenario {
    rules: Vec<Rule>,
    /// In milliseconds.
    wait: u64,
    pending_bytes: usize,
    pending_traces: usize,
    trace_ids: Vec<u128>,
    requests: Vec<Request>,
}

#[derive(Clone, Debug)]
struct Request {
    /// Nanoseconds after the one before.
    gap: Nanos,
    spans: Vec<Shape>,
}

#[derive(Clone, Debug)]
struct Shape {
    trace: usize,
    envelope: usize,
    start: u64,
    duration: u64,
    status: Option<i32>,
    trace_state: &'static str,
    attribute: Option<(&'static str, Value)>,
    /// Length of the name.
    length: usize,
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let bytes = prop_oneof![2 => Just(usize::MAX), 1 => Just(1), 3 => 2 * SEGMENT_BYTES..6 * SEGMENT_BYTES];
    let traces = prop_oneof![3 => Just(usize::MAX), 1 => 1..TRACES];
    (vec(rule(), 1..4), 0..20_000_u64, bytes, traces, vec(1..=u128::MAX, TRACES), vec(incoming(), 1..80))
        .prop_map(|(rules, wait, pending_bytes, pending_traces, trace_ids, requests)| Scenario {
            rules,
            wait,
            pending_bytes,
            pending_traces,
            trace_ids,
            requests,
        })
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
        3 => (key(), bounds, any::<bool>()).prop_map(|(key, (min, max), invert)| Rule::Number { key, min, max, invert }),
    ];
    prop_oneof![3 => leaf.clone(), 1 => vec(leaf, 1..4).prop_map(Rule::And)]
}

fn incoming() -> impl Strategy<Value = Request> {
    let gap = prop_oneof![Just(0), 0..20 * MILLISECOND, 0..6 * SECOND];
    (gap, vec(shape(), 1..12)).prop_map(|(gap, spans)| Request { gap, spans })
}

fn shape() -> impl Strategy<Value = Shape> {
    let value = prop_oneof![
        select(vec!["a", "abc", "", "xa"]).prop_map(text),
        (-6..9_i64).prop_map(Value::IntValue),
        (-6.0..9.0_f64).prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
    ];
    let trace_state = prop_oneof![
        4 => Just(""),
        3 => select(vec![
            "a=1",
            "ot=th:8",
            "ot=th:0;x:y,a=1",
            "a=1,ot=th:c",
            "ot=rv:a0000000000000",
            "ot=th:c;rv:d0000000000000",
            "ot=th:e;rv:d0000000000000",
            "ot=th:XYZ;x:y",
            "ot=rv:D0000000000000",
            "ot=th:c;th:8",
            "=bad",
        ]),
    ];
    let times = (0..3 * SECOND, prop_oneof![Just(0), 0..3 * SECOND]);
    let lengths = prop_oneof![3 => 0..50_usize, 2 => 0..20_000_usize];
    let attribute = option::of((select(vec!["key", "n", "other"]), value));
    (0..TRACES, 0..ENVELOPES, times, option::of(0..4_i32), trace_state, attribute, lengths).prop_map(
        |(trace, envelope, (start, duration), status, trace_state, attribute, length)| Shape {
            trace,
            envelope,
            start,
            duration,
            status,
            trace_state,
            attribute,
            length,
        },
    )
}

/// A resource with a scope of `spans`: without either, two scopes of one resource, and two resources that policies see.
fn envelope(number: usize, spans: Vec<Span>) -> ResourceSpans {
    let scope = |name: &str, spans| ScopeSpans {
        scope: Some(InstrumentationScope { name: name.to_owned(), ..InstrumentationScope::default() }),
        spans,
        schema_url: String::new(),
    };
    let resource = |attributes, schema_url: &str, scope| ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![scope],
        schema_url: schema_url.to_owned(),
    };
    let shop = || vec![attribute("service.name", text("shop"))];
    match number {
        0 => resource(shop(), "https://1", scope("http", spans)),
        1 => resource(shop(), "https://1", scope("sql", spans)),
        2 => resource(vec![attribute("key", text("a"))], "", scope("http", spans)),
        3 => resource(vec![attribute("n", Value::IntValue(7))], "", scope("http", spans)),
        _ => ResourceSpans {
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        },
    }
}

impl Scenario {
    fn encode(&self, spans: &[Shape], number: &mut u64) -> Vec<u8> {
        let runs = spans.chunk_by(|a, b| a.envelope == b.envelope);
        encode(
            runs.map(|run| {
                envelope(run[0].envelope, run.iter().map(|shape| self.span(shape, number)).collect())
            })
            .collect(),
        )
    }

    fn span(&self, shape: &Shape, number: &mut u64) -> Span {
        *number += 1;
        Span {
            name: "n".repeat(shape.length),
            start_time_unix_nano: SECOND + shape.start,
            end_time_unix_nano: SECOND + shape.start + shape.duration,
            status: shape.status.map(|code| Status { code, ..Status::default() }),
            attributes: shape.attribute.iter().map(|(key, value)| attribute(key, value.clone())).collect(),
            ..span_with_state(TraceId(self.trace_ids[shape.trace]), *number, shape.trace_state)
        }
    }
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

fn run(scenario: &Scenario) -> Result<(), TestCaseError> {
    let mut model = Model::new(scenario.rules.clone(), scenario.wait * MILLISECOND);
    let mut tail = Tail::with(Settings {
        decision_wait: scenario.wait * MILLISECOND,
        pending_bytes: scenario.pending_bytes,
        pending_traces: scenario.pending_traces,
        ..settings(&Model::yaml(&scenario.rules), Compatibility::default())
    });
    let mut account = Account::default();
    let (mut now, mut number) = (0, 0);
    for Request { gap, spans } in &scenario.requests {
        now += gap;
        tail.decide_due(now);
        prop_assert_eq!(account.leaves(tail.located()), grouped(model.decide_due(now)), "at {}", now);

        let request = scenario.encode(spans, &mut number);
        let spans = decode(&request);
        spans.iter().for_each(|located| *account.taken.entry(trace_of(&located.span)).or_default() += 1);
        let early = tail.sampler.stats().early_decisions;
        tail.accept(now, &request);
        // Which are decided early is for the sampler to say in number only: they are the oldest.
        let early = usize::try_from(tail.sampler.stats().early_decisions - early).unwrap();
        let mut expected = model.accept(now, spans);
        expected.extend(model.decide_oldest(early));
        prop_assert_eq!(account.leaves(tail.located()), grouped(expected), "at {}", now);

        account.balances(&tail)?;
        prop_assert_eq!(tail.sampler.stats().pending_spans, model.pending_spans() as u64);
        prop_assert_eq!(tail.sampler.pending_traces(), model.pending_traces());
        prop_assert!(tail.sampler.pending_traces() <= scenario.pending_traces);
        prop_assert!(
            tail.sampler.store.in_use() <= scenario.pending_bytes || tail.sampler.pending_traces() == 0
        );
    }
    tail.decide_all();
    prop_assert_eq!(account.leaves(tail.located()), grouped(model.decide_oldest(model.pending_traces())));
    account.balances(&tail)?;
    let stats = tail.sampler.stats();
    prop_assert_eq!(stats.dropped_spans + stats.late_dropped, model.dropped_spans as u64);
    for (trace, taken) in &account.taken {
        let left = account.left.get(trace).copied().unwrap_or(0);
        prop_assert!(left == 0 || left == *taken, "{left} of {taken} spans of {trace} left");
    }
    prop_assert!(tail.sampler.store.envelopes.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_sampler_lets_out_what_the_model_lets_out(scenario in scenario()) {
        run(&scenario)?;
    }
}
