//! How often an agent may report, and how far ahead of decisions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;
use tonic::Status;

/// Windows that are not settled.
const WINDOWS: usize = 600;
/// Reports in a second, over long.
const RATE: f64 = 10.0;
/// Reports at once: an agent that has reconnected reports all that it holds.
const BURST: f64 = 100.0;

/// What is to be known of an agent's reports to bound them.
#[derive(Debug)]
pub(crate) struct Bounds {
    /// The last window that was reported.
    last: u64,
    /// Windows that were not settled when last looked at.
    open: VecDeque<u64>,
    /// The last that is settled.
    settled: Arc<AtomicU64>,
    /// Reports that may come at once, at that time.
    tokens: f64,
    at: Option<Instant>,
}

impl Bounds {
    pub(crate) fn new(settled: Arc<AtomicU64>) -> Self {
        Self { last: 0, open: VecDeque::new(), settled, tokens: BURST, at: None }
    }

    /// Whether the report of a window may come now.
    pub(crate) fn admit(&mut self, window: u64, now: Instant) -> Result<(), Status> {
        if window <= self.last {
            return Err(Status::invalid_argument(format!("window {window} comes after {}", self.last)));
        }
        let settled = self.settled.load(Ordering::Relaxed);
        while self.open.front().is_some_and(|open| *open <= settled) {
            self.open.pop_front();
        }
        if self.open.len() == WINDOWS {
            return Err(Status::resource_exhausted(format!("more than {WINDOWS} windows are not settled")));
        }
        let elapsed = self.at.map(|at| now.saturating_duration_since(at)).unwrap_or_default();
        self.tokens = (self.tokens + elapsed.as_secs_f64() * RATE).min(BURST) - 1.0;
        self.at = Some(now);
        if self.tokens < 0.0 {
            return Err(Status::resource_exhausted(format!("there are more than {RATE} reports a second")));
        }
        self.last = window;
        self.open.push_back(window);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;

    use super::*;

    fn codes(admitted: impl IntoIterator<Item = Result<(), Status>>) -> Vec<Code> {
        admitted.into_iter().filter_map(Result::err).map(|status| status.code()).collect()
    }

    #[test]
    fn windows_come_in_order() {
        let (mut bounds, now) = (Bounds::new(Arc::default()), Instant::now());
        assert_eq!(codes([7, 8, 10].map(|window| bounds.admit(window, now))), []);
        assert_eq!(codes([10, 9, 0].map(|window| bounds.admit(window, now))), [Code::InvalidArgument; 3]);
    }

    #[test]
    fn ten_reports_a_second_and_some_more_at_first_are_taken() {
        let (mut bounds, begin) = (Bounds::new(Arc::default()), Instant::now());
        let at_once: Vec<_> = (1..=101).map(|window| bounds.admit(window, begin)).collect();
        assert_eq!(codes(at_once), [Code::ResourceExhausted]);
        let (mut bounds, settled) = (Bounds::new(Arc::default()), Arc::new(AtomicU64::new(0)));
        bounds.settled = Arc::clone(&settled);
        let steady = (1..=5000_u32).map(|window| {
            settled.store(u64::from(window) - 1, Ordering::Relaxed);
            bounds.admit(window.into(), begin + Duration::from_millis(100) * window)
        });
        assert_eq!(codes(steady.collect::<Vec<_>>()), []);
    }

    #[test]
    fn windows_must_be_settled_some_day() {
        let settled = Arc::new(AtomicU64::new(0));
        let (mut bounds, begin) = (Bounds::new(Arc::clone(&settled)), Instant::now());
        let mut report = |windows: std::ops::RangeInclusive<u64>| {
            codes(
                windows
                    .map(|window| bounds.admit(window, begin + Duration::from_secs(window)))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(report(1001..=1601), [Code::ResourceExhausted]);
        settled.store(1001, Ordering::Relaxed);
        assert_eq!(report(1601..=1602), [Code::ResourceExhausted]);
    }
}
