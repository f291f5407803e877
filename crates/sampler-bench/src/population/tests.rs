use forebay_otlp::wire::{put_bytes, put_fixed64};
use proptest::prelude::*;

use super::*;
use crate::generate::encode;

/// A span: its trace, its id, its parent's, when it starts and ends, and its trace state.
type Draft = (u128, u64, u64, u64, u64, &'static str);

fn request(service: &str, spans: &[Draft]) -> Vec<u8> {
    let mut resource = Vec::new();
    encode::string_attribute(&mut resource, 1, "service.name", service);
    let span = |&(trace, id, parent, start, end, state): &Draft| {
        let mut span = Vec::new();
        put_bytes(&mut span, 1, &trace.to_be_bytes());
        put_bytes(&mut span, 2, &id.to_be_bytes());
        put_bytes(&mut span, 3, state.as_bytes());
        if parent != 0 {
            put_bytes(&mut span, 4, &parent.to_be_bytes());
        }
        put_bytes(&mut span, 5, b"work");
        put_fixed64(&mut span, 7, start);
        put_fixed64(&mut span, 8, end);
        span
    };
    encode::request(&resource, "test", &spans.iter().map(span).collect::<Vec<_>>())
}

fn population(requests: &[(u32, Vec<u8>)]) -> (Population, Oddities) {
    let (mut builder, mut oddities) = (PopulationBuilder::default(), Oddities::default());
    for (file, request) in requests {
        let index = SpanIndex::scan(request).unwrap();
        builder.add(request, &index, *file, &mut oddities);
    }
    (builder.finish(None, &mut oddities), oddities)
}

#[test]
fn a_trace_is_gathered_from_the_requests_of_several_services() {
    let requests = [(0, request("b", &[(7, 2, 1, 20, 30, "")])), (0, request("a", &[(7, 1, 0, 10, 50, "")]))];
    let (population, oddities) = population(&requests);
    assert_eq!(oddities, Oddities::default());
    let trace = &population.traces[0];
    assert_eq!((trace.sent, trace.start, trace.end, trace.spans.len()), (2, 10, 50, 2));
    assert_eq!(population.operations[trace.entry as usize], "a work");
}

#[test]
fn oddities_are_counted_and_duplicates_are_sent_but_not_facts() {
    let twice = request("a", &[(7, 1, 0, 10, 50, ""), (7, 1, 0, 10, 50, ""), (8, 5, 4, 9, 3, "")]);
    let late = request("a", &[(7, 2, 1, 10 + 2 * MINUTE, 11 + 2 * MINUTE, "")]);
    let (population, oddities) = population(&[(0, twice), (1, late)]);
    let expected = Oddities {
        duplicate_spans: 1,
        negative_durations: 1,
        rootless_traces: 1,
        split_traces: 1,
        skewed_spans: 1,
        ..Oddities::default()
    };
    assert_eq!(oddities, expected);
    assert_eq!((population.traces[0].sent, population.traces[0].spans.len()), (3, 2));
    assert_eq!(population.traces[1].seconds(), 0.0);
}

#[test]
fn traces_of_one_shape_are_of_one_type_whatever_their_ids() {
    let spans = [
        (1, 1, 0, 0, 9, ""),
        (1, 2, 1, 1, 2, ""),
        (2, 8, 0, 0, 5, ""),
        (2, 9, 8, 1, 4, ""),
        (3, 1, 0, 0, 1, ""),
    ];
    let (population, _) = population(&[(0, request("a", &spans))]);
    let kinds: Vec<_> = population.traces.iter().map(|trace| trace.kind).collect();
    assert_eq!((population.kinds, kinds), (2, vec![0, 0, 1]));
}

#[test]
fn the_threshold_that_a_trace_came_with_is_known() {
    let (population, _) =
        population(&[(0, request("a", &[(1, 1, 0, 0, 9, "ot=th:8"), (2, 1, 0, 0, 9, "")]))]);
    assert_eq!(population.traces[0].threshold.probability(), 0.5);
    assert_eq!(population.traces[1].threshold, Threshold::ALWAYS);
}

proptest! {
    #[test]
    fn every_distinct_span_belongs_to_exactly_one_trace(ids in prop::collection::vec((1..6_u128, 1..9_u64, 0..9_u64), 1..40)) {
        let spans: Vec<_> = ids.iter().map(|&(trace, id, parent)| (trace, id, parent, id, id + 5, "")).collect();
        let (population, oddities) = population(&[(0, request("a", &spans))]);
        let distinct: std::collections::BTreeSet<_> = ids.iter().map(|&(trace, id, _)| (trace, id)).collect();
        prop_assert_eq!(population.spans.len(), distinct.len());
        prop_assert_eq!(oddities.duplicate_spans, (ids.len() - distinct.len()) as u64);
        let sent: u32 = population.traces.iter().map(|trace| trace.sent).sum();
        prop_assert_eq!(sent as usize, ids.len());
        for trace in &population.traces {
            prop_assert!(trace.start <= trace.end && !trace.spans.is_empty());
        }
    }
}
