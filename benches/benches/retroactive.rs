//! What evidence costs: bytes of a piece, how fast pieces are written and read, and how many a coordinator takes.
//!
//! A window has pieces of traces that are new, for policies on latency, errors and probability: ids are random, starts
//! are spread over a second to the nanosecond, durations are log-normal about 10 ms (sigma 1), one in twenty has an
//! error. `micros` is the same with clocks that tell microseconds.
//!
//! `coordinator` is all that a coordinator does on one core but for the network: a round is a second in which four agents
//! report as many pieces each, of the same traces. Their messages are read and merged, the traces of five rounds before
//! are decided (one in a hundred is kept, for errors or by chance), and what the agents are to be told is written. The
//! clock is simulated.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fastrand::Rng;
use forebay_benches::template::FIXED_TIME;
use forebay_config::read_str;
use forebay_otlp::TraceId;
use forebay_retroactive::wire::message::{FromAgent, decode_from_agent, encode_decisions, encode_report};
use forebay_retroactive::wire::pieces;
use forebay_samplers::Compatibility;
use forebay_samplers::retroactive::key::TraceKey;
use forebay_samplers::retroactive::message::{Piece, Report};
use forebay_samplers::retroactive::program::ProgramId;
use forebay_samplers::retroactive::{Coordination, CoordinationSettings, EvidenceMode};
use forebay_samplers::tail::decision::Policies;
use forebay_samplers::tail::digest::Digest;
use forebay_samplers::tail::predicate::Bits;
use forebay_samplers::tail::{AgentNumber, Nanos, Remember, Reported, Settings, TailSampler};

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
const MEDIAN: f64 = 1e7;
/// The policies of a coordinator.
const POLICIES: &str = "policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: slow, type: latency, latency: {threshold_ms: 500}}
  - {name: floor, type: probabilistic, probabilistic: {sampling_percentage: 0.5}}
";
/// Of so many traces of a coordinator one has an error.
const ERROR_IN: u32 = 200;
const AGENTS: u32 = 4;
const WAIT: Nanos = 5 * SECOND;

/// A window of `count` pieces, by clocks that tell multiples of `resolution` nanoseconds.
fn window(count: usize, resolution: u64) -> Vec<Piece> {
    let mut rng = Rng::with_seed(7);
    pieces_of(count, resolution, 20, &mut rng)
}

/// As many pieces, of which one in `error_in` has an error.
fn pieces_of(count: usize, resolution: u64, error_in: u32, rng: &mut Rng) -> Vec<Piece> {
    let piece = |_| {
        let mut digest = Digest::EMPTY;
        let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds at most")]
        let duration = (normal.exp() * MEDIAN) as u64;
        let coarse = |time: u64| time / resolution * resolution;
        digest.start = coarse(FIXED_TIME + rng.u64(..SECOND));
        digest.end = digest.start + coarse(duration);
        digest.predicates = Bits::from_raw(u128::from(rng.u32(..error_in) == 0));
        let trace_id = TraceKey::of(TraceId(rng.u128(..))).to_trace_id();
        Piece::new(trace_id, digest)
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

/// A coordinator of one shard, and its agents as far as they matter to it.
struct Fleet {
    sampler: TailSampler,
    coordination: Coordination,
    rng: Rng,
    now: Nanos,
    /// The last tick, which agents acknowledge.
    tick: u64,
}

impl Fleet {
    fn new() -> Self {
        let (policies, diagnostics) =
            read_str(POLICIES, |table| Policies::read(table, Compatibility::default()));
        assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
        let remember = Remember::Bytes(16 << 20);
        let settings = Settings {
            coordinates: true,
            remember_kept: remember,
            remember_dropped: remember,
            ..Settings::new(Arc::new(policies), WAIT)
        };
        let coordination = CoordinationSettings {
            decision_wait: WAIT,
            shards: 1,
            mode: EvidenceMode::Exact,
            pending_bytes: 1 << 30,
        };
        let mut coordination = Coordination::new(coordination, 0);
        (0..AGENTS).for_each(|agent| coordination.joined(AgentNumber(agent), 0));
        Self { sampler: TailSampler::new(settings), coordination, rng: Rng::with_seed(7), now: 0, tick: 0 }
    }

    /// What agents send in the next second, as bytes.
    fn reports(&mut self, count: usize) -> Vec<Vec<u8>> {
        self.now += SECOND;
        let traces = pieces_of(count, 1, ERROR_IN, &mut self.rng);
        let message = |_| {
            let mut pieces = traces.clone();
            for piece in &mut pieces {
                piece.digest.start += self.rng.u64(..SECOND / 1000);
            }
            encode_report(&Report {
                window: self.now / SECOND,
                program: ProgramId(1),
                applied: self.tick,
                horizon: Duration::from_secs(100),
                members: 1,
                pieces,
                ..Report::default()
            })
        };
        (0..AGENTS).map(message).collect()
    }

    /// Takes them, decides what is due, and writes what agents are to be told.
    fn take(&mut self, messages: &[Vec<u8>]) {
        let (now, mut out) = (self.now, Vec::new());
        for (agent, message) in (0..).map(AgentNumber).zip(messages) {
            let report = decode(message).expect("what was just written");
            self.coordination.reported(agent, &report, now).expect("there is room");
            let Report { window, pieces, .. } = report;
            let reported = Reported { agent, window, horizon: 100 * SECOND, pieces, moved_on: Vec::new() };
            self.sampler.report(reported, now, &mut out);
        }
        self.sampler.decide_due(now, &mut out);
        for notice in self.sampler.take_notices() {
            self.coordination.notice(0, notice, now);
        }
        for (_, decisions) in self.coordination.tick(now) {
            self.tick = decisions.tick;
            black_box(encode_decisions(&decisions));
        }
    }
}

fn decode(message: &[u8]) -> Option<Report> {
    match decode_from_agent(message).ok()? {
        FromAgent::Report(report) => report.decode().ok(),
        FromAgent::Hello(_) => None,
    }
}

fn coordinator(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("retroactive/coordinator");
    for count in [2_000, 20_000] {
        let fleet = RefCell::new(Fleet::new());
        for _ in 0..2 * WAIT / SECOND {
            let messages = fleet.borrow_mut().reports(count);
            fleet.borrow_mut().take(&messages);
        }
        let stats = fleet.borrow().sampler.stats().clone();
        let decided = stats.kept_traces + stats.not_sampled_traces;
        println!("{count} traces a second: {} of {decided} are kept", stats.kept_traces);
        group.throughput(Throughput::Elements(u64::from(AGENTS) * count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || fleet.borrow_mut().reports(count),
                |messages| fleet.borrow_mut().take(&messages),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, windows, coordinator);
criterion_main!(benches);
