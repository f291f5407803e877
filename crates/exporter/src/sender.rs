//! The sending pipeline: queue, concurrent attempts, retry, accounting.
//!
//! Each signal has a lane of its own, as in the Collector, made when its first batch arrives. A lane is
//! one task that keeps up to `num_consumers` requests on their way as futures in a set.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastrand::Rng;
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Refusal, Signal, Telemetry};
use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::ExporterContext;
use crate::account::PerSignal;
use crate::queue::{MESSAGE_LIMIT, Sizer};
use crate::settings::SendingConfig;
use crate::transport::Transport;

mod lane;
#[cfg(test)]
mod tests;

use lane::Lane;

/// Sends the batches of one exporter over `T`.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
    lanes: PerSignal<Arc<Lane<T>>>,
    runtime: Handle,
}

/// What the lanes have in common.
struct Shared<T> {
    id: String,
    transport: T,
    config: SendingConfig,
    context: ExporterContext,
    rng: Mutex<Rng>,
}

impl<T: Transport> Sender<T> {
    /// A sender for the exporter `id`; back-off jitter follows from `rng`. Must be called inside a
    /// runtime.
    pub(crate) fn new(
        id: &str,
        transport: T,
        config: SendingConfig,
        context: &ExporterContext,
        rng: Rng,
    ) -> Self {
        let shared =
            Shared { id: id.to_owned(), transport, config, context: context.clone(), rng: Mutex::new(rng) };
        Self { shared: Arc::new(shared), lanes: PerSignal::default(), runtime: Handle::current() }
    }

    fn lane(&self, signal: Signal) -> &Arc<Lane<T>> {
        self.lanes.get_or_init(signal, || Lane::start(&self.shared, signal, &self.runtime))
    }

    /// Cuts a batch into requests that the destination takes.
    fn cut(&self, batch: &Batch) -> Result<Vec<(Bytes, usize)>, Refusal> {
        let (mut max_items, mut max_bytes) = (usize::MAX, MESSAGE_LIMIT);
        if let Some(limit) = self.shared.config.queue.and_then(|queue| queue.batch) {
            match limit.sizer {
                Sizer::Items => max_items = limit.max_size(),
                Sizer::Bytes | Sizer::Requests => max_bytes = max_bytes.min(limit.max_size()),
            }
        }
        if batch.items <= max_items && batch.bytes.len() <= max_bytes {
            return Ok(vec![(batch.bytes.clone(), batch.items)]);
        }
        forebay_otlp::split(batch.signal, &batch.bytes, max_items, max_bytes)
            .map_err(|error| Refusal::Permanent(error.to_string()))
    }
}

impl<T> Shared<T> {
    fn budget(&self) -> &Budget {
        &self.context.budget
    }

    fn telemetry(&self) -> &Telemetry {
        &self.context.telemetry
    }

    fn with_rng<R>(&self, draw: impl FnOnce(&mut Rng) -> R) -> R {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Transport> Consumer for Sender<T> {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            if batch.bytes.is_empty() {
                return Ok(());
            }
            let parts = self.cut(&batch)?;
            let lane = self.lane(batch.signal);
            lane.consume(batch, parts).await
        })
    }

    fn shutdown(&self, deadline: Instant) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            join_all(self.lanes.iter().map(|lane| lane.shutdown(deadline))).await;
        })
    }
}
