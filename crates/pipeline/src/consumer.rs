//! The one interface between components.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use thiserror::Error;
use tokio::time::Instant;

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

    /// Those that this consumer gives every batch to, if that is all it does. Whoever offers a batch until it is
    /// taken asks each of them by itself, so that one that refuses does not make the others take it again.
    fn branches(&self) -> &[Arc<dyn Consumer>] {
        &[]
    }

    /// Hands on everything that waits here and stops; what could not be handed on by `deadline` is counted as
    /// lost. Called once, after all senders have stopped.
    ///
    /// Consumers that hold nothing keep the default.
    fn shutdown(&self, _deadline: Instant) -> BoxFuture<'_, ()> {
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
/// The first refusal is the answer, but every consumer is offered the batch, and at the same time: none waits
/// for one that is stuck. As in the Collector, a client that retries may so deliver twice to those that took it
/// the first time.
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
            let offers = self.0.iter().map(|consumer| consumer.consume(batch.clone()));
            join_all(offers).await.into_iter().collect()
        })
    }

    fn branches(&self) -> &[Arc<dyn Consumer>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::task::{Context, Poll, Waker};

    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;
    use crate::Signal;

    /// Never answers.
    struct Hanging;

    impl Consumer for Hanging {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            Box::pin(pending())
        }
    }

    /// Passes on what it gets, and then gives this answer.
    struct Answering(mpsc::UnboundedSender<Batch>, Result<(), Refusal>);

    impl Consumer for Answering {
        fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            self.0.send(batch).unwrap();
            Box::pin(ready(self.1.clone()))
        }
    }

    #[test]
    fn none_of_several_waits_for_one_that_is_stuck() {
        let (sender, mut got) = mpsc::unbounded_channel();
        let fan_out = FanOut::of(vec![Arc::new(Hanging), Arc::new(Answering(sender, Ok(())))]);
        let mut outcome = fan_out.consume(Batch::new(Signal::Traces, Bytes::new(), 3));
        assert!(matches!(outcome.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        assert_eq!(got.try_recv().unwrap().items, 3);
    }

    #[tokio::test]
    async fn the_first_refusal_of_several_is_the_answer() {
        let (sender, mut got) = mpsc::unbounded_channel();
        let answers = [Ok(()), Err(Refusal::retryable("full")), Err(Refusal::retryable("away"))];
        let consumers =
            answers.map(|answer| Arc::new(Answering(sender.clone(), answer)) as Arc<dyn Consumer>);
        let outcome = FanOut::of(consumers.into()).consume(Batch::new(Signal::Traces, Bytes::new(), 3)).await;
        assert_eq!(outcome, Err(Refusal::retryable("full")));
        drop(sender);
        let mut offered = 0;
        while got.try_recv().is_ok() {
            offered += 1;
        }
        assert_eq!(offered, 3);
    }
}
