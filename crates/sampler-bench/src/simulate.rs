//! A workload sent through a strategy in virtual time.
//!
//! The pipelines are the real ones ([`forebay::embedded`]); between the services and the store there are no sockets but
//! hops, which count. Tokio's clock is paused: while there is work it stands still, and when all wait it
//! jumps to what comes next, so an hour takes as long as the work in it. Where agents run the strategy says
//! ([`Placement`](crate::Placement)); there is one gateway. If it coordinates agents that sample retroactively, these send
//! what they keep to the store themselves, and what both tell each other is made into bytes, counted and read again. What
//! is measured of the machine, CPU time, is that of each tier ([`TierCpu`]), without what the harness itself spends.

mod hop;
mod stopwatch;
mod store;

use std::sync::Arc;
use std::time::Duration;

use forebay::embedded::{EmbedError, Embedded};
use forebay_pipeline::{Batch, Consumer, Refusal};
use forebay_retroactive::{Direction, Wiretap};
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument;

use self::hop::{Hop, Link};
use self::stopwatch::{Lane, Stopwatch};
use crate::cost::Priced;
use crate::{Strategy, Workload};

pub use self::hop::HopCounts;
pub(crate) use self::store::{Store, StoredSpan};

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was kept, by the traces' numbers.
    pub kept: Vec<Kept>,
    /// What went over each link, from the services to the store.
    pub hops: Vec<HopCounts>,
    /// Spans that the services sent.
    pub spans_sent: u64,
    /// Spans that nobody took.
    pub spans_refused: u64,
    /// How long the traffic lasted, in seconds.
    pub seconds: f64,
    /// CPU time of the samplers, where it was measured.
    pub cpu: Option<TierCpu>,
    /// The most bytes that waited in all samplers together, of those seen every second.
    pub memory_peak: u64,
    /// How many bytes waited on average.
    pub memory_mean: f64,
    /// The share of the traces that the strategy was asked for.
    pub budget: Option<f64>,
    /// What follows from the price table, where there is one.
    pub priced: Option<Priced>,
}

/// CPU time of each tier that there is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TierCpu {
    /// Of all agents together.
    pub agents: Option<Duration>,
    /// Of the gateway.
    pub gateway: Option<Duration>,
}

/// A trace of which something was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Kept {
    /// The trace's number.
    pub trace: u32,
    /// Its spans that were stored.
    pub spans: u32,
    /// Bytes of these spans.
    pub bytes: u64,
    /// How many traces it stands for, if it says so.
    pub weight: Option<f64>,
    /// From when its first span was sent until the first was stored.
    pub waited: Duration,
}

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Decides the trace ids, and with them all that is left to chance.
    pub seed: u64,
    /// Whether requests are compressed to see how large they are then.
    pub compress: bool,
    /// Whether CPU time is measured, which takes some itself.
    pub measure: bool,
}

/// Why a strategy cannot be simulated.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// A configuration does not start.
    #[error("{strategy}: {error}")]
    Embed {
        /// The strategy's name.
        strategy: String,
        /// Why.
        error: EmbedError,
    },
    /// There is no runtime.
    #[error("cannot start a runtime: {0}")]
    Runtime(#[from] std::io::Error),
}

/// How long agents and their coordinator have got before the first request: a coordinator decides nothing in its first
/// seconds.
pub(crate) const GRACE: Duration = Duration::from_secs(9);
/// Between looks at the memory.
const SECOND: Duration = Duration::from_secs(1);
/// After the traffic, how long everything may take to be decided, in virtual time.
const SETTLE: u32 = 3600;
/// How often a refused request is sent again.
const TRIES: u32 = 30;

/// Sends `workload` through `strategy`.
///
/// # Errors
/// When the strategy's configurations do not start.
pub fn simulate(strategy: &Strategy, workload: &Workload, run: Run) -> Result<Outcome, SimulationError> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let carry = || {
        runtime.block_on(async {
            let network = Network::start(strategy, workload, run).await?;
            Ok(network.carry(workload, run.seed).await)
        })
    };
    let measured = |stopwatch: &Stopwatch| {
        let outcome = carry()?;
        let agents = strategy.agent.as_ref().map(|_| stopwatch.spent(Lane::Agents));
        let gateway = strategy.gateway.as_ref().map(|_| stopwatch.spent(Lane::Gateway));
        Ok(Outcome { cpu: Some(TierCpu { agents, gateway }), ..outcome })
    };
    let simulated: Result<Outcome, EmbedError> =
        if run.measure { Stopwatch::watch(measured) } else { carry() };
    let outcome =
        simulated.map_err(|error| SimulationError::Embed { strategy: strategy.name.clone(), error })?;
    Ok(Outcome { budget: strategy.budget, ..outcome })
}

impl TierCpu {
    /// That of all tiers.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.agents.unwrap_or_default() + self.gateway.unwrap_or_default()
    }
}

/// The tiers of a strategy and the links between them.
struct Network {
    /// From each service instance, where its requests go.
    entries: Vec<Arc<dyn Consumer>>,
    agents: Vec<Embedded>,
    gateway: Option<Embedded>,
    /// From the services to the store.
    hops: Vec<Arc<Link>>,
    store: Arc<Store>,
    /// Whether the gateway decides for agents.
    coordinates: bool,
}

impl Network {
    async fn start(strategy: &Strategy, workload: &Workload, run: Run) -> Result<Self, EmbedError> {
        let store = Arc::new(Store::new(workload, run.seed));
        let link = |name| Arc::new(Link::new(name, run.compress));
        let hop = |link: &Arc<Link>, lane, next: Arc<dyn Consumer>| -> Arc<dyn Consumer> {
            Arc::new(Hop::new(Arc::clone(link), lane, next))
        };
        let last = |name| {
            let link = link(name);
            (hop(&link, Lane::Harness, Arc::<Store>::clone(&store)), vec![link])
        };
        let Some(agent) = &strategy.agent else {
            let (out, mut hops) = last("gateway to store");
            let program = strategy.gateway.as_ref().ok_or(EmbedError::NoTraces)?;
            let gateway = program.start(out).instrument(Lane::Gateway.span()).await?;
            hops.insert(0, link("services to gateway"));
            let entries = vec![hop(&hops[0], Lane::Gateway, gateway.entry()); workload.services.len()];
            return Ok(Self {
                entries,
                agents: Vec::new(),
                gateway: Some(gateway),
                hops,
                store,
                coordinates: false,
            });
        };
        let (mut gateway, mut loopback) = (None, None);
        let (mut out, mut hops) = last("agents to store");
        if let Some(program) = &strategy.gateway {
            let (decided, gateway_hops) = last("gateway to store");
            let started = program.start(decided).instrument(Lane::Gateway.span()).await?;
            let reports = [link("agents to coordinator"), link("coordinator to agents")];
            loopback = Lane::Gateway.span().in_scope(|| started.coordinator(tap(reports.clone())));
            if loopback.is_some() {
                hops.splice(..0, reports);
            } else {
                hops = gateway_hops;
                hops.insert(0, link("agents to gateway"));
                out = hop(&hops[0], Lane::Gateway, started.entry());
            }
            gateway = Some(started);
        }
        let first = link("services to agents");
        let placed = strategy.placement.agents(workload);
        let mut agents = Vec::new();
        for _ in 0..placed.iter().max().map_or(0, |last| last + 1) {
            let started = agent.start_in(Arc::clone(&out), loopback.as_ref());
            agents.push(started.instrument(Lane::Agents.span()).await?);
        }
        let entries =
            placed.iter().map(|&agent| hop(&first, Lane::Agents, agents[agent as usize].entry())).collect();
        hops.insert(0, first);
        Ok(Self { entries, agents, gateway, hops, store, coordinates: loopback.is_some() })
    }

    /// Carries the whole workload, and stops.
    async fn carry(self, workload: &Workload, seed: u64) -> Outcome {
        if self.coordinates {
            sleep(GRACE).await;
            // What they have told each other so far they tell each other once.
            self.hops.iter().for_each(|link| link.reset());
        }
        let begin = Instant::now();
        let mut outcome = Outcome { seconds: workload.seconds(), ..Outcome::default() };
        let mut looks = (begin, 0_u32);
        for request in &workload.requests {
            while looks.0 < begin + request.at {
                sleep_until(looks.0).await;
                self.look(&mut outcome);
                looks = (looks.0 + SECOND, looks.1 + 1);
            }
            sleep_until(begin + request.at).await;
            let batch = request.with_ids_of(seed, &workload.population);
            let spans = batch.items as u64;
            outcome.spans_sent += spans;
            if !send(&self.entries[request.source as usize], batch).await {
                outcome.spans_refused += spans;
            }
        }
        for _ in 0..SETTLE {
            sleep(SECOND).await;
            if self.tiers().all(|tier| tier.waiting_items() == 0) {
                break;
            }
        }
        outcome.memory_mean /= f64::from(looks.1.max(1));
        for agent in self.agents {
            agent.stop().instrument(Lane::Agents.span()).await;
        }
        if let Some(gateway) = self.gateway {
            gateway.stop().instrument(Lane::Gateway.span()).await;
        }
        outcome.hops = self.hops.iter().map(|link| link.counts()).collect();
        outcome.kept = self.store.kept(begin);
        outcome
    }

    fn tiers(&self) -> impl Iterator<Item = &Embedded> {
        self.agents.iter().chain(&self.gateway)
    }

    /// Adds what waits now to what has been seen.
    fn look(&self, outcome: &mut Outcome) {
        let held = self.tiers().map(|tier| tier.held_bytes() as u64).sum();
        outcome.memory_peak = outcome.memory_peak.max(held);
        outcome.memory_mean += held as f64;
    }
}

/// Counts what agents and their coordinator tell each other.
fn tap([up, down]: [Arc<Link>; 2]) -> Arc<Wiretap> {
    Arc::new(move |direction, message| {
        let link = if direction == Direction::ToCoordinator { &up } else { &down };
        Lane::Harness.span().in_scope(|| link.count(message, 0));
    })
}

/// Sends a batch, again while it is refused for now; whether it was taken.
async fn send(entry: &Arc<dyn Consumer>, batch: Batch) -> bool {
    for _ in 0..TRIES {
        match entry.consume(batch.clone()).await {
            Ok(()) => return true,
            Err(Refusal::Permanent(_)) => return false,
            Err(Refusal::Retryable { after, .. }) => sleep(after.unwrap_or(SECOND)).await,
        }
    }
    false
}

#[cfg(test)]
mod tests;
