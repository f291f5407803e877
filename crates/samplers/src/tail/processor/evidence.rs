//! Where evidence of agents comes in, and where it comes out what they are to be told.

use std::sync::Arc;
use std::time::Duration;

use forebay_otlp::threshold::Threshold;
use forebay_pipeline::Charge;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Job, Shards};
use crate::retroactive::message::Report;
use crate::retroactive::{Coordination, CoordinationSettings};
use crate::tail::config::nanos;
use crate::tail::sampler::{Notice, Reported};
use crate::tail::store::{AgentNumber, Nanos};

/// The shards of a coordinating tail sampler, to whoever is connected to agents. Gone when the processor is.
pub struct EvidencePort {
    shards: Arc<Shards>,
    notices: mpsc::UnboundedReceiver<(usize, Vec<Notice>)>,
    epoch: Instant,
    settings: CoordinationSettings,
}

impl EvidencePort {
    pub(super) fn new(
        shards: &Arc<Shards>,
        notices: mpsc::UnboundedReceiver<(usize, Vec<Notice>)>,
        epoch: Instant,
        settings: CoordinationSettings,
    ) -> Self {
        Self { shards: Arc::clone(shards), notices, epoch, settings }
    }

    /// A coordination of agents that begins now.
    #[must_use]
    pub fn coordination(&self) -> Coordination {
        Coordination::new(self.settings, self.now())
    }

    /// The sampler's time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
    }

    /// When it will be so late by the sampler's time.
    #[must_use]
    pub fn instant(&self, time: Nanos) -> Instant {
        self.epoch + Duration::from_nanos(time)
    }

    /// Hands a report to the shards, once they have room; false if they are about to end.
    pub async fn report(&self, agent: AgentNumber, report: Report, charge: Charge) -> bool {
        let Some(permits) = self.shards.reserve().await else { return false };
        let Report { window, horizon, pieces, moved_on, .. } = report;
        let charge = Arc::new(charge);
        let evidence = |(pieces, moved_on)| {
            let reported = Reported { agent, window, horizon: nanos(horizon), pieces, moved_on };
            Job::Evidence(reported, Arc::clone(&charge))
        };
        let mut moved_on_of = vec![Vec::new(); permits.len()];
        for key in moved_on {
            moved_on_of[self.shards.of(key.to_trace_id())].push(key);
        }
        let mut parts = vec![Vec::new(); permits.len()];
        if let [all] = &mut parts[..] {
            *all = pieces;
        } else {
            // Somewhat more than its share for each, so that hardly ever any grows.
            let share = pieces.len() / parts.len();
            parts.iter_mut().for_each(|part| part.reserve(share + share / 8));
            for piece in pieces {
                parts[self.shards.of(piece.trace_id)].push(piece);
            }
        }
        // Each has to know of the window, whether there is something in it or not.
        let parts = parts.into_iter().zip(moved_on_of);
        permits.into_iter().zip(parts).for_each(|(permit, part)| permit.send(evidence(part)));
        true
    }

    /// Lets the shards decide nothing before `until`; false if they are about to end.
    pub async fn hold(&self, until: Nanos) -> bool {
        self.tell_all(|| Job::Hold(until)).await
    }

    /// Lets the shards decide nothing that agents have told of, or again; false if they are about to end.
    pub async fn set_deserted(&self, deserted: bool) -> bool {
        self.tell_all(|| Job::Deserted(deserted)).await
    }

    /// Lets the shards keep only traces whose randomness reaches `threshold` too; false if they are about to end.
    pub async fn shed_below(&self, threshold: Threshold) -> bool {
        self.tell_all(|| Job::Shed(threshold)).await
    }

    /// What a shard, by its number, has to tell agents; `None` when all have ended.
    pub async fn notices(&mut self) -> Option<(usize, Vec<Notice>)> {
        self.notices.recv().await
    }

    async fn tell_all(&self, job: impl Fn() -> Job) -> bool {
        let Some(permits) = self.shards.reserve().await else { return false };
        permits.into_iter().for_each(|permit| permit.send(job()));
        true
    }
}
