//! Conditions made at random, asked of spans made at random: a set answers as somebody would who decodes the
//! whole span with `prost` and looks up one value after the other.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod oracle {
    pub(crate) mod model;
    pub(crate) mod naive;
}
#[expect(dead_code, reason = "another test has other questions")]
mod spans;

use forebay_ottl::{Condition, ConditionMask, ConditionSet, Context, Scratch, Subject};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use proptest::prelude::*;
use prost::Message;

use oracle::model::{Test, resource_spans, tests};
use oracle::naive::{Scene, holds};
use spans::{NOW, spans_of};

/// What is told of the one span of a request, in order.
type Told = Vec<(usize, bool)>;

fn by_set(conditions: &[(Context, Test)], asked: ConditionMask, request: &[u8]) -> Told {
    let mut set = ConditionSet::default();
    for (context, test) in conditions {
        let source = test.to_string();
        set.add(Condition::parse(&source, *context).unwrap_or_else(|error| panic!("{source}: {error}")))
            .unwrap();
    }
    let spans = spans_of(request);
    let envelope = set.envelope(&spans[0].resource, &spans[0].scope);
    let subject = Subject { span: &spans[0].body, envelope: &envelope, now_unix_nano: NOW };
    let mut told = Vec::new();
    set.evaluate(&subject, asked, &mut Scratch::default(), |index, answer| {
        told.push((index, answer.is_ok()))
    });
    told
}

fn by_hand(conditions: &[(Context, Test)], asked: ConditionMask, resource: &ResourceSpans) -> Told {
    let scope = &resource.scope_spans[0];
    let span = &scope.spans[0];
    let mut told = Vec::new();
    let mut ask = |context: Context, event| {
        let scene = Scene { resource, scope, span, event };
        for (index, (_, test)) in conditions.iter().enumerate().filter(|(_, (of, _))| *of == context) {
            let done = event.is_some() && told.contains(&(index, true));
            match holds(test, &scene) {
                Ok(false) => {}
                answer if asked.contains(index) && !done => told.push((index, answer.is_ok())),
                _ => {}
            }
        }
    };
    ask(Context::Span, None);
    for event in &span.events {
        ask(Context::SpanEvent, Some(event));
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_set_answers_as_looking_up_one_by_one_does(
        resource in resource_spans(),
        of_spans in prop::collection::vec(tests(Context::Span), 0..8),
        of_events in prop::collection::vec(tests(Context::SpanEvent), 0..4),
        asked in any::<u128>(),
    ) {
        let of_spans = of_spans.into_iter().map(|test| (Context::Span, test));
        let of_events = of_events.into_iter().map(|test| (Context::SpanEvent, test));
        let conditions: Vec<_> = of_spans.chain(of_events).collect();
        let request = ExportTraceServiceRequest { resource_spans: vec![resource.clone()] }.encode_to_vec();
        for asked in [ConditionMask::ALL, ConditionMask::from_bits(asked)] {
            prop_assert_eq!(
                by_set(&conditions, asked, &request),
                by_hand(&conditions, asked, &resource),
                "{}", conditions.iter().map(|(_, test)| test.to_string()).collect::<Vec<_>>().join("\n")
            );
        }
    }
}
