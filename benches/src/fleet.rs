//! What a fleet of agents with a gateway costs: forwarding everything to a tail sampler, or retroactively.
//!
//! Real processes on loopback, a counting proxy on every hop, the same spans and the same policies. Whatever crosses
//! from an agent to another machine is zstd-compressed in both arrangements. A third one forwards without compression
//! and without policies: what an agent costs that does nothing.

mod backend;
mod configuration;
pub mod recorded;
pub mod schedule;
pub mod traffic;

use std::{
    net::SocketAddr,
    ops::Range,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use forebay::hop::Hop;
use forebay_exporter::fetch::Fetcher;
use forebay_tls::ClientTls;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use self::{
    backend::Backend,
    configuration::{WAIT, forwarding_agent, gateway, retroactive_agent},
    schedule::{Due, Schedule},
    traffic::{SPANS_PER_PIECE, Shape, requests},
};
use crate::{
    Error,
    compare::Kept,
    grpc::RawClient,
    proc,
    process::{Process, free_addresses},
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
    /// What it was like under load.
    #[serde(flatten)]
    pub load: Load,
    /// Resident memory of the largest agent, and of the gateway, at their peaks, in bytes.
    pub agent_memory: u64,
    /// See `agent_memory`.
    pub gateway_memory: u64,
    /// Kept traces.
    pub kept: usize,
    /// Of these, those that did not arrive whole.
    pub torn: usize,
    /// How long kept traces took from their first span's being sent to their last one's arrival at the backend, in
    /// seconds: the median, and the longest.
    pub delay: [f64; 2],
    /// The traces themselves.
    #[serde(skip)]
    pub traces: Kept,
}

/// What a fleet was like after the warm-up, for as long as was sent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    /// CPU time of all agents, in seconds.
    pub agents_cpu: f64,
    /// The same of the gateway.
    pub gateway_cpu: f64,
    /// For how long agents could hold spans at the end, in seconds: the least of all. None where they hold nothing.
    pub horizon: Option<f64>,
}

/// A fleet that runs.
struct Fleet {
    agents: Vec<(Process, SocketAddr)>,
    /// Where agents that hold spans serve metrics.
    metrics: Vec<SocketAddr>,
    gateway: Process,
    to_gateway: Vec<Hop>,
    to_coordinator: Vec<Hop>,
    to_backend: Vec<Hop>,
    backend: Backend,
}

const PATIENCE: Duration = Duration::from_secs(30);
const SCRAPE_MAX: usize = 1 << 20;
/// A coordinator decides nothing in its first seconds, and wants to know all pieces until its fleet has been there for
/// as long.
const GRACE: Duration = Duration::from_secs(12);
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
    let begun = Instant::now();
    let sending = fleet.agents.iter().zip(&schedule.of_agents).map(|(agent, due)| send(agent.1, due, begun));
    let timing = async {
        sleep_until(begun + warm_up).await;
        let before = fleet.cpu()?;
        sleep_until(begun + time).await;
        let after = fleet.cpu()?;
        let (agents_cpu, gateway_cpu) = (after.0 - before.0, after.1 - before.1);
        Ok(Load { agents_cpu, gateway_cpu, horizon: fleet.horizon().await? })
    };
    let (_, load) = tokio::try_join!(futures_util::future::try_join_all(sending), timing)?;
    // The last traces wait, and so does their evidence, before and after. Those of which nobody tells wait twice.
    sleep(2 * WAIT + Duration::from_secs(4)).await;
    fleet.end(arrangement, schedule, begun, warm_up..time, load)
}

/// Sends requests when they are due.
async fn send(agent: SocketAddr, requests: &[Due], begun: Instant) -> Result<(), Error> {
    let mut client = RawClient::connect(agent).await?;
    for Due { at, request, .. } in requests {
        sleep_until(begun + *at).await;
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
            metrics: Vec::new(),
            gateway,
            to_gateway: Vec::new(),
            to_coordinator: Vec::new(),
            to_backend: Vec::new(),
            backend,
        };
        for number in 0..options.agents {
            let [listen] = free_addresses()?;
            let yaml = if arrangement.is_retroactive() {
                let [metrics] = free_addresses()?;
                let hops = (Hop::to(coordinator).await?, Hop::to(backend_address).await?);
                let yaml = retroactive_agent(listen, hops.0.address(), hops.1.address(), metrics);
                fleet.metrics.push(metrics);
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

    /// For how long agents can hold spans, in seconds: the least of all.
    async fn horizon(&self) -> Result<Option<f64>, Error> {
        let fetcher = Fetcher::new(&ClientTls::default(), PATIENCE, SCRAPE_MAX)?;
        let mut least = None;
        for agent in &self.metrics {
            let scrape = fetcher.fetch(&format!("http://{agent}/metrics").parse()?).await?;
            let name = "forebay_retroactive_sampling_horizon_seconds";
            let horizon =
                figure(std::str::from_utf8(&scrape)?, name).ok_or("an agent does not tell its horizon")?;
            least = Some(least.map_or(horizon, |least: f64| least.min(horizon)));
        }
        Ok(least)
    }

    fn end(
        self,
        arrangement: Arrangement,
        schedule: &Schedule,
        begun: Instant,
        timed: Range<Duration>,
        load: Load,
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
        let kept = self.backend.traces();
        let mut torn = 0;
        let mut delays = Vec::new();
        for (id, arrived) in &kept {
            let sent = schedule.traces.get(id);
            torn += usize::from(sent.is_none_or(|sent| sent.spans != arrived.spans));
            let first = sent.map_or(begun, |sent| begun + sent.first);
            delays.push(arrived.at.saturating_duration_since(first).as_secs_f64());
        }
        delays.sort_unstable_by(f64::total_cmp);
        Ok(Cost {
            arrangement,
            spans: schedule.spans(Duration::ZERO..Duration::MAX),
            timed_spans: schedule.spans(timed),
            pieces: schedule.pieces(),
            egress: gateway.0 + coordinator.0 + backend.0,
            evidence: coordinator.0,
            ingress: gateway.1 + coordinator.1 + backend.1,
            load,
            agent_memory,
            gateway_memory,
            kept: kept.len(),
            torn,
            delay: [delays.len() / 2, delays.len().saturating_sub(1)]
                .map(|rank| delays.get(rank).copied().unwrap_or_default()),
            traces: Kept::new(kept.iter().map(|(&id, arrived)| (id, arrived.spans))),
        })
    }
}

/// The figure in a scrape of Prometheus' that is called `name` and has any labels.
fn figure(scrape: &str, name: &str) -> Option<f64> {
    let line = scrape
        .lines()
        .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))?;
    line.rsplit(' ').next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_whole_name() {
        let scrape = "# HELP of_two seconds\nof_two_seconds 3\nof_two{processor=\"a b\"} 1.5\nof 4\n";
        assert_eq!(["of_two", "of", "two"].map(|name| figure(scrape, name)), [Some(1.5), Some(4.0), None]);
    }
}
