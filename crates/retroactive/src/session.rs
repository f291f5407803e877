//! An agent's connection to one coordinator, for as long as it lasts, and the next one.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use forebay_exporter::grpc::{CallError, Incoming, Outgoing, StalledError, StreamChannel};
use forebay_exporter::{Backoff, BuildError, RetryConfig};
use forebay_pipeline::Throttle;
use forebay_samplers::retroactive::message::{Decisions, Report};
use forebay_samplers::retroactive::program::{Program, ProgramId};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tracing::Instrument;

use crate::handshake::{AgentId, CoordinatorId, Hello, METHOD, VERSIONS, Welcome};
use crate::membership::{Member, Reach};
use crate::wire::message::{FromCoordinator, decode_from_coordinator, encode_hello, encode_report};
use crate::wire::{MAX_MESSAGE, MessageError};

/// Who an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The same after a restart only if its spans have survived.
    pub agent: AgentId,
    /// What it is called in logs and metrics.
    pub name: String,
}

/// What an agent hears, and of whom.
#[derive(Debug)]
pub struct Heard {
    /// The coordinator's address; see [`Member::address`].
    pub from: Arc<str>,
    /// What.
    pub event: Event,
}

/// What happens to an agent's connection, in this order; after `Disconnected` it begins anew.
#[derive(Debug)]
pub enum Event {
    /// There is a connection, and versions agree.
    Connected {
        /// Another process than before if it is another id.
        coordinator: CoordinatorId,
        /// Takes reports as long as the connection lasts. Few wait here; when it is full, the coordinator or the
        /// network is behind.
        reports: mpsc::Sender<Report>,
    },
    /// What to ask of spans from now on.
    Program(Box<Program>, ProgramId),
    /// What has been decided.
    Decisions(Decisions),
    /// The connection is gone; what was sent lately may not have arrived.
    Disconnected,
}

/// Keeps up an agent's connection to a coordinator until it is dropped. Nothing is heard of it then.
#[derive(Debug)]
pub struct Session {
    task: JoinHandle<()>,
}

/// What a session's task has.
struct Attending {
    address: Arc<str>,
    channel: StreamChannel,
    identity: Identity,
    /// The newest program that it was told.
    program: Option<ProgramId>,
    heard: mpsc::Sender<Heard>,
}

/// Why a connection has ended.
#[derive(Debug, Error)]
enum Ended {
    #[error("{0}")]
    Call(#[from] CallError),
    #[error("{0}")]
    Stalled(#[from] StalledError),
    #[error("the coordinator breaks the protocol: {0}")]
    Message(#[from] MessageError),
    #[error("the coordinator breaks the protocol: {0}")]
    Order(&'static str),
    #[error("the coordinator has ended the connection")]
    Closed,
    #[error("there was no welcome within {HANDSHAKE:?}")]
    NoWelcome,
    #[error("the coordinator speaks version {0} of the protocol; upgrade this agent")]
    Version(u32),
    #[error("the agent has stopped")]
    Unheard,
}

/// How long connecting may take, and how long a welcome.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Reports that wait to be sent.
const REPORTS: usize = 2;

impl Session {
    /// Connects to a coordinator, and again whenever that fails. Must be called inside a runtime.
    ///
    /// # Errors
    /// When the TLS settings cannot be used.
    pub fn start(
        member: &Member,
        identity: Identity,
        heard: mpsc::Sender<Heard>,
    ) -> Result<Self, BuildError> {
        let address = Arc::clone(&member.address);
        let task = match &member.reach {
            Reach::Channel(config) => {
                let channel = StreamChannel::new(config, HANDSHAKE, MAX_MESSAGE)?;
                tokio::spawn(Attending { address, channel, identity, program: None, heard }.run())
            }
            Reach::Loopback(loopback) => {
                let attending = loopback.clone().attend(address, identity, heard);
                let attending = async move {
                    let ended = attending.await;
                    tracing::debug!(error = %ended, "an agent of this process has no coordinator any more");
                };
                tokio::spawn(attending.in_current_span())
            }
        };
        Ok(Self { task })
    }
}

impl Event {
    /// What a coordinator has said after its welcome; `None` if it is another one.
    pub(crate) fn of(said: FromCoordinator) -> Option<Self> {
        match said {
            FromCoordinator::Program(program, id) => Some(Self::Program(Box::new(program), id)),
            FromCoordinator::Decisions(decisions) => Some(Self::Decisions(decisions)),
            FromCoordinator::Welcome(_) => None,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Attending {
    async fn run(mut self) {
        let pauses = RetryConfig {
            initial_interval: Duration::from_millis(100),
            multiplier: 2.0,
            randomization_factor: 0.5,
            max_interval: Duration::from_secs(5),
            max_elapsed_time: None,
        };
        let (mut rng, mut backoff, logged) = (Rng::new(), Backoff::new(&pauses), Throttle::new());
        loop {
            let ended = match self.connect().await {
                Ok((welcome, outgoing, incoming)) => {
                    backoff = Backoff::new(&pauses);
                    self.attend(welcome, outgoing, incoming).await
                }
                Err(ended) => ended,
            };
            if let Some(withheld) = logged.pass() {
                tracing::warn!(coordinator = %self.address, error = %ended, withheld, "no connection");
            }
            if self.heard.is_closed() {
                return;
            }
            sleep(backoff.next(&mut rng)).await;
        }
    }

    async fn connect(&self) -> Result<(Welcome, Outgoing, Incoming), Ended> {
        let (outgoing, mut incoming) = self.channel.open(METHOD).await?;
        let Identity { agent, name } = self.identity.clone();
        let hello = Hello { versions: VERSIONS.to_vec(), agent, name, program: self.program };
        outgoing.send(&encode_hello(&hello)).await?;
        let first = timeout(HANDSHAKE, incoming.next()).await.map_err(|_| Ended::NoWelcome)??;
        let FromCoordinator::Welcome(welcome) = decode_from_coordinator(&first.ok_or(Ended::Closed)?)? else {
            return Err(Ended::Order("its first message is not a welcome"));
        };
        if !VERSIONS.contains(&welcome.version) {
            return Err(Ended::Version(welcome.version));
        }
        Ok((welcome, outgoing, incoming))
    }

    /// Carries messages until the connection ends.
    async fn attend(&mut self, welcome: Welcome, outgoing: Outgoing, incoming: Incoming) -> Ended {
        let (reports, queue) = mpsc::channel(REPORTS);
        let connected = Event::Connected { coordinator: welcome.coordinator, reports };
        if self.tell(connected).await.is_err() {
            return Ended::Unheard;
        }
        let ended = tokio::select! {
            ended = report(queue, outgoing) => ended,
            ended = self.hear(incoming) => ended,
        };
        // Whoever has stopped does not want to know.
        let _ = self.tell(Event::Disconnected).await;
        ended
    }

    async fn hear(&mut self, mut incoming: Incoming) -> Ended {
        loop {
            let event = match incoming.next().await {
                Ok(Some(message)) => match decode_from_coordinator(&message).map(Event::of) {
                    Ok(Some(event)) => event,
                    Ok(None) => return Ended::Order("there is a second welcome"),
                    Err(error) => return error.into(),
                },
                Ok(None) => return Ended::Closed,
                Err(error) => return error.into(),
            };
            if let Event::Program(_, id) = event {
                self.program = Some(id);
            }
            if let Err(unheard) = self.tell(event).await {
                return unheard;
            }
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Ended> {
        let heard = Heard { from: Arc::clone(&self.address), event };
        self.heard.send(heard).await.map_err(|_| Ended::Unheard)
    }
}

/// Sends reports until the server does not take them any more.
async fn report(mut reports: mpsc::Receiver<Report>, outgoing: Outgoing) -> Ended {
    while let Some(report) = reports.recv().await {
        if let Err(stalled) = outgoing.send(&encode_report(&report)).await {
            return stalled.into();
        }
    }
    // The agent has nothing more to say, and may still want to hear.
    std::future::pending().await
}
