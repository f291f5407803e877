//! `retroactive_sampling`: an agent in a pipeline.
//!
//! One task owns the [`RetroactiveAgent`], which is fast enough for all that a node brings; sessions with coordinators
//! bring it programs and decisions, and take its reports. What it keeps goes to the pipeline's next component: a
//! backend, or a gateway's receiver.

mod metrics;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forebay_membership::Membership;
use forebay_otlp::{ScanError, Signal, SpanIndex};
use forebay_pipeline::{
    Batch, BoxFuture, Budget, Charge, Consumer, Ledger, Outbox, Outlet, Refusal, Telemetry, Throttle,
    until_stopped,
};
use forebay_samplers::retroactive::message::Report;
use forebay_samplers::retroactive::{AgentSettings, DiskError, DiskTier, Members, RetroactiveAgent};
use forebay_samplers::tail::{Nanos, Output, Remember};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use tracing::Instrument;

use self::metrics::Metrics;
use crate::AgentId;
use crate::config::{RetroactiveConfig, StorageConfig};
use crate::membership::Member;
use crate::session::{Event, Heard, Identity, Session};

/// The `retroactive_sampling` processor.
pub struct RetroactiveProcessor {
    queue: mpsc::Sender<(Batch, Arc<SpanIndex>)>,
    deadline: watch::Sender<Option<Instant>>,
    tasks: Mutex<JoinSet<()>>,
    ledger: Ledger,
}

/// What the process grants an agent.
#[derive(Clone)]
pub struct Grant {
    /// The process's budget, which everything that waits is charged to.
    pub budget: Budget,
    /// Bytes that undecided traces may hold.
    pub pending_bytes: usize,
}

/// The task of an agent.
struct Task {
    agent: RetroactiveAgent,
    /// When the agent's clock was zero.
    epoch: Instant,
    outbox: Outbox,
    /// What the agent holds.
    held: Charge,
    ledger: Ledger,
    metrics: Metrics,
    sessions: Sessions,
    ticks: Interval,
    /// The processor's name, for the log.
    id: String,
    failures_logged: Throttle,
    /// Whether some coordinator decided when that was last looked at; nothing before it was waited for.
    attended: Option<bool>,
}

/// The connections to coordinators.
struct Sessions {
    identity: Identity,
    /// By the coordinator's address.
    open: HashMap<Arc<str>, Session>,
    /// Where reports go while there is a connection.
    reports: HashMap<Arc<str>, mpsc::Sender<Report>>,
    heard: mpsc::Sender<Heard>,
}

/// How long it may take to reach the first coordinator before that is worth a word.
const FIRST_CONTACT: Duration = Duration::from_secs(3);
/// Requests that may wait before senders do.
const QUEUE: usize = 64;
/// What coordinators say that may wait.
const HEARD: usize = 64;
/// Of the bytes for undecided traces, the part for remembering each kind of decision.
const REMEMBER_SHARE: usize = 32;
const REMEMBER_BYTES_MIN: usize = 256 << 10;

impl RetroactiveProcessor {
    /// Starts the processor called `id` (`retroactive_sampling/node`), which hands on to `next`. Must be called within
    /// a Tokio runtime.
    ///
    /// # Errors
    /// When the directory for spans cannot be used.
    pub fn start(
        id: &str,
        config: &RetroactiveConfig,
        grant: &Grant,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, DiskError> {
        let ledger = telemetry.ledger(&format!("processor/{id}"), Signal::Traces);
        let (deadline, stopped) = watch::channel(None);
        let outlet = Outlet::new(next, ledger.clone(), stopped.clone());
        let (outbox, hand_on) = Outbox::new(Signal::Traces, outlet, grant.budget.clone(), ledger.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(hand_on.in_current_span());
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (heard, hearing) = mpsc::channel(HEARD);
        let membership = config.coordinators.clone().follow();
        let remember = Remember::Bytes((grant.pending_bytes / REMEMBER_SHARE).max(REMEMBER_BYTES_MIN));
        let settings = AgentSettings {
            pending_bytes: grant.pending_bytes - grant.pending_bytes * 2 / REMEMBER_SHARE,
            remember_kept: remember,
            remember_dropped: remember,
            egress_bytes_per_second: config.egress_bytes_per_second,
            epoch_unix_nano: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos),
        };
        let fresh = std::array::from_fn(|_| fastrand::u8(..));
        let (agent, own) = match &config.storage {
            Some(StorageConfig { directory, bytes }) => {
                let (tier, found) = DiskTier::open(directory, *bytes, fresh)?;
                if found.records > 0 {
                    let runs = found.records;
                    tracing::info!(processor = id, runs, "taking again what an earlier process has left");
                }
                let own = tier.id();
                (RetroactiveAgent::with_disk(settings, tier), own)
            }
            None => (RetroactiveAgent::new(settings), fresh),
        };
        let mut ticks = interval(config.digest_interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let identity = Identity { agent: AgentId(own), name: name(id) };
        let task = Task {
            agent,
            epoch: Instant::now(),
            outbox,
            held: grant.budget.charge(0),
            ledger: ledger.clone(),
            metrics: Metrics::new(id, telemetry, &ledger),
            sessions: Sessions { identity, open: HashMap::new(), reports: HashMap::new(), heard },
            ticks,
            id: id.to_owned(),
            failures_logged: Throttle::new(),
            attended: None,
        };
        tasks.spawn(task.run(waiting, hearing, membership, stopped).in_current_span());
        Ok(Self { queue, deadline, tasks: Mutex::new(tasks), ledger })
    }

    async fn take(&self, batch: Batch) -> Result<(), Refusal> {
        let index = batch.index().map_err(|error: ScanError| Refusal::Permanent(error.to_string()))?;
        let permit = self.queue.reserve().await;
        let permit = permit.map_err(|_| Refusal::retryable("the retroactive sampler is shutting down"))?;
        self.ledger.incoming.inc_by(index.spans.len() as u64);
        self.ledger.hold(index.spans.len());
        permit.send((batch, index));
        Ok(())
    }
}

impl Consumer for RetroactiveProcessor {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(self.take(batch))
    }

    fn shutdown(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.deadline.send_replace(Some(deadline));
            let mut tasks = self.tasks.lock().await;
            while tasks.join_next().await.is_some() {}
        })
    }
}

impl Task {
    async fn run(
        mut self,
        mut waiting: mpsc::Receiver<(Batch, Arc<SpanIndex>)>,
        mut hearing: mpsc::Receiver<Heard>,
        membership: Membership<Member>,
        mut deadline: watch::Receiver<Option<Instant>>,
    ) {
        let mut out = Vec::new();
        let recovered = self.agent.recover(self.now(), &mut out);
        self.ledger.incoming.inc_by(recovered);
        self.settle(&mut out);
        let mut members = membership.members();
        members.mark_changed();
        loop {
            tokio::select! {
                biased;
                Some(heard) = hearing.recv() => self.hear(heard, &mut out),
                Ok(()) = members.changed() => {
                    let members = members.borrow_and_update().clone();
                    self.know(members);
                }
                _ = self.ticks.tick() => self.report(),
                arrived = waiting.recv() => match arrived {
                    Some((batch, index)) => self.accept(&batch, &index, &mut out),
                    None => break,
                },
                // Senders are refused from now on; what is in the queue still comes.
                _ = until_stopped(&mut deadline), if !waiting.is_closed() => waiting.close(),
            }
            self.settle(&mut out);
        }
        let end = until_stopped(&mut deadline).await;
        self.leave(&mut hearing, end, &mut out).await;
        let lost = self.agent.finish(&mut out);
        self.metrics.abandoned(lost);
        self.settle(&mut out);
    }

    fn now(&self) -> Nanos {
        nanos(self.epoch.elapsed())
    }

    fn accept(&mut self, batch: &Batch, index: &SpanIndex, out: &mut Vec<Output>) {
        self.agent.accept(&batch.bytes, &index.envelopes, &index.spans, self.now(), out);
        self.ledger.release(index.spans.len());
    }

    /// Keeps up sessions with these coordinators, and no others.
    fn know(&mut self, members: Vec<Member>) {
        self.agent.set_members(Members::new(members.iter().map(|member| member.address.to_string())));
        let sessions = &mut self.sessions;
        let is_known = |address: &Arc<str>| members.iter().any(|member| member.address == *address);
        sessions.open.retain(|address, _| is_known(address));
        sessions.reports.retain(|address, _| is_known(address));
        for member in members {
            if sessions.open.contains_key(&member.address) {
                continue;
            }
            let address = Arc::clone(&member.address);
            match Session::start(&member, sessions.identity.clone(), sessions.heard.clone()) {
                Ok(session) => {
                    sessions.open.insert(address, session);
                }
                Err(error) => {
                    tracing::error!(processor = self.id, coordinator = &*address, %error, "cannot connect");
                }
            }
        }
    }

    fn hear(&mut self, Heard { from, event }: Heard, out: &mut Vec<Output>) {
        if !self.sessions.open.contains_key(&from) {
            return;
        }
        let now = self.now();
        match event {
            Event::Connected { reports, .. } => {
                self.sessions.reports.insert(Arc::clone(&from), reports);
                self.agent.connected(&from);
            }
            Event::Program(program, id) => {
                self.agent.follows(&from, id);
                if let Err(error) = self.agent.set_program(id, &program, now, out) {
                    tracing::error!(
                        processor = self.id,
                        coordinator = &*from,
                        %error,
                        "this agent is too old for the coordinator's policies; it goes on with those that it had"
                    );
                }
            }
            Event::Decisions(decisions) => self.agent.decided(&from, &decisions, now, out),
            Event::Disconnected => {
                self.sessions.reports.remove(&from);
                self.agent.disconnected(&from);
            }
        }
    }

    /// Reports to all coordinators that have room for it.
    fn report(&mut self) {
        let now = self.now();
        self.agent.meter(now);
        for (address, reports) in &self.sessions.reports {
            // One that is behind is told more at a time later.
            if let Ok(permit) = reports.try_reserve()
                && let Some(report) = self.agent.report(address, now)
            {
                permit.send(report);
            }
        }
        let attended = self.agent.is_attended();
        // Connecting takes a moment.
        if !attended && self.attended.is_none() && self.epoch.elapsed() < FIRST_CONTACT {
            return;
        }
        if self.attended.replace(attended) != Some(attended) {
            if attended {
                tracing::info!(processor = self.id, "a coordinator decides");
            } else {
                tracing::warn!(
                    processor = self.id,
                    horizon_seconds = self.agent.horizon() / 1_000_000_000,
                    "no coordinator can be reached: traces are kept by what this agent knows alone, once there \
                     is no room for more"
                );
            }
        }
    }

    /// Lets coordinators decide what is undecided, as far as there is time.
    async fn leave(&mut self, hearing: &mut mpsc::Receiver<Heard>, end: Instant, out: &mut Vec<Output>) {
        // What is kept has to be handed on in what is left.
        let until = Instant::now() + end.saturating_duration_since(Instant::now()) / 2;
        self.agent.leave();
        self.report();
        while !self.agent.is_settled() && self.agent.is_attended() {
            tokio::select! {
                () = sleep_until(until) => return,
                _ = self.ticks.tick() => self.report(),
                Some(heard) = hearing.recv() => self.hear(heard, out),
            }
            self.settle(out);
        }
    }

    /// Brings the accounts up to date and hands what was released to the outbox.
    fn settle(&mut self, out: &mut Vec<Output>) {
        self.held.resize(self.agent.allocated());
        self.metrics.publish(&mut self.agent);
        if let Some(error) = self.agent.take_failure()
            && let Some(withheld) = self.failures_logged.pass()
        {
            tracing::warn!(processor = self.id, %error, withheld, "a condition could not be evaluated");
        }
        // What has been accepted survives this process from here on, if there is a disk for it.
        self.agent.flush();
        if let Some(error) = self.agent.take_disk_error() {
            tracing::error!(processor = self.id, %error, "spans do not wait on disk any more, but in memory");
        }
        for Output { request, spans } in out.drain(..) {
            self.outbox.put(request, spans);
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

/// What an agent is called: its host and the processor.
fn name(id: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{id}", host.trim())
}
