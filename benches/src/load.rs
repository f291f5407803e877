//! The load generator.
//!
//! Connections draw numbered requests from one counter, so what is sent does not depend on which connection
//! was faster. With a rate, request *n* is due *n* intervals after the start; a system that cannot keep up is
//! sent the rest late, not less. Without one, each connection sends as soon as its last request was answered.
//! A refused request is counted and not sent again: retrying is the clients' affair, losing spans the
//! system's.

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use forebay_otlp::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tokio::{
    task::LocalSet,
    time::{Instant, sleep_until},
};

use crate::{
    Error,
    grpc::RawClient,
    proc,
    template::{FIXED_TIME, SPANS, Shape, Template, templates},
};

/// What to send.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where OTLP/gRPC is listened for.
    #[arg(long, value_name = "HOST:PORT")]
    pub endpoint: SocketAddr,
    /// Connections, each with one request under way.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub connections: u16,
    /// Spans per second; without it, as many as are taken.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// How long to send.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub seconds: u64,
    /// How many spans to send, however long it takes; overrides `--seconds`.
    #[arg(long)]
    pub spans: Option<u64>,
    /// Share of the traces with a span in error.
    #[arg(long, default_value_t = 0.05)]
    pub errors: f64,
    /// Share of the traces that last 700 ms or more.
    #[arg(long, default_value_t = 0.08)]
    pub slow: f64,
    /// Decides all ids, and which traces fail or are slow.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Let spans start now rather than at a fixed date; then two runs differ in more than their speed.
    #[arg(long)]
    pub now: bool,
}

/// What was sent, and what it took.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Spans sent, whether taken or not.
    pub spans: u64,
    /// Spans in refused requests, and spans rejected in accepted ones.
    pub refused: u64,
    /// The refusals by gRPC code and message, and how many requests met each.
    pub refusals: BTreeMap<String, u64>,
    /// From the first request to the last answer.
    pub elapsed_seconds: f64,
    /// What the generator itself used.
    pub cpu_seconds: f64,
}

/// Sends the load.
///
/// # Errors
/// If nobody listens at the endpoint.
pub async fn run(options: &Options) -> Result<Report, Error> {
    let start = if options.now { now()? } else { FIXED_TIME };
    let shape = Shape { seed: options.seed, errors: options.errors, slow: options.slow, start };
    let templates = templates(&shape)?;
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        clients.push(RawClient::connect(options.endpoint).await?);
    }

    let cpu = proc::cpu_time(std::process::id())?;
    let schedule = Rc::new(Schedule::new(options));
    let connections = LocalSet::new();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let sender = Sender {
                client,
                templates: templates.clone(),
                seed: options.seed,
                report: Report::default(),
            };
            connections.spawn_local(sender.run(Rc::clone(&schedule)))
        })
        .collect();
    connections.await;

    let mut total = Report::default();
    for task in tasks {
        total.add(task.await?);
    }
    total.elapsed_seconds = schedule.start.elapsed().as_secs_f64();
    total.cpu_seconds = (proc::cpu_time(std::process::id())? - cpu).as_secs_f64();
    Ok(total)
}

fn now() -> Result<u64, Error> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos().try_into()?)
}

impl Report {
    fn add(&mut self, other: Self) {
        self.spans += other.spans;
        self.refused += other.refused;
        for (refusal, count) in other.refusals {
            *self.refusals.entry(refusal).or_default() += count;
        }
    }

    fn refuse(&mut self, spans: u64, reason: String) {
        self.refused += spans;
        *self.refusals.entry(reason).or_default() += 1;
    }
}

/// Which request is next, and when.
#[derive(Debug)]
struct Schedule {
    start: Instant,
    next: Cell<u64>,
    /// Requests in all.
    total: u64,
    /// Time between two requests, if they are paced.
    interval: Option<Duration>,
    /// When to stop drawing requests, where their number does not say it.
    end: Option<Instant>,
}

impl Schedule {
    fn new(options: &Options) -> Self {
        let per_request = SPANS as u64;
        let start = Instant::now();
        let interval = options.rate.map(|rate| Duration::from_secs_f64(per_request as f64 / rate as f64));
        let total = options.spans.or_else(|| Some(options.rate? * options.seconds));
        Self {
            start,
            next: Cell::new(0),
            total: total.map_or(u64::MAX, |spans| spans.div_ceil(per_request)),
            interval,
            end: total.is_none().then(|| start + Duration::from_secs(options.seconds)),
        }
    }

    /// Waits until the next request is due and returns its number.
    async fn draw(&self) -> Option<u64> {
        let number = self.next.get();
        if number >= self.total || self.end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        self.next.set(number + 1);
        if let Some(interval) = self.interval {
            sleep_until(self.start + interval.mul_f64(number as f64)).await;
        }
        Some(number)
    }
}

/// One connection.
struct Sender {
    client: RawClient,
    templates: Vec<Template>,
    seed: u64,
    report: Report,
}

impl Sender {
    async fn run(mut self, schedule: Rc<Schedule>) -> Report {
        while let Some(number) = schedule.draw().await {
            self.send(number).await;
        }
        self.report
    }

    async fn send(&mut self, number: u64) {
        let turn = usize::try_from(number % self.templates.len() as u64).unwrap_or_default();
        let template = &mut self.templates[turn];
        template.renew(self.seed, number);
        let message = std::mem::take(&mut template.bytes).freeze();
        let answer = self.client.export(Signal::Traces, message.clone()).await;
        // The connection has let go of the request by now, so this is the same memory again.
        template.bytes = message.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));

        self.report.spans += SPANS as u64;
        match answer.map(ExportTraceServiceResponse::decode) {
            Ok(Ok(response)) => {
                if let Some(partial) = response.partial_success {
                    self.report.refuse(partial.rejected_spans.unsigned_abs(), partial.error_message);
                }
            }
            Ok(Err(error)) => self.report.refuse(0, format!("response is not OTLP: {error}")),
            Err(status) => {
                self.report.refuse(SPANS as u64, format!("{:?}: {}", status.code(), status.message()))
            }
        }
    }
}
