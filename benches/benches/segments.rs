//! What records of 1 KiB cost in the log on disk: appended, with what it takes to keep the log within its bound,
//! and read from anywhere in it. The files are in the directory for temporary ones, and most likely in the page
//! cache.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use forebay_segments::{Address, Options, Segments};

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OPTIONS: Options = Options { bytes: 256 << 20, segment_bytes: 16 << 20 };
const RECORD: [u8; 1 << 10] = [7; 1 << 10];

fn append(log: &mut Segments) -> Address {
    while log.is_full() {
        let oldest: Vec<_> = log.oldest().collect();
        for address in oldest {
            log.release(address).expect("it is the owner's");
        }
    }
    log.append(&[&RECORD]).expect("there is room")
}

fn segments(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("there is room");
    let (mut log, _) = Segments::open(directory.path(), OPTIONS, |_| {}).expect("it is empty");
    let mut group = criterion.benchmark_group("segments");
    group.throughput(Throughput::Bytes(RECORD.len() as u64));
    group.bench_function("append", |bencher| bencher.iter(|| append(&mut log)));

    let addresses: Vec<_> = (0..OPTIONS.bytes / 2 / RECORD.len() as u64).map(|_| append(&mut log)).collect();
    let mut random = fastrand::Rng::with_seed(1);
    let mut scratch = Vec::new();
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            let address = addresses[random.usize(..addresses.len())];
            log.read(address, &mut scratch).expect("it is live").len()
        });
    });
    group.finish();
}

criterion_group!(benches, segments);
criterion_main!(benches);
