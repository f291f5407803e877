//! Logging what a client can cause as often as it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets one event through per interval, and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    origin: Instant,
    interval: Duration,
    /// Milliseconds after `origin` before which nothing more is let through.
    closed_until: AtomicU64,
    withheld: AtomicU64,
}

impl Throttle {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            origin: Instant::now(),
            interval,
            closed_until: AtomicU64::new(0),
            withheld: AtomicU64::new(0),
        }
    }

    /// Whether to let an event through now; if so, how many were withheld since the last.
    pub(crate) fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let elapsed = millis(now.saturating_duration_since(self.origin));
        let next = elapsed.saturating_add(millis(self.interval));
        let open = |closed_until| (elapsed >= closed_until).then_some(next);
        match self.closed_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, open) {
            Ok(_) => Some(self.withheld.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.withheld.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_per_interval_passes_and_tells_how_many_did_not() {
        let throttle = Throttle::new(Duration::from_secs(10));
        let at = |seconds| throttle.pass_at(throttle.origin + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(11), at(30)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
