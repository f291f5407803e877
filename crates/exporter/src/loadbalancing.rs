//! The exporter `loadbalancing`: spans that belong together go to the same member of a fleet.
//!
//! There is one queue in front, and who gets a span is decided when it is sent, by whoever is there at that moment. So
//! a member that has left or does not answer leaves nothing behind that would have to be fetched back: what it has
//! not taken is shared out among the others at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use forebay_membership::Membership;
use forebay_pipeline::{Consumer, Signal};
use futures_util::future::join_all;
use tokio::time::timeout;

use crate::grpc::GrpcTransport;
use crate::sender::Sender;
use crate::transport::{Outcome, Payload, Transport};
use crate::{BuildError, ExporterContext};

mod config;
mod fleet;
mod route;
#[cfg(test)]
mod tests;

pub use config::{LoadBalancingConfig, RoutingKey};

use fleet::{Fleet, Member, Peer};
use route::{Share, share_out};

/// Makes the exporter `id`. Must be called inside a runtime.
///
/// # Errors
/// When the TLS settings cannot be used.
pub fn build(
    id: &str,
    config: LoadBalancingConfig,
    context: &ExporterContext,
) -> Result<Arc<dyn Consumer>, BuildError> {
    // What is wrong with the settings of all members is better said now.
    GrpcTransport::new(config.member.clone())?;
    let membership = config.resolver.clone().follow(&config.member.channel);
    Ok(Arc::new(balance(id, config, membership, context)))
}

fn balance(
    id: &str,
    config: LoadBalancingConfig,
    membership: Membership<Member>,
    context: &ExporterContext,
) -> Sender<BalancingTransport> {
    let LoadBalancingConfig { routing_key, member, mut sending, .. } = config;
    // An attempt is one for each member, so the limit is theirs.
    let limit = sending.timeout.take();
    let fleet = Fleet::new(id, membership, member, &context.telemetry);
    let transport = BalancingTransport { routing_key, fleet, limit };
    Sender::new(id, transport, sending, context, Rng::new())
}

struct BalancingTransport {
    routing_key: RoutingKey,
    fleet: Fleet,
    /// How long one member may take for one attempt.
    limit: Option<Duration>,
}

/// What has become of the parts of a request.
#[derive(Default)]
struct Progress {
    items: usize,
    rejected: u64,
    /// Of members that asked for a pause.
    postponed: Vec<Bytes>,
    after: Option<Duration>,
    message: String,
}

impl Transport for BalancingTransport {
    async fn encode(&self, _: Signal, pieces: Vec<Bytes>) -> Result<Payload, String> {
        Ok(Payload::gather(&[], pieces))
    }

    async fn send(&self, signal: Signal, payload: Payload) -> Outcome {
        let mut present = self.fleet.present();
        if present.is_empty() {
            return Outcome::failed("no member is known yet");
        }
        let mut progress = Progress::default();
        let mut pieces = payload.frames().to_vec();
        // Each round has fewer members.
        while !pieces.is_empty() && !present.is_empty() {
            let shares = match share_out(self.routing_key, &pieces, |key| present.owner(key)) {
                Ok(shares) => shares,
                Err(error) => return Outcome::Rejected(error.to_string()),
            };
            let attempts = shares.into_iter().map(|(owner, share)| {
                let peer = present.peer(owner);
                async move {
                    let outcome = self.attempt(peer, signal, share.pieces.clone()).await;
                    (owner, share, outcome)
                }
            });
            let answers = join_all(attempts).await;
            pieces.clear();
            for (owner, share, outcome) in answers {
                let answered = !matches!(outcome, Outcome::Failed { after: None, .. });
                present.peer(owner).heard(answered);
                if answered {
                    progress.note(share, outcome);
                } else if let Outcome::Failed { message, .. } = outcome {
                    progress.message = format!("{}: {message}", present.peer(owner).name);
                    present.leave_out(owner);
                    pieces.extend(share.pieces);
                }
            }
        }
        progress.outcome(pieces)
    }
}

impl BalancingTransport {
    async fn attempt(&self, peer: &Peer, signal: Signal, pieces: Vec<Bytes>) -> Outcome {
        let payload = match peer.transport.encode(signal, pieces).await {
            Ok(payload) => payload,
            Err(message) => return Outcome::Rejected(message),
        };
        peer.ask();
        let attempt = peer.transport.send(signal, payload);
        match self.limit {
            None => attempt.await,
            Some(limit) => timeout(limit, attempt)
                .await
                .unwrap_or_else(|_| Outcome::failed(format!("no answer within {limit:?}"))),
        }
    }
}

impl Progress {
    /// Takes in what a member has said of its share.
    fn note(&mut self, share: Share, outcome: Outcome) {
        let items = share.items as u64;
        let (rejected, message) = match outcome {
            Outcome::Delivered { rejected, message } => (rejected.min(items), message),
            Outcome::Rejected(message) => (items, message),
            Outcome::Failed { message, after } | Outcome::Partly { message, after, .. } => {
                self.postponed.extend(share.pieces);
                self.after = self.after.max(after);
                self.message = message;
                return;
            }
        };
        self.items += share.items;
        self.rejected += rejected;
        if !message.is_empty() {
            self.message = message;
        }
    }

    /// The outcome of all, if nobody has taken `left`.
    fn outcome(self, left: Vec<Bytes>) -> Outcome {
        let Self { items, rejected, mut postponed, after, message } = self;
        postponed.extend(left);
        match (postponed.is_empty(), items) {
            (true, _) if rejected > 0 => Outcome::Delivered { rejected, message },
            (true, _) => Outcome::DELIVERED,
            (false, 0) => Outcome::Failed { message, after },
            (false, _) => Outcome::Partly { items, rejected, rest: postponed, message, after },
        }
    }
}
