//! `retroactive_coordinator`: agents on one side, a tail sampler on the other.
//!
//! The extension listens; the processor `tail_sampling` that names it decides. What agents report goes to the
//! sampler's shards, and what these have decided goes back to the agents, some at every tick. While agents cannot take
//! in as much as is decided, less is kept, by randomness: the same traces for all agents, which so stay whole.

mod metrics;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use forebay_otlp::threshold::Threshold;
use forebay_pipeline::{Budget, Telemetry};
use forebay_receiver::StartError;
use forebay_samplers::retroactive::Coordination;
use forebay_samplers::retroactive::program::Program;
use forebay_samplers::tail::{AgentNumber, EvidencePort, Nanos};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::metrics::Metrics;
use crate::server::{self, AgentHandle, Attendance, Coordinator as Server, CoordinatorConfig, What};
use crate::wire::MessageError;
use crate::wire::program::{self, Encoded};
use crate::{AgentId, CoordinatorId};

/// What joins an extension and the processor that names it.
#[derive(Clone)]
pub struct CoordinatorLink {
    sampler: mpsc::Sender<Sampler>,
    waiting: Arc<Mutex<mpsc::Receiver<Sampler>>>,
}

/// The `retroactive_coordinator` extension.
pub struct CoordinatorExtension {
    server: Server,
    task: JoinHandle<()>,
}

/// Why a processor cannot be a coordinator.
#[derive(Debug, Error)]
pub enum LinkError {
    /// Its policies are too much for a message.
    #[error("the policies cannot be told to agents: {0}")]
    Program(#[from] MessageError),
    /// An extension serves one processor.
    #[error(
        "another processor decides already for the agents of this extension: give each an extension of its own"
    )]
    Taken,
}

/// A tail sampler that decides for agents.
struct Sampler {
    port: EvidencePort,
    program: Encoded,
}

/// A sampler and its agents.
struct Fleet<'a> {
    port: &'a mut EvidencePort,
    program: &'a Encoded,
    metrics: &'a Metrics,
    coordination: Coordination,
    /// By their connections.
    connected: HashMap<server::AgentNumber, (AgentNumber, AgentHandle)>,
    /// All that have been here, with their names and their newest connection.
    known: HashMap<AgentId, Known>,
    /// How many times the share of what is kept is halved.
    shed_halvings: u8,
    /// Until when the sampler was told to decide nothing.
    held_until: Nanos,
    /// Whether it was told to decide nothing that agents have told of.
    deserted: bool,
}

struct Known {
    number: AgentNumber,
    name: String,
    connection: Option<server::AgentNumber>,
    /// When its last connection ended.
    left_at: Nanos,
    /// It is not let in before.
    barred_until: Nanos,
}

/// So many agents are remembered, those that are connected and those that have left: more than there are places for.
const KNOWN_MAX: usize = 1 << 14;
/// From this fill of the fullest agent's queue on, less is kept: in equal steps, of which each halves it.
const SHED_FROM: f64 = 0.5;
const SHED_HALVINGS: u8 = 10;
/// How long an agent that was cut off has to stay away, in nanoseconds.
const BARRED: Nanos = 60_000_000_000;
/// A backlog of so many keys is a full queue.
const BACKLOG: f64 = 262_144.0;

impl CoordinatorLink {
    /// A link that nobody has joined.
    #[must_use]
    pub fn new() -> Self {
        let (sampler, waiting) = mpsc::channel(1);
        Self { sampler, waiting: Arc::new(Mutex::new(waiting)) }
    }

    /// Lets a sampler with these policies decide for the extension's agents.
    ///
    /// # Errors
    /// When the policies are too much for a message, or another sampler does so.
    pub fn join(&self, port: EvidencePort, program: &Program) -> Result<(), LinkError> {
        let program = program::encode(program)?;
        self.sampler.try_send(Sampler { port, program }).map_err(|_| LinkError::Taken)
    }
}

impl Default for CoordinatorLink {
    fn default() -> Self {
        Self::new()
    }
}

impl CoordinatorExtension {
    /// Listens for agents from now on, on behalf of `id` (`retroactive_coordinator`). Must be called within a Tokio
    /// runtime.
    ///
    /// # Errors
    /// When the endpoint cannot be bound or TLS settings cannot be used.
    pub async fn start(
        id: &str,
        config: &CoordinatorConfig,
        link: CoordinatorLink,
        budget: &Budget,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let process = CoordinatorId(std::array::from_fn(|_| fastrand::u8(..)));
        let (server, seen) = Server::start(&format!("extension {id}"), config, process, budget).await?;
        let task = tokio::spawn(coordinate(link, seen, Metrics::new(id, telemetry)));
        Ok(Self { server, task })
    }

    /// Ends all connections, by `deadline` at the latest.
    pub async fn shutdown(self, deadline: Instant) {
        self.server.shutdown(deadline).await;
        self.task.abort();
    }
}

/// Joins agents to the sampler that has joined the link, for as long as there is one.
pub(crate) async fn coordinate(
    link: CoordinatorLink,
    mut seen: mpsc::Receiver<Attendance>,
    metrics: Metrics,
) {
    let mut waiting = link.waiting.lock().await;
    while let Some(Sampler { mut port, program }) = waiting.recv().await {
        let coordination = port.coordination();
        let fleet = Fleet {
            coordination,
            connected: HashMap::new(),
            known: HashMap::new(),
            shed_halvings: 0,
            held_until: 0,
            deserted: false,
            program: &program,
            metrics: &metrics,
            port: &mut port,
        };
        fleet.run(&mut seen).await;
    }
}

impl Fleet<'_> {
    /// Runs until the sampler or the server ends.
    async fn run(mut self, seen: &mut mpsc::Receiver<Attendance>) {
        loop {
            let next = self.port.instant(self.coordination.next_tick());
            let goes_on = tokio::select! {
                // All shards decide at the same time: what they have to tell goes with one tick.
                biased;
                notices = self.port.notices() => match notices {
                    Some((shard, notices)) => {
                        let now = self.port.now();
                        notices.into_iter().for_each(|notice| self.coordination.notice(shard, notice, now));
                        true
                    }
                    None => false,
                },
                () = sleep_until(next) => self.tick().await,
                attendance = seen.recv() => match attendance {
                    Some(Attendance { agent, what }) => self.see(agent, what).await,
                    None => false,
                },
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Takes in what has been seen of an agent; false if the sampler is about to end.
    async fn see(&mut self, connection: server::AgentNumber, what: What) -> bool {
        match what {
            What::Joined(hello, handle) => {
                let barred_until = self.known.get(&hello.agent).map_or(0, |known| known.barred_until);
                if self.port.now() < barred_until {
                    handle.cut_off("it was cut off a moment ago");
                } else if handle.tell_program(self.program).is_ok() {
                    let agent = self.join(hello.agent, &hello.name, connection);
                    self.connected.insert(connection, (agent, handle));
                }
                true
            }
            What::Report { report, charge } => {
                let Some(&(agent, _)) = self.connected.get(&connection) else { return true };
                // What has been asked by other policies says nothing of these, and is about to be reported anew.
                if report.program != self.program.id {
                    return true;
                }
                self.metrics.reports.inc();
                self.metrics.pieces.inc_by(report.pieces.len() as u64);
                let now = self.port.now();
                if let Err(flood) = self.coordination.reported(agent, &report, now) {
                    self.metrics.floods.inc();
                    self.cut_off(connection, &flood.to_string());
                    return self.hold().await;
                }
                // What an agent that is back has to tell goes before decisions on what others have told.
                self.hold().await
                    && self.port.report(agent, report, charge).await
                    && self.mark_deserted().await
            }
            What::Left => {
                self.leave(connection);
                self.hold().await && self.mark_deserted().await
            }
        }
    }

    /// A connection has ended.
    fn leave(&mut self, connection: server::AgentNumber) -> Option<AgentHandle> {
        let (agent, handle) = self.connected.remove(&connection)?;
        let now = self.port.now();
        self.coordination.left(agent, now);
        if let Some(known) = self.known_at(connection) {
            (known.connection, known.left_at) = (None, now);
        }
        Some(handle)
    }

    /// Ends a connection over what its agent does, and does not let that in for a while.
    fn cut_off(&mut self, connection: server::AgentNumber, reason: &str) {
        let barred_until = self.port.now().saturating_add(BARRED);
        if let Some(known) = self.known_at(connection) {
            known.barred_until = barred_until;
        }
        if let Some(handle) = self.leave(connection) {
            handle.cut_off(reason);
        }
    }

    fn known_at(&mut self, connection: server::AgentNumber) -> Option<&mut Known> {
        self.known.values_mut().find(|known| known.connection == Some(connection))
    }

    /// Lets go of an agent for which all others would hold what they have dropped.
    fn let_go_of_unresponsive(&mut self) {
        let now = self.port.now();
        let Some(unresponsive) = self.coordination.unresponsive(now) else { return };
        let connection = self.connected.iter().find(|(_, (agent, _))| *agent == unresponsive);
        if let Some(&connection) = connection.map(|(connection, _)| connection) {
            self.cut_off(connection, "it has acknowledged nothing for ten minutes");
        }
        self.coordination.lost(unresponsive, now);
    }

    /// Lets the sampler decide nothing for as long as that is unsafe; false if it is about to end.
    async fn hold(&mut self) -> bool {
        let until = self.coordination.hold_until(self.port.now());
        until == std::mem::replace(&mut self.held_until, until) || self.port.hold(until).await
    }

    /// Lets the sampler decide nothing that agents have told of while all are away; false if it is about to end.
    async fn mark_deserted(&mut self) -> bool {
        let deserted = self.coordination.is_deserted();
        deserted == std::mem::replace(&mut self.deserted, deserted) || self.port.set_deserted(deserted).await
    }

    /// An agent has connected. Its number is the one that it had before.
    fn join(&mut self, id: AgentId, name: &str, connection: server::AgentNumber) -> AgentNumber {
        // One of the same name under another id has lost what it held, and is not waited for.
        let replaced: Vec<_> = self
            .known
            .iter()
            .filter(|(other, known)| **other != id && known.name == name && known.connection.is_none())
            .map(|(other, known)| (*other, known.number))
            .collect();
        for (other, number) in replaced {
            self.known.remove(&other);
            let pieces = self.coordination.lost(number, self.port.now());
            if pieces > 0 {
                self.metrics.lost_pieces.inc_by(pieces as u64);
                tracing::warn!(agent = name, pieces, "an agent has come back without what it held undecided");
            }
        }
        if self.known.len() >= KNOWN_MAX && !self.known.contains_key(&id) {
            self.forget_longest_away();
        }
        let known = self.known.entry(id).or_insert_with(|| Known {
            number: AgentNumber(connection.0),
            name: name.to_owned(),
            connection: None,
            left_at: 0,
            barred_until: 0,
        });
        let number = known.number;
        // Of two connections of an agent the older is a broken one.
        if let Some(older) = known.connection.replace(connection) {
            self.connected.remove(&older);
        }
        self.coordination.joined(number, self.port.now());
        number
    }

    /// Forgets the agent that has been away for longest, and does not wait for it any more.
    fn forget_longest_away(&mut self) {
        let away = self.known.iter().filter(|(_, known)| known.connection.is_none());
        let longest = away.min_by_key(|(_, known)| known.left_at).map(|(id, known)| (*id, known.number));
        if let Some((id, number)) = longest {
            self.known.remove(&id);
            self.coordination.lost(number, self.port.now());
        }
    }

    /// Tells agents what has been decided; false if the sampler is about to end.
    async fn tick(&mut self) -> bool {
        self.let_go_of_unresponsive();
        let now = self.port.now();
        let decisions: HashMap<_, _> = self.coordination.tick(now).into_iter().collect();
        let mut fullest = self.coordination.backlog() as f64 / BACKLOG;
        // One that does not take in what it is told is let go: it is told what it needs when it is back.
        let mut stuck = Vec::new();
        for (&connection, (agent, handle)) in &self.connected {
            fullest = fullest.max(handle.fill());
            if decisions.get(agent).is_some_and(|decisions| handle.tell_decisions(decisions).is_err()) {
                stuck.push(connection);
            }
        }
        for connection in stuck {
            self.leave(connection);
        }
        self.metrics.agents.set(i64::try_from(self.connected.len()).unwrap_or(i64::MAX));
        self.metrics.publish(&self.coordination, now);
        if !self.mark_deserted().await {
            return false;
        }
        let halvings = shed_halvings(fullest);
        if halvings == std::mem::replace(&mut self.shed_halvings, halvings) {
            return true;
        }
        self.metrics.shed_halvings.set(halvings.into());
        self.port.shed_below(share(halvings)).await
    }
}

/// How many times the share of what is kept is halved when the fullest queue is that full.
fn shed_halvings(fill: f64) -> u8 {
    let reached = |&halvings: &u8| {
        SHED_FROM + (1.0 - SHED_FROM) * f64::from(halvings) / f64::from(SHED_HALVINGS) <= fill
    };
    (1..=SHED_HALVINGS).take_while(reached).last().unwrap_or(0)
}

/// The threshold that lets a share of 1, halved so many times, through.
fn share(halvings: u8) -> Threshold {
    Threshold::from_probability(0.5_f64.powi(halvings.into()), 4).unwrap_or(Threshold::ALWAYS)
}
