//! What remote sampling costs: writing an answer, finding it, and looking at traces that pass.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use std::fmt::Write as _;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::template::{FIXED_TIME, SPANS, Shape, templates};
use forebay_config::read_str;
use forebay_otlp::SpanIndex;
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Telemetry};
use forebay_remote_sampling::{
    Adaptive, AdaptiveConfig, AdaptiveProcessor, Operations, Strategies, Strategy, wire,
};

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes everything at once.
struct Taker;

impl Consumer for Taker {
    fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn answers(criterion: &mut Criterion) {
    let operations = Operations {
        default: 0.001,
        lower_bound: 1.0 / 60.0,
        probabilities: (0..200).map(|number| (format!("GET /items/{number}"), 0.01)).collect(),
        ..Operations::default()
    };
    let strategy = Strategy { operations: Some(operations), ..Strategy::probabilistic(0.001) };
    let mut file = "service_strategies:\n".to_owned();
    for number in 0..1000 {
        writeln!(file, "- {{service: service-{number}, type: probabilistic, param: 0.5}}")
            .expect("a string takes anything");
    }
    let (strategies, _) = read_str(&file, |table| Strategies::read(table, 0.001));
    let request = wire::encode_request("service-500");

    let mut group = criterion.benchmark_group("sampling");
    group.bench_function("encode 200 operations", |bencher| bencher.iter(|| strategy.encode()));
    group.bench_function("answer of 1000 services", |bencher| {
        bencher.iter(|| {
            let service = wire::decode_request(&request).expect("a request");
            strategies.of(service).clone()
        });
    });
    group.finish();
}

fn observing(criterion: &mut Criterion) {
    let shape = Shape { seed: 1, errors: 0.05, slow: 0.08, start: FIXED_TIME };
    let mut template = templates(&shape).expect("a template is protobuf").swap_remove(0);
    template.renew(1, 0);
    let index = SpanIndex::scan(&template.bytes).expect("it is protobuf");
    let batch = Batch::scanned(template.bytes.freeze(), index);
    let adaptive = Adaptive::new(AdaptiveConfig::default());
    let processor = AdaptiveProcessor::new("adaptive_sampling", adaptive, &Telemetry::new(), Arc::new(Taker));
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");

    let mut group = criterion.benchmark_group("adaptive_sampling");
    group.throughput(Throughput::Elements(SPANS as u64));
    group.bench_function("512 spans of 64 traces", |bencher| {
        bencher.iter(|| runtime.block_on(processor.consume(batch.clone())));
    });
    group.finish();
}

criterion_group!(benches, answers, observing);
criterion_main!(benches);
