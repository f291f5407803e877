//! The one interface between components.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::Batch;

/// A boxed future, so that consumers can be trait objects. One allocation a batch, not a span.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes batches: a processor, or an exporter with its queue.
pub trait Consumer: Send + Sync + 'static {
    /// Takes responsibility for `batch`, or refuses it.
    ///
    /// `Ok` means that every item will leave or be counted under a reason; `Err` means that nothing of
    /// the batch was taken and that the caller still owns it.
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>>;

    /// Hands on everything that waits here and stops. Called once, after all senders have stopped.
    ///
    /// Consumers that hold nothing keep the default.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Why a batch was not taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The batch itself is wrong: sending it again cannot help.
    #[error("{0}")]
    Permanent(String),
    /// There is no room or no way out right now.
    #[error("{message}")]
    Retryable {
        /// What is exhausted or unreachable.
        message: String,
        /// When to come back, where that is known.
        after: Option<Duration>,
    },
}

impl Refusal {
    /// A refusal that asks the sender to come back, without saying when.
    pub fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable { message: message.into(), after: None }
    }
}

/// Gives every batch to several consumers, as a receiver or exporter shared by pipelines does.
///
/// The first refusal is the answer, but every consumer is offered the batch: as in the Collector, a
/// client that retries may so deliver twice to those that took it the first time.
pub struct FanOut(Vec<Arc<dyn Consumer>>);

impl FanOut {
    /// One consumer for all of `consumers`; a single one is returned as it is.
    #[must_use]
    pub fn of(mut consumers: Vec<Arc<dyn Consumer>>) -> Arc<dyn Consumer> {
        match consumers.len() {
            1 => consumers.remove(0),
            _ => Arc::new(Self(consumers)),
        }
    }
}

impl Consumer for FanOut {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let mut outcome = Ok(());
            for consumer in &self.0 {
                outcome = outcome.and(consumer.consume(batch.clone()).await);
            }
            outcome
        })
    }
}
