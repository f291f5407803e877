//! Handing on what has been taken and must not be lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Batch, Consumer, Ledger, Refusal, Throttle};

/// The way from a component that holds batches to the next one.
///
/// A batch that is refused for now is offered again; one that is refused for good is counted as lost and
/// logged. So is what has not been taken when a shutdown has to be over; even then each batch is offered once.
/// Of several next components each gets a batch once, whatever the others do; it counts as lost if one of them
/// has not taken it.
pub struct Outlet {
    next: Arc<dyn Consumer>,
    ledger: Ledger,
    deadline: watch::Receiver<Option<Instant>>,
    losses_logged: Throttle,
}

/// Between attempts, where the refusal does not say when to come back.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Waits until shutdown begins, and returns when it has to be over.
pub async fn until_stopped(deadline: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let begun = deadline.wait_for(Option::is_some).await;
    // A sender that is gone has stopped as well, and waits for nothing.
    begun.ok().and_then(|deadline| *deadline).unwrap_or_else(Instant::now)
}

impl Outlet {
    /// The way to `next`. `deadline` is set when shutdown begins, to when it has to be over: until then `next` may
    /// refuse, or be slow.
    #[must_use]
    pub fn new(next: Arc<dyn Consumer>, ledger: Ledger, deadline: watch::Receiver<Option<Instant>>) -> Self {
        Self { next, ledger, deadline, losses_logged: Throttle::new() }
    }

    /// Hands on a batch whose items the ledger has as buffered.
    pub async fn send(&mut self, batch: Batch) {
        let items = batch.items;
        let delivery = deliver_to_all(self.next.as_ref(), &batch, self.deadline.clone());
        let time_is_up = async { sleep_until(until_stopped(&mut self.deadline).await).await };
        let outcome = tokio::select! {
            biased;
            outcome = delivery => outcome,
            () = time_is_up => Err(Loss::Shutdown),
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

/// Offers a batch to a component, or to each of those behind it, until it is taken or refused for good.
async fn deliver_to_all(
    next: &dyn Consumer,
    batch: &Batch,
    deadline: watch::Receiver<Option<Instant>>,
) -> Result<(), Loss> {
    match next.branches() {
        [] => deliver(next, batch, deadline).await,
        branches => {
            let deliveries = branches.iter().map(|next| deliver(next.as_ref(), batch, deadline.clone()));
            join_all(deliveries).await.into_iter().collect()
        }
    }
}

/// Offers a batch until it is taken or refused for good.
async fn deliver(
    next: &dyn Consumer,
    batch: &Batch,
    mut deadline: watch::Receiver<Option<Instant>>,
) -> Result<(), Loss> {
    loop {
        let pause = match next.consume(batch.clone()).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Permanent(reason)) => return Err(Loss::Refused(reason)),
            Err(Refusal::Retryable { after, .. }) => after.unwrap_or(RETRY_PAUSE),
        };
        let hurry = async {
            until_stopped(&mut deadline).await;
            sleep(RETRY_PAUSE).await;
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = hurry => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

    use super::*;
    use crate::{BoxFuture, FanOut, Signal, Telemetry};

    /// Gives the scripted answers, then takes everything.
    struct Scripted(Mutex<Vec<Refusal>>);

    impl Consumer for Scripted {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            let answer = self.0.lock().unwrap().pop().map_or(Ok(()), Err);
            Box::pin(std::future::ready(answer))
        }
    }

    /// What the ledger says after one batch of 3 items: outgoing, refused, shutdown, buffered.
    async fn after_one(refusals: Vec<Refusal>, deadline: Option<Instant>) -> (u64, u64, u64, i64) {
        let ledger = Telemetry::new().ledger("processor/x", Signal::Traces);
        let (_stop, deadline) = watch::channel(deadline);
        let next = Arc::new(Scripted(Mutex::new(refusals)));
        let mut outlet = Outlet::new(next, ledger.clone(), deadline);
        ledger.hold(3);
        outlet.send(Batch::new(Signal::Traces, Bytes::new(), 3)).await;
        let lost = |reason| ledger.dropped(reason).get();
        (ledger.outgoing.get(), lost("refused"), lost("shutdown"), ledger.buffered.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_now_is_offered_again() {
        let later = Refusal::Retryable { message: "full".into(), after: Some(Duration::from_secs(60)) };
        assert_eq!(after_one(vec![later; 10], None).await, (3, 0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_for_good_is_counted() {
        assert_eq!(after_one(vec![Refusal::Permanent("bad".into())], None).await, (0, 3, 0, 0));
    }

    /// Never answers.
    struct Hanging;

    impl Consumer for Hanging {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            Box::pin(std::future::pending())
        }
    }

    /// What becomes of ten items, each a batch, if shutdown has to be over 4.5 s after the first is sent: outgoing,
    /// lost; and after how long.
    async fn ten_at_shutdown(next: impl Consumer) -> (u64, u64, Duration) {
        let ledger = Telemetry::new().ledger("processor/x", Signal::Traces);
        let begun = Instant::now();
        let (_stop, deadline) = watch::channel(Some(begun + Duration::from_millis(4_500)));
        let mut outlet = Outlet::new(Arc::new(next), ledger.clone(), deadline);
        for _ in 0..10 {
            ledger.hold(1);
            outlet.send(Batch::new(Signal::Traces, Bytes::new(), 1)).await;
        }
        assert_eq!(ledger.buffered.get(), 0);
        (ledger.outgoing.get(), ledger.dropped("shutdown").get(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_component_that_never_answers_does_not_hold_up_the_end() {
        let (outgoing, lost, took) = ten_at_shutdown(Hanging).await;
        assert_eq!((outgoing, lost), (0, 10));
        assert!(took < Duration::from_millis(4_600), "{took:?}");
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
    async fn a_slow_component_has_one_deadline_for_all_batches() {
        let (outgoing, lost, took) = ten_at_shutdown(Slow).await;
        assert_eq!((outgoing, lost), (4, 6));
        assert!(took < Duration::from_millis(4_600), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusing_component_is_asked_until_the_deadline_and_once_for_what_is_left() {
        assert_eq!(after_one(vec![Refusal::retryable("full"); 10], in_five_seconds()).await, (3, 0, 0, 0));
        assert_eq!(after_one(vec![Refusal::retryable("full"); 1_000], in_five_seconds()).await, (0, 0, 3, 0));
        assert_eq!(after_one(vec![], Some(Instant::now())).await, (3, 0, 0, 0));
    }

    /// Counts the batches it takes.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Consumer for Counting {
        fn consume(&self, _batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(std::future::ready(Ok(())))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_components_none_gets_a_batch_again_because_another_refuses() {
        let ledger = Telemetry::new().ledger("processor/x", Signal::Traces);
        let counting = Arc::new(Counting::default());
        let scripted = Scripted(Mutex::new(vec![Refusal::retryable("full"); 100]));
        let (_stop, deadline) = watch::channel(None);
        let next = FanOut::of(vec![Arc::new(scripted), Arc::clone(&counting) as Arc<dyn Consumer>]);
        ledger.hold(3);
        Outlet::new(next, ledger.clone(), deadline).send(Batch::new(Signal::Traces, Bytes::new(), 3)).await;
        assert_eq!((counting.0.load(Ordering::Relaxed), ledger.outgoing.get()), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_gone_without_a_shutdown_waits_for_nothing() {
        let (stop, mut deadline) = watch::channel(None);
        drop(stop);
        assert_eq!(until_stopped(&mut deadline).await, Instant::now());
    }

    fn in_five_seconds() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(5))
    }
}
