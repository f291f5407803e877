//! What evidence costs on the wire: bytes of a piece, and how fast pieces are written and read.
//!
//! A window has pieces of traces that are new, for policies on latency, errors and probability: ids are random, starts
//! are spread over a second to the nanosecond, durations are log-normal about 10 ms (sigma 1), one in twenty has an
//! error. `micros` is the same with clocks that tell microseconds.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use forebay_benches::template::FIXED_TIME;
use forebay_otlp::TraceId;
use forebay_retroactive::wire::pieces;
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::Piece;
use forebay_samplers::tail::digest::Digest;
use forebay_samplers::tail::predicate::Bits;

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
const MEDIAN: f64 = 1e7;

/// A window of `count` pieces, by clocks that tell multiples of `resolution` nanoseconds.
fn window(count: usize, resolution: u64) -> Vec<Piece> {
    let mut rng = Rng::with_seed(7);
    let piece = |_| {
        let mut digest = Digest::EMPTY;
        let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds at most")]
        let duration = (normal.exp() * MEDIAN) as u64;
        let coarse = |time: u64| time / resolution * resolution;
        digest.start = coarse(FIXED_TIME + rng.u64(..SECOND));
        digest.end = digest.start + coarse(duration);
        digest.predicates = Bits::from_raw(u128::from(rng.u8(..20) == 0));
        let trace_id = TraceKey::of(TraceId(rng.u128(..))).to_trace_id();
        Piece { trace_id, digest, values: Vec::new(), waited: 0, kept: None, dropped: false, moved: false }
    };
    (0..count).map(piece).collect()
}

fn windows(criterion: &mut Criterion) {
    for (clock, resolution) in [("nanos", 1), ("micros", 1000)] {
        let mut group = criterion.benchmark_group(format!("retroactive/{clock}"));
        for count in [1000, 2000, 4000, 8000] {
            let pieces = window(count, resolution);
            let message = pieces::encode(&pieces);
            println!("{clock}, {count} pieces: {:.2} bytes each", message.len() as f64 / count as f64);
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::new("encode", count), |bencher| {
                bencher.iter(|| pieces::encode(&pieces));
            });
            group.bench_function(BenchmarkId::new("decode", count), |bencher| {
                bencher.iter(|| pieces::decode(&message).expect("what was just written"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, windows);
criterion_main!(benches);
