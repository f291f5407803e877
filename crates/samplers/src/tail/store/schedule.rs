//! When traces are due.
//!
//! All traces wait equally long, so order of arrival is order of decision: a queue of ticks, each with the
//! chain of traces that are due then, rather than a timer for each trace.

use std::collections::VecDeque;
use std::time::Duration;

use super::traces::{SlotNumber, TraceTable};

/// Times are nanoseconds on a clock that never goes back, supplied by the caller.
pub type Nanos = u64;

/// Traces by the tick at which they are due.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    ticks: VecDeque<Tick>,
}

#[derive(Debug)]
struct Tick {
    due: Nanos,
    first: SlotNumber,
    last: SlotNumber,
}

/// Decisions are taken at multiples of this.
const TICK: Duration = Duration::from_millis(10);

impl Schedule {
    /// Adds a trace that is due at `time`, or at the tick thereafter.
    pub(crate) fn push(&mut self, traces: &mut TraceTable, slot: SlotNumber, time: Nanos) {
        let tick = u64::try_from(TICK.as_nanos()).unwrap_or(1);
        // A clock that went back would break the order; then the trace is due with the one before it.
        let due = time
            .checked_next_multiple_of(tick)
            .unwrap_or(Nanos::MAX)
            .max(self.ticks.back().map_or(0, |last| last.due));
        match self.ticks.back_mut() {
            Some(last) if last.due == due => {
                traces.slot_mut(last.last).next = Some(slot);
                last.last = slot;
            }
            _ => self.ticks.push_back(Tick { due, first: slot, last: slot }),
        }
    }

    /// When the next trace is due.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.ticks.front().map(|tick| tick.due)
    }

    /// Takes the oldest trace.
    pub(crate) fn pop(&mut self, traces: &mut TraceTable) -> Option<SlotNumber> {
        let tick = self.ticks.front_mut()?;
        let slot = tick.first;
        match traces.slot_mut(slot).next.take() {
            Some(next) => tick.first = next,
            None => {
                self.ticks.pop_front();
            }
        }
        Some(slot)
    }
}
