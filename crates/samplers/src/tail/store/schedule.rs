//! When traces are due.
//!
//! All traces wait equally long, so order of arrival is order of decision: a queue of ticks, each with the
//! chain of traces that are due then, rather than a timer for each trace. Some traces get a shorter wait while
//! they wait, from then on; that wait too is the same for all, so they go to a queue of their own. Chains are
//! linked both ways through the traces' slots, so a trace leaves its chain at once, wherever it is.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use super::traces::{SlotNumber, TraceTable};

/// Times are nanoseconds on a clock that never goes back, supplied by the caller.
pub type Nanos = u64;

/// Traces by the tick at which they are due.
#[derive(Debug)]
pub(crate) struct Schedule {
    /// Decisions are taken at multiples of this.
    tick: Nanos,
    /// Traces with the usual wait, and those that have been hastened.
    queues: [Queue; 2],
}

/// Ticks in order of time.
#[derive(Debug, Default)]
struct Queue {
    ticks: VecDeque<Tick>,
    /// How many ticks have left at the front.
    gone: u32,
}

#[derive(Debug)]
struct Tick {
    due: Nanos,
    /// The first and the last trace; none if all have been removed.
    ends: Option<(SlotNumber, SlotNumber)>,
}

/// Where a trace is in the schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    tick: TickNumber,
    /// The trace before this one in the same tick.
    previous: Option<SlotNumber>,
    /// The trace after this one in the same tick.
    next: Option<SlotNumber>,
}

/// Which tick: how many came before it in its queue (modulo 2^30, years of ticks), and which queue that is.
#[derive(Clone, Copy, Debug)]
struct TickNumber(NonZeroU32);

const USUAL: usize = 0;
const HASTENED: usize = 1;
/// Queues with room for no more ticks do not shrink.
const TICKS_MIN: usize = 64;

impl Schedule {
    /// A schedule of ticks of this length.
    pub(crate) fn new(tick: Nanos) -> Self {
        Self { tick: tick.max(1), queues: Default::default() }
    }

    /// Adds a trace that is due at `time`, or at the tick thereafter.
    pub(crate) fn push(&mut self, traces: &mut TraceTable, slot: SlotNumber, time: Nanos) {
        let due = self.queues[USUAL].possible(self.ceil(time));
        self.append(traces, slot, USUAL, due);
    }

    /// Lets a trace be due at `time`, or at the tick thereafter, if that is earlier than it is.
    pub(crate) fn hasten(&mut self, traces: &mut TraceTable, slot: SlotNumber, time: Nanos) {
        let due = self.queues[HASTENED].possible(self.ceil(time));
        if self.due(traces, slot).is_some_and(|present| due < present) {
            self.remove(traces, slot);
            self.append(traces, slot, HASTENED, due);
        }
    }

    /// Takes out a trace, if it is there.
    pub(crate) fn remove(&mut self, traces: &mut TraceTable, slot: SlotNumber) {
        let Some(Place { tick, previous, next }) = traces.slot_mut(slot).place.take() else { return };
        let queue = &mut self.queues[tick.queue()];
        let ends = &mut queue.ticks[tick.index(queue.gone)].ends;
        *ends = ends.and_then(|(first, last)| match (previous, next) {
            (None, None) => None,
            (None, Some(next)) => Some((next, last)),
            (Some(previous), None) => Some((first, previous)),
            (Some(_), Some(_)) => Some((first, last)),
        });
        if let Some(place) = previous.and_then(|slot| traces.slot_mut(slot).place.as_mut()) {
            place.next = next;
        }
        if let Some(place) = next.and_then(|slot| traces.slot_mut(slot).place.as_mut()) {
            place.previous = previous;
        }
        queue.trim();
    }

    /// When the next trace is due.
    pub(crate) fn next_due(&self) -> Option<Nanos> {
        self.queues.iter().filter_map(|queue| queue.ticks.front()).map(|tick| tick.due).min()
    }

    /// Takes the trace that is due first.
    pub(crate) fn pop(&mut self, traces: &mut TraceTable) -> Option<SlotNumber> {
        let fronts = self.queues.iter().filter_map(|queue| queue.ticks.front());
        let (first, _) = fronts.min_by_key(|tick| tick.due)?.ends?;
        self.remove(traces, first);
        Some(first)
    }

    /// The traces that are there, in each queue in the order in which they are due.
    pub(crate) fn iter<'a>(&'a self, traces: &'a TraceTable) -> impl Iterator<Item = SlotNumber> + 'a {
        let firsts =
            self.queues.iter().flat_map(|queue| &queue.ticks).filter_map(|tick| tick.ends.map(|ends| ends.0));
        let next = |&slot: &SlotNumber| traces.slot(slot).place.and_then(|place| place.next);
        firsts.flat_map(move |first| std::iter::successors(Some(first), next))
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.queues.iter().map(|queue| queue.ticks.capacity() * size_of::<Tick>()).sum()
    }

    /// When a trace is due, if it is there.
    fn due(&self, traces: &TraceTable, slot: SlotNumber) -> Option<Nanos> {
        let tick = traces.slot(slot).place?.tick;
        let queue = &self.queues[tick.queue()];
        Some(queue.ticks[tick.index(queue.gone)].due)
    }

    /// The first tick that is not before `time`.
    pub(crate) fn ceil(&self, time: Nanos) -> Nanos {
        time.checked_next_multiple_of(self.tick).unwrap_or(Nanos::MAX)
    }

    /// Adds a trace to the end of a queue, which has nothing that is due later.
    fn append(&mut self, traces: &mut TraceTable, slot: SlotNumber, queue: usize, due: Nanos) {
        let Queue { ticks, gone } = &mut self.queues[queue];
        if ticks.back().is_none_or(|last| last.due < due) {
            ticks.push_back(Tick { due, ends: None });
        }
        let tick = TickNumber::new(queue, gone.wrapping_add(u32::try_from(ticks.len() - 1).unwrap_or(0)));
        let Some(last) = ticks.back_mut() else { return };
        let previous = last.ends.map(|(_, last)| last);
        last.ends = Some(last.ends.map_or((slot, slot), |(first, _)| (first, slot)));
        if let Some(place) = previous.and_then(|slot| traces.slot_mut(slot).place.as_mut()) {
            place.next = Some(slot);
        }
        traces.slot_mut(slot).place = Some(Place { tick, previous, next: None });
    }
}

impl Queue {
    /// `due`, but not before what is there already: with a clock that went back a trace is due with the one
    /// before it.
    fn possible(&self, due: Nanos) -> Nanos {
        self.ticks.back().map_or(due, |last| last.due.max(due))
    }

    /// Removes the ticks at both ends that have no traces any more.
    fn trim(&mut self) {
        while self.ticks.pop_front_if(|tick| tick.ends.is_none()).is_some() {
            self.gone = self.gone.wrapping_add(1);
        }
        while self.ticks.pop_back_if(|tick| tick.ends.is_none()).is_some() {}
        if self.ticks.capacity() > 4 * self.ticks.len().max(TICKS_MIN) {
            self.ticks.shrink_to(2 * self.ticks.len());
        }
    }
}

impl TickNumber {
    fn new(queue: usize, number: u32) -> Self {
        Self(NonZeroU32::MIN | (number << 2 | u32::from(queue == HASTENED) << 1))
    }

    fn queue(self) -> usize {
        if self.0.get() & 2 == 0 { USUAL } else { HASTENED }
    }

    /// Where it is in a queue from which so many have gone.
    fn index(self, gone: u32) -> usize {
        ((self.0.get() >> 2).wrapping_sub(gone) & (u32::MAX >> 2)) as usize
    }
}

#[cfg(test)]
mod tests;
