//! Recorded traces as `sampler-bench` reads them: whatever a file and its labels hold, reading them ends with a workload
//! whose parts agree, and that can be sent.
//!
//! The first byte says how many of the next are labels; the rest is a file, in whichever form its first bytes say.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use sampler_bench::WorkloadBuilder;
use sampler_bench::input::{labels, read_from};

const SPAN_LIMIT: usize = 1000;

fuzz_target!(|input: &[u8]| {
    let Some((&length, rest)) = input.split_first() else { return };
    let (labelled, file) = rest.split_at(rest.len().min(usize::from(length)));
    let mut builder = WorkloadBuilder::new(SPAN_LIMIT);
    // What is compressed may be cut short; what came before counts.
    let _ = read_from(Cursor::new(file.to_vec()), 0, &mut builder);
    let faults = labels::read(labelled, &mut builder);
    let workload = builder.finish(String::new(), Some(faults));

    let population = &workload.population;
    let sent: u32 = population.traces.iter().map(|trace| trace.sent).sum();
    assert_eq!(workload.spans(), sent as usize);
    let distinct: usize = population.traces.iter().map(|trace| population.spans_of(trace).len()).sum();
    assert!(distinct <= SPAN_LIMIT && distinct == population.spans.len());
    assert!(
        population
            .traces
            .iter()
            .all(|trace| trace.fault.is_none_or(|fault| (fault as usize) < population.faults.len()))
    );
    assert!(workload.requests.is_sorted_by_key(|request| request.at));
    for request in &workload.requests {
        assert!((request.source as usize) < workload.services.len());
        let batch = request.with_ids_of(1, population);
        let index = batch.index().expect("only what scans is kept");
        assert_eq!(index.spans.len(), batch.items);
    }
});
