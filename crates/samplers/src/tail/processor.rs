//! The tail sampler in a pipeline.
//!
//! Each shard is a task that owns its [`TailSampler`]; a request is scanned once and handed over as one batch
//! per shard. What shards release goes to an [`Outbox`]. Of a coordinator, shards get evidence of agents the same
//! way ([`EvidencePort`]).

mod evidence;

use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use forebay_otlp::threshold::Threshold;
use forebay_otlp::{ScanError, Signal, Span, SpanIndex, TraceId};
use forebay_pipeline::{
    Batch, BoxFuture, Budget, Charge, Consumer, Ledger, Outbox, Outlet, Refusal, Telemetry, Throttle,
    until_stopped,
};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

pub use self::evidence::EvidencePort;
use super::config::{TailConfig, nanos};
use super::learned::LearnedRates;
use super::metrics::Metrics;
use super::sampler::{Notice, Output, Remember, Reported, Settings, TailSampler};
use super::store::{LOG_BYTES_MAX, Nanos};
use crate::retroactive::CoordinationSettings;
use crate::retroactive::key::TraceKey;

/// The `tail_sampling` processor.
pub struct TailProcessor {
    shards: Arc<Shards>,
    deadline: watch::Sender<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
    ledger: Ledger,
}

/// The ways to the shards.
struct Shards {
    queues: Vec<mpsc::Sender<Job>>,
    hasher: RandomState,
    /// Whether traces are told apart by their keys.
    by_key: bool,
}

/// What the process grants a processor.
#[derive(Clone)]
pub struct Grant {
    /// The process's budget, which everything that waits is charged to.
    pub budget: Budget,
    /// Bytes that this processor's pending traces may hold, all shards together.
    pub pending_bytes: usize,
    /// Number of shards, at least 1.
    pub shards: usize,
    /// Whether the policy that kept a trace is recorded on its spans.
    pub record_policy: bool,
    /// What samplers before have learned, and where this one's budgets leave what they learn.
    pub learned: LearnedRates,
}

/// What a shard is given.
enum Job {
    Spans(Spans),
    /// What an agent has reported, as far as it is for one shard, and what the report holds of the budget.
    Evidence(Reported, Arc<Charge>),
    /// Nothing is to be decided before.
    Hold(Nanos),
    /// Whether all agents are away.
    Deserted(bool),
    /// Only traces are to be kept whose randomness reaches this too.
    Shed(Threshold),
}

/// Spans for one shard.
struct Spans {
    batch: Batch,
    index: Arc<SpanIndex>,
    /// The shard's own spans, if not all are.
    own: Option<Vec<Span>>,
}

/// One shard's task.
struct Shard {
    sampler: TailSampler,
    /// When the sampler's clock was zero.
    epoch: Instant,
    outbox: Outbox,
    /// Its number, and where it says what agents are to be told.
    notices: (usize, mpsc::UnboundedSender<(usize, Vec<Notice>)>),
    /// What the sampler holds.
    held: Charge,
    ledger: Ledger,
    metrics: Metrics,
    drop_pending: bool,
    learned: LearnedRates,
    /// The processor's name, for the log.
    id: String,
    failures_logged: Throttle,
}

/// Requests that a shard may have waiting before its senders wait.
const SHARD_QUEUE: usize = 64;
/// Of the bytes for pending traces, the part for remembering each kind of decision.
const REMEMBER_SHARE: usize = 32;
const REMEMBER_BYTES_MIN: usize = 256 << 10;
/// A trace may have this part of the bytes of its shard.
const TRACE_SHARE: usize = 4;

impl TailProcessor {
    /// Starts the processor called `id` (`tail_sampling/slow`), which hands on to `next`. Must be called within
    /// a Tokio runtime.
    #[must_use]
    pub fn start(
        id: &str,
        config: TailConfig,
        grant: &Grant,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> Self {
        Self::start_shards(id, config, grant, telemetry, next, false).0
    }

    /// Starts it as a coordinator of agents, whose evidence comes through the port.
    #[must_use]
    pub fn coordinate(
        id: &str,
        config: TailConfig,
        grant: &Grant,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> (Self, EvidencePort) {
        Self::start_shards(id, config, grant, telemetry, next, true)
    }

    fn start_shards(
        id: &str,
        config: TailConfig,
        grant: &Grant,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
        by_key: bool,
    ) -> (Self, EvidencePort) {
        // A limit holds for a processor, and whoever keeps it has to see all its traces.
        let shards = if config.policies.are_limited() { 1 } else { grant.shards.max(1) };
        let ledger = telemetry.ledger(&format!("processor/{id}"), Signal::Traces);
        let drop_pending = config.drop_pending_traces_on_shutdown;
        let settings = Settings { coordinates: by_key, ..settings(&config, grant, shards) };
        let (deadline, stopped) = watch::channel(None);
        let outlet = Outlet::new(next, ledger.clone(), stopped.clone());
        let (outbox, hand_on) = Outbox::new(Signal::Traces, outlet, grant.budget.clone(), ledger.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(hand_on.in_current_span());
        let epoch = Instant::now();
        let (notices, told) = mpsc::unbounded_channel();
        let senders = (0..shards).map(|number| {
            let (jobs, queue) = mpsc::channel(SHARD_QUEUE);
            let shard = Shard {
                sampler: TailSampler::new(settings.clone()),
                epoch,
                outbox: outbox.clone(),
                notices: (number, notices.clone()),
                held: grant.budget.charge(0),
                ledger: ledger.clone(),
                metrics: Metrics::new(id, &settings.policies, telemetry, &ledger),
                drop_pending,
                learned: grant.learned.clone(),
                id: id.to_owned(),
                failures_logged: Throttle::new(),
            };
            tasks.spawn(shard.run(queue, stopped.clone()).in_current_span());
            jobs
        });
        let shards = Arc::new(Shards { queues: senders.collect(), hasher: RandomState::default(), by_key });
        let coordination = CoordinationSettings {
            decision_wait: settings.decision_wait,
            shards: shards.queues.len(),
            mode: config.evidence,
            pending_bytes: settings.pending_bytes * shards.queues.len(),
        };
        let evidence = EvidencePort::new(&shards, told, epoch, coordination);
        let processor = Self { shards, deadline, tasks: Mutex::new(tasks), ledger };
        (processor, evidence)
    }

    async fn distribute(&self, batch: Batch) -> Result<(), Refusal> {
        let index = batch.index().map_err(|error: ScanError| Refusal::Permanent(error.to_string()))?;
        // Room in every queue first, so that a batch is taken whole or not at all.
        let permits = self.shards.reserve().await;
        let permits = permits.ok_or_else(|| Refusal::retryable("the tail sampler is shutting down"))?;
        self.ledger.incoming.inc_by(index.spans.len() as u64);
        self.ledger.hold(index.spans.len());
        if permits.len() == 1 {
            permits.into_iter().for_each(|permit| {
                permit.send(Job::Spans(Spans { batch: batch.clone(), index: Arc::clone(&index), own: None }))
            });
            return Ok(());
        }
        let mut parts = vec![Vec::new(); permits.len()];
        for span in &index.spans {
            parts[self.shards.of(span.trace_id)].push(span.clone());
        }
        for (permit, spans) in permits.into_iter().zip(parts) {
            if !spans.is_empty() {
                let spans = Spans { batch: batch.clone(), index: Arc::clone(&index), own: Some(spans) };
                permit.send(Job::Spans(spans));
            }
        }
        Ok(())
    }
}

impl Shards {
    /// Room in the queue of each; `None` if they are about to end.
    async fn reserve(&self) -> Option<Vec<mpsc::Permit<'_, Job>>> {
        let mut permits = Vec::with_capacity(self.queues.len());
        for queue in &self.queues {
            permits.push(queue.reserve().await.ok()?);
        }
        Some(permits)
    }

    /// The number of a trace's shard.
    fn of(&self, trace_id: TraceId) -> usize {
        let hash = if self.by_key {
            self.hasher.hash_one(TraceKey::of(trace_id))
        } else {
            self.hasher.hash_one(trace_id)
        };
        // The high half of a product spreads evenly over any number of shards.
        usize::try_from((u128::from(hash) * self.queues.len() as u128) >> 64).unwrap_or(0)
    }
}

impl Consumer for TailProcessor {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.distribute(batch))
    }

    fn shutdown(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.deadline.send_replace(Some(deadline));
            let mut tasks = self.tasks.lock().await;
            while tasks.join_next().await.is_some() {}
        })
    }
}

/// What each of `shards` shards is to do.
fn settings(config: &TailConfig, grant: &Grant, shards: usize) -> Settings {
    let share = |total: usize| (total / shards).max(1);
    let granted = share(grant.pending_bytes).min(LOG_BYTES_MAX);
    // Both kinds of decisions have their part of it.
    let pending_bytes = granted - granted * 2 / REMEMBER_SHARE;
    let remember = |configured: Option<Remember>| match configured {
        Some(remember) => remember.shared_by(shards),
        None => Remember::Bytes((granted / REMEMBER_SHARE).max(REMEMBER_BYTES_MIN)),
    };
    Settings {
        trace_bytes: u32::try_from(pending_bytes / TRACE_SHARE).unwrap_or(u32::MAX),
        pending_bytes,
        pending_traces: config.num_traces.map_or(usize::MAX, share),
        remember_kept: remember(config.remember_kept),
        remember_dropped: remember(config.remember_dropped),
        record_policy: grant.record_policy,
        epoch_unix_nano: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos),
        ..config.settings()
    }
}

impl Shard {
    async fn run(mut self, mut queue: mpsc::Receiver<Job>, mut deadline: watch::Receiver<Option<Instant>>) {
        let mut out = Vec::new();
        self.sampler.learn(|policy| self.learned.get(&self.id, policy));
        self.settle(&mut out);
        loop {
            let due = self.sampler.next_due().map(|due| self.epoch + Duration::from_nanos(due));
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or(self.epoch)), if due.is_some() => self.decide_due(&mut out),
                // A full sampler makes its senders wait; it empties as traces come due.
                job = queue.recv(), if queue.is_closed() || !self.sampler.is_full() => match job {
                    Some(job) => self.take(job, &mut out),
                    None => break,
                },
                // Senders are refused from now on; what is in the queue still comes.
                _ = until_stopped(&mut deadline), if !queue.is_closed() => queue.close(),
            }
            self.settle(&mut out);
        }
        if self.drop_pending {
            self.metrics.abandoned(self.sampler.abandon_all());
        } else {
            self.sampler.decide_all(&mut out);
        }
        self.settle(&mut out);
    }

    fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
    }

    fn decide_due(&mut self, out: &mut Vec<Output>) {
        let begun = Instant::now();
        self.sampler.decide_due(self.now(), out);
        self.metrics.decided_within(begun.elapsed());
        self.sampler.learned().for_each(|(policy, learned)| self.learned.put(&self.id, policy, learned));
    }

    fn take(&mut self, job: Job, out: &mut Vec<Output>) {
        match job {
            Job::Spans(Spans { batch, index, own }) => {
                let spans = own.as_ref().unwrap_or(&index.spans);
                self.sampler.accept(&batch.bytes, &index.envelopes, spans, self.now(), out);
                self.ledger.release(spans.len());
            }
            // What it holds is charged with all that the sampler does from now on.
            Job::Evidence(reported, _charge) => self.sampler.report(reported, self.now(), out),
            Job::Hold(until) => self.sampler.hold(until),
            Job::Deserted(deserted) => self.sampler.set_deserted(deserted),
            Job::Shed(threshold) => self.sampler.shed_below(threshold),
        }
    }

    /// Brings the accounts up to date and hands what was released to the outbox.
    fn settle(&mut self, out: &mut Vec<Output>) {
        self.held.resize(self.sampler.allocated());
        self.metrics.publish(&mut self.sampler);
        if let Some(error) = self.sampler.take_failure()
            && let Some(withheld) = self.failures_logged.pass()
        {
            tracing::warn!(processor = self.id, %error, withheld, "a condition could not be evaluated");
        }
        let notices: Vec<_> = self.sampler.take_notices().collect();
        if !notices.is_empty() {
            let (number, told) = &self.notices;
            // Nobody listens if the sampler coordinates nobody any more.
            let _ = told.send((*number, notices));
        }
        for Output { request, spans } in out.drain(..) {
            self.outbox.put(request, spans);
        }
    }
}

#[cfg(test)]
mod tests;
