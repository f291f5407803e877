//! Strategies from the traffic itself.
//!
//! A processor sees the traces that clients have sampled. Each that begins with probability `p` stands for `1/p`
//! traces, so the clients' traffic is known without seeing it, and with it the probability at which each
//! operation brings so many sampled traces a second as are wanted. That is what clients are told when they ask
//! next.
//!
//! - [`formula`] is Jaeger's: which probability comes after this one.
//! - [`operation`] is what is known of one, and [`controller`] takes the steps of all. Neither has a clock.
//! - [`state`] is what survives a restart, [`fleet`] what several gateways know together, by way of [`peers`] or Redis.
//! - [`processor`] counts, and this module connects all of that to the clock and to clients.

mod config;
pub(crate) mod controller;
pub(crate) mod fleet;
mod formula;
mod operation;
mod peers;
mod processor;
#[cfg(feature = "redis")]
mod redis;
mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_exporter::BuildError;
use forebay_pipeline::{BoxFuture, Telemetry};
use prometheus::{IntCounter, IntGauge};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

pub use config::AdaptiveConfig;
pub use processor::{AdaptiveProcessor, AdaptiveProcessorConfig};

use crate::source::{Source, Unavailable};
use crate::strategy::Encoded;
use config::MeansConfig;
use controller::{Controller, Root};
use fleet::{Counts, Fleet};
use state::StateFile;

/// Something known of each operation of each service. The empty name stands for those that have no entry of their
/// own.
pub(crate) type ByOperation = BTreeMap<String, BTreeMap<String, f64>>;

/// The source `adaptive`: one for the extension that serves it and for the processors that feed it.
#[derive(Clone)]
pub struct Adaptive(Arc<Shared>);

struct Shared {
    config: AdaptiveConfig,
    controller: Mutex<Controller>,
    /// What this gateway has counted, for its peers.
    counts: Mutex<Bytes>,
}

/// How often the state is written, at most.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The metrics of one source.
struct Metrics {
    operations: IntGauge,
    overflow: IntCounter,
}

impl Adaptive {
    /// A source that knows no traffic yet.
    #[must_use]
    pub fn new(config: AdaptiveConfig) -> Self {
        let controller = Mutex::new(Controller::new(config.goals));
        Self(Arc::new(Shared { config, controller, counts: Mutex::default() }))
    }

    /// Whether other gateways ask for counts.
    pub(crate) fn has_peers(&self) -> bool {
        matches!(&self.0.config.means, MeansConfig::Peers(urls) if !urls.is_empty())
    }

    /// Counts traces that clients have sampled.
    pub(crate) fn observe(&self, roots: &[Root<'_>]) {
        let mut controller = self.controller();
        roots.iter().for_each(|root| controller.observe(*root));
    }

    /// Begins with what was saved, and recalculates from now on until it is dropped. Must be called inside a
    /// runtime.
    ///
    /// # Errors
    /// When there is no way to make TLS connections.
    pub(crate) fn start(
        &self,
        extension: &str,
        telemetry: &Telemetry,
    ) -> Result<BoxFuture<'static, ()>, BuildError> {
        let config = &self.0.config;
        let state = config.state_file.clone().map(StateFile::new);
        if let Some(saved) = state.as_ref().and_then(StateFile::load) {
            self.controller().restore(&saved);
        }
        let fleet = Fleet::new(&config.means, config.goals.step() * STALE_STEPS)?;
        self.tell(fleet.document(ByOperation::new()));
        let metrics = Metrics::new(extension, telemetry);
        Ok(Box::pin(self.clone().run(state, fleet, metrics)))
    }

    async fn run(self, state: Option<StateFile>, mut fleet: Fleet, metrics: Metrics) {
        let step = self.0.config.goals.step();
        let mut ticks = interval_at(Instant::now() + step, step);
        // A process that was held up takes one longer step, not several short ones.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut saved) = (Instant::now(), Instant::now());
        loop {
            ticks.tick().await;
            let others = fleet.exchange(self.counts()).await;
            let now = Instant::now();
            let own = {
                let mut controller = self.controller();
                let own = controller.step(now - last, &others);
                metrics.operations.set(i64::try_from(controller.operations()).unwrap_or(i64::MAX));
                metrics.overflow.inc_by(controller.take_overflow());
                own
            };
            last = now;
            self.tell(fleet.document(own));
            if now.duration_since(saved) >= SAVE_EVERY
                && let Some(state) = &state
            {
                saved = now;
                self.save(state.clone()).await;
            }
        }
    }

    /// Writes what is known, for the next start.
    pub(crate) async fn stop(&self) {
        if let Some(path) = &self.0.config.state_file {
            self.save(StateFile::new(path.clone())).await;
        }
    }

    async fn save(&self, state: StateFile) {
        let probabilities = self.controller().probabilities();
        // A write may block for long, and what comes of it has been logged.
        let _ = tokio::task::spawn_blocking(move || state.save(&probabilities)).await;
    }

    fn tell(&self, document: Bytes) {
        *self.0.counts.lock().unwrap_or_else(PoisonError::into_inner) = document;
    }

    pub(crate) fn controller(&self) -> MutexGuard<'_, Controller> {
        self.0.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rates that have not been heard again for so many steps no longer count.
const STALE_STEPS: u32 = 3;

impl Source for Adaptive {
    fn strategy<'a>(&'a self, service: &'a str) -> BoxFuture<'a, Result<Encoded, Unavailable>> {
        Box::pin(std::future::ready(Ok(self.controller().strategy(service))))
    }
}

impl Counts for Adaptive {
    fn counts(&self) -> Bytes {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Metrics {
    fn new(extension: &str, telemetry: &Telemetry) -> Self {
        let labels = &["extension"];
        let operations = telemetry.gauges(
            "forebay_adaptive_sampling_operations",
            "Operations that have a probability of their own.",
            labels,
        );
        let overflow = telemetry.counters(
            "forebay_adaptive_sampling_overflow_traces",
            "Traces of operations that share one probability, because there are too many of them.",
            labels,
        );
        Self {
            operations: operations.with_label_values(&[extension]),
            overflow: overflow.with_label_values(&[extension]),
        }
    }
}
