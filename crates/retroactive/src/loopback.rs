//! A coordinator and its agents in one process, with nothing between them: for simulations.
//!
//! Agents and the coordinator are those of the network, and so is every message: it is made into bytes, shown to
//! whoever counts them, and read again. Nothing is waited for but Tokio's clock, so on a paused one a fleet does the
//! same thing every time.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use forebay_pipeline::{Budget, Telemetry};
use thiserror::Error;
use tokio::sync::mpsc;
use tonic::Status;
use tracing::Instrument;

use crate::coordinator::{CoordinatorLink, Metrics, coordinate};
use crate::membership::{Member, MembersConfig, Reach};
use crate::server::{AGENTS, Attendance, Bounds, Service};
use crate::session::{Event, Heard, Identity};
use crate::wire::MessageError;
use crate::wire::message::{
    FromAgent, decode_from_agent, decode_from_coordinator, encode_hello, encode_report, encode_welcome,
};
use crate::{CoordinatorId, Hello, VERSIONS, Welcome};

/// A coordinator that agents of the same process reach without a network.
#[derive(Clone)]
pub struct Loopback {
    service: Arc<Service>,
    tap: Arc<Wiretap>,
}

/// Sees every message before it is read.
pub type Wiretap = dyn Fn(Direction, &[u8]) + Send + Sync;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From an agent.
    ToCoordinator,
    /// To an agent.
    ToAgent,
}

/// Why an agent is not connected any more.
#[derive(Debug, Error)]
pub(crate) enum Ended {
    #[error("the coordinator has ended the connection: {0}")]
    Refused(#[from] Status),
    #[error("the peer breaks the protocol: {0}")]
    Message(#[from] MessageError),
    #[error("the agent has stopped")]
    Unheard,
}

/// Reports that wait for the coordinator, as over a network.
const REPORTS: usize = 2;
const ID: CoordinatorId = CoordinatorId([1; 16]);

impl Loopback {
    /// The sampler that joins `link` decides for agents from now on. What they report is charged to `budget`, and
    /// `tap` sees every message. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(link: CoordinatorLink, budget: &Budget, tap: Arc<Wiretap>) -> Self {
        let (service, seen) = Service::new(ID, AGENTS, budget);
        // Nobody scrapes it.
        let metrics = Metrics::new("loopback", &Telemetry::new());
        tokio::spawn(coordinate(link, seen, metrics).in_current_span());
        Self { service: Arc::new(service), tap }
    }

    /// It as the only coordinator, for agents.
    #[must_use]
    pub fn members(&self) -> MembersConfig {
        MembersConfig::Listed(vec![Member {
            address: "loopback".into(),
            reach: Reach::Loopback(self.clone()),
        }])
    }

    /// Connects an agent for as long as both are there.
    pub(crate) async fn attend(
        self,
        address: Arc<str>,
        identity: Identity,
        heard: mpsc::Sender<Heard>,
    ) -> Ended {
        let Err(ended) = self.carry(&address, identity, &heard).await;
        // Whoever has stopped does not want to know.
        let _ = heard.send(Heard { from: address, event: Event::Disconnected }).await;
        ended
    }

    async fn carry(
        &self,
        address: &Arc<str>,
        identity: Identity,
        heard: &mpsc::Sender<Heard>,
    ) -> Result<Infallible, Ended> {
        let tell = async |event| {
            let heard = heard.send(Heard { from: Arc::clone(address), event }).await;
            heard.map_err(|_| Ended::Unheard)
        };
        let Identity { agent, name } = identity;
        let hello = Hello { versions: VERSIONS.to_vec(), agent, name, program: None };
        let FromAgent::Hello(hello) =
            decode_from_agent(&self.passed(Direction::ToCoordinator, encode_hello(&hello)))?
        else {
            return Err(MessageError::Missing("hello").into());
        };
        let welcome = Welcome { version: VERSIONS[0], coordinator: ID };
        self.passed(Direction::ToAgent, encode_welcome(&welcome));
        let (number, mut queue, _leaving) = self.service.join(hello).await?;
        let mut bounds = Bounds::new(queue.settled());
        let (reports, mut reported) = mpsc::channel(REPORTS);
        tell(Event::Connected { coordinator: ID, reports }).await?;
        loop {
            tokio::select! {
                Some(report) = reported.recv() => {
                    let message = self.passed(Direction::ToCoordinator, encode_report(&report));
                    let what = self.service.read(&message, &mut bounds).await?;
                    self.service.see(Attendance { agent: number, what }).await?;
                }
                message = queue.next() => {
                    let message = message.ok_or(Ended::Unheard)?;
                    let said = decode_from_coordinator(&self.passed(Direction::ToAgent, message))?;
                    tell(Event::of(said).ok_or(MessageError::Invalid("message"))?).await?;
                }
            }
        }
    }

    fn passed(&self, direction: Direction, message: Vec<u8>) -> Vec<u8> {
        (self.tap)(direction, &message);
        message
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback").finish_non_exhaustive()
    }
}
