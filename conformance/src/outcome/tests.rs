//! What is recognised, and what is noticed.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use super::*;

const EVERYTHING: Aspects = Aspects { threshold: true, randomness: true, policy: true };

/// What comes of the traffic if each span is changed like this.
fn arrivals(traffic: &Traffic, change: impl Fn(&mut Located)) -> Arrivals {
    let request = |sent: &Located| {
        let mut located = sent.clone();
        change(&mut located);
        let Located { mut resource, mut scope, span } = located;
        scope.spans.push(span);
        resource.scope_spans.push(scope);
        Bytes::from(ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec())
    };
    let spans = traffic.traces.iter().flat_map(|trace| &trace.spans);
    Senders::new(traffic)
        .recognise(Sort::Traces, &spans.map(|(_, sent)| request(sent)).collect::<Vec<_>>())
        .unwrap()
}

fn number_of_kind(traffic: &Traffic, kind: &str) -> usize {
    traffic.traces.iter().position(|trace| trace.kind == kind).unwrap()
}

#[test]
fn what_samplers_write_does_not_hide_a_span() {
    let traffic = Traffic::new(Sort::Traces).unwrap();
    let attribute = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let text = |value: &str| Value::StringValue(value.to_owned());
    let recorded = [
        attribute(POLICY, text("mix")),
        attribute(PART, text("slow")),
        attribute(LATE, Value::BoolValue(true)),
    ];
    let arrivals = arrivals(&traffic, |located| {
        located.span.attributes.extend(recorded.clone());
        if located.span.trace_state.is_empty() {
            "ot=th:8;rv:90000000000000".clone_into(&mut located.span.trace_state);
        }
    });
    assert_eq!((arrivals.strangers.len(), arrivals.without_schema), (0, 0));
    let outcome = arrivals.outcome(&traffic, EVERYTHING);
    assert_eq!(outcome.fates.len(), traffic.traces.len());
    assert_eq!(
        outcome.fates[&number_of_kind(&traffic, "no-property")],
        "kept, th 8, rv 90000000000000, by mix/slow late"
    );
}

#[test]
fn changed_spans_are_strangers_and_lost_schema_urls_are_noticed() {
    let traffic = Traffic::new(Sort::Traces).unwrap();
    let changed = arrivals(&traffic, |located| located.span.flags ^= 1 << 20);
    assert_eq!(changed.spans(), 0);
    let lost = arrivals(&traffic, |located| located.scope.schema_url.clear());
    assert!(lost.strangers.is_empty() && lost.without_schema > 0);
}

#[test]
fn lost_and_repeated_spans_are_noticed() {
    let traffic = Traffic::new(Sort::Traces).unwrap();
    let senders = Senders::new(&traffic);
    let outcome = |acts: &[&[Bytes]]| {
        senders.recognise(Sort::Traces, &acts.concat()).unwrap().outcome(&traffic, Aspects::default()).fates
    };
    let [first, second] = &traffic.acts;
    let late = number_of_kind(&traffic, "late-failure");
    assert!(outcome(&[first, second]).values().all(|fate| fate == WHOLE));
    assert_eq!(outcome(&[first])[&late], "kept 0 of 2");
    assert_eq!(outcome(&[first, second, second])[&late], "kept, 1 more than once");
}
