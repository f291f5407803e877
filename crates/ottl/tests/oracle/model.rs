//! Conditions and spans of few names and values, so that they meet.

use std::fmt;

use forebay_ottl::Context;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Wire;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;

/// Something true or false.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Compare(Operand, &'static str, Operand),
    IsString(Operand),
    IsMatch(Operand, &'static str),
    HasPrefix(Operand, &'static str),
    IsRootSpan,
    Not(Box<Test>),
    And(Vec<Test>),
    Or(Vec<Test>),
}

/// Something with a value.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Nil,
    Int(i64),
    Float(f64),
    Bool(bool),
    Text(&'static str),
    Attribute(Level, &'static str),
    Element(Level, &'static str, Key),
    Len(Level),
    SpanName,
    EventName,
    ScopeName,
    Kind,
    StatusCode,
    Milliseconds,
}

/// Whose attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Span,
    Event,
    Resource,
    Scope,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Name(&'static str),
    Position(usize),
}

const KEYS: [&str; 4] = ["a", "b", "key", ""];
const TEXTS: [&str; 4] = ["", "a", "ab", "b"];

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join = |f: &mut fmt::Formatter<'_>, tests: &[Self], word: &str| {
            let tests: Vec<_> = tests.iter().map(|test| format!("({test})")).collect();
            f.write_str(&tests.join(word))
        };
        match self {
            Self::Compare(left, operator, right) => write!(f, "{left} {operator} {right}"),
            Self::IsString(of) => write!(f, "IsString({of})"),
            Self::IsMatch(of, pattern) => write!(f, "IsMatch({of}, {pattern:?})"),
            Self::HasPrefix(of, prefix) => write!(f, "HasPrefix({of}, {prefix:?})"),
            Self::IsRootSpan => f.write_str("IsRootSpan()"),
            Self::Not(test) => write!(f, "not ({test})"),
            Self::And(tests) => join(f, tests, " and "),
            Self::Or(tests) => join(f, tests, " or "),
        }
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("nil"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Attribute(level, key) => write!(f, "{}.attributes[{key:?}]", level.name()),
            Self::Element(level, key, Key::Name(name)) => {
                write!(f, "{}.attributes[{key:?}][{name:?}]", level.name())
            }
            Self::Element(level, key, Key::Position(position)) => {
                write!(f, "{}.attributes[{key:?}][{position}]", level.name())
            }
            Self::Len(level) => write!(f, "Len({}.attributes)", level.name()),
            Self::SpanName => f.write_str("span.name"),
            Self::EventName => f.write_str("spanevent.name"),
            Self::ScopeName => f.write_str("scope.name"),
            Self::Kind => f.write_str("span.kind"),
            Self::StatusCode => f.write_str("span.status.code"),
            Self::Milliseconds => f.write_str("Milliseconds(span.end_time - span.start_time)"),
        }
    }
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Event => "spanevent",
            Self::Resource => "resource",
            Self::Scope => "scope",
        }
    }
}

/// Tests that a context allows.
pub(crate) fn tests(context: Context) -> impl Strategy<Value = Test> {
    let operator = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let attribute = move || (levels(context), prop::sample::select(KEYS.to_vec()));
    let value = move || {
        let key = prop_oneof![
            prop::sample::select(KEYS.to_vec()).prop_map(Key::Name),
            (0..3_usize).prop_map(Key::Position)
        ];
        prop_oneof![
            4 => attribute().prop_map(|(level, key)| Operand::Attribute(level, key)),
            1 => (attribute(), key).prop_map(|((level, key), inner)| Operand::Element(level, key, inner)),
        ]
    };
    let literal = prop_oneof![
        Just(Operand::Nil),
        (-1..4_i64).prop_map(Operand::Int),
        (0..3_u8).prop_map(|half| Operand::Float(f64::from(half) / 2.0)),
        any::<bool>().prop_map(Operand::Bool),
        prop::sample::select(TEXTS.to_vec()).prop_map(Operand::Text),
        value(),
    ];
    let numbers = prop_oneof![
        levels(context).prop_map(Operand::Len),
        Just(Operand::Kind),
        Just(Operand::StatusCode),
        Just(Operand::Milliseconds)
    ];
    let event_name = if context == Context::Span { Operand::SpanName } else { Operand::EventName };
    let names = prop_oneof![Just(Operand::SpanName), Just(Operand::ScopeName), Just(event_name)];
    let leaf = prop_oneof![
        6 => (value(), operator(), literal).prop_map(|(left, operator, right)| Test::Compare(left, operator, right)),
        2 => (numbers, operator(), -1..4_i64).prop_map(|(left, operator, right)| {
            Test::Compare(left, operator, Operand::Int(right))
        }),
        2 => (names, operator(), prop::sample::select(TEXTS.to_vec())).prop_map(|(left, operator, right)| {
            Test::Compare(left, operator, Operand::Text(right))
        }),
        1 => value().prop_map(Test::IsString),
        1 => (value(), prop::sample::select(vec!["^a", "b$", "^[0-9]+$", "true", ""]))
            .prop_map(|(of, pattern)| Test::IsMatch(of, pattern)),
        1 => (value(), prop::sample::select(TEXTS.to_vec())).prop_map(|(of, prefix)| Test::HasPrefix(of, prefix)),
        1 => Just(Test::IsRootSpan),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|test| Test::Not(Box::new(test))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Test::And),
            prop::collection::vec(inner, 2..4).prop_map(Test::Or),
        ]
    })
}

fn levels(context: Context) -> impl Strategy<Value = Level> {
    let own = if context == Context::Span { Level::Span } else { Level::Event };
    prop::sample::select(vec![own, own, Level::Span, Level::Resource, Level::Scope])
}

/// A resource with one scope with one span.
pub(crate) fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource =
        prop::option::of(attributes().prop_map(|attributes| Resource { attributes, ..Resource::default() }));
    let scope = prop::option::of((name(), attributes()).prop_map(|(name, attributes)| {
        InstrumentationScope { name, attributes, ..InstrumentationScope::default() }
    }));
    (resource, scope, span()).prop_map(|(resource, scope, span)| ResourceSpans {
        resource,
        scope_spans: vec![ScopeSpans { scope, spans: vec![span], schema_url: String::new() }],
        schema_url: String::new(),
    })
}

fn span() -> impl Strategy<Value = Span> {
    let event =
        (name(), attributes()).prop_map(|(name, attributes)| Event { name, attributes, ..Event::default() });
    let status = prop::option::of((0..3_i32).prop_map(|code| Status { code, message: String::new() }));
    let shape = (name(), 0..4_i32, status, any::<bool>(), 0..4_000_000_u64);
    (shape, attributes(), prop::collection::vec(event, 0..4)).prop_map(
        |((name, kind, status, root, duration), attributes, events)| Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: if root { Vec::new() } else { vec![3; 8] },
            name,
            kind,
            start_time_unix_nano: 1_000,
            end_time_unix_nano: 1_000 + duration,
            attributes,
            events,
            status,
            ..Span::default()
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned)
}

/// Attributes, keys twice among them.
fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let attribute = (prop::sample::select(KEYS.to_vec()), any_value());
    prop::collection::vec(attribute, 0..5)
        .prop_map(|attributes| attributes.into_iter().map(|(key, value)| key_value(key, value)).collect())
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        1 => Just(None),
        3 => name().prop_map(|text| Some(Wire::StringValue(text))),
        3 => (-1..4_i64).prop_map(|number| Some(Wire::IntValue(number))),
        2 => (0..3_u8).prop_map(|half| Some(Wire::DoubleValue(f64::from(half) / 2.0))),
        2 => any::<bool>().prop_map(|value| Some(Wire::BoolValue(value))),
        1 => prop::collection::vec(0..2_u8, 0..2).prop_map(|bytes| Some(Wire::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    let list = prop::collection::vec(leaf.clone(), 0..3);
    let map = prop::collection::vec((prop::sample::select(KEYS.to_vec()), leaf.clone()), 0..3);
    prop_oneof![
        8 => leaf,
        1 => list.prop_map(|values| AnyValue { value: Some(Wire::ArrayValue(ArrayValue { values })) }),
        1 => map.prop_map(|entries| {
            let values = entries.into_iter().map(|(key, value)| key_value(key, value)).collect();
            AnyValue { value: Some(Wire::KvlistValue(KeyValueList { values })) }
        }),
    ]
}

fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
