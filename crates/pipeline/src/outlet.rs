//! Handing on what has been taken and must not be lost.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Batch, Consumer, Ledger, Refusal, Throttle};

/// The way from a component that holds batches to the next one.
///
/// A batch that is refused for now is offered again; one that is refused for good, or that is still refused
/// when the grace of a shutdown is over, is counted as lost and logged.
pub struct Outlet {
    next: Arc<dyn Consumer>,
    ledger: Ledger,
    stopped: watch::Receiver<bool>,
    /// How long all batches together may take once shutdown has begun.
    grace: Duration,
    /// When that is over, once shutdown has begun.
    end: Option<Instant>,
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
    /// The way to `next`. `stopped` turns true when shutdown begins; from then on `next` may go on refusing,
    /// or be slow, for as long as `grace`.
    #[must_use]
    pub fn new(
        next: Arc<dyn Consumer>,
        ledger: Ledger,
        stopped: watch::Receiver<bool>,
        grace: Duration,
    ) -> Self {
        Self { next, ledger, stopped, grace, end: None, losses_logged: Throttle::new() }
    }

    /// Hands on a batch whose items the ledger has as buffered.
    pub async fn send(&mut self, batch: Batch) {
        let items = batch.items;
        let delivery = deliver(self.next.as_ref(), &batch, self.stopped.clone());
        let outcome = tokio::select! {
            biased;
            outcome = delivery => outcome,
            () = grace_is_over(&mut self.stopped, self.grace, &mut self.end) => Err(Loss::Shutdown),
        };
        match outcome {
            Ok(()) => self.ledger.outgoing.inc_by(items as u64),
            Err(loss) => {
                self.ledger.dropped(loss.reason()).inc_by(items as u64);
                if let Some(withheld) = self.losses_logged.pass() {
                    tracing::error!(items, %loss, withheld, "items that had been taken are lost");
                }
            }
        }
        self.ledger.release(items);
    }
}

/// Why a batch was not handed on.
#[derive(Debug, Error)]
enum Loss {
    #[error("the next component refused them for good: {0}")]
    Refused(String),
    #[error("the next component did not take them before the process had to end")]
    Shutdown,
}

impl Loss {
    fn reason(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Offers a batch until it is taken or refused for good.
async fn deliver(next: &dyn Consumer, batch: &Batch, mut stopped: watch::Receiver<bool>) -> Result<(), Loss> {
    loop {
        let pause = match next.consume(batch.clone()).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Permanent(reason)) => return Err(Loss::Refused(reason)),
            Err(Refusal::Retryable { after, .. }) => after.unwrap_or(RETRY_PAUSE),
        };
        if *stopped.borrow() {
            sleep(pause.min(RETRY_PAUSE)).await;
        } else {
            // The beginning of shutdown cuts a long pause short.
            tokio::select! {
                () = sleep(pause) => {}
                () = until_stopped(&mut stopped) => {}
            }
        }
    }
}

/// Waits until shutdown has begun and `grace` has passed since this was first noticed.
async fn grace_is_over(stopped: &mut watch::Receiver<bool>, grace: Duration, end: &mut Option<Instant>) {
    until_stopped(stopped).await;
    sleep_until(*end.get_or_insert_with(|| Instant::now() + grace)).await;
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

    /// Never answers.
    struct Hanging;

    impl Consumer for Hanging {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_that_never_answers_does_not_hold_up_the_end() {
        let ledger = Telemetry::new().ledger("processor/x", Signal::Traces);
        let (_stop, stopped) = watch::channel(true);
        let mut outlet = Outlet::new(Arc::new(Hanging), ledger.clone(), stopped, Duration::from_secs(5));
        let begin = tokio::time::Instant::now();
        for _ in 0..10 {
            ledger.hold(3);
            outlet.send(Batch::new(Signal::Traces, Bytes::new(), 3)).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(6), "the grace is waited for once");
        assert_eq!((ledger.dropped("shutdown").get(), ledger.buffered.get()), (30, 0));
    }

    /// Takes everything, each batch after a second.
    struct Slow;

    impl Consumer for Slow {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            Box::pin(async {
                sleep(Duration::from_secs(1)).await;
                Ok(())
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_component_gets_no_more_than_the_grace_for_all_batches() {
        let ledger = Telemetry::new().ledger("processor/x", Signal::Traces);
        let (_stop, stopped) = watch::channel(true);
        let mut outlet = Outlet::new(Arc::new(Slow), ledger.clone(), stopped, Duration::from_millis(4_500));
        for _ in 0..10 {
            ledger.hold(1);
            outlet.send(Batch::new(Signal::Traces, Bytes::new(), 1)).await;
        }
        assert_eq!((ledger.outgoing.get(), ledger.dropped("shutdown").get()), (4, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_the_grace_and_no_longer() {
        assert_eq!(after_one(vec![Refusal::retryable("full"); 10], true).await, (3, 0, 0, 0));
        assert_eq!(after_one(vec![Refusal::retryable("full"); 1_000], true).await, (0, 0, 3, 0));
    }
}
