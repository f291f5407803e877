//! The members, and which of them answer.
//!
//! A member that has not answered is passed over for a while, and its share goes to the others, so that it holds up
//! each request that is on its way only once. After the while, one request at a time finds out whether it is back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay_membership::{Members, Membership};
use forebay_pipeline::{Telemetry, Throttle};
use prometheus::{IntCounter, IntCounterVec, IntGauge};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::grpc::{ChannelConfig, GrpcConfig, GrpcTransport};

/// For how long a member that has not answered is passed over: as long as the Collector waits before it tries again.
pub(super) const PASSED_OVER: Duration = Duration::from_secs(5);

/// A member as it is listed.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Its id for ownership: the host name as it is configured, or the address that a name has.
    pub(super) name: Arc<str>,
    pub(super) channel: ChannelConfig,
}

/// Everybody who is listed.
pub(super) struct Fleet {
    id: String,
    config: GrpcConfig,
    /// Follows the list as long as there is somebody to use it.
    _membership: Membership<Member>,
    known: Mutex<Known>,
    /// How members answered.
    outcomes: IntCounterVec,
    backends: IntGauge,
    failures: Throttle,
}

struct Known {
    list: watch::Receiver<Vec<Member>>,
    members: Arc<Members>,
    /// In the order of `members`.
    peers: Vec<Arc<Peer>>,
}

/// One member.
pub(super) struct Peer {
    pub(super) name: Arc<str>,
    pub(super) transport: GrpcTransport,
    /// Until when it is passed over.
    passed_over: Mutex<Option<Instant>>,
    succeeded: IntCounter,
    failed: IntCounter,
}

/// Those that a request may be sent to.
pub(super) struct Present {
    members: Arc<Members>,
    peers: Vec<Arc<Peer>>,
    /// By peer.
    there: Vec<bool>,
}

impl Fleet {
    pub(super) fn new(
        id: &str,
        membership: Membership<Member>,
        config: GrpcConfig,
        telemetry: &Telemetry,
    ) -> Self {
        let list = membership.members();
        let name = "otelcol_loadbalancer_backend_outcome";
        let help = "Requests to each member, by whether it answered.";
        let backends =
            telemetry.gauges("otelcol_loadbalancer_num_backends", "Members there are.", &["exporter"]);
        let fleet = Self {
            id: id.to_owned(),
            config,
            _membership: membership,
            known: Mutex::new(Known { list, members: Arc::default(), peers: Vec::new() }),
            outcomes: telemetry.counters(name, help, &["exporter", "endpoint", "success"]),
            backends: backends.with_label_values(&[id]),
            failures: Throttle::new(),
        };
        fleet.update(&mut lock(&fleet.known));
        fleet
    }

    /// Those who are listed now and not passed over; if that is nobody, all.
    pub(super) fn present(&self) -> Present {
        let mut known = lock(&self.known);
        // An error means that nobody changes it any more.
        if known.list.has_changed().unwrap_or_default() {
            self.update(&mut known);
        }
        let (members, peers) = (Arc::clone(&known.members), known.peers.clone());
        drop(known);
        let now = Instant::now();
        let mut there: Vec<_> = peers.iter().map(|peer| !peer.is_passed_over(now)).collect();
        if !there.contains(&true) {
            there.fill(true);
        }
        Present { members, peers, there }
    }

    fn update(&self, known: &mut Known) {
        let list = known.list.borrow_and_update().clone();
        let old: HashMap<_, _> = known.peers.drain(..).map(|peer| (Arc::clone(&peer.name), peer)).collect();
        let mut peers: Vec<_> = list
            .into_iter()
            .filter_map(|member| old.get(&member.name).cloned().or_else(|| self.connect(member)))
            .collect();
        peers.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        known.members = Arc::new(Members::new(peers.iter().map(|peer| peer.name.to_string())));
        self.backends.set(peers.len().try_into().unwrap_or(i64::MAX));
        known.peers = peers;
    }

    fn connect(&self, Member { name, channel }: Member) -> Option<Arc<Peer>> {
        match GrpcTransport::new(GrpcConfig { channel, ..self.config.clone() }) {
            Ok(transport) => {
                let [succeeded, failed] = ["true", "false"]
                    .map(|success| self.outcomes.with_label_values(&[&*self.id, &*name, success]));
                Some(Arc::new(Peer { name, transport, passed_over: Mutex::default(), succeeded, failed }))
            }
            Err(error) => {
                if let Some(withheld) = self.failures.pass() {
                    warn!(member = &*name, %error, withheld, "a member cannot be used");
                }
                None
            }
        }
    }
}

impl Peer {
    fn is_passed_over(&self, now: Instant) -> bool {
        lock(&self.passed_over).is_some_and(|until| now < until)
    }

    /// A request is sent to it. If it was passed over, the others are to wait for its answer.
    pub(super) fn ask(&self) {
        if let Some(until) = &mut *lock(&self.passed_over) {
            *until = Instant::now() + PASSED_OVER;
        }
    }

    /// It has answered a request, or not.
    pub(super) fn heard(&self, answered: bool) {
        if answered { &self.succeeded } else { &self.failed }.inc();
        *lock(&self.passed_over) = (!answered).then(|| Instant::now() + PASSED_OVER);
    }
}

impl Present {
    /// Whether there is nobody.
    pub(super) fn is_empty(&self) -> bool {
        !self.there.contains(&true)
    }

    /// Who owns a key; there must be somebody.
    pub(super) fn owner(&self, key: u64) -> usize {
        self.members.owner_among(key, |index| self.there[index]).unwrap_or_default()
    }

    pub(super) fn peer(&self, index: usize) -> &Peer {
        &self.peers[index]
    }

    /// Takes one out.
    pub(super) fn leave_out(&mut self, index: usize) {
        self.there[index] = false;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
