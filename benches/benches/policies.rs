//! What policies cost: of each type alone, many together, OTTL conditions, and a tick with many decisions.
//!
//! A round takes one request of 64 whole traces of 8 spans of 400 bytes and decides as many traces; the clock is
//! simulated. The time is that of taking and deciding, so `nothing`, whose policy is a comparison of two
//! numbers, is what the others cost beside their policies. The policies of each type, and `many`, are those of
//! the comparison with peers.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up must not be measured")]

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use forebay_benches::run::{Scenario, config};
use forebay_benches::template::{FIXED_TIME, SPANS, Shape, TRACES, Template, templates};
use forebay_config::{Table, read_str};
use forebay_otlp::SpanIndex;
use forebay_samplers::Compatibility;
use forebay_samplers::tail::decision::Policies;
use forebay_samplers::tail::{Nanos, Output, Remember, Settings, TailSampler};

/// What the binary runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// No trace has as many spans.
const NOTHING: &str = "{name: p, type: span_count, span_count: {min_spans: 1000}}";

/// Conditions as people write them, on what the spans have; `{}` is another number in each. Hardly any holds.
const TYPICAL: [&str; 10] = [
    r#"attributes["http.response.status_code"] == 60{}"#,
    r#"attributes["http.route"] == "/orders/{}""#,
    r#"IsMatch(attributes["url.full"], "/(orders|payments)/{}[0-9]*/")"#,
    r#"IsRootSpan() and attributes["server.port"] == 9{}"#,
    r#"end_time - start_time > Duration("3{}00s")"#,
    r#"resource.attributes["service.name"] == "payment-{}""#,
    r#"status.code == STATUS_CODE_ERROR and attributes["app.customer.tier"] == "tier-{}""#,
    r#"IsMatch(name, "^(DELETE|PATCH) /v?{}")"#,
    r#"kind == SPAN_KIND_CONSUMER and attributes["http.request.method"] != "GET-{}""#,
    r#"HasPrefix(attributes["user_agent.original"], "curl/{}")"#,
];
/// The same on attributes that no span has.
const ABSENT: [&str; 5] = [
    r#"attributes["rpc.grpc.status_code.{}"] == 14"#,
    r#"attributes["db.system.name.{}"] == "postgresql" and end_time - start_time > Duration("200ms")"#,
    r#"IsMatch(attributes["exception.type.{}"], "Timeout|Deadline")"#,
    r#"attributes["error.type.{}"] != nil"#,
    r#"resource.attributes["cloud.region.{}"] == "nowhere" and IsRootSpan()"#,
];

/// So many traces live.
const ROUNDS_LIVE: u64 = 150;
/// Decisions are taken every ten milliseconds; a round is as long.
const TICK: Nanos = 10_000_000;
/// Requests that arrive within a tick where a million traces are to be decided per second.
const REQUESTS_PER_TICK: usize = 10_000_usize.div_ceil(TRACES);
/// Ticks that traces wait there: enough that their spans are in no cache any more.
const TICKS_LIVE: usize = 10;
/// Ticks until decisions are taken as fast as traces come.
const WARM_UP: usize = 2 * TICKS_LIVE;
/// Ticks that are measured there.
const TICKS: usize = 500;

fn policies(yaml: &str, read: impl FnOnce(&Table<'_>) -> Option<Policies>) -> Arc<Policies> {
    let (policies, diagnostics) = read_str(yaml, read);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    Arc::new(policies.expect("policies where they are looked for"))
}

/// Policies of a list.
fn listed(policies_in_yaml: impl IntoIterator<Item = impl AsRef<str>>) -> Arc<Policies> {
    let entries: String = policies_in_yaml
        .into_iter()
        .enumerate()
        .map(|(number, policy)| {
            format!("\n  - {}", policy.as_ref().replace("name: p", &format!("name: p{number}")))
        })
        .collect();
    policies(&format!("policies:{entries}"), |table| Some(Policies::read(table, Compatibility::default())))
}

/// One policy with many conditions.
fn conditions(patterns: &[&str], count: usize) -> Arc<Policies> {
    let conditions: String = (0..count)
        .map(|number| patterns[number % patterns.len()].replace("{}", &number.to_string()))
        .map(|condition| format!("\n        - '{condition}'"))
        .collect();
    listed([format!("name: p\n    type: ottl_condition\n    ottl_condition:\n      span:{conditions}")])
}

/// Policies on attributes that no span has.
fn absent(count: usize) -> Arc<Policies> {
    listed((0..count).map(|number| {
        format!("{{name: p, type: string_attribute, string_attribute: {{key: app.team-{number}.flag, values: [on]}}}}")
    }))
}

/// The policies of a scenario of the comparison with peers.
fn of_peers(scenario: Scenario) -> Arc<Policies> {
    let file = config(&format!("policies/{}", scenario.name()));
    let yaml = fs::read_to_string(&file).expect("the scenarios' files are there");
    policies(&yaml, |table| {
        let processor = table.table("processors")?.table("tail_sampling")?;
        Some(Policies::read(&processor, Compatibility::default()))
    })
}

/// A sampler that decides as many traces as it takes.
struct Running {
    templates: Vec<Template>,
    sampler: TailSampler,
    requests: u64,
    outputs: Vec<Output>,
}

impl Running {
    fn new(policies: Arc<Policies>, decision_wait: Nanos) -> Self {
        let shape = Shape { seed: 1, errors: 0.05, slow: 0.08, start: FIXED_TIME };
        let settings = Settings {
            remember_kept: Remember::Decisions(10_000),
            remember_dropped: Remember::Decisions(10_000),
            epoch_unix_nano: FIXED_TIME,
            ..Settings::new(policies, decision_wait)
        };
        Self {
            templates: templates(&shape).expect("a template is protobuf"),
            sampler: TailSampler::new(settings),
            requests: 0,
            outputs: Vec::new(),
        }
    }

    /// Takes one request, and how long that took.
    fn accept(&mut self, now: Nanos) -> Duration {
        let turn = usize::try_from(self.requests).unwrap_or(usize::MAX) % self.templates.len();
        let template = &mut self.templates[turn];
        template.renew(1, self.requests);
        self.requests += 1;
        let index = SpanIndex::scan(&template.bytes).expect("it is protobuf");
        let start = Instant::now();
        self.sampler.accept(&template.bytes, &index.envelopes, &index.spans, now, &mut self.outputs);
        start.elapsed()
    }

    /// Decides what is due, and how long that took.
    fn decide(&mut self, now: Nanos) -> Duration {
        let start = Instant::now();
        self.sampler.decide_due(now, &mut self.outputs);
        let taken = start.elapsed();
        self.outputs.clear();
        taken
    }

    fn round(&mut self) -> Duration {
        let now = self.requests * TICK;
        self.accept(now) + self.decide(now)
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, policies: Arc<Policies>) {
    let mut running = Running::new(policies, ROUNDS_LIVE * TICK);
    for _ in 0..2 * ROUNDS_LIVE {
        running.round();
    }
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|rounds| (0..rounds).map(|_| running.round()).sum());
    });
}

fn costs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("policies");
    group.throughput(Throughput::Elements(SPANS as u64));
    measure(&mut group, BenchmarkId::from_parameter("nothing"), listed([NOTHING]));
    for scenario in Scenario::ALL.into_iter().filter(|scenario| matches!(scenario, Scenario::Policies(_))) {
        measure(&mut group, BenchmarkId::new("peers", scenario.name()), of_peers(scenario));
    }
    for count in [1, 10, 50] {
        measure(&mut group, BenchmarkId::new("absent", count), absent(count));
    }
    group.finish();

    let mut group = criterion.benchmark_group("conditions");
    group.throughput(Throughput::Elements(SPANS as u64));
    for count in [1, 10, 20, 50] {
        measure(&mut group, BenchmarkId::new("typical", count), conditions(&TYPICAL, count));
        measure(&mut group, BenchmarkId::new("absent", count), conditions(&ABSENT, count));
    }
    group.finish();
}

/// How long a tick takes in which ten thousand traces of eight spans are due. Criterion has no quantiles.
fn ticks(_: &mut Criterion) {
    let mut running = Running::new(of_peers(Scenario::Policies("many")), TICKS_LIVE as Nanos * TICK);
    let mut tick = |number: u64| {
        for _ in 0..REQUESTS_PER_TICK {
            running.accept(number * TICK);
        }
        running.decide(number * TICK)
    };
    // Those before the first decisions are not ticks like others.
    let mut taken: Vec<_> = (0..).map(&mut tick).take(WARM_UP + TICKS).skip(WARM_UP).collect();
    taken.sort_unstable();
    let quantile = |percent: usize| taken[(TICKS - 1) * percent / 100];
    println!(
        "ticks of {} decisions: p50 {:?}, p99 {:?}, longest {:?}",
        REQUESTS_PER_TICK * TRACES,
        quantile(50),
        quantile(99),
        quantile(100)
    );
}

criterion_group!(benches, costs, ticks);
criterion_main!(benches);
