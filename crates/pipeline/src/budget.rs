//! One process-wide bound on the bytes that wait.
//!
//! Inflating bodies, pending traces, decided spans that are not sent yet and queued exports all hold a
//! [`Charge`]. Admission uses [`Budget::reserve`], which refuses; a component that merely changes the form
//! of what was admitted (a span moved from the log into an outgoing request) uses [`Budget::charge`], which
//! always succeeds: the short overlap shows up as less room for admission, never as a loss.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

/// A shared bound in bytes. Cloning shares the bound.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    used: AtomicUsize,
    /// Told whenever a charge is released, for those who wait for room.
    released: Notify,
}

/// Bytes held on a [`Budget`]; released when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: usize,
}

/// There is no room for what was asked.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("memory budget exhausted: {asked} bytes asked, {used} of {limit} in use; retry later")]
pub struct OverBudget {
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes in use at that moment.
    pub used: usize,
    /// The bound.
    pub limit: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shared { limit, used: AtomicUsize::new(0), released: Notify::new() }))
    }

    /// The bound in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// Bytes in use now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes`, or says that there is no room.
    ///
    /// # Errors
    /// When the budget would be exceeded.
    pub fn reserve(&self, bytes: usize) -> Result<Charge, OverBudget> {
        let limit = self.0.limit;
        self.0
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                used.checked_add(bytes).filter(|&after| after <= limit)
            })
            .map(|_| Charge { budget: self.clone(), bytes })
            .map_err(|used| OverBudget { asked: bytes, used, limit })
    }

    /// Takes `bytes`, waiting up to `patience` for room: brief overload is better waited out than
    /// refused, since some clients drop what is refused.
    ///
    /// # Errors
    /// When there is still no room after `patience`, or `bytes` exceeds the whole budget.
    pub async fn reserve_within(&self, bytes: usize, patience: Duration) -> Result<Charge, OverBudget> {
        let refused = match self.reserve(bytes) {
            Ok(charge) => return Ok(charge),
            Err(refused) if bytes > self.0.limit => return Err(refused),
            Err(refused) => refused,
        };
        let wait = async {
            loop {
                // Registered before the attempt, so that a release in between is not missed.
                let released = self.0.released.notified();
                if let Ok(charge) = self.reserve(bytes) {
                    return charge;
                }
                released.await;
            }
        };
        tokio::time::timeout(patience, wait).await.map_err(|_| refused)
    }

    /// Takes `bytes` even beyond the bound, for data that was admitted before.
    #[must_use]
    pub fn charge(&self, bytes: usize) -> Charge {
        self.0.used.fetch_add(bytes, Ordering::Relaxed);
        Charge { budget: self.clone(), bytes }
    }
}

impl Charge {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes what is held to `bytes`, beyond the bound if need be.
    pub fn resize(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            self.budget.0.used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.budget.0.used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
            self.budget.0.released.notify_waiters();
        }
        self.bytes = bytes;
    }

    /// Grows by `more` bytes, for a body whose inflated size is not known beforehand.
    ///
    /// # Errors
    /// When the budget would be exceeded; what was held stays held.
    pub fn grow(&mut self, more: usize) -> Result<(), OverBudget> {
        let mut extra = self.budget.reserve(more)?;
        self.bytes += extra.bytes;
        extra.bytes = 0;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.0.used.fetch_sub(self.bytes, Ordering::Relaxed);
            self.budget.0.released.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserve_refuses_beyond_the_limit_and_takes_back_what_is_dropped() {
        let budget = Budget::new(100);
        let first = budget.reserve(60).unwrap();
        assert_eq!(budget.reserve(41).unwrap_err(), OverBudget { asked: 41, used: 60, limit: 100 });
        drop(first);
        assert!(budget.reserve(100).is_ok());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_charge_for_admitted_data_may_overdraw_but_blocks_admission() {
        let budget = Budget::new(100);
        let held = budget.charge(150);
        assert_eq!(budget.used(), 150);
        assert!(budget.reserve(1).is_err());
        drop(held);
        assert!(budget.reserve(1).is_ok());
    }

    #[test]
    fn growing_keeps_what_is_held_when_refused() {
        let budget = Budget::new(100);
        let mut charge = budget.reserve(10).unwrap();
        charge.grow(80).unwrap();
        assert!(charge.grow(11).is_err());
        assert_eq!((charge.bytes(), budget.used()), (90, 90));
        charge.resize(20);
        assert_eq!(budget.used(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_patient_reservation_gets_the_room_that_is_released() {
        let budget = Budget::new(100);
        let held = budget.reserve(100).unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.reserve_within(50, Duration::from_secs(5)).await }
        });
        tokio::task::yield_now().await;
        drop(held);
        assert_eq!(waiting.await.unwrap().unwrap().bytes(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn an_impatient_reservation_is_refused() {
        let budget = Budget::new(100);
        let _held = budget.reserve(100).unwrap();
        assert!(budget.reserve_within(50, Duration::from_secs(5)).await.is_err());
        assert!(budget.reserve_within(500, Duration::from_secs(5)).await.is_err());
    }
}
