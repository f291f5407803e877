//! The configuration that comes of it.

use std::time::Duration;

use forebay_config::{Diagnostics, Entry, Location, Node, Value};

use crate::settings::Settings;

/// An `adaptive_tail_sampling` processor.
#[derive(Clone, Debug)]
pub(crate) struct Processor {
    /// `None` for the default environment's.
    pub(crate) name: Option<String>,
    pub(crate) rules: Vec<Node>,
}

/// A whole configuration, in which the first processor stands in a pipeline.
pub(crate) fn configuration(settings: &Settings, processors: Vec<Processor>) -> Node {
    let id = |name: Option<&str>| {
        name.map_or_else(
            || "adaptive_tail_sampling".to_owned(),
            |name| format!("adaptive_tail_sampling/{name}"),
        )
    };
    let first = processors.first().map(|processor| id(processor.name.as_deref()));
    let protocol = |address: &String| map([("endpoint", string(address))]);
    let protocols = [("grpc", &settings.grpc_address), ("http", &settings.http_address)];
    let protocols =
        protocols.into_iter().filter_map(|(name, address)| Some((name, protocol(address.as_ref()?))));
    let otlp = map([("protocols", map(protocols))]);
    let honeycomb = map([
        ("endpoint", string(&settings.honeycomb)),
        ("headers", map([("x-honeycomb-team", string("${env:HONEYCOMB_API_KEY:-}"))])),
    ]);
    let entry = |processor: Processor| (id(processor.name.as_deref()), sampler(settings, processor.rules));
    let pipeline = map([
        ("receivers", list([string("otlp")])),
        ("processors", list(first.iter().map(|id| string(id)))),
        ("exporters", list([string("otlp_http")])),
    ]);
    map([
        ("receivers", map([("otlp", otlp)])),
        ("processors", named(processors.into_iter().map(entry))),
        ("exporters", map([("otlp_http", honeycomb)])),
        ("service", map([("pipelines", map([("traces", pipeline)]))])),
    ])
}

fn sampler(settings: &Settings, rules: Vec<Node>) -> Node {
    let cache = map([
        ("sampled_cache_size", integer(settings.kept_size)),
        ("non_sampled_cache_size", integer(settings.dropped_size)),
    ]);
    map([
        ("trace_timeout", duration(settings.trace_timeout)),
        ("decision_delay", duration(settings.send_delay)),
        ("span_limit", integer(settings.span_limit)),
        ("decision_cache", cache),
        ("rules", list(rules)),
    ])
}

/// A mapping.
pub(crate) fn map(entries: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
    named(entries.into_iter().map(|(key, value)| (key.to_owned(), value)))
}

fn named(entries: impl IntoIterator<Item = (String, Node)>) -> Node {
    let entry = |(key, value)| Entry { key, key_at: nowhere(), value };
    node(Value::Map(entries.into_iter().map(entry).collect()))
}

/// A sequence.
pub(crate) fn list(items: impl IntoIterator<Item = Node>) -> Node {
    node(Value::List(items.into_iter().collect()))
}

/// A string.
pub(crate) fn string(value: &str) -> Node {
    node(Value::String(value.to_owned()))
}

/// A number, without a point if it is whole.
pub(crate) fn number(value: f64) -> Node {
    #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
    let whole = value as i64;
    #[expect(clippy::cast_precision_loss, reason = "is asked just for that")]
    let is_whole = whole as f64 == value;
    node(if is_whole { Value::Int(whole) } else { Value::Float(value) })
}

/// A count.
pub(crate) fn integer(value: u64) -> Node {
    node(Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

/// A duration as Go writes it.
pub(crate) fn duration(value: Duration) -> Node {
    let text = if value.subsec_nanos() == 0 {
        format!("{}s", value.as_secs())
    } else if value.subsec_nanos().is_multiple_of(1_000_000) {
        format!("{}ms", value.as_millis())
    } else {
        format!("{}ns", value.as_nanos())
    };
    string(&text)
}

fn node(value: Value) -> Node {
    Node::new(value, nowhere())
}

/// What is made here stands in no text.
fn nowhere() -> Location {
    Location::start_of(Diagnostics::new().add_source("", ""))
}
