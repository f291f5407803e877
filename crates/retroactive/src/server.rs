//! A coordinator's connections to agents.
//!
//! An agent may be broken or hostile. What it sends is decoded within bounds and when the process has room for it;
//! it may not report more often than makes sense, nor open windows without end. Who breaks a rule is named in the
//! log and cut off. What it is told waits in a queue of its own, bounded in messages and bytes. There are places for so
//! many agents, of which nobody takes more than are left by others.

mod agent;
mod bounds;
mod places;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use forebay_config::Table;
use forebay_pipeline::{Budget, Charge, Throttle};
use forebay_receiver::{BearerTokens, Endpoint, GrpcConfig, Incoming, Outgoing, Server, StartError, Streams};
use forebay_samplers::retroactive::message::Report;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, timeout};
use tonic::{Code, Status};

pub(crate) use self::agent::Queue;
#[cfg(test)]
pub(crate) use self::agent::queue;
pub use self::agent::{AgentHandle, FullError};
pub(crate) use self::bounds::Bounds;
use self::places::Places;
use crate::handshake::{CoordinatorId, Hello, METHOD, VERSIONS, Welcome};
use crate::wire::message::{FromAgent, decode_from_agent, encode_welcome};
use crate::wire::{MAX_MESSAGE, MessageError};

/// A connection of an agent: 0, 1, 2 … in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentNumber(pub u32);

/// What a coordinator sees of an agent.
#[derive(Debug)]
pub struct Attendance {
    /// The agent's connection.
    pub agent: AgentNumber,
    /// What.
    pub what: What,
}

/// `Joined` comes first, `Left` last.
#[derive(Debug)]
pub enum What {
    /// An agent has connected, and versions agree. It stays connected as long as there is a handle.
    Joined(Hello, AgentHandle),
    /// It reports.
    Report {
        /// What.
        report: Report,
        /// What it holds of the process's budget; to be kept as long as the report is.
        charge: Charge,
    },
    /// Its connection is gone.
    Left,
}

/// Where a coordinator listens, and to whom.
#[derive(Clone)]
pub struct CoordinatorConfig {
    /// `endpoint`, `tls` and what else servers have.
    pub grpc: GrpcConfig,
    /// `bearertokenauth`
    pub tokens: Option<BearerTokens>,
}

/// A coordinator's endpoint. Dropping it cuts all connections; [`Self::shutdown`] is kinder.
#[derive(Debug)]
pub struct Coordinator {
    server: Server,
    address: Option<SocketAddr>,
}

/// Serves agents.
pub(crate) struct Service {
    id: CoordinatorId,
    budget: Budget,
    next: AtomicU32,
    places: Arc<Places>,
    seen: mpsc::Sender<Attendance>,
    logged: Throttle,
}

/// Says that an agent has left, whatever becomes of what serves it.
pub(crate) struct Leaving {
    number: AgentNumber,
    permit: Option<mpsc::OwnedPermit<Attendance>>,
}

/// Next to OTLP's.
const PORT: u16 = 4319;
/// Agents that are connected at a time.
pub(crate) const AGENTS: usize = 8 << 10;
/// What has been seen and not been looked at yet; reports among it hold budget. Each agent has a place for saying
/// that it leaves.
const SEEN: usize = 2 * AGENTS;
/// How long a connection may take to say hello.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a report waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

impl CoordinatorConfig {
    /// Reads `endpoint` (by default `localhost:4319`) and what other servers have, and `bearertokenauth`.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let mut grpc = GrpcConfig::read(table, Endpoint::localhost(PORT));
        grpc.max_recv_msg_size = grpc.max_recv_msg_size.min(MAX_MESSAGE);
        let tokens = table.table("bearertokenauth").and_then(|table| BearerTokens::read(&table));
        Self { grpc, tokens }
    }
}

impl Coordinator {
    /// Serves agents from now on, on behalf of `owner` (`processor tail_sampling`). What is seen of them is to be
    /// received in order.
    ///
    /// # Errors
    /// When the endpoint cannot be bound or TLS settings cannot be used.
    pub async fn start(
        owner: &str,
        config: &CoordinatorConfig,
        id: CoordinatorId,
        budget: &Budget,
    ) -> Result<(Self, mpsc::Receiver<Attendance>), StartError> {
        let (service, receiver) = Service::new(id, AGENTS, budget);
        let server = Server::new();
        let address = server.streams(owner, &config.grpc, config.tokens.clone(), budget, service).await?;
        Ok((Self { server, address }, receiver))
    }

    /// The bound address, unless it is a Unix socket.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Ends all connections, by `deadline` at the latest.
    pub async fn shutdown(self, deadline: Instant) {
        self.server.shutdown(deadline).await;
    }
}

impl Streams for Service {
    async fn serve(&self, method: &str, mut incoming: Incoming, outgoing: Outgoing) -> Result<(), Status> {
        if method != METHOD {
            return Err(Status::unimplemented(format!("unknown method {method}")));
        }
        let hello = timeout(HANDSHAKE, hello(&mut incoming)).await;
        let hello = hello.map_err(|_| Status::deadline_exceeded("there was no hello in time"))??;
        let (name, client) = (hello.name.clone(), incoming.client().map(tracing::field::display));
        let ended = self.attend(hello, incoming, &outgoing).await;
        if let Err(status) = &ended
            && matches!(
                status.code(),
                Code::InvalidArgument | Code::ResourceExhausted | Code::FailedPrecondition
            )
            && let Some(withheld) = self.logged.pass()
        {
            tracing::warn!(agent = name, client, error = status.message(), withheld, "cut off an agent");
        }
        ended
    }
}

impl Service {
    /// One on behalf of the coordinator `id` with places for so many agents, and what it will see.
    pub(crate) fn new(
        id: CoordinatorId,
        agents: usize,
        budget: &Budget,
    ) -> (Self, mpsc::Receiver<Attendance>) {
        let (seen, receiver) = mpsc::channel(SEEN);
        let (next, places) = (AtomicU32::new(0), Places::new(agents));
        (Self { id, budget: budget.clone(), next, places, seen, logged: Throttle::new() }, receiver)
    }

    async fn attend(&self, hello: Hello, mut incoming: Incoming, outgoing: &Outgoing) -> Result<(), Status> {
        let version = VERSIONS.iter().copied().filter(|version| hello.versions.contains(version)).max();
        let version = version.ok_or_else(|| {
            Status::failed_precondition(format!(
                "this coordinator speaks versions {VERSIONS:?} of the protocol"
            ))
        })?;
        let place = self.places.take(incoming.client());
        let place = place.map_err(|full| Status::resource_exhausted(full.to_string()))?;
        let gone = |_| Status::unavailable("the agent is gone or does not read");
        outgoing.send(&encode_welcome(&Welcome { version, coordinator: self.id })).await.map_err(gone)?;
        let (number, queue, _leaving) = self.join(hello).await?;
        let bounds = Bounds::new(queue.settled());
        tokio::select! {
            ended = self.receive(number, &mut incoming, bounds) => ended,
            ended = queue.send_to(outgoing) => ended,
            () = place.wanted() => Err(Status::resource_exhausted(
                "there is no place any more: others than this client have had fewer",
            )),
        }
    }

    /// Lets an agent join: its number, what it is to be told, and what says that it has left when it is dropped.
    pub(crate) async fn join(&self, hello: Hello) -> Result<(AgentNumber, Queue, Leaving), Status> {
        let joined = self.seen.reserve().await.map_err(stopped)?;
        let permit = self.seen.clone().reserve_owned().await.map_err(stopped)?;
        let number = AgentNumber(self.next.fetch_add(1, Ordering::Relaxed));
        let (handle, queue) = agent::queue(&self.budget);
        joined.send(Attendance { agent: number, what: What::Joined(hello, handle) });
        Ok((number, queue, Leaving { number, permit: Some(permit) }))
    }

    /// Hands on what an agent reports until it has no more to say.
    async fn receive(
        &self,
        agent: AgentNumber,
        incoming: &mut Incoming,
        mut bounds: Bounds,
    ) -> Result<(), Status> {
        while let Some(received) = incoming.next().await? {
            let what = self.read(&received.message, &mut bounds).await?;
            drop(received);
            self.see(Attendance { agent, what }).await?;
        }
        Ok(())
    }

    /// Reads a report once there is room for it.
    pub(crate) async fn read(&self, message: &[u8], bounds: &mut Bounds) -> Result<What, Status> {
        let FromAgent::Report(report) = decode_from_agent(message).map_err(malformed)? else {
            return Err(Status::invalid_argument("there is a second hello"));
        };
        bounds.admit(report.window(), Instant::now())?;
        let room = self.budget.reserve_within(report.size(), PATIENCE).await;
        let mut charge = room.map_err(|over| {
            if report.size() > self.budget.limit() {
                // It would be sent again and again.
                return Status::resource_exhausted(
                    "the memory limit of this coordinator has no room for such a report: raise \
                     `forebay: {memory_limit_mib}`",
                );
            }
            Status::unavailable(over.to_string())
        })?;
        let report = report.decode().map_err(malformed)?;
        let values: usize = report.pieces.iter().map(|piece| piece.values.capacity()).sum();
        charge.resize(charge.bytes() + values);
        Ok(What::Report { report, charge })
    }

    /// Shows what has become of an agent.
    pub(crate) async fn see(&self, seen: Attendance) -> Result<(), Status> {
        self.seen.send(seen).await.map_err(stopped)
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            permit.send(Attendance { agent: self.number, what: What::Left });
        }
    }
}

/// An agent's first message.
async fn hello(incoming: &mut Incoming) -> Result<Hello, Status> {
    let first = incoming.next().await?.ok_or_else(|| Status::invalid_argument("there was no hello"))?;
    match decode_from_agent(&first.message).map_err(malformed)? {
        FromAgent::Hello(hello) => Ok(hello),
        FromAgent::Report(_) => Err(Status::invalid_argument("the first message is not a hello")),
    }
}

/// Nobody wants to see agents any more.
fn stopped<T>(_: SendError<T>) -> Status {
    Status::unavailable("the coordinator stops")
}

fn malformed(error: MessageError) -> Status {
    Status::invalid_argument(error.to_string())
}
