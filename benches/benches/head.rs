//! What the three modes of `probabilistic_sampler` cost, over a request that has been scanned already.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::template::{FIXED_TIME, SPANS, Shape, templates};
use forebay_otlp::SpanIndex;
use forebay_samplers::head::{Mode, ProbabilisticConfig, SpanSampler};

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn head(criterion: &mut Criterion) {
    let shape = Shape { seed: 1, errors: 0.05, slow: 0.08, start: FIXED_TIME };
    let mut template = templates(&shape).expect("a template is protobuf").swap_remove(0);
    template.renew(1, 0);
    let request = template.bytes;
    let index = SpanIndex::scan(&request).expect("it is protobuf");

    let mut group = criterion.benchmark_group("head");
    group.throughput(Throughput::Elements(SPANS as u64));
    let modes = [
        ("hash_seed", Mode::HashSeed),
        ("proportional", Mode::Proportional),
        ("equalizing", Mode::Equalizing),
    ];
    for (name, mode) in modes {
        let config =
            ProbabilisticConfig { mode, sampling_percentage: 12.5, ..ProbabilisticConfig::default() };
        let sampler = SpanSampler::new(&config).expect("a common percentage");
        group.bench_function(name, |bencher| bencher.iter(|| sampler.sample(&request, &index)));
    }
    group.finish();
}

criterion_group!(benches, head);
criterion_main!(benches);
