//! A workload sent through a strategy in real time: processes on pinned cores, OTLP over loopback, the kernel's accounts.
//!
//! Between the tiers stand proxies that count bytes as they are on the wire, HTTP/2 included. The services and the store
//! are this process, on a core of its own. What is kept is judged by the same metrics as in a simulation, and how far
//! the simulation of the same seed is from it is part of the result ([`Difference`]).

mod difference;
mod fault;
mod fleet;
pub mod grpc;
mod node;
mod overlay;
mod peer;
pub mod proc;
pub mod process;
mod replay;
mod store;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use self::fleet::Fleet;
use self::node::Node;
use self::replay::Replay;
use self::store::Listening;
use crate::cost::Prices;
use crate::results::metrics;
use crate::simulate::{GRACE, HopCounts, Outcome, Run, TierCpu, simulate};
use crate::{Strategy, Workload};

pub use self::difference::{Difference, HopDifference};
pub use self::fault::{Fault, FaultError, FaultKind};
pub use self::fleet::System;
pub use self::overlay::Compression;
pub use self::peer::{Peer, PeerError};

/// What goes wrong when something outside of this process does.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How to run.
#[derive(Clone, Debug)]
pub struct Live<'a> {
    /// What is sent.
    pub workload: &'a Workload,
    /// Decides the trace ids.
    pub seed: u64,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// How long after the last request everything may take to be decided.
    pub settle: Duration,
    /// What things cost.
    pub prices: Prices,
}

/// What a strategy has done in real time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LiveResult {
    /// The strategy.
    pub strategy: String,
    /// What ran it.
    pub system: String,
    /// What went wrong on demand.
    pub faults: Vec<String>,
    /// Bytes over each link, as on the wire.
    pub hops: Vec<HopCounts>,
    /// What each tier took.
    pub components: Vec<Component>,
    /// Each metric that has a value; CPU time is that of all processes.
    pub metrics: BTreeMap<String, f64>,
    /// How long exporting takes the services.
    pub export: ExportLatency,
    /// How far the simulation of the same seed is from it. None if something went wrong on demand.
    pub difference: Option<Difference>,
}

/// What a tier of processes took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// `agents` or `gateway`.
    pub name: String,
    /// How many processes.
    pub processes: usize,
    /// CPU time of all of them, user and system, per span that the services sent, in nanoseconds.
    pub cpu_ns_per_span: f64,
    /// Resident memory of all of them, each at its peak, in bytes.
    pub peak_rss: u64,
    /// Resident memory of all of them, on average over the seconds of the traffic, in bytes.
    #[serde(default)]
    pub mean_rss: u64,
}

/// How long services wait until a request of theirs is accepted, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExportLatency {
    /// By the strategy's first tier: half of the requests.
    pub p50: f64,
    /// 99 of 100.
    pub p99: f64,
    /// By the store itself.
    pub direct_p50: f64,
    /// By the store itself, 99 of 100.
    pub direct_p99: f64,
}

/// What there is to do during a run.
#[derive(Clone, Copy)]
enum Event {
    Look,
    Begins(FaultKind),
    Ends(FaultKind),
}

/// How much of the workload is sent to the store itself to see what exporting takes at least.
const DIRECT: Duration = Duration::from_secs(5);

impl Live<'_> {
    /// Runs a strategy, all of the harness on this thread.
    ///
    /// # Errors
    /// When a process does not start, or ends before its time.
    pub fn run(&self, strategy: &Strategy, system: &System) -> Result<LiveResult, Error> {
        let start = async |store| Fleet::start(strategy, system, self.workload, store).await;
        let (result, outcome) = self.processes(start, strategy.budget)?;
        Ok(LiveResult {
            strategy: strategy.name.clone(),
            system: system.name.clone(),
            difference: self.difference(strategy, system, &outcome)?,
            ..result
        })
    }

    /// Runs a peer in the place of a gateway, on `core`.
    ///
    /// # Errors
    /// When it does not start, or ends before its time.
    pub fn run_peer(&self, peer: &Peer, core: usize) -> Result<LiveResult, Error> {
        let start = async |store| Fleet::of_peer(peer, core, self.workload, store).await;
        let (result, _) = self.processes(start, None)?;
        Ok(LiveResult { strategy: peer.name.clone(), system: "its command".to_owned(), ..result })
    }

    /// Runs the processes that `start` starts, given the store's address.
    fn processes(
        &self,
        start: impl AsyncFnOnce(SocketAddr) -> Result<Fleet, Error>,
        budget: Option<f64>,
    ) -> Result<(LiveResult, Outcome), Error> {
        Builder::new_current_thread().enable_all().build()?.block_on(self.carry(start, budget))
    }

    async fn carry(
        &self,
        start: impl AsyncFnOnce(SocketAddr) -> Result<Fleet, Error>,
        budget: Option<f64>,
    ) -> Result<(LiveResult, Outcome), Error> {
        let (direct_p50, direct_p99) = self.direct().await?;
        let listening = Listening::start(self.workload, self.seed).await?;
        let mut fleet = start(listening.address).await?;
        if fleet.coordinates() {
            sleep(GRACE).await;
        }
        fleet.begin()?;
        let begin = Instant::now();
        let replay = self.replay(Duration::MAX);
        let entries = fleet.entries.clone();
        let (sent, broken) = tokio::join!(replay.run(&entries, begin), self.attend(&mut fleet, begin));
        let (sent, ()) = (sent?, broken?);
        sleep(self.settle).await;
        let components = fleet.components(sent.spans)?;
        fleet.stop().await?;

        let cpu = |name| {
            let tier = components.iter().find(|tier| tier.name == name)?;
            Some(Duration::from_secs_f64(tier.cpu_ns_per_span * sent.spans as f64 / 1e9))
        };
        let mut outcome = Outcome {
            kept: listening.store.kept(begin),
            hops: fleet.hops(),
            spans_sent: sent.spans,
            spans_refused: sent.refused,
            seconds: self.workload.seconds(),
            cpu: Some(TierCpu { agents: cpu("agents"), gateway: cpu("gateway") }),
            memory_peak: components.iter().map(|tier| tier.peak_rss).sum(),
            memory_mean: components.iter().map(|tier| tier.mean_rss).sum::<u64>() as f64,
            budget,
            priced: None,
        };
        outcome.priced = self.prices.of(&outcome);
        let population = &self.workload.population;
        let by_metric = metrics()
            .filter_map(|metric| Some((metric.name.to_owned(), (metric.compute)(population, &outcome)?)));
        let seconds = |share| sent.latency(share).unwrap_or_default().as_secs_f64();
        let result = LiveResult {
            faults: self.faults.iter().map(ToString::to_string).collect(),
            metrics: by_metric.collect(),
            export: ExportLatency { p50: seconds(0.5), p99: seconds(0.99), direct_p50, direct_p99 },
            hops: outcome.hops.clone(),
            components,
            ..LiveResult::default()
        };
        Ok((result, outcome))
    }

    /// How long the store takes to accept the first requests if it gets them directly.
    async fn direct(&self) -> Result<(f64, f64), Error> {
        let listening = Listening::start(self.workload, self.seed).await?;
        let entries = vec![listening.address; self.workload.services.len()];
        let sent = self.replay(DIRECT).run(&entries, Instant::now()).await?;
        let seconds = |share| sent.latency(share).unwrap_or_default().as_secs_f64();
        Ok((seconds(0.5), seconds(0.99)))
    }

    fn replay(&self, until: Duration) -> Replay<'_> {
        Replay { workload: self.workload, seed: self.seed, faults: &self.faults, until }
    }

    /// Looks at the memory every second, and does what is to go wrong when it is to.
    async fn attend(&self, fleet: &mut Fleet, begin: Instant) -> Result<(), Error> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of traffic")]
        let seconds = self.workload.seconds() as u64;
        let mut events: Vec<_> =
            (0..=seconds).map(|second| (Duration::from_secs(second), Event::Look)).collect();
        for fault in &self.faults {
            events.push((fault.at, Event::Begins(fault.kind)));
            events.push((fault.at + fault.length, Event::Ends(fault.kind)));
        }
        events.sort_by_key(|event| event.0);
        for (at, event) in events {
            sleep_until(begin + at).await;
            match event {
                Event::Look => fleet.look()?,
                Event::Begins(FaultKind::KillGateway) => fleet.gateway.iter_mut().try_for_each(Node::kill)?,
                Event::Ends(FaultKind::KillGateway) => fleet.gateway.iter_mut().try_for_each(Node::launch)?,
                Event::Begins(FaultKind::CutLink) => fleet.set_cut(true),
                Event::Ends(FaultKind::CutLink) => fleet.set_cut(false),
                // The replay sees to it.
                Event::Begins(FaultKind::Burst(_)) | Event::Ends(FaultKind::Burst(_)) => {}
            }
        }
        Ok(())
    }

    fn difference(
        &self,
        strategy: &Strategy,
        system: &System,
        outcome: &Outcome,
    ) -> Result<Option<Difference>, Error> {
        if !self.faults.is_empty() {
            return Ok(None);
        }
        let simulated =
            simulate(strategy, self.workload, Run { seed: self.seed, compress: true, measure: false })?;
        Ok(Some(Difference::of(&simulated, outcome, system.compression)))
    }
}

#[cfg(test)]
mod tests;
