//! What a fleet of agents with a gateway costs: forwarding everything to a tail sampler, or retroactively.
//!
//! Real processes on loopback, a counting proxy on every hop, the same spans and the same policies. Whatever crosses
//! from an agent to another machine is zstd-compressed in both arrangements. A third one forwards without compression
//! and without policies: what an agent costs that does nothing.

pub mod recorded;
pub mod schedule;
pub mod traffic;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    ops::Range,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, sleep_until},
};
use tonic::transport::{Server, server::TcpIncoming};

use forebay::hop::Hop;

use self::{
    schedule::{Due, Schedule},
    traffic::{SPANS_PER_PIECE, Shape, requests},
};
use crate::{
    Error,
    compare::{Kept, TraceId},
    grpc::{OtlpService, RawClient},
    proc,
    process::{Process, free_addresses},
    sink::trace_id,
    walk::for_each_span,
};

/// What to run.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The binary.
    #[arg(long, default_value = "target/release/forebay")]
    pub forebay: PathBuf,
    /// Agents, each of which every trace passes through.
    #[arg(long, default_value_t = 4)]
    pub agents: usize,
    /// Spans per second over all agents.
    #[arg(long, default_value_t = 24_000)]
    pub rate: usize,
    /// How long to send, once it has been sent for `warm_up`.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub seconds: usize,
    /// How long to send before CPU time is looked at: until as many traces are decided as come, and buffers have the size
    /// that they need.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub warm_up: usize,
    /// Decides all ids, and which traces fail or are slow.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Send these recorded traces rather than made up ones: as many copies of them at a time as have about the rate, with
    /// service instances spread over agents.
    #[arg(long, value_name = "FILE")]
    pub workload: Option<PathBuf>,
}

/// How a fleet is arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrangement {
    /// Agents forward everything as it is to a gateway that passes it on.
    Forward,
    /// Agents forward a tenth of the traces, chosen by chance, to a gateway that passes it on.
    Head,
    /// Agents forward everything, compressed, to a gateway that samples.
    Tail,
    /// Agents keep spans, and the gateway decides on evidence of all of them.
    Retroactive,
    /// The same on evidence of those that have anything to say.
    Economical,
}

/// What an arrangement has cost.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Which.
    pub arrangement: Arrangement,
    /// Spans that were sent to agents.
    pub spans: u64,
    /// Of these, those that were sent while CPU time was looked at.
    pub timed_spans: u64,
    /// Traces at agents, of all agents together.
    pub pieces: usize,
    /// Bytes that have left agents for other machines.
    pub egress: u64,
    /// Of these, what is evidence.
    pub evidence: u64,
    /// Bytes that agents got from other machines.
    pub ingress: u64,
    /// CPU time of all agents after the warm-up, as long as was sent, in seconds.
    pub agents_cpu: f64,
    /// The same of the gateway.
    pub gateway_cpu: f64,
    /// Resident memory of the largest agent, and of the gateway, at their peaks, in bytes.
    pub agent_memory: u64,
    /// See `agent_memory`.
    pub gateway_memory: u64,
    /// Kept traces.
    pub kept: usize,
    /// Of these, those that did not arrive whole.
    pub torn: usize,
    /// The traces themselves.
    #[serde(skip)]
    pub traces: Kept,
}

/// A backend that remembers how many spans of each trace came.
#[derive(Clone, Debug, Default)]
struct Backend(Arc<Mutex<BTreeMap<TraceId, u32>>>);

/// A fleet that runs.
struct Fleet {
    agents: Vec<(Process, SocketAddr)>,
    gateway: Process,
    to_gateway: Vec<Hop>,
    to_coordinator: Vec<Hop>,
    to_backend: Vec<Hop>,
    backend: Backend,
}

const PATIENCE: Duration = Duration::from_secs(30);
const MAX_MESSAGE: usize = 64 << 20;
/// A coordinator decides nothing in its first seconds, and wants to know all pieces until its fleet has been there for
/// as long.
const GRACE: Duration = Duration::from_secs(12);
/// How long the gateway waits for a trace.
const WAIT: Duration = Duration::from_secs(5);
const POLICIES: &str = "[{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
                         {name: slow, type: latency, latency: {threshold_ms: 500}}, \
                         {name: floor, type: probabilistic, probabilistic: {sampling_percentage: 0.5}}]";
/// With the floor, one in a hundred is kept.
const ERRORS: f64 = 0.003;
const SLOW: f64 = 0.002;

impl Arrangement {
    /// Those that keep the same traces, and what they are measured against.
    pub const COMPARED: [Self; 4] = [Self::Forward, Self::Tail, Self::Retroactive, Self::Economical];

    fn is_retroactive(self) -> bool {
        matches!(self, Self::Retroactive | Self::Economical)
    }
}

impl Options {
    /// How long to send before CPU time is looked at, and in all.
    fn times(&self) -> (Duration, Duration) {
        let seconds = |seconds: usize| Duration::from_secs(seconds as u64);
        (seconds(self.warm_up), seconds(self.warm_up + self.seconds))
    }

    /// What to send.
    ///
    /// # Errors
    /// When recorded traces cannot be read.
    pub fn schedule(&self) -> Result<Schedule, Error> {
        let (_, time) = self.times();
        if let Some(file) = &self.workload {
            return recorded::schedule(file, self.agents, self.rate, time);
        }
        let traces = self.rate * (self.warm_up + self.seconds) / self.agents / SPANS_PER_PIECE;
        let shape = Shape { seed: self.seed, agents: self.agents, traces, errors: ERRORS, slow: SLOW };
        let mut schedule = Schedule::new(self.agents);
        for (agent, requests) in requests(&shape, crate::template::FIXED_TIME).into_iter().enumerate() {
            let count = u32::try_from(requests.len())?;
            for (number, request) in (0..count).zip(requests) {
                schedule.add(agent, time * number / count, request)?;
            }
        }
        Ok(schedule)
    }
}

/// Runs an arrangement.
///
/// # Errors
/// If a process does not start or end.
pub async fn run(options: &Options, schedule: &Schedule, arrangement: Arrangement) -> Result<Cost, Error> {
    let fleet = Fleet::start(options, arrangement).await?;
    if arrangement.is_retroactive() {
        sleep(GRACE).await;
    }
    for hop in fleet.to_gateway.iter().chain(&fleet.to_coordinator).chain(&fleet.to_backend) {
        let _of_the_start = hop.take();
    }
    let (warm_up, time) = options.times();
    let sending = fleet.agents.iter().zip(&schedule.of_agents).map(|(agent, due)| send(agent.1, due));
    let timing = async {
        sleep(warm_up).await;
        let before = fleet.cpu()?;
        sleep(time - warm_up).await;
        let after = fleet.cpu()?;
        Ok((after.0 - before.0, after.1 - before.1))
    };
    let (_, cpu) = tokio::try_join!(futures_util::future::try_join_all(sending), timing)?;
    // The last traces wait, and so does their evidence, before and after. Those of which nobody tells wait twice.
    sleep(2 * WAIT + Duration::from_secs(4)).await;
    fleet.end(arrangement, schedule, warm_up..time, cpu)
}

/// Sends requests when they are due.
async fn send(agent: SocketAddr, requests: &[Due]) -> Result<(), Error> {
    let mut client = RawClient::connect(agent).await?;
    let begin = Instant::now();
    for Due { at, request, .. } in requests {
        sleep_until(begin + *at).await;
        client.export(forebay_otlp::Signal::Traces, request.clone()).await?;
    }
    Ok(())
}

impl Fleet {
    async fn start(options: &Options, arrangement: Arrangement) -> Result<Self, Error> {
        let (backend, backend_address) = Backend::start().await?;
        let [otlp, coordinator] = free_addresses()?;
        let gateway_yaml = gateway(arrangement, otlp, coordinator, backend_address);
        let mut gateway = start(options, "the gateway", &gateway_yaml)?;
        until_listening(&mut gateway, otlp)?;
        let mut fleet = Self {
            agents: Vec::new(),
            gateway,
            to_gateway: Vec::new(),
            to_coordinator: Vec::new(),
            to_backend: Vec::new(),
            backend,
        };
        for number in 0..options.agents {
            let [listen] = free_addresses()?;
            let yaml = if arrangement.is_retroactive() {
                let hops = (Hop::to(coordinator).await?, Hop::to(backend_address).await?);
                let yaml = retroactive_agent(listen, hops.0.address(), hops.1.address());
                fleet.to_coordinator.push(hops.0);
                fleet.to_backend.push(hops.1);
                yaml
            } else {
                let hop = Hop::to(otlp).await?;
                let yaml = forwarding_agent(arrangement, listen, hop.address());
                fleet.to_gateway.push(hop);
                yaml
            };
            let mut agent = start(options, &format!("agent {number}"), &yaml)?;
            until_listening(&mut agent, listen)?;
            fleet.agents.push((agent, listen));
        }
        Ok(fleet)
    }

    /// CPU time so far of all agents, and of the gateway.
    fn cpu(&self) -> Result<(f64, f64), Error> {
        let mut agents = Duration::ZERO;
        for (agent, _) in &self.agents {
            agents += proc::cpu_time(agent.id())?;
        }
        Ok((agents.as_secs_f64(), proc::cpu_time(self.gateway.id())?.as_secs_f64()))
    }

    fn end(
        self,
        arrangement: Arrangement,
        schedule: &Schedule,
        timed: Range<Duration>,
        (agents_cpu, gateway_cpu): (f64, f64),
    ) -> Result<Cost, Error> {
        let sum = |hops: &[Hop]| {
            hops.iter().map(Hop::take).fold((0, 0), |(up, down), hop| (up + hop.0, down + hop.1))
        };
        let [gateway, coordinator, backend] =
            [&self.to_gateway, &self.to_coordinator, &self.to_backend].map(|hops| sum(hops));
        let mut agent_memory = 0;
        for (agent, _) in &self.agents {
            agent_memory = agent_memory.max(proc::memory(agent.id())?.peak);
        }
        let gateway_memory = proc::memory(self.gateway.id())?.peak;
        for (agent, _) in self.agents {
            agent.terminate(PATIENCE)?;
        }
        self.gateway.terminate(PATIENCE)?;
        let kept = self.backend.0.lock().unwrap_or_else(PoisonError::into_inner);
        let torn = kept.iter().filter(|&(trace, spans)| schedule.traces.get(trace) != Some(spans)).count();
        Ok(Cost {
            arrangement,
            spans: schedule.spans(Duration::ZERO..Duration::MAX),
            timed_spans: schedule.spans(timed),
            pieces: schedule.pieces(),
            egress: gateway.0 + coordinator.0 + backend.0,
            evidence: coordinator.0,
            ingress: gateway.1 + coordinator.1 + backend.1,
            agents_cpu,
            gateway_cpu,
            agent_memory,
            gateway_memory,
            kept: kept.len(),
            torn,
            traces: Kept::new(kept.iter().map(|(trace, spans)| (*trace, *spans))),
        })
    }
}

impl Backend {
    async fn start() -> Result<(Self, SocketAddr), Error> {
        let backend = Self::default();
        let service = OtlpService::new(MAX_MESSAGE, {
            let backend = backend.clone();
            move |request: Bytes| backend.take(&request)
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(Server::builder().serve_with_incoming(service, TcpIncoming::from(listener)));
        Ok((backend, address))
    }

    fn take(&self, request: &[u8]) {
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is malformed is missing afterwards.
        let _ = for_each_span(request, |_, span| {
            *traces.entry(trace_id(span)?).or_default() += 1;
            Ok(())
        });
    }
}

fn start(options: &Options, name: &str, yaml: &str) -> Result<Process, Error> {
    let mut command = Command::new(&options.forebay);
    command
        .arg(format!("--config=yaml:{yaml}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(name, &mut command)
}

/// How long a sidecar takes from being started to taking a connection.
///
/// # Errors
/// If it does not start or end.
pub fn start_up_time(options: &Options) -> Result<Duration, Error> {
    let [listen, gateway] = free_addresses()?;
    let started = std::time::Instant::now();
    let sidecar = start(options, "a sidecar", &forwarding_agent(Arrangement::Head, listen, gateway))?;
    while std::net::TcpStream::connect(listen).is_err() {
        if started.elapsed() > PATIENCE {
            return Err(format!("waited in vain for a sidecar for {PATIENCE:?}").into());
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    let time = started.elapsed();
    sidecar.terminate(PATIENCE)?;
    Ok(time)
}

fn until_listening(process: &mut Process, address: SocketAddr) -> Result<(), Error> {
    process.wait_until(PATIENCE, || std::net::TcpStream::connect(address).is_ok())
}

const TELEMETRY: &str = "telemetry: {metrics: {level: none}}";

fn exporter(endpoint: SocketAddr, compression: &str) -> String {
    format!(
        "exporters: {{otlp_grpc: {{endpoint: '{endpoint}', tls: {{insecure: true}}, compression: {compression}}}}}"
    )
}

fn receiver(listen: SocketAddr) -> String {
    format!("receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{listen}'}}}}}}}}")
}

fn gateway(
    arrangement: Arrangement,
    otlp: SocketAddr,
    coordinator: SocketAddr,
    backend: SocketAddr,
) -> String {
    let (extensions, of_sampler, named) = if arrangement.is_retroactive() {
        (
            format!("extensions: {{retroactive_coordinator: {{endpoint: '{coordinator}'}}}}, "),
            if arrangement == Arrangement::Economical {
                "coordinator: retroactive_coordinator, evidence: economical, "
            } else {
                "coordinator: retroactive_coordinator, "
            },
            "extensions: [retroactive_coordinator], ",
        )
    } else {
        (String::new(), "", "")
    };
    let samples = arrangement == Arrangement::Tail || arrangement.is_retroactive();
    let processors = if samples { "[tail_sampling]" } else { "[]" };
    let wait = WAIT.as_secs();
    format!(
        "{{{}, {}, {extensions}processors: {{tail_sampling: {{{of_sampler}decision_wait: {wait}s, policies: {POLICIES}}}}}, \
          service: {{{named}{TELEMETRY}, pipelines: {{traces: {{receivers: [otlp], processors: {processors}, \
          exporters: [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 1024, shards: 1}}}}",
        receiver(otlp),
        exporter(backend, "none"),
    )
}

fn forwarding_agent(arrangement: Arrangement, listen: SocketAddr, gateway: SocketAddr) -> String {
    let compression = if arrangement == Arrangement::Forward { "none" } else { "zstd" };
    let processors = if arrangement == Arrangement::Head { "[probabilistic_sampler]" } else { "[]" };
    format!(
        "{{{}, {}, processors: {{probabilistic_sampler: {{mode: equalizing, sampling_percentage: 10}}}}, \
          service: {{{TELEMETRY}, pipelines: {{traces: {{receivers: [otlp], processors: {processors}, \
          exporters: [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 512, shards: 1}}}}",
        receiver(listen),
        exporter(gateway, compression),
    )
}

fn retroactive_agent(listen: SocketAddr, coordinator: SocketAddr, backend: SocketAddr) -> String {
    format!(
        "{{{}, {}, processors: {{retroactive_sampling: {{coordinators: {{endpoints: ['{coordinator}'], tls: \
          {{insecure: true}}}}}}}}, service: {{{TELEMETRY}, pipelines: {{traces: {{receivers: [otlp], processors: \
          [retroactive_sampling], exporters: [otlp_grpc]}}}}}}, forebay: {{memory_limit_mib: 512, shards: 1}}}}",
        receiver(listen),
        exporter(backend, "zstd"),
    )
}
