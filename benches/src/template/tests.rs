use std::collections::{HashMap, HashSet};

use super::*;

const SHAPE: Shape = Shape { seed: 7, errors: 0.05, slow: 0.08, start: FIXED_TIME };

fn decoded(template: &Template) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(&template.bytes[..]).unwrap();
    request.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans).collect()
}

fn by_trace(spans: Vec<Span>) -> HashMap<Vec<u8>, Vec<Span>> {
    let mut traces: HashMap<_, Vec<_>> = HashMap::new();
    for span in spans {
        traces.entry(span.trace_id.clone()).or_default().push(span);
    }
    traces
}

#[test]
fn requests_have_the_size_the_comparison_is_defined_by() {
    for template in templates(&SHAPE).unwrap() {
        let per_span = template.bytes.len() / SPANS;
        assert!((398..=408).contains(&per_span), "{per_span} bytes per span");
    }
}

#[test]
fn renewed_requests_hold_whole_new_traces_and_are_otherwise_the_same() {
    let mut template = templates(&SHAPE).unwrap().remove(0);
    template.renew(7, 1);
    let first = decoded(&template);
    template.renew(7, 2);
    let second = decoded(&template);

    for (before, after) in first.iter().zip(&second) {
        let ids = |span: &Span| (span.trace_id.clone(), span.span_id.clone());
        assert_ne!(ids(before), ids(after));
        let without = |span: &Span| Span {
            trace_id: Vec::new(),
            span_id: Vec::new(),
            parent_span_id: Vec::new(),
            ..span.clone()
        };
        assert_eq!(without(before), without(after));
    }
    let traces = by_trace(second);
    assert_eq!(traces.len(), TRACES);
    for spans in traces.values() {
        assert_eq!(spans.len(), SPANS_PER_TRACE);
        let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
        assert_eq!(ids.len(), SPANS_PER_TRACE);
        let (roots, children): (Vec<_>, Vec<_>) =
            spans.iter().partition(|span| span.parent_span_id.is_empty());
        assert_eq!(roots.len(), 1);
        assert!(children.iter().all(|span| ids.contains(&span.parent_span_id)));
    }
}

#[test]
fn ids_depend_on_seed_and_number_alone() {
    let mut set = templates(&SHAPE).unwrap();
    let mut ids = |template: usize, seed, number| {
        set[template].renew(seed, number);
        decoded(&set[template]).into_iter().map(|span| span.span_id).collect::<Vec<_>>()
    };
    let reference = ids(0, 7, 3);
    assert_eq!(reference, ids(1, 7, 3));
    assert_ne!(reference, ids(0, 7, 4));
    assert_ne!(reference, ids(0, 8, 3));
}

#[test]
fn shares_of_failed_and_slow_traces_are_exact() {
    let (mut failed, mut slow) = (0, 0);
    for mut template in templates(&SHAPE).unwrap() {
        template.renew(7, 0);
        for spans in by_trace(decoded(&template)).values() {
            failed += usize::from(spans.iter().any(|span| span.status.as_ref().is_some_and(|s| s.code == 2)));
            let start = spans.iter().map(|span| span.start_time_unix_nano).min().unwrap();
            let end = spans.iter().map(|span| span.end_time_unix_nano).max().unwrap();
            slow += usize::from(end - start > 500 * MILLISECOND);
        }
    }
    assert_eq!((failed, slow), (51, 82), "of {}", TEMPLATES * TRACES);
}
