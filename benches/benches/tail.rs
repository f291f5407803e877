//! What tail sampling costs per span while ever more traces are live, and what a live trace takes.
//!
//! A round takes one request of 512 spans and decides as many traces as it began, so the stated number of
//! traces is live all the time; the clock is simulated. There are two kinds of traffic:
//!
//! - *whole*: 64 traces of 8 spans of 400 bytes each, one after the other, as one service's agent sends them;
//! - *scattered*: 512 small spans of as many traces. Each trace gets its second and last span half a wait after
//!   its first, so every span is a look at a place of memory that has long left the caches.
//!
//! Five million live traces need 2 GB; ten million are measured if `FOREBAY_BENCH_LARGE` is set.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::template::{FIXED_TIME, SPANS, Shape, TRACES, Template, templates};
use forebay_config::read_str;
use forebay_otlp::{SpanIndex, TraceId};
use forebay_samplers::Compatibility;
use forebay_samplers::tail::decision::Policies;
use forebay_samplers::tail::digest::Digest;
use forebay_samplers::tail::policy::Evidence;
use forebay_samplers::tail::{Nanos, Output, Remember, Settings, TailSampler};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The policies of the comparison with peers.
const POLICIES: &str = "policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: slow, type: latency, latency: {threshold_ms: 500}}
  - {name: one-in-twenty, type: probabilistic, probabilistic: {sampling_percentage: 5}}
";
/// Two that read attributes, of every span, since nothing satisfies them.
const ATTRIBUTE_POLICIES: &str = "
  - {name: tier, type: string_attribute, string_attribute: {key: app.customer.tier, values: [platinum]}}
  - {name: status, type: numeric_attribute, numeric_attribute: {key: http.response.status_code, min_value: 600, max_value: 700}}
";

/// Decisions are taken every ten milliseconds; a round is as long.
const ROUND: Nanos = 10_000_000;

fn policies(yaml: &str) -> Arc<Policies> {
    let (policies, diagnostics) = read_str(yaml, |table| Policies::read(table, Compatibility::default()));
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    Arc::new(policies)
}

/// Traffic: numbered requests.
trait Traffic {
    /// Traces that a request begins.
    const TRACES: usize;

    /// Traffic of which `live` traces are live at a time.
    fn new(live: usize) -> Self;

    /// The `number`th request.
    fn request(&mut self, number: u64) -> &[u8];
}

struct Whole(Vec<Template>);

impl Traffic for Whole {
    const TRACES: usize = TRACES;

    fn new(_: usize) -> Self {
        let shape = Shape { seed: 1, errors: 0.05, slow: 0.08, start: FIXED_TIME };
        Self(templates(&shape).expect("a template is protobuf"))
    }

    fn request(&mut self, number: u64) -> &[u8] {
        let turn = usize::try_from(number).unwrap_or(usize::MAX) % self.0.len();
        let template = &mut self.0[turn];
        template.renew(1, number);
        &template.bytes
    }
}

/// Small spans; the even ones of a request begin a trace each, the odd ones end one.
struct Scattered {
    request: Vec<u8>,
    /// Where the trace ids are.
    trace_ids: Vec<usize>,
    /// Rounds between the spans of a trace.
    lag: u64,
}

impl Traffic for Scattered {
    const TRACES: usize = SPANS / 2;

    fn new(live: usize) -> Self {
        let span = |number: usize| Span {
            trace_id: vec![0xff; 16],
            span_id: (number as u64 + 1).to_be_bytes().to_vec(),
            name: "GET /carts/{cart}/items".into(),
            start_time_unix_nano: FIXED_TIME,
            end_time_unix_nano: FIXED_TIME + 1_000_000,
            ..Span::default()
        };
        let scope_spans = vec![ScopeSpans { spans: (0..SPANS).map(span).collect(), ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let request = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let index = SpanIndex::scan(&request).expect("it is protobuf");
        // A span's message starts with the tag and the length of its trace id.
        let trace_ids = index.spans.iter().map(|span| span.body.start as usize + 2).collect();
        Self { request, trace_ids, lag: (live / Self::TRACES / 2) as u64 }
    }

    fn request(&mut self, number: u64) -> &[u8] {
        for (offset, place) in self.trace_ids.iter().zip(0_u64..) {
            let begun = number.saturating_sub(if place % 2 == 0 { 0 } else { self.lag });
            let trace = begun * Self::TRACES as u64 + place / 2;
            let trace_id = fastrand::Rng::with_seed(trace).u128(1..).to_be_bytes();
            self.request[*offset..offset + 16].copy_from_slice(&trace_id);
        }
        &self.request
    }
}

/// A sampler with as many live traces as wanted, and what it costs to keep it so.
struct Running<T> {
    traffic: T,
    sampler: TailSampler,
    wait: Nanos,
    rounds: u64,
    /// Bytes of all spans so far.
    bytes: usize,
    outputs: Vec<Output>,
    accepting: Duration,
    deciding: Duration,
}

impl<T: Traffic> Running<T> {
    fn new(live: usize, policies: Arc<Policies>) -> Self {
        let rounds = (live / T::TRACES) as u64;
        let settings = Settings {
            remember_kept: Remember::Decisions(live),
            remember_dropped: Remember::Decisions(live),
            ..Settings::new(policies, rounds * ROUND)
        };
        let mut running = Self {
            traffic: T::new(live),
            sampler: TailSampler::new(settings),
            wait: rounds * ROUND,
            rounds: 0,
            bytes: 0,
            outputs: Vec::new(),
            accepting: Duration::ZERO,
            deciding: Duration::ZERO,
        };
        (0..rounds).for_each(|_| running.round());
        running
    }

    fn round(&mut self) {
        let now = self.rounds * ROUND;
        let request = self.traffic.request(self.rounds);
        let index = SpanIndex::scan(request).expect("it is protobuf");
        self.bytes += index.spans.iter().map(|span| span.body.len()).sum::<usize>();
        let start = Instant::now();
        self.sampler.accept(request, &index.envelopes, &index.spans, now, &mut self.outputs);
        let accepted = Instant::now();
        self.sampler.decide_due(now, &mut self.outputs);
        self.deciding += accepted.elapsed();
        self.accepting += accepted - start;
        self.rounds += 1;
        self.outputs.clear();
    }

    /// What some rounds take, by `part`.
    fn time(&mut self, rounds: u64, part: impl Fn(&Self) -> Duration) -> Duration {
        let before = part(self);
        (0..rounds).for_each(|_| self.round());
        part(self) - before
    }
}

fn measure<T: Traffic>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    live: usize,
    policies: Arc<Policies>,
) {
    let mut running = Running::<T>::new(live, policies);
    // Nothing has been decided yet, so decisions that are remembered take nothing so far.
    let traces = running.sampler.pending_traces();
    let beyond = (running.sampler.allocated() as f64 - running.bytes as f64) / traces as f64;
    println!(
        "{name}: {traces} live traces of {} bytes take {beyond:.0} bytes more each",
        running.bytes / traces
    );
    // So that caches of decisions are full.
    (0..running.wait / ROUND).for_each(|_| running.round());
    group.bench_function(BenchmarkId::new(format!("accept/{name}"), live), |bencher| {
        bencher.iter_custom(|rounds| running.time(rounds, |running| running.accepting));
    });
    group.bench_function(BenchmarkId::new(format!("decide/{name}"), live), |bencher| {
        bencher.iter_custom(|rounds| running.time(rounds, |running| running.deciding));
    });
}

fn tail(criterion: &mut Criterion) {
    let plain = policies(POLICIES);
    let reading_attributes = policies(&[POLICIES, ATTRIBUTE_POLICIES].concat());

    let mut group = criterion.benchmark_group("tail");
    group.throughput(Throughput::Elements(SPANS as u64));
    measure::<Whole>(&mut group, "whole", 10_000, Arc::clone(&plain));
    measure::<Whole>(&mut group, "whole", 100_000, Arc::clone(&plain));
    measure::<Whole>(&mut group, "whole, attributes", 10_000, reading_attributes);
    let large = std::env::var_os("FOREBAY_BENCH_LARGE").map(|_| 10_000_000);
    for live in [10_000, 100_000, 1_000_000, 5_000_000].into_iter().chain(large) {
        measure::<Scattered>(&mut group, "scattered", live, Arc::clone(&plain));
    }
    group.finish();

    // The verdicts of three policies on one trace, its digest at hand.
    let mut digest = Digest::EMPTY;
    (digest.start, digest.end, digest.spans) = (FIXED_TIME, FIXED_TIME + 1_000_000, 8);
    let mut counts = vec![Default::default(); plain.names().len()];
    let (mut limits, mut decisions) = (plain.limits(), Vec::new());
    let mut ids = fastrand::Rng::with_seed(1);
    criterion.bench_function("policies", |bencher| {
        bencher.iter(|| {
            decisions.clear();
            let trace = Evidence::new(TraceId(ids.u128(..)), black_box(&digest));
            plain.decide(&[trace], &mut limits, &mut counts, &mut decisions);
        });
    });
}

criterion_group!(benches, tail);
criterion_main!(benches);
