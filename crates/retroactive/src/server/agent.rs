//! What an agent is told, and how much of it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use forebay_pipeline::{Budget, Charge};
use forebay_receiver::Outgoing;
use forebay_samplers::retroactive::message::Decisions;
use thiserror::Error;
use tokio::sync::mpsc;
use tonic::Status;

use crate::wire::message::{encode_decisions, encode_program};
use crate::wire::program::Encoded;

/// Tells an agent things. Nothing waits: what does not fit the agent's queue is refused.
#[derive(Clone, Debug)]
pub struct AgentHandle {
    messages: mpsc::Sender<Queued>,
    cut: mpsc::Sender<String>,
    budget: Budget,
    shared: Arc<Shared>,
}

/// An agent does not take in what it is told as fast as it is told, or it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the agent does not read what it is told, or is gone")]
pub struct FullError;

/// The other end of a handle.
pub(crate) struct Queue {
    messages: mpsc::Receiver<Queued>,
    cut: mpsc::Receiver<String>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Queued {
    message: Vec<u8>,
    _charge: Charge,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes of the messages that wait.
    bytes: AtomicUsize,
    /// The last window that the agent was told is settled.
    settled: Arc<AtomicU64>,
}

/// Messages that wait for an agent.
const MESSAGES: usize = 64;
/// Their bytes, unless one alone has more.
const BYTES: usize = 1 << 20;

/// A handle and its other end.
pub(crate) fn queue(budget: &Budget) -> (AgentHandle, Queue) {
    let (messages, receiver) = mpsc::channel(MESSAGES);
    let (cut, end) = mpsc::channel(1);
    let shared = Arc::new(Shared::default());
    let handle = AgentHandle { messages, cut, budget: budget.clone(), shared: Arc::clone(&shared) };
    (handle, Queue { messages: receiver, cut: end, shared })
}

impl AgentHandle {
    /// Tells the agent what to ask of spans from now on.
    ///
    /// # Errors
    /// When there is no room in its queue or in the budget.
    pub fn tell_program(&self, program: &Encoded) -> Result<(), FullError> {
        self.tell(encode_program(program))
    }

    /// Tells the agent what has been decided.
    ///
    /// # Errors
    /// When there is no room in its queue or in the budget.
    pub fn tell_decisions(&self, decisions: &Decisions) -> Result<(), FullError> {
        self.tell(encode_decisions(decisions))?;
        self.shared.settled.fetch_max(decisions.settled, Ordering::Relaxed);
        Ok(())
    }

    /// How full its queue is, from 0 to 1.
    #[must_use]
    pub fn fill(&self) -> f64 {
        let messages = (MESSAGES - self.messages.capacity()) as f64 / MESSAGES as f64;
        let bytes = self.shared.bytes.load(Ordering::Relaxed) as f64 / BYTES as f64;
        messages.max(bytes).min(1.0)
    }

    /// Cuts the agent off, and names it and the reason in the log.
    pub fn cut_off(&self, reason: impl Into<String>) {
        // If there is a reason already, that one will do.
        let _ = self.cut.try_send(reason.into());
    }

    fn tell(&self, message: Vec<u8>) -> Result<(), FullError> {
        let length = message.len();
        let waiting = self.shared.bytes.load(Ordering::Relaxed);
        if waiting > 0 && waiting + length > BYTES {
            return Err(FullError);
        }
        let _charge = self.budget.reserve(length).map_err(|_| FullError)?;
        let permit = self.messages.try_reserve().map_err(|_| FullError)?;
        self.shared.bytes.fetch_add(length, Ordering::Relaxed);
        permit.send(Queued { message, _charge });
        Ok(())
    }
}

impl Queue {
    /// The last window that the agent was told is settled.
    pub(crate) fn settled(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.shared.settled)
    }

    /// Waits for the next message to the agent; `None` when nobody has anything to tell any more, or it is cut off.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        tokio::select! {
            queued = self.messages.recv() => {
                let message = queued?.message;
                self.shared.bytes.fetch_sub(message.len(), Ordering::Relaxed);
                Some(message)
            }
            _ = self.cut.recv() => None,
        }
    }

    /// Sends what is told until nobody has anything to tell any more.
    pub(super) async fn send_to(mut self, outgoing: &Outgoing) -> Result<(), Status> {
        let sending = async {
            while let Some(queued) = self.messages.recv().await {
                let sent = outgoing.send(&queued.message).await;
                self.shared.bytes.fetch_sub(queued.message.len(), Ordering::Relaxed);
                sent.map_err(|stalled| Status::resource_exhausted(stalled.to_string()))?;
            }
            Err(Status::unavailable("the coordinator has let go of the agent"))
        };
        tokio::select! {
            // Who is cut off is let go of as well, and is to be told why.
            biased;
            Some(reason) = self.cut.recv() => Err(Status::resource_exhausted(reason)),
            ended = sending => ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_seen_before() {
        let (handle, mut queue) = queue(&Budget::new(4 << 20));
        let decisions = |settled| Decisions { settled, ..Decisions::default() };
        for settled in 0..MESSAGES {
            assert!((handle.fill() - settled as f64 / 64.0).abs() < 0.01);
            handle.tell_decisions(&decisions(settled as u64)).unwrap();
        }
        assert_eq!(handle.tell_decisions(&decisions(1000)), Err(FullError));
        assert_eq!(queue.settled().load(Ordering::Relaxed), 63, "nobody was told that 1000 is settled");
        queue.messages.recv().await.unwrap();
        handle.tell_decisions(&decisions(1000)).unwrap();
    }

    #[test]
    fn bytes_count_too_and_so_does_the_budget() {
        let program = |length: usize| Encoded { id: Default::default(), bytes: vec![0; length].into() };
        let (handle, _queue) = queue(&Budget::new(8 << 20));
        handle.tell_program(&program(BYTES + 1)).unwrap();
        assert!(handle.fill() >= 1.0);
        assert_eq!(handle.tell_program(&program(1)), Err(FullError));
        let (handle, _queue) = queue(&Budget::new(100));
        assert_eq!(handle.tell_program(&program(200)), Err(FullError));
    }
}
