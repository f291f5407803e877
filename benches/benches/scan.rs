//! What it costs to find the spans of a request: the index, an attribute looked up in each span, and for
//! reference what `prost` takes to decode it all.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::template::{FIXED_TIME, SPANS, Shape, templates};
use forebay_otlp::attribute::{Attribute, SPAN_ATTRIBUTES, attribute_messages};
use forebay_otlp::{SpanIndex, admit};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn scan(criterion: &mut Criterion) {
    let shape = Shape { seed: 1, errors: 0.05, slow: 0.08, start: FIXED_TIME };
    let mut template = templates(&shape).expect("a template is protobuf").swap_remove(0);
    template.renew(1, 0);
    let request = template.bytes.freeze();

    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(SPANS as u64));
    group.bench_function("index", |bencher| {
        bencher.iter_with_large_drop(|| SpanIndex::scan(&request));
    });
    group.bench_function("index and one attribute", |bencher| {
        bencher.iter_with_large_drop(|| {
            let index = SpanIndex::scan(&request).expect("it is protobuf");
            let statuses = index.spans.iter().filter(|span| {
                attribute_messages(index.body(&request, span), SPAN_ATTRIBUTES).any(|message| {
                    let found = Attribute::parse_if(message, |key| key == b"http.response.status_code");
                    matches!(found, Ok(Some(_)))
                })
            });
            assert_eq!(statuses.count(), SPANS);
            index
        });
    });
    group.bench_function("admit", |bencher| {
        bencher.iter_batched(|| request.clone(), admit, BatchSize::SmallInput);
    });
    group.bench_function("prost", |bencher| {
        bencher.iter_with_large_drop(|| ExportTraceServiceRequest::decode(&*request));
    });
    group.finish();
}

criterion_group!(benches, scan);
criterion_main!(benches);
