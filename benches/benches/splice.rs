//! What it costs to keep the spans of one trace in eight and write them again: the whole way from request to
//! request, and for reference the same by way of `prost`.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::template::{FIXED_TIME, SPANS, Shape, templates};
use forebay_otlp::{SpanIndex, SpanPiece, Splicer, TraceId};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn keeps(trace_id: TraceId) -> bool {
    trace_id.0.is_multiple_of(8)
}

fn splice_kept(request: &[u8], index: &SpanIndex) -> Vec<u8> {
    let mut splicer = Splicer::default();
    for span in index.spans.iter().filter(|span| keeps(span.trace_id)) {
        let resource = index.envelopes.resource_number(span.envelope);
        splicer.push(resource, span.envelope, SpanPiece::verbatim(index.body(request, span)));
    }
    splicer.finish_indexed(request, &index.envelopes)
}

fn splice(criterion: &mut Criterion) {
    let shape = Shape { seed: 1, errors: 0.05, slow: 0.08, start: FIXED_TIME };
    let mut template = templates(&shape).expect("a template is protobuf").swap_remove(0);
    template.renew(1, 0);
    let request = template.bytes;
    let index = SpanIndex::scan(&request).expect("it is protobuf");

    let mut group = criterion.benchmark_group("splice");
    group.throughput(Throughput::Elements(SPANS as u64));
    group.bench_function("keep one in eight", |bencher| bencher.iter(|| splice_kept(&request, &index)));
    group.bench_function("scan and keep one in eight", |bencher| {
        bencher.iter(|| splice_kept(&request, &SpanIndex::scan(&request).expect("it is protobuf")));
    });
    group.bench_function("prost", |bencher| {
        bencher.iter(|| {
            let mut decoded = ExportTraceServiceRequest::decode(&*request).expect("it is protobuf");
            for scope in decoded.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
                scope.spans.retain(|span| {
                    let trace_id = span.trace_id.as_slice().try_into().map_or(0, u128::from_be_bytes);
                    keeps(TraceId(trace_id))
                });
            }
            decoded.encode_to_vec()
        });
    });
    group.finish();
}

criterion_group!(benches, splice);
criterion_main!(benches);
