//! Spans of few traces and few properties at random, made from a seed: a failure is told by one number.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use proptest::collection::vec;
use proptest::option;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::testing::{ResourceSpans, ScopeSpans, Value, attribute, encode, random, text};

pub(super) const TRACES: usize = 12;
const ENVELOPES: usize = 5;

/// Trace states as they may come.
pub(super) const TRACE_STATES: &[&str] = &[
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
];

/// Spans that come together.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Nanoseconds after the one before.
    pub(super) gap: Nanos,
    pub(super) spans: Vec<Shape>,
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    trace: usize,
    envelope: usize,
    start: u64,
    duration: u64,
    status: Option<i32>,
    trace_state: &'static str,
    attribute: Option<(&'static str, Value)>,
    child: bool,
    flags: u32,
    event: Option<&'static str>,
    /// Length of the name.
    length: usize,
}

/// Numbers spans, and knows which traces there are.
#[derive(Debug)]
pub(super) struct Encoder {
    pub(super) trace_ids: Vec<TraceId>,
    spans: u64,
}

/// What the strategy makes of a seed.
pub(super) fn of_seed<S: Strategy>(strategy: &S, seed: u64) -> S::Value {
    let bytes: Vec<u8> = random(seed).take(4).flat_map(u64::to_le_bytes).collect();
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    strategy.new_tree(&mut runner).unwrap().current()
}

/// Requests of spans with some of these trace states.
pub(super) fn requests(trace_states: &'static [&'static str]) -> impl Strategy<Value = Vec<Request>> {
    // A clock that stands still, that ticks, and that has slept.
    let gap = prop_oneof![
        20 => Just(0),
        20 => 0..20 * MILLISECOND,
        20 => 0..6 * SECOND,
        1 => 0..10_000 * SECOND,
    ];
    let request = (gap, vec(shape(trace_states), 1..12)).prop_map(|(gap, spans)| Request { gap, spans });
    vec(request, 1..80)
}

fn shape(trace_states: &'static [&'static str]) -> impl Strategy<Value = Shape> {
    let value = prop_oneof![
        select(vec!["a", "abc", "", "xa"]).prop_map(text),
        (-6..9_i64).prop_map(Value::IntValue),
        (-6.0..9.0_f64).prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
    ];
    let trace_state = prop_oneof![4 => Just(""), 3 => select(trace_states)];
    let times = (0..3 * SECOND, prop_oneof![Just(0), 0..3 * SECOND]);
    let lengths = prop_oneof![3 => 0..50_usize, 2 => 0..20_000_usize];
    let attribute = option::of((select(vec!["key", "n", "flag", "other"]), value));
    let kind =
        (prop::bool::weighted(0.7), select(vec![0, 0, 1, 2]), option::of(select(vec!["exception", "retry"])));
    (0..TRACES, 0..ENVELOPES, times, option::of(0..4_i32), trace_state, attribute, kind, lengths).prop_map(
        |(
            trace,
            envelope,
            (start, duration),
            status,
            trace_state,
            attribute,
            (child, flags, event),
            length,
        )| Shape {
            trace,
            envelope,
            start,
            duration,
            status,
            trace_state,
            attribute,
            child,
            flags,
            event,
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

impl Encoder {
    /// Any traces.
    pub(super) fn new(seed: u64) -> Self {
        let ids = random(seed)
            .zip(random(!seed))
            .map(|(high, low)| TraceId(u128::from(high) << 64 | u128::from(low)));
        Self { trace_ids: ids.take(TRACES).collect(), spans: 0 }
    }

    pub(super) fn request(&mut self, spans: &[Shape]) -> Vec<u8> {
        let runs = spans.chunk_by(|a, b| a.envelope == b.envelope);
        let envelopes =
            runs.map(|run| envelope(run[0].envelope, run.iter().map(|shape| self.span(shape)).collect()));
        encode(envelopes.collect())
    }

    fn span(&mut self, shape: &Shape) -> Span {
        self.spans += 1;
        let event = |name: &str| Event { name: name.to_owned(), ..Event::default() };
        Span {
            name: "n".repeat(shape.length),
            start_time_unix_nano: SECOND + shape.start,
            end_time_unix_nano: SECOND + shape.start + shape.duration,
            status: shape.status.map(|code| Status { code, ..Status::default() }),
            attributes: shape.attribute.iter().map(|(key, value)| attribute(key, value.clone())).collect(),
            parent_span_id: if shape.child { vec![1; 8] } else { Vec::new() },
            flags: shape.flags,
            events: shape.event.into_iter().map(event).collect(),
            ..span_with_state(self.trace_ids[shape.trace], self.spans, shape.trace_state)
        }
    }
}
