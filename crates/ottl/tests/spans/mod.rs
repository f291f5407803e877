//! Spans to ask conditions of, and asking them.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use forebay_otlp::attribute::attribute_messages;
use forebay_otlp::{Envelopes, Signal, json};
use forebay_ottl::{Condition, ConditionMask, ConditionSet, Scratch, Subject};

/// A span's message, and what describes its resource and its scope.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) body: Vec<u8>,
    pub(crate) resource: Vec<u8>,
    pub(crate) scope: Vec<u8>,
}

/// The time that spans are looked at.
pub(crate) const NOW: u64 = 1_800_000_000_000_000_000;

/// The spans of an OTLP/JSON request.
pub(crate) fn spans(text: &str) -> Vec<Span> {
    spans_of(&json::decode(Signal::Traces, text.as_bytes()).unwrap())
}

/// The spans of a request.
pub(crate) fn spans_of(request: &[u8]) -> Vec<Span> {
    let mut bodies = Vec::new();
    let envelopes = Envelopes::walk(request, |envelope, range| {
        bodies.push((envelope, range));
        Ok(true)
    })
    .unwrap();
    let spans = bodies.into_iter().map(|(envelope, range)| Span {
        body: request[range.start as usize..range.end as usize].to_vec(),
        resource: envelopes.resource_parts(request, envelope).flatten().copied().collect(),
        scope: envelopes.scope_parts(request, envelope).flatten().copied().collect(),
    });
    spans.collect()
}

/// What asking a condition of a span tells: `true` or `error`, or nothing; of its events, for each one of them
/// until it is `true`.
pub(crate) fn ask(condition: &Condition, span: &Span) -> Vec<&'static str> {
    let mut set = ConditionSet::default();
    set.add(condition.clone()).unwrap();
    let envelope = set.envelope(&span.resource, &span.scope);
    let subject = Subject { span: &span.body, envelope: &envelope, now_unix_nano: NOW };
    let mut told = Vec::new();
    set.evaluate(&subject, ConditionMask::ALL, &mut Scratch::default(), |_, answer| {
        told.push(if answer.is_ok() { "true" } else { "error" });
    });
    told
}

/// How many events a span has.
pub(crate) fn events(span: &Span) -> usize {
    const EVENTS: u32 = 11;
    attribute_messages(&span.body, EVENTS).count()
}
