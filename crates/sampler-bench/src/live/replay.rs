//! A workload sent in real time, as its service instances would.
//!
//! Each instance sends its requests one after the other over a connection of its own, when they are due or as soon as
//! the one before has been taken. A refused one is sent again, as SDKs do.

use std::net::SocketAddr;
use std::time::Duration;

use forebay_otlp::Signal;
use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::grpc::RawClient;
use super::{Error, Fault, FaultKind};
use crate::Workload;

/// What to send.
#[derive(Clone, Copy)]
pub(super) struct Replay<'a> {
    pub(super) workload: &'a Workload,
    pub(super) seed: u64,
    pub(super) faults: &'a [Fault],
    /// No request that is due later.
    pub(super) until: Duration,
}

/// What has become of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    pub(super) spans: u64,
    /// Of these, those that nobody took.
    pub(super) refused: u64,
    /// How long each request took until it was accepted.
    pub(super) latencies: Vec<Duration>,
}

/// How often a refused request is sent again, and after how long.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

impl Replay<'_> {
    /// Sends everything; `entries` are where service instances send to, and `begin` is when the first request is due.
    pub(super) async fn run(&self, entries: &[SocketAddr], begin: Instant) -> Result<Sent, Error> {
        let sources = (0..).zip(entries).map(|(source, &entry)| self.source(source, entry, begin));
        let mut all = Sent::default();
        for sent in try_join_all(sources).await? {
            all.spans += sent.spans;
            all.refused += sent.refused;
            all.latencies.extend(sent.latencies);
        }
        all.latencies.sort_unstable();
        Ok(all)
    }

    async fn source(&self, source: u32, entry: SocketAddr, begin: Instant) -> Result<Sent, Error> {
        let Self { workload, seed, until, .. } = *self;
        let mut client = RawClient::connect(entry).await?;
        let mut sent = Sent::default();
        let due = workload.requests.iter().filter(|request| request.source == source && request.at <= until);
        for request in due {
            sleep_until(begin + request.at).await;
            let batch = request.with_ids_of(seed, &workload.population);
            let started = Instant::now();
            sent.spans += batch.items as u64;
            if send(&mut client, &batch.bytes).await {
                sent.latencies.push(started.elapsed());
            } else {
                sent.refused += batch.items as u64;
            }
            for copy in 1..self.copies(begin.elapsed()) {
                // Ids of other seeds are not looked for.
                let other = request.with_ids_of(seed ^ u64::from(copy) << 32, &workload.population);
                send(&mut client, &other.bytes).await;
            }
        }
        Ok(sent)
    }

    /// How many times requests are sent that are due now.
    fn copies(&self, elapsed: Duration) -> u32 {
        let bursts =
            self.faults.iter().filter(|fault| fault.is_on(elapsed)).filter_map(|fault| match fault.kind {
                FaultKind::Burst(factor) => Some(factor),
                FaultKind::KillGateway | FaultKind::CutLink => None,
            });
        bursts.max().unwrap_or(1)
    }
}

impl Sent {
    /// The latency that this share of the requests did not exceed.
    pub(super) fn latency(&self, share: f64) -> Option<Duration> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank among them")]
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }
}

/// Sends a request, again while it is refused; whether it was taken.
async fn send(client: &mut RawClient, request: &bytes::Bytes) -> bool {
    for _ in 0..TRIES {
        if client.export(Signal::Traces, request.clone()).await.is_ok() {
            return true;
        }
        sleep(PAUSE).await;
    }
    false
}
