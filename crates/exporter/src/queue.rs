//! What waits to be sent, bounded: `sending_queue`.
//!
//! Encoded requests of one signal merge by concatenation, so a batch that finds another one waiting joins
//! it instead of taking a place of its own. That happens with or without `batch`: a burst of small batches
//! becomes a few large requests, and a queue that counts requests holds as much as its name promises.
//! `batch` adds waiting: a request is then held back until it has `min_size` or is `flush_timeout` old.
//!
//! Sizes count what waits *and* what is being sent or retried, as in the Collector: room is given back
//! when a request is settled.

use std::collections::VecDeque;
use std::future::pending;
use std::ops::{Add, AddAssign, SubAssign};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forebay_pipeline::{Budget, Charge, Refusal};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

mod config;
#[cfg(test)]
mod tests;

pub use config::{BatchConfig, QueueConfig, Sizer};

/// The largest message that backends take by default: 4 MiB in every gRPC implementation.
pub(crate) const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// A waiting request takes in others up to this size even if no batch is asked for.
const COALESCE: Load = Load { requests: 1, items: 8192, bytes: 1024 * 1024 };

/// A queue may hold this share of the process's budget, so that a backend that is down leaves room for
/// the spans of others. `sizer: bytes` states a bound itself.
const BUDGET_SHARE: usize = 4;

/// One request to be sent: encoded requests that make one message when concatenated.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) pieces: Vec<Bytes>,
    /// What it takes of the queue's room.
    pub(crate) load: Load,
    /// What it takes of the process's.
    pub(crate) charge: Charge,
    /// Those who want to know how it went.
    pub(crate) waiters: Vec<Waiter>,
    since: Instant,
}

/// Where a sender that waits for the result hears of it.
pub(crate) type Waiter = oneshot::Sender<Result<(), Refusal>>;

/// An amount of work in the three units in which queues are bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) requests: usize,
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// A bounded queue of requests of one signal.
#[derive(Debug)]
pub(crate) struct Queue {
    config: QueueConfig,
    max_bytes: usize,
    budget: Budget,
    state: Mutex<State>,
    /// Told when there may be something to take.
    arrived: Notify,
    /// Told when there may be room.
    released: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Request>,
    /// What waits and what has been taken but is not settled.
    held: Load,
    closed: bool,
}

impl Load {
    pub(crate) fn request(items: usize, bytes: usize) -> Self {
        Self { requests: 1, items, bytes }
    }

    /// The size in a sizer's unit.
    pub(crate) fn size(&self, sizer: Sizer) -> usize {
        match sizer {
            Sizer::Requests => self.requests,
            Sizer::Items => self.items,
            Sizer::Bytes => self.bytes,
        }
    }
}

impl Add for Load {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            requests: self.requests + other.requests,
            items: self.items + other.items,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.requests -= other.requests;
        self.items -= other.items;
        self.bytes -= other.bytes;
    }
}

impl Request {
    /// A request of one encoded request, charged to `budget`.
    pub(crate) fn new(budget: &Budget, bytes: Bytes, items: usize) -> Self {
        Self {
            load: Load::request(items, bytes.len()),
            // The bytes were admitted at the process's entry: this is never refused.
            charge: budget.charge(bytes.len()),
            pieces: vec![bytes],
            waiters: Vec::new(),
            since: Instant::now(),
        }
    }

    fn absorb(&mut self, bytes: Bytes, items: usize, waiter: Option<Waiter>) {
        self.load.items += items;
        self.load.bytes += bytes.len();
        self.charge.resize(self.charge.bytes() + bytes.len());
        self.pieces.push(bytes);
        self.waiters.extend(waiter);
    }
}

impl Queue {
    pub(crate) fn new(config: QueueConfig, budget: Budget) -> Self {
        let max_bytes = match config.sizer {
            Sizer::Bytes => config.queue_size.min(budget.limit()),
            Sizer::Requests | Sizer::Items => budget.limit() / BUDGET_SHARE,
        };
        Self {
            config,
            max_bytes,
            budget,
            state: Mutex::default(),
            arrived: Notify::new(),
            released: Notify::new(),
        }
    }

    pub(crate) fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// What is held, in the unit of the sizer.
    pub(crate) fn size(&self) -> usize {
        self.state().held.size(self.config.sizer)
    }

    /// Puts in all of `parts`, encoded requests with their items, or nothing.
    ///
    /// More than one part are one batch cut to size: they stay as they are. With `wait_for_result` the
    /// outcome of each is sent to the receivers that are returned. With `block_on_overflow` this waits
    /// for room.
    ///
    /// # Errors
    /// When there is no room, or the queue is closed.
    pub(crate) async fn push(
        &self,
        parts: Vec<(Bytes, usize)>,
    ) -> Result<Vec<oneshot::Receiver<Result<(), Refusal>>>, Refusal> {
        loop {
            // Registered before the attempt, so that room given back in between is not missed.
            let released = self.released.notified();
            {
                let mut state = self.state();
                if state.closed {
                    return Err(Refusal::retryable("the exporter is shutting down"));
                }
                if self.has_room(&state, &parts) {
                    return Ok(self.insert(&mut state, parts));
                }
            }
            if !self.config.block_on_overflow {
                let message = format!("sending queue is full: {}", self.bounds());
                return Err(Refusal::retryable(message));
            }
            released.await;
        }
    }

    /// The next request whose time has come; `None` once the queue is closed and empty.
    pub(crate) async fn next(&self) -> Option<Request> {
        loop {
            let arrived = self.arrived.notified();
            let due = {
                let mut state = self.state();
                match state.waiting.front() {
                    Some(front) if self.is_ready(&state, front) => return state.waiting.pop_front(),
                    Some(front) => Some(front.since + self.linger()),
                    None if state.closed => return None,
                    None => None,
                }
            };
            let timer = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = arrived => {}
                () = timer => {}
            }
        }
    }

    /// Gives back the room of a request that is settled.
    pub(crate) fn release(&self, load: Load) {
        self.state().held -= load;
        self.released.notify_waiters();
    }

    /// Takes nothing more; what waits becomes due at once.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_one();
        self.released.notify_waiters();
    }

    fn insert(
        &self,
        state: &mut State,
        parts: Vec<(Bytes, usize)>,
    ) -> Vec<oneshot::Receiver<Result<(), Refusal>>> {
        let whole = parts.len() == 1;
        let mut results = Vec::new();
        for (bytes, items) in parts {
            let mut load = Load::request(items, bytes.len());
            let waiter = self.config.wait_for_result.then(|| {
                let (waiter, result) = oneshot::channel();
                results.push(result);
                waiter
            });
            match state.waiting.back_mut().filter(|back| whole && self.merges(back, load)) {
                Some(back) => {
                    back.absorb(bytes, items, waiter);
                    load.requests = 0;
                }
                None => {
                    let mut request = Request::new(&self.budget, bytes, items);
                    request.waiters.extend(waiter);
                    state.waiting.push_back(request);
                }
            }
            state.held += load;
        }
        self.arrived.notify_one();
        results
    }

    /// Whether all of `parts` fit. One batch always does if nothing else is held: there is no other
    /// moment at which a batch larger than the whole queue could be taken.
    fn has_room(&self, state: &State, parts: &[(Bytes, usize)]) -> bool {
        if state.held == Load::default() {
            return true;
        }
        let mut after = state.held;
        for (bytes, items) in parts {
            after += Load::request(*items, bytes.len());
        }
        if let ([(bytes, items)], Some(back)) = (parts, state.waiting.back())
            && self.merges(back, Load::request(*items, bytes.len()))
        {
            after.requests -= 1;
        }
        after.bytes <= self.max_bytes && after.size(self.config.sizer) <= self.config.queue_size
    }

    /// Whether a waiting request may take in `more`.
    fn merges(&self, waiting: &Request, more: Load) -> bool {
        let load = waiting.load;
        let after = load + more;
        let wanted = !self.is_full(load) || load.items < COALESCE.items && load.bytes < COALESCE.bytes;
        let allowed = after.bytes <= MESSAGE_LIMIT
            && self.config.batch.is_none_or(|batch| after.size(batch.sizer) <= batch.max_size());
        wanted && allowed
    }

    /// Whether a request need not wait for more; without `batch`, none need.
    fn is_full(&self, load: Load) -> bool {
        self.config.batch.is_none_or(|batch| load.size(batch.sizer) >= batch.min_size)
    }

    fn is_ready(&self, state: &State, front: &Request) -> bool {
        state.closed
            || state.waiting.len() > 1
            || self.is_full(front.load)
            || front.since.elapsed() >= self.linger()
    }

    fn linger(&self) -> Duration {
        self.config.batch.map_or(Duration::ZERO, |batch| batch.flush_timeout)
    }

    fn bounds(&self) -> String {
        let (size, unit) = (self.config.queue_size, self.config.sizer.unit());
        format!("at most {size} {unit} and {} bytes", self.max_bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
