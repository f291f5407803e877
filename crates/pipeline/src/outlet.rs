//! Handing on what has been taken and must not be lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::{Batch, Consumer, Ledger, Refusal, Throttle};

/// The way from a component that holds batches to the next one.
///
/// A batch that is refused for now is offered again; one that is refused for good, or that is still refused
/// when the grace of a shutdown is over, is counted as lost and logged.
pub struct Outlet {
    next: Arc<dyn Consumer>,
    ledger: Ledger,
    stopped: watch::Receiver<bool>,
    grace: Duration,
    /// The last moment for handing on, once shutdown has begun.
    deadline: Option<Instant>,
    refusals_logged: Throttle,
    losses_logged: Throttle,
}

/// Between attempts, where the refusal does not say when to come back.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Waits until shutdown begins.
pub async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone has stopped as well. What is returned is a lock on the value, not to be kept.
    let _ = stopped.wait_for(|&stopped| stopped).await;
}

impl Outlet {
    /// The way to `next`. `stopped` turns true when shutdown begins; from then on `next` may refuse for as long
    /// as `grace`.
    #[must_use]
    pub fn new(
        next: Arc<dyn Consumer>,
        ledger: Ledger,
        stopped: watch::Receiver<bool>,
        grace: Duration,
    ) -> Self {
        Self {
            next,
            ledger,
            stopped,
            grace,
            deadline: None,
            refusals_logged: Throttle::new(),
            losses_logged: Throttle::new(),
        }
    }

    /// Hands on a batch whose items the ledger has as buffered.
    pub async fn send(&mut self, batch: Batch) {
        let items = batch.items;
        loop {
            let pause = match self.next.consume(batch.clone()).await {
                Ok(()) => {
                    self.ledger.outgoing.inc_by(items as u64);
                    break;
                }
                Err(Refusal::Permanent(reason)) => {
                    if let Some(withheld) = self.refusals_logged.pass() {
                        tracing::error!(items, %reason, withheld, "items were refused for good; they are lost");
                    }
                    self.ledger.dropped("refused").inc_by(items as u64);
                    break;
                }
                Err(Refusal::Retryable { after, .. }) => after.unwrap_or(RETRY_PAUSE),
            };
            if *self.stopped.borrow() {
                let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.grace);
                if Instant::now() >= deadline {
                    if let Some(withheld) = self.losses_logged.pass() {
                        tracing::error!(
                            items,
                            withheld,
                            "items could not be handed on in time; they are lost"
                        );
                    }
                    self.ledger.dropped("shutdown").inc_by(items as u64);
                    break;
                }
                sleep(pause.min(RETRY_PAUSE)).await;
            } else {
                // The beginning of shutdown cuts a long pause short.
                tokio::select! {
                    () = sleep(pause) => {}
                    () = until_stopped(&mut self.stopped) => {}
                }
            }
        }
        self.ledger.release(items);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::*;
    use crate::{BoxFuture, Signal, Telemetry};

    /// Gives the scripted answers, then takes everything.
    struct Scripted(Mutex<Vec<Refusal>>);

    impl Consumer for Scripted {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            let answer = self.0.lock().unwrap().pop().map_or(Ok(()), Err);
            Box::pin(std::future::ready(answer))
        }
    }

    /// What the ledger says after one batch of 3 items: outgoing, refused, shutdown, buffered.
    async fn after_one(refusals: Vec<Refusal>, stop: bool) -> (u64, u64, u64, i64) {
        let ledger = Telemetry::new().ledger("processor/x", Signal::Traces);
        let (_stop, stopped) = watch::channel(stop);
        let next = Arc::new(Scripted(Mutex::new(refusals)));
        let mut outlet = Outlet::new(next, ledger.clone(), stopped, Duration::from_secs(5));
        ledger.hold(3);
        outlet.send(Batch::new(Signal::Traces, Bytes::new(), 3)).await;
        let lost = |reason| ledger.dropped(reason).get();
        (ledger.outgoing.get(), lost("refused"), lost("shutdown"), ledger.buffered.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_now_is_offered_again() {
        let later = Refusal::Retryable { message: "full".into(), after: Some(Duration::from_secs(60)) };
        assert_eq!(after_one(vec![later; 10], false).await, (3, 0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_good_is_counted() {
        assert_eq!(after_one(vec![Refusal::Permanent("bad".into())], false).await, (0, 3, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_the_grace_and_no_longer() {
        assert_eq!(after_one(vec![Refusal::retryable("full"); 10], true).await, (3, 0, 0, 0));
        assert_eq!(after_one(vec![Refusal::retryable("full"); 1_000], true).await, (0, 0, 3, 0));
    }
}
