//! `batch`: many small requests become few large ones.
//!
//! Encoded requests of one signal merge by concatenation, so batching copies bytes once and parses nothing.
//! Unlike the Collector's processor, this one loses nothing that it has taken: while the next component
//! refuses, it holds on to its batch and, after some patience, refuses in turn.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use forebay_config::Table;
use forebay_otlp::{Signal, split};
use forebay_pipeline::{
    Batch, BoxFuture, Budget, Consumer, Ledger, Outlet, Refusal, Telemetry, until_stopped,
};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Instrument;

/// Settings of one `batch` processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Items at which a batch leaves; zero: every request by itself.
    pub send_batch_size: usize,
    /// Items that a batch has at most; zero: no bound.
    pub send_batch_max_size: usize,
    /// How long the first item of a batch waits; zero: not at all.
    pub timeout: Duration,
}

/// The `batch` processor of one pipeline.
pub struct BatchProcessor {
    sender: mpsc::Sender<Batch>,
    deadline: watch::Sender<Option<Instant>>,
    task: Mutex<Option<JoinHandle<()>>>,
    ledger: Ledger,
}

/// The task that owns the batch being collected.
struct Collector {
    config: BatchConfig,
    signal: Signal,
    outlet: Outlet,
    budget: Budget,
    deadline: watch::Receiver<Option<Instant>>,
    parts: Vec<Batch>,
    items: usize,
    bytes: usize,
    since: Option<Instant>,
}

/// Requests that may wait for the collecting task.
const QUEUE: usize = 64;
/// How long a sender waits for room before it is refused.
const PATIENCE: Duration = Duration::from_secs(1);
/// A batch leaves at this size whatever its items, below the 4 MiB that servers usually take.
const BYTES_MAX: usize = 3 << 20;

impl Default for BatchConfig {
    fn default() -> Self {
        Self { send_batch_size: 8192, send_batch_max_size: 0, timeout: Duration::from_millis(200) }
    }
}

impl BatchConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let config = Self {
            send_batch_size: table.integer_or("send_batch_size", .., default.send_batch_size),
            send_batch_max_size: table.integer_or("send_batch_max_size", .., default.send_batch_max_size),
            timeout: table.duration_or("timeout", default.timeout),
        };
        table
            .accept("metadata_keys", "client metadata is not passed on, so batches are not kept apart by it");
        table.accept("metadata_cardinality_limit", "see `metadata_keys`");
        if config.send_batch_max_size > 0 && config.send_batch_max_size < config.send_batch_size {
            table.error_with_help(
                "send_batch_max_size",
                format!(
                    "{} is below send_batch_size, {}",
                    config.send_batch_max_size, config.send_batch_size
                ),
                "set `send_batch_size` to at most `send_batch_max_size`; its default is 8192",
            );
        }
        config
    }
}

impl BatchProcessor {
    /// Starts the processor called `id` for batches of `signal`, which hands on to `next`. Must be
    /// called within a Tokio runtime.
    #[must_use]
    pub fn start(
        id: &str,
        config: BatchConfig,
        signal: Signal,
        budget: Budget,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> Self {
        let ledger = telemetry.ledger(&format!("processor/{id}"), signal);
        let (sender, queue) = mpsc::channel(QUEUE);
        let (deadline, stopped) = watch::channel(None);
        let collector = Collector {
            config,
            signal,
            outlet: Outlet::new(next, ledger.clone(), stopped.clone()),
            budget,
            deadline: stopped,
            parts: Vec::new(),
            items: 0,
            bytes: 0,
            since: None,
        };
        let task = tokio::spawn(collector.run(queue).in_current_span());
        Self { sender, deadline, task: Mutex::new(Some(task)), ledger }
    }
}

impl Consumer for BatchProcessor {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let items = batch.items;
            match timeout(PATIENCE, self.sender.reserve()).await {
                Ok(Ok(permit)) => {
                    self.ledger.incoming.inc_by(items as u64);
                    self.ledger.hold(items);
                    permit.send(batch);
                    Ok(())
                }
                Ok(Err(_)) => Err(Refusal::retryable("the batch processor is shutting down")),
                Err(_) => Err(Refusal::retryable("the batch processor waits for the component behind it")),
            }
        })
    }

    fn shutdown(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.deadline.send_replace(Some(deadline));
            if let Some(task) = self.task.lock().await.take() {
                // The task does not panic; were it to, its batch is lost with it and there is no more to do.
                let _ = task.await;
            }
        })
    }
}

impl Collector {
    async fn run(mut self, mut queue: mpsc::Receiver<Batch>) {
        let mut deadline = self.deadline.clone();
        loop {
            let due = self.since.map(|since| since + self.config.timeout);
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.flush().await,
                batch = queue.recv() => match batch {
                    Some(batch) => self.add(batch).await,
                    None => break,
                },
                _ = until_stopped(&mut deadline), if !queue.is_closed() => queue.close(),
            }
        }
        self.flush().await;
    }

    async fn add(&mut self, batch: Batch) {
        self.items += batch.items;
        self.bytes += batch.bytes.len();
        self.parts.push(batch);
        if self.items >= self.config.send_batch_size
            || self.bytes >= BYTES_MAX
            || self.config.timeout.is_zero()
        {
            self.flush().await;
        } else if self.since.is_none() {
            self.since = Some(Instant::now());
        }
    }

    async fn flush(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        let (items, bytes) = (std::mem::take(&mut self.items), std::mem::take(&mut self.bytes));
        self.since = None;
        let merged = match parts.as_slice() {
            [] => return,
            [single] => single.clone(),
            several => {
                let mut merged = BytesMut::with_capacity(bytes);
                several.iter().for_each(|part| merged.extend_from_slice(&part.bytes));
                Batch::new(self.signal, merged.freeze(), items).charged(self.budget.charge(bytes))
            }
        };
        drop(parts);
        for batch in self.cut(merged) {
            self.outlet.send(batch).await;
        }
    }

    /// The batch in pieces of at most `send_batch_max_size` items.
    fn cut(&self, batch: Batch) -> Vec<Batch> {
        if self.config.send_batch_max_size == 0 || batch.items <= self.config.send_batch_max_size {
            return vec![batch];
        }
        match split(self.signal, &batch.bytes, self.config.send_batch_max_size, 0) {
            Ok(pieces) => pieces.into_iter().map(|(bytes, items)| self.piece(bytes, items)).collect(),
            // Accepted bytes parse; should these not, they are no worse uncut.
            Err(_) => vec![batch],
        }
    }

    fn piece(&self, bytes: Bytes, items: usize) -> Batch {
        let charge = self.budget.charge(bytes.len());
        Batch::new(self.signal, bytes, items).charged(charge)
    }
}

#[cfg(test)]
mod tests;
