//! Log lines about what others can cause as often as they like.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets one event through in every ten seconds, and counts the others.
#[derive(Debug)]
pub struct Throttle {
    origin: Instant,
    /// Milliseconds after `origin` before which nothing more is let through.
    closed_until: AtomicU64,
    withheld: AtomicU64,
}

const INTERVAL: Duration = Duration::from_secs(10);

impl Throttle {
    /// A throttle that lets the next event through.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: Instant::now(), closed_until: AtomicU64::new(0), withheld: AtomicU64::new(0) }
    }

    /// Whether to let an event through now; if so, how many were withheld since the last.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let elapsed = millis(now.saturating_duration_since(self.origin));
        let next = elapsed.saturating_add(millis(INTERVAL));
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

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_per_interval_passes_and_tells_how_many_did_not() {
        let throttle = Throttle::new();
        let at = |seconds| throttle.pass_at(throttle.origin + Duration::from_secs(seconds));
        assert_eq!(
            [at(0), at(1), at(9), at(10), at(11), at(30)],
            [Some(0), None, None, Some(2), None, Some(1)]
        );
    }
}
