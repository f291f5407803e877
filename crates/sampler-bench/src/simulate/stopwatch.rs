//! CPU time of a simulation, told apart by tier.
//!
//! A simulation is one thread, on which agents, the gateway and the harness take turns. Whose turn it is say the spans
//! of [`tracing`]: the calls into a tier are in its span, the tasks that it starts inherit it, and all the rest is the
//! harness's. The stopwatch is the subscriber, which looks at the thread's clock whenever a span is entered or left. A
//! look takes some hundred nanoseconds, which are part of what is measured.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Span, Subscriber, info_span};
use tracing_core::span::Current;

/// Who may be running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// What sends, counts, stores, and whatever belongs to nobody.
    Harness,
    /// The agents, all together.
    Agents,
    /// The gateway.
    Gateway,
}

/// Measures one thread.
#[derive(Clone)]
pub(super) struct Stopwatch(Arc<Mutex<State>>);

struct State {
    spent: [Duration; 3],
    /// Who is running, behind those that have called.
    running: Vec<Lane>,
    since: Duration,
    /// Of each lane's span, once there is one.
    metadata: [Option<&'static Metadata<'static>>; 3],
}

impl Lane {
    const ALL: [Self; 3] = [Self::Harness, Self::Agents, Self::Gateway];

    /// The span in which it runs.
    pub(super) fn span(self) -> Span {
        match self {
            Self::Harness => info_span!("harness"),
            Self::Agents => info_span!("agents"),
            Self::Gateway => info_span!("gateway"),
        }
    }

    fn of(metadata: &Metadata<'_>) -> Self {
        match metadata.name() {
            "agents" => Self::Agents,
            "gateway" => Self::Gateway,
            _ => Self::Harness,
        }
    }

    /// Spans of a lane are all the same to us.
    fn id(self) -> Id {
        Id::from_u64(self as u64 + 1)
    }

    fn from_id(id: &Id) -> Self {
        Self::ALL.into_iter().find(|lane| lane.id() == *id).unwrap_or(Self::Harness)
    }
}

impl Stopwatch {
    /// Does `work`, which is the harness's where it does not enter a lane's span.
    pub(super) fn watch<T>(work: impl FnOnce(&Self) -> T) -> T {
        let watch = Self(Arc::new(Mutex::new(State {
            spent: [Duration::ZERO; 3],
            running: vec![Lane::Harness],
            since: cpu_time(),
            metadata: [None; 3],
        })));
        with_default(watch.clone(), || work(&watch))
    }

    /// What a lane has spent, up to when it was last left.
    pub(super) fn spent(&self, lane: Lane) -> Duration {
        self.state().spent[lane as usize]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Charges what has been spent since the last time to who is running.
    fn charge(&mut self) {
        let now = cpu_time();
        let running = self.running.last().copied().unwrap_or(Lane::Harness);
        self.spent[running as usize] += now.saturating_sub(self.since);
        self.since = now;
    }
}

impl Subscriber for Stopwatch {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == module_path!()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::INFO)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let lane = Lane::of(span.metadata());
        self.state().metadata[lane as usize] = Some(span.metadata());
        lane.id()
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        let mut state = self.state();
        state.charge();
        state.running.push(Lane::from_id(span));
    }

    fn exit(&self, _: &Id) {
        let mut state = self.state();
        state.charge();
        state.running.pop();
    }

    fn current_span(&self) -> Current {
        let state = self.state();
        let current = state.running.last().and_then(|lane| Some((lane, state.metadata[*lane as usize]?)));
        current.map_or_else(Current::none, |(lane, metadata)| Current::new(lane.id(), metadata))
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::task::yield_now;
    use tracing::Instrument;

    use super::*;

    /// Spends so much CPU time.
    fn burn(millis: u64) {
        let until = cpu_time() + Duration::from_millis(millis);
        while cpu_time() < until {}
    }

    /// What each lane has spent, to ten milliseconds.
    fn rounded(watch: &Stopwatch) -> [u128; 3] {
        Lane::ALL.map(|lane| (watch.spent(lane).as_millis() + 5) / 10 * 10)
    }

    #[test]
    fn whoever_is_called_pays_and_who_calls_goes_on_paying_afterwards() {
        let spent = Stopwatch::watch(|watch| {
            burn(10);
            Lane::Agents.span().in_scope(|| {
                burn(20);
                Lane::Gateway.span().in_scope(|| burn(40));
                Lane::Harness.span().in_scope(|| burn(30));
                burn(10);
            });
            rounded(watch)
        });
        assert_eq!(spent, [40, 30, 40]);
    }

    #[test]
    fn tasks_are_charged_to_who_has_started_them() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let spent = Stopwatch::watch(|watch| {
            runtime.block_on(async {
                let work = async {
                    burn(10);
                    yield_now().await;
                    burn(10);
                };
                let started = Lane::Gateway.span().in_scope(|| tokio::spawn(work.in_current_span()));
                Lane::Agents.span().in_scope(|| burn(30));
                started.await.unwrap();
            });
            rounded(watch)
        });
        assert_eq!(spent, [0, 30, 20]);
    }
}
