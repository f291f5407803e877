use std::collections::BTreeMap;

use forebay_otlp::StatusCode;

use super::*;
use crate::generate::Description;

fn small() -> Workload {
    Description { duration: Duration::from_secs(10), ..Description::load("shop").unwrap() }
        .generate(1, usize::MAX)
}

#[test]
fn a_seed_changes_trace_ids_and_nothing_else() {
    let workload = small();
    for request in &workload.requests {
        let batch = request.with_ids_of(7, &workload.population);
        let index = SpanIndex::scan(&batch.bytes).unwrap();
        assert_eq!(batch.bytes.len(), request.bytes.len());
        assert_eq!(index.spans.len(), request.index.spans.len());
        for (new, old) in index.spans.iter().zip(&request.index.spans) {
            let number = number_of(new.trace_id, 7).unwrap();
            assert_eq!(workload.population.traces[number as usize].id, old.trace_id);
            assert_eq!(
                (new.start, new.end, new.status, new.root),
                (old.start, old.end, old.status, old.root)
            );
        }
        assert_eq!(batch.index().unwrap().spans, index.spans);
    }
}

#[test]
fn the_lower_half_of_an_id_is_spread_evenly() {
    let above_half = (0..10_000).filter(|&trace| id_of(trace, 3, Threshold::ALWAYS).0 % (1 << 56) >= 1 << 55);
    // Four standard deviations of a fair coin.
    assert!((4_800..5_200).contains(&above_half.count()));
}

#[test]
fn a_trace_that_has_passed_a_threshold_passes_it_with_every_seed() {
    let threshold = Threshold::from_probability(0.25, 4).unwrap();
    for seed in 0..1000 {
        let id = id_of(5, seed, threshold);
        assert!(threshold.keeps(forebay_otlp::threshold::Randomness::from_trace_id(id.to_bytes())));
        assert_eq!(number_of(id, seed), Some(5));
    }
}

#[test]
fn requests_come_in_the_order_of_their_time_and_what_is_beyond_the_limit_is_counted() {
    let workload = small();
    assert!(workload.requests.is_sorted_by_key(|request| request.at));
    assert_eq!(
        workload.spans() as u64,
        workload.population.traces.iter().map(|trace| u64::from(trace.sent)).sum::<u64>()
    );
    let mut builder = WorkloadBuilder::new(100);
    let mut sent = 0;
    for request in &workload.requests {
        sent += request.index.spans.len();
        builder.add(request.bytes.clone(), 0);
    }
    let cut = builder.finish(String::new(), None);
    assert!(cut.spans() <= 100);
    assert_eq!(cut.oddities.spans_beyond_limit, (sent - cut.spans()) as u64);
}

#[test]
fn what_is_written_reads_as_it_was() {
    let workload = small();
    let (mut lines, mut labels) = (Vec::new(), Vec::new());
    workload.write_json_lines(&mut lines).unwrap();
    workload.write_labels(&mut labels).unwrap();
    let mut builder = WorkloadBuilder::new(usize::MAX);
    for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        builder.add(Bytes::from(json::decode(Signal::Traces, line).unwrap()), 0);
    }
    let facts = |workload: &Workload| -> BTreeMap<u128, (u64, u64, bool, usize)> {
        let traces = workload.population.traces.iter();
        traces.map(|trace| (trace.id.0, (trace.start, trace.end, trace.error, trace.spans.len()))).collect()
    };
    assert_eq!(facts(&builder.finish(String::new(), None)), facts(&workload));
    assert_eq!(labels.split(|&byte| byte == b'\n').count(), workload.population.traces.len() + 2);
    assert!(
        workload
            .requests
            .iter()
            .any(|request| { request.index.spans.iter().all(|span| span.status == StatusCode::Unset) })
    );
}
