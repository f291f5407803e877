//! The way of what has been decided: a queue before an [`Outlet`].

use bytes::Bytes;
use forebay_otlp::Signal;
use tokio::sync::mpsc;

use crate::{Batch, Budget, Ledger, Outlet};

/// Takes requests at once and hands them on in order, as fast as the next component takes them. What waits is charged
/// to the budget, so a next component that stays away is felt at admission, where clients can be told to come back.
#[derive(Clone, Debug)]
pub struct Outbox {
    queue: mpsc::UnboundedSender<Batch>,
    signal: Signal,
    budget: Budget,
    ledger: Ledger,
}

impl Outbox {
    /// An outbox of requests of `signal`, and what hands them on: to be run until it ends, which it does when all
    /// clones of the outbox are gone and everything is handed on.
    pub fn new(
        signal: Signal,
        mut outlet: Outlet,
        budget: Budget,
        ledger: Ledger,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, mut waiting) = mpsc::unbounded_channel();
        let hand_on = async move {
            while let Some(batch) = waiting.recv().await {
                outlet.send(batch).await;
            }
        };
        (Self { queue, signal, budget, ledger }, hand_on)
    }

    /// Takes an encoded request of so many items.
    pub fn put(&self, request: Vec<u8>, items: usize) {
        let charge = self.budget.charge(request.len());
        self.ledger.hold(items);
        // What hands on outlives all who put.
        let _ = self.queue.send(Batch::new(self.signal, Bytes::from(request), items).charged(charge));
    }
}
