//! Single spans and log records, for samplers that look at each alone.
//!
//! The kinds are what such an item can say of sampling, well and badly: in its trace state or the attributes that a
//! log record has instead, and as a priority.

use opentelemetry_proto::tonic::common::v1::{KeyValueList, any_value::Value};

use super::generated::{attribute, list, plain, text};
use super::random::Random;
use super::{Act, Trace};

/// Changing it makes the golden files stale.
const SEED: u64 = 7;
/// How many items of each kind there are: ids differ.
const OF_EACH_KIND: usize = 3;

/// What an item of a kind has.
struct Kind {
    name: String,
    trace_state: String,
    attributes: Vec<(&'static str, Value)>,
    /// Whether it belongs to a trace.
    in_trace: bool,
}

/// Trace states that can be read, by the Collector or by Forebay.
const STATES: [&str; 27] = [
    "",
    "a=b",
    " a=b , ot=th:8;rv:90000000000000 ,c=d",
    "a=b,,c=d",
    "ot=th:0",
    "ot=th:4",
    "ot=th:8",
    "ot=th:c",
    "ot=th:ff",
    "ot=rv:00000000000000",
    "ot=rv:7fffffffffffff",
    "ot=rv:80000000000000",
    "ot=rv:ffffffffffffff",
    "ot=th:0;rv:90000000000000",
    "ot=th:8;rv:90000000000000",
    "ot=rv:d0000000000000;th:8",
    "ot=th:80000000000000;rv:ffffffffffffff",
    "ot=th:b3333333333334;rv:ffffffffffffff",
    "ot=th:fff8;rv:ffffffffffffff",
    "ot=th:ffffffffffffff;rv:ffffffffffffff",
    "ot=th:8;rv:d0000000000000;x:y",
    "ot=x:y;th:8;z:1;rv:d0000000000000",
    "a=b,ot=th:8;rv:d0000000000000,c=d",
    "ot=th:8;rv:7fffffffffffff",
    "ot=th:c;rv:80000000000000",
    "ot=x:;th:8;rv:d0000000000000",
    "OT=th:8",
];

/// Trace states that break a rule.
const BROKEN: [&str; 22] = [
    "=",
    "a",
    "ot=",
    "ot=x",
    "ot=th:",
    "ot=th:G",
    "ot=th:8G",
    "ot=th:000000000000000",
    "ot=th:C;rv:d0000000000000",
    "ot=rv:8",
    "ot=rv:800000000000000",
    "ot=rv:8000000000000G",
    "ot=rv:D0000000000000",
    "ot=th:8;th:c;rv:f0000000000000",
    "ot=rv:f0000000000000;rv:80000000000000",
    "ot=th:8;rv:f0000000000000;",
    "ot=;th:8",
    "ot=th:8;;rv:f0000000000000",
    "ot=th:8; rv:f0000000000000",
    "ot=X:y;th:8;rv:f0000000000000",
    "ot=x:y z;th:8;rv:f0000000000000",
    "ot=th:8,ot=th:c",
];

/// Every span, as a trace of its own.
pub(super) fn spans() -> Vec<Trace> {
    let state = |state: &str| Kind::new(format!("state {state}")).state(state);
    let mut kinds: Vec<_> = STATES.into_iter().chain(BROKEN).map(state).collect();
    kinds.push(Kind::new("state of 33 members").state(&vec!["a=b"; 33].join(",")));
    kinds.push(Kind::new("state of long ot").state(&format!("ot=x:{};th:8", "y".repeat(260))));
    let priority =
        |(name, value)| Kind::new(format!("priority {name}")).attribute("sampling.priority", value);
    kinds.extend(values().map(priority));
    for state in ["ot=th:c;rv:d0000000000000", "ot=th:c;rv:80000000000000", "ot=th:G", "ot=rv:00000000000000"]
    {
        for value in [0, 1] {
            let kind = Kind::new(format!("priority {value} with {state}")).state(state);
            kinds.push(kind.attribute("sampling.priority", Value::IntValue(value)));
        }
    }
    numbered(kinds)
}

/// Every log record, as the span that it stands for.
pub(super) fn records() -> Vec<Trace> {
    let mut kinds = vec![Kind::new("plain"), Kind::new("no trace").without_trace()];
    for in_trace in [true, false] {
        let prefix = if in_trace { "" } else { "no trace, " };
        let mut add = |name: &str, attributes: &[(&'static str, Value)]| {
            let mut kind = Kind::new(format!("{prefix}{name}"));
            kind.attributes = attributes.to_vec();
            kind.in_trace = in_trace;
            kinds.push(kind);
        };
        for threshold in ["", "0", "8", "c", "ff", "b3333333333334", "G", "C", "000000000000000"] {
            add(&format!("th {threshold}"), &[("sampling.threshold", text(threshold))]);
        }
        for randomness in [
            "",
            "00000000000000",
            "80000000000000",
            "ffffffffffffff",
            "8",
            "8000000000000G",
            "D0000000000000",
        ] {
            add(&format!("rv {randomness}"), &[("sampling.randomness", text(randomness))]);
        }
        for (threshold, randomness) in [
            ("0", "90000000000000"),
            ("8", "d0000000000000"),
            ("c", "80000000000000"),
            ("G", "d0000000000000"),
        ] {
            let attributes =
                [("sampling.threshold", text(threshold)), ("sampling.randomness", text(randomness))];
            add(&format!("th {threshold}, rv {randomness}"), &attributes);
        }
        add("th as a number", &[("sampling.threshold", Value::IntValue(8))]);
        for (name, value) in values() {
            add(&format!("user {name}"), &[("user.id", value)]);
        }
        add("user alice twice", &[("user.id", text("alice")), ("user.id", text("bob"))]);
    }
    let percentages = [0, 1, 50, 100, 101, -1].map(|value| (value.to_string(), Value::IntValue(value)));
    let of_traffic = values().map(|(name, value)| (name.to_owned(), value));
    for (name, value) in percentages.into_iter().chain(of_traffic) {
        kinds.push(Kind::new(format!("priority {name}")).attribute("priority", value));
    }
    for value in [0, 50, 100] {
        let kind = Kind::new(format!("priority {value}")).attribute("priority", Value::IntValue(value));
        kinds.push(kind.and("no trace").without_trace());
        let kind = Kind::new(format!("priority {value}")).attribute("priority", Value::IntValue(value));
        let kind = kind.and("th c, rv d").attribute("sampling.threshold", text("c"));
        kinds.push(kind.attribute("sampling.randomness", text("d0000000000000")));
    }
    numbered(kinds)
}

/// Values of every type.
fn values() -> impl Iterator<Item = (&'static str, Value)> {
    let map = KeyValueList { values: vec![attribute("a", Value::IntValue(1))] };
    [
        ("int 0", Value::IntValue(0)),
        ("int 1", Value::IntValue(1)),
        ("int -1", Value::IntValue(-1)),
        ("int greatest", Value::IntValue(i64::MAX)),
        ("double 0", Value::DoubleValue(0.0)),
        ("double 0.5", Value::DoubleValue(0.5)),
        ("double -0.5", Value::DoubleValue(-0.5)),
        ("double 50.25", Value::DoubleValue(50.25)),
        ("double 1e21", Value::DoubleValue(1e21)),
        ("double 2.5e-7", Value::DoubleValue(2.5e-7)),
        ("string 0", text("0")),
        ("string 1", text("1")),
        ("string 0.5", text("0.5")),
        ("string -1", text("-1")),
        ("string 1e3", text("1e3")),
        ("string with space", text(" 1")),
        ("string high", text("high")),
        ("string empty", text("")),
        ("string inf", text("Inf")),
        ("string nan", text("NaN")),
        ("bool true", Value::BoolValue(true)),
        ("bool false", Value::BoolValue(false)),
        ("bytes", Value::BytesValue(b"1".to_vec())),
        ("list", list(vec![Value::IntValue(1)])),
        ("map", Value::KvlistValue(map)),
    ]
    .into_iter()
}

impl Kind {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), trace_state: String::new(), attributes: Vec::new(), in_trace: true }
    }

    fn and(mut self, more: &str) -> Self {
        self.name = format!("{}, {more}", self.name);
        self
    }

    fn state(mut self, trace_state: &str) -> Self {
        trace_state.clone_into(&mut self.trace_state);
        self
    }

    fn attribute(mut self, key: &'static str, value: Value) -> Self {
        self.attributes.push((key, value));
        self
    }

    fn without_trace(mut self) -> Self {
        self.in_trace = false;
        self
    }
}

/// Items of each kind; the number of each is an attribute, by which it is recognised.
fn numbered(kinds: Vec<Kind>) -> Vec<Trace> {
    let mut random = Random::new(SEED);
    let mut traces = Vec::new();
    for kind in kinds {
        for _ in 0..OF_EACH_KIND {
            let number = traces.len().to_string();
            let id = [random.number().to_be_bytes(), random.number().to_be_bytes()].concat();
            let mut draft = plain().state(&kind.trace_state).attribute("number", text(&number));
            for (key, value) in &kind.attributes {
                draft = draft.attribute(key, value.clone());
            }
            draft.span.trace_id = if kind.in_trace { id } else { Vec::new() };
            draft.span.span_id = random.number().to_be_bytes().to_vec();
            traces.push(Trace { kind: kind.name.clone(), spans: vec![(Act::First, draft.located())] });
        }
    }
    traces
}
