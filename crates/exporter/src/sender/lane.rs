//! The way of one signal's requests to their destination.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_pipeline::{Batch, Refusal, Signal, Throttle, until_stopped};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use prometheus::IntGauge;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{error, warn};

use crate::account::{Account, QueueMetrics};
use crate::queue::{Queue, Request};
use crate::retry::Backoff;
use crate::transport::{Outcome, Payload, Transport};

use super::Shared;

/// Between attempts during a shutdown, unless the destination names a time.
const HURRIED_PAUSE: Duration = Duration::from_millis(250);

/// Everything of one signal.
pub(super) struct Lane<T> {
    shared: Arc<Shared<T>>,
    signal: Signal,
    account: Account,
    metrics: QueueMetrics,
    queue: Option<Queue>,
    /// When a shutdown, once begun, has to be over.
    deadline: watch::Sender<Option<Instant>>,
    task: Mutex<Option<JoinHandle<()>>>,
    failures: Throttle,
    retries: Throttle,
    partial: Throttle,
}

/// The end of a request's way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Delivered, but for `rejected` items.
    Delivered { rejected: u64, message: String },
    /// The destination will never take it.
    Rejected(String),
    /// The time for retries is over, or they are not wanted.
    Exhausted(String),
    /// A shutdown has to be over.
    Shutdown,
}

impl<T: Transport> Lane<T> {
    pub(super) fn start(shared: &Arc<Shared<T>>, signal: Signal, runtime: &Handle) -> Arc<Self> {
        let metrics = QueueMetrics::new(shared.telemetry(), &shared.id, signal);
        let queue = shared.config.queue.map(|config| {
            metrics.capacity.set(gauge(config.queue_size));
            Queue::new(config, shared.budget().clone())
        });
        let lane = Arc::new(Self {
            account: Account::new(shared.telemetry(), &shared.id, signal),
            shared: Arc::clone(shared),
            signal,
            metrics,
            queue,
            deadline: watch::Sender::new(None),
            task: Mutex::default(),
            failures: Throttle::default(),
            retries: Throttle::default(),
            partial: Throttle::default(),
        });
        if lane.queue.is_some() {
            let task = runtime.spawn(Arc::clone(&lane).run());
            *lane.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        }
        lane
    }

    /// Takes `batch`, all of it in `parts`, which are encoded requests with their items; or refuses.
    pub(super) async fn consume(&self, batch: Batch, parts: Vec<(Bytes, usize)>) -> Result<(), Refusal> {
        let Some(queue) = &self.queue else { return self.consume_unqueued(batch, parts).await };
        let items: usize = parts.iter().map(|(_, items)| items).sum();
        let results = queue.push(parts).await.inspect_err(|_| {
            self.metrics.enqueue_failed.inc_by(items as u64);
        })?;
        // What is queued holds a charge of its own.
        drop(batch);
        if !queue.config().wait_for_result {
            self.account.ledger.incoming.inc_by(items as u64);
            self.account.ledger.buffered.add(gauge(items));
        }
        self.metrics.size.set(gauge(queue.size()));
        for result in join_all(results).await {
            result.unwrap_or_else(|_| Verdict::Shutdown.result())?;
        }
        Ok(())
    }

    /// Without a queue the sender of a batch waits, and owns it until it is delivered.
    async fn consume_unqueued(&self, batch: Batch, parts: Vec<(Bytes, usize)>) -> Result<(), Refusal> {
        let _charge = self.shared.budget().charge(batch.bytes.len());
        drop(batch);
        for (bytes, items) in parts {
            let mut left = items;
            let verdict = self.deliver(vec![bytes], &mut left, false).await;
            self.settle(&verdict, left, false);
            verdict.result()?;
        }
        Ok(())
    }

    /// Sends and retries what is queued until `deadline`, and says what is lost.
    pub(super) async fn shutdown(&self, deadline: Instant) {
        self.deadline.send_replace(Some(deadline));
        if let Some(queue) = &self.queue {
            queue.close();
        }
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(failure) = task.await
        {
            error!(exporter = self.shared.id, error = %failure, "the sending task failed");
        }
        let lost = self.account.ledger.dropped(Verdict::Shutdown.reason()).get();
        if lost > 0 {
            error!(
                exporter = self.shared.id,
                "shutdown: {lost} {} could not be delivered in time and are lost",
                self.signal.items(),
            );
        }
    }

    async fn run(self: Arc<Self>) {
        let Some(queue) = &self.queue else { return };
        let mut under_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(()) = under_way.next() => {}
                next = queue.next(), if under_way.len() < queue.config().num_consumers => match next {
                    Some(request) => under_way.push(self.serve(queue, request)),
                    None => break,
                }
            }
        }
        while under_way.next().await.is_some() {}
    }

    /// Brings a request out of the queue to its end.
    async fn serve(&self, queue: &Queue, request: Request) {
        let Request { pieces, load, charge, waiters, .. } = request;
        let taken = !queue.config().wait_for_result;
        let mut left = load.items;
        let verdict = self.deliver(pieces, &mut left, taken).await;
        self.settle(&verdict, left, taken);
        for waiter in waiters {
            // Nobody listens if the client has gone: it was not told that the request was taken.
            let _ = waiter.send(verdict.clone().result());
        }
        drop(charge);
        queue.release(load);
        self.metrics.size.set(gauge(queue.size()));
    }

    /// Sends a request of `left` items, which are what the verdict is about: those of parts that were settled before
    /// are counted, and taken off.
    async fn deliver(&self, pieces: Vec<Bytes>, left: &mut usize, taken: bool) -> Verdict {
        let _in_flight = InFlight::enter(&self.metrics.in_flight);
        tokio::select! {
            biased;
            () = self.time_is_up() => Verdict::Shutdown,
            verdict = self.attempts(pieces, left, taken) => verdict,
        }
    }

    async fn attempts(&self, pieces: Vec<Bytes>, left: &mut usize, taken: bool) -> Verdict {
        let mut payload = match self.shared.transport.encode(self.signal, pieces).await {
            Ok(payload) => payload,
            Err(message) => return Verdict::Rejected(message),
        };
        let begun = Instant::now();
        let mut backoff = self.shared.config.retry.as_ref().map(Backoff::new);
        loop {
            let (message, after) = match self.attempt(payload.clone()).await {
                Outcome::Delivered { rejected, message } => {
                    return Verdict::Delivered { rejected, message };
                }
                Outcome::Rejected(message) => return Verdict::Rejected(message),
                Outcome::Failed { message, after } => (message, after),
                Outcome::Partly { items, rejected, rest, message, after } => {
                    let settled = items.min(*left);
                    let part = Verdict::Delivered { rejected, message: String::new() };
                    self.settle(&part, settled, taken);
                    *left -= settled;
                    payload = match self.shared.transport.encode(self.signal, rest).await {
                        Ok(payload) => payload,
                        Err(message) => return Verdict::Rejected(message),
                    };
                    (message, after)
                }
            };
            let Some(backoff) = &mut backoff else { return Verdict::Exhausted(message) };
            let pause = self.next_pause(backoff, after);
            let limit = self.shared.config.retry.as_ref().and_then(|retry| retry.max_elapsed_time);
            if limit.is_some_and(|limit| begun.elapsed().saturating_add(pause) > limit) {
                return Verdict::Exhausted(message);
            }
            if let Some(suppressed) = self.retries.pass() {
                let exporter = &self.shared.id;
                warn!(exporter, signal = %self.signal, suppressed, "export failed, will retry in {pause:?}: {message}");
            }
            self.pause(pause).await;
        }
    }

    async fn attempt(&self, payload: Payload) -> Outcome {
        let attempt = self.shared.transport.send(self.signal, payload);
        match self.shared.config.timeout {
            None => attempt.await,
            Some(limit) => timeout(limit, attempt)
                .await
                .unwrap_or_else(|_| Outcome::failed(format!("no answer within {limit:?}"))),
        }
    }

    /// How long to wait before the next attempt. A shutdown hurries, but keeps to a time that the
    /// destination asked for if that leaves time for another attempt.
    fn next_pause(&self, backoff: &mut Backoff<'_>, after: Option<Duration>) -> Duration {
        let pause = self.shared.with_rng(|rng| backoff.next(rng));
        match *self.deadline.borrow() {
            None => pause.max(after.unwrap_or_default()),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let asked = after.filter(|after| *after < left).unwrap_or_default();
                asked.max(pause.min(HURRIED_PAUSE))
            }
        }
    }

    /// Waits for `pause`, or until a shutdown begins.
    async fn pause(&self, pause: Duration) {
        let mut deadline = self.deadline.subscribe();
        let already = deadline.borrow_and_update().is_some();
        tokio::select! {
            () = sleep(pause) => {}
            _ = deadline.changed(), if !already => {}
        }
    }

    /// Ends when a shutdown has to be over.
    async fn time_is_up(&self) {
        sleep_until(until_stopped(&mut self.deadline.subscribe()).await).await;
    }

    /// Counts and logs how `items` fared. If they were not `taken`, their sender still owns them, and
    /// only a delivery makes them this exporter's.
    fn settle(&self, verdict: &Verdict, items: usize, taken: bool) {
        let Account { ledger, sent, send_failed } = &self.account;
        let items = items as u64;
        if taken {
            ledger.buffered.sub(gauge(items));
        } else if matches!(verdict, Verdict::Delivered { .. }) {
            ledger.incoming.inc_by(items);
        }
        let exporter = &self.shared.id;
        let what = self.signal.items();
        match verdict {
            Verdict::Delivered { rejected, message } => {
                let rejected = (*rejected).min(items);
                ledger.outgoing.inc_by(items - rejected);
                sent.inc_by(items - rejected);
                if rejected > 0 {
                    ledger.dropped(verdict.reason()).inc_by(rejected);
                    send_failed.inc_by(rejected);
                }
                if (rejected > 0 || !message.is_empty())
                    && let Some(suppressed) = self.partial.pass()
                {
                    warn!(
                        exporter,
                        suppressed, "partial success: {rejected} of {items} {what} rejected: {message}"
                    );
                }
            }
            Verdict::Rejected(message) | Verdict::Exhausted(message) => {
                send_failed.inc_by(items);
                if taken {
                    ledger.dropped(verdict.reason()).inc_by(items);
                }
                if let Some(suppressed) = self.failures.pass() {
                    let reason = verdict.reason();
                    error!(
                        exporter,
                        reason, suppressed, "export failed, {items} {what} not delivered: {message}"
                    );
                }
            }
            // Logged as a sum when the shutdown ends.
            Verdict::Shutdown => {
                send_failed.inc_by(items);
                if taken {
                    ledger.dropped(verdict.reason()).inc_by(items);
                }
            }
        }
    }
}

impl Verdict {
    /// Under what the ledger counts items that were not delivered.
    fn reason(&self) -> &'static str {
        match self {
            Self::Delivered { .. } | Self::Rejected(_) => "rejected",
            Self::Exhausted(_) => "retries_exhausted",
            Self::Shutdown => "shutdown",
        }
    }

    /// What a sender that waited is told.
    fn result(self) -> Result<(), Refusal> {
        match self {
            Self::Delivered { .. } => Ok(()),
            Self::Rejected(message) => Err(Refusal::Permanent(message)),
            Self::Exhausted(message) => Err(Refusal::retryable(message)),
            Self::Shutdown => Err(Refusal::retryable("the exporter is shutting down")),
        }
    }
}

/// Counts a request as in flight, also if its future is dropped.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn gauge<N: TryInto<i64>>(value: N) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
