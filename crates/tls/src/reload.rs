//! A value that is loaded again when its time has come.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use forebay_config::Table;

use crate::TlsError;

type Load<T> = Box<dyn Fn() -> Result<T, TlsError> + Send + Sync>;

/// What was loaded last, and how to load it again.
///
/// There is no task and no file watch: whoever needs the value after the interval has passed loads it.
/// Certificates are a few kilobytes, and a server without handshakes needs none.
pub(crate) struct Reloading<T> {
    /// What is loaded, for the log.
    what: &'static str,
    every: Option<Duration>,
    load: Load<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: T,
    loaded_at: Instant,
}

impl<T: Clone> Reloading<T> {
    /// Starts with `current`; `None` for `every` never loads again.
    pub(crate) fn new(
        what: &'static str,
        current: T,
        every: Option<Duration>,
        load: impl Fn() -> Result<T, TlsError> + Send + Sync + 'static,
    ) -> Self {
        let state = Mutex::new(State { current, loaded_at: Instant::now() });
        Self { what, every, load: Box::new(load), state }
    }

    /// The value as of now.
    pub(crate) fn current(&self) -> T {
        self.current_at(Instant::now())
    }

    fn current_at(&self, now: Instant) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if self.every.is_some_and(|every| now.saturating_duration_since(state.loaded_at) >= every) {
            state.loaded_at = now;
            match (self.load)() {
                Ok(loaded) => state.current = loaded,
                Err(error) => {
                    tracing::warn!(%error, "cannot reload the {}; the last good one stays", self.what)
                }
            }
        }
        state.current.clone()
    }
}

impl<T> fmt::Debug for Reloading<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloading")
            .field("what", &self.what)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// Reads `reload_interval`; zero is never, as in the Collector.
pub(crate) fn interval(table: &Table<'_>) -> Option<Duration> {
    table.duration("reload_interval").filter(|interval| !interval.is_zero())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Loads 1, 2, an error, 4, …
    fn counting(every: Option<Duration>) -> Reloading<u32> {
        let calls = Arc::new(AtomicU32::new(0));
        Reloading::new("number", 0, every, move || match calls.fetch_add(1, Ordering::Relaxed) + 1 {
            3 => Err(TlsError::Content { origin: "3".into(), problem: "is odd".into() }),
            call => Ok(call),
        })
    }

    #[test]
    fn loads_once_per_interval_and_keeps_the_last_good_value() {
        let value = counting(Some(Duration::from_secs(60)));
        let start = Instant::now();
        let at = |seconds| value.current_at(start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(59), at(61), at(62)], [0, 0, 1, 1]);
        assert_eq!([at(122), at(183), at(184), at(244)], [2, 2, 2, 4]);
    }

    #[test]
    fn never_loads_without_an_interval() {
        let value = counting(None);
        assert_eq!(value.current_at(Instant::now() + Duration::from_secs(1 << 30)), 0);
    }
}
