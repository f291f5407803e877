//! What an agent does with its disk tier: takes again what an earlier process has left, and makes room.

use std::cmp::Reverse;

use forebay_otlp::threshold::Randomness;
use forebay_otlp::{SpanIndex, TraceId};
use forebay_segments::Address;

use super::track::State;
use super::{KEPT_MAX, RetroactiveAgent};
use crate::retroactive::{AgentSettings, DiskError, DiskTier};
use crate::tail::Output;
use crate::tail::decision::Kept;
use crate::tail::moment::Moment;
use crate::tail::store::disk::{Decided, Mark};
use crate::tail::store::{Nanos, SlotNumber};

/// What is to go first when there is no room on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Dropped,
    Undecided,
    /// It is kept, and may not leave yet.
    Held,
}

/// Windows of one process have numbers of so many bits: milliseconds until the year 2527.
const WINDOW_BITS: u32 = 44;

impl RetroactiveAgent {
    /// An agent whose spans wait on disk. [`Self::recover`] comes before anything else.
    #[must_use]
    pub fn with_disk(settings: AgentSettings, tier: DiskTier) -> Self {
        let mut agent = Self::new(settings);
        agent.capacity = tier.bytes;
        // Later than all windows of the processes before, also if the clock has been set back meanwhile.
        agent.window = agent.window.saturating_add(u64::from(tier.restarts()) << WINDOW_BITS);
        agent.pending.store.disk = Some(Box::new(tier.disk));
        agent
    }

    /// Takes again what an earlier process has left. Returns how many spans that were; those of traces that were to be
    /// kept leave.
    pub fn recover(&mut self, now: Nanos, out: &mut Vec<Output>) -> u64 {
        self.now = now;
        let Some(disk) = &mut self.pending.store.disk else { return 0 };
        let mut spans = 0;
        // Before the clock began, perhaps, and never later than now, though that clock may have been ahead of this one.
        let epoch = self.settings.epoch_unix_nano;
        let time_of = |unix_nano: u64| unix_nano.saturating_sub(epoch).min(now);
        for (trace_id, trace) in disk.take_found().into_traces() {
            match trace.decided {
                Some(Decided::Kept(kept, at_unix_nano)) => {
                    let at = time_of(at_unix_nano);
                    self.pending.remember(trace_id, kept, at);
                    self.note_kept(at, trace_id, kept);
                }
                Some(Decided::Dropped) if trace.runs.is_empty() => self.pending.remember_dropped(trace_id),
                Some(Decided::Dropped) | None => {}
            }
            let runs: Vec<_> = trace.runs.into_values().collect();
            let (taken, arrived_unix_nano) = self.retake(&runs, out);
            spans += taken;
            if let Some(number) = self.pending.store.traces.find(trace_id) {
                let arrived = Moment::of(time_of(arrived_unix_nano));
                self.pending.store.traces.slot_mut(number).digest.arrived = arrived;
                if trace.decided == Some(Decided::Dropped) {
                    self.tracks.get_mut(number).state = State::Dropped;
                }
            }
        }
        self.make_room(out);
        self.release_held(now, out);
        self.pending.write_leaving(out);
        self.make_disk_room(out);
        self.pending.store.flush();
        spans
    }

    /// Makes all that was taken and decided survive the process. Reports do so, too.
    pub fn flush(&mut self) {
        self.pending.store.flush();
    }

    /// Why spans do not wait on disk any more, or could not be read there, if something has failed since the last
    /// call. What comes waits in memory then.
    pub fn take_disk_error(&mut self) -> Option<DiskError> {
        self.pending.store.disk.as_mut()?.take_error().map(DiskError::Log)
    }

    /// Bytes on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.pending.store.disk.as_ref().map_or(0, |disk| disk.bytes())
    }

    /// Spans that were on disk and could not be read back.
    #[must_use]
    pub fn unreadable_spans(&self) -> u64 {
        self.pending.store.disk.as_ref().map_or(0, |disk| disk.lost_spans())
    }

    /// Takes the spans of runs on disk again, without writing them again. Returns how many they are, and when the
    /// first of them arrived.
    pub(super) fn retake(&mut self, runs: &[Address], out: &mut Vec<Output>) -> (u64, u64) {
        let (mut spans, mut arrived) = (0, u64::MAX);
        for &address in runs {
            let Some(disk) = &mut self.pending.store.disk else { break };
            let Some((head, request)) = disk.read(address, 0) else {
                disk.release(address);
                continue;
            };
            arrived = arrived.min(head.arrived_unix_nano);
            disk.adopt(address);
            // It was spliced of spans that have been scanned before.
            if let Ok(index) = SpanIndex::scan(&request) {
                spans += index.spans.len() as u64;
                self.take(&request, &index.envelopes, &index.spans, out);
            }
            // It may have left at once.
            if let Some(disk) = &mut self.pending.store.disk
                && let Some(address) = disk.take_adopting()
            {
                disk.give_up(head.trace_id, std::iter::once(address));
                disk.mark_gone();
            }
        }
        (spans, arrived)
    }

    /// Remembers on disk that a trace is kept.
    pub(super) fn mark_kept(&mut self, trace_id: TraceId, kept: Kept) {
        let at_unix_nano = self.settings.epoch_unix_nano.saturating_add(self.now);
        if let Some(disk) = &mut self.pending.store.disk {
            disk.mark(&Mark::Kept { trace_id, kept, at_unix_nano });
        }
    }

    /// Remembers on disk that traces are dropped.
    pub(super) fn mark_dropped(&mut self, numbers: &[SlotNumber]) {
        let traces = &self.pending.store.traces;
        if let Some(disk) = &mut self.pending.store.disk {
            let dropped: Vec<_> = numbers.iter().map(|&number| traces.slot(number).trace_id).collect();
            disk.mark_dropped(&dropped);
        }
    }

    /// Notes that a trace has been kept, for whoever has not heard of it.
    pub(super) fn note_kept(&mut self, at: Nanos, trace_id: TraceId, kept: Kept) {
        self.kept.push_back((Moment::of(at), trace_id, kept));
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_front();
        }
    }

    /// Makes room on disk. Of the traces in the oldest segment the less random half goes, the others move to the end.
    pub(super) fn make_disk_room(&mut self, out: &mut Vec<Output>) {
        while let Some(disk) = self.pending.store.disk.as_mut().filter(|disk| disk.is_full()) {
            let runs = disk.oldest();
            let Some(&last) = runs.last() else { return };
            let mut owners = self.owners_of(&runs);
            let others = owners.split_off(owners.len().div_ceil(2));
            for (rank, _, number) in owners {
                self.evict(rank, number, out);
            }
            for (rank, _, number) in others {
                if !self.pending.store.relocate(number, last) {
                    self.evict(rank, number, out);
                    continue;
                }
                // The mark that said so goes with its segment.
                match rank {
                    Rank::Dropped => self.mark_dropped(&[number]),
                    Rank::Undecided => {}
                    Rank::Held => {
                        let trace_id = self.pending.store.traces.slot(number).trace_id;
                        if let Some(remembered) = self.held_as(number) {
                            self.mark_kept(trace_id, remembered);
                        }
                    }
                }
            }
            self.pending.release_gone();
            self.pending.write_leaving(out);
        }
    }

    /// The traces of these runs, in the order in which they are to go.
    fn owners_of(&mut self, runs: &[Address]) -> Vec<(Rank, Randomness, SlotNumber)> {
        let mut owners = Vec::new();
        for &address in runs {
            let store = &mut self.pending.store;
            let Some(disk) = &mut store.disk else { break };
            let head = disk.read(address, 0).map(|(head, _)| head);
            let Some((head, number)) = head.and_then(|head| Some((head, store.traces.find(head.trace_id)?)))
            else {
                // It cannot be read, so it is not anybody's.
                disk.release(address);
                continue;
            };
            let slot = store.traces.slot(number);
            let rank = match (slot.place.is_some(), self.tracks.get(number).state) {
                (true, State::Dropped) => Rank::Dropped,
                (true, State::Undecided) => Rank::Undecided,
                (false, _) => Rank::Held,
            };
            owners.push((rank, slot.digest.randomness(head.trace_id), number));
        }
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    /// Lets a trace go for want of room on disk.
    fn evict(&mut self, rank: Rank, number: SlotNumber, out: &mut Vec<Output>) {
        if rank == Rank::Held {
            let slot = self.pending.store.traces.slot(number);
            let key = (Reverse(slot.digest.randomness(slot.trace_id)), number);
            if self.held.remove(&key).is_some() {
                self.counts.withheld_spans += self.pending.store.local_spans(number);
                self.pending.discard(number);
            }
        } else {
            self.counts.overwritten_spans += self.overwrite(number, out);
        }
    }

    /// How a trace is kept that may not leave yet.
    fn held_as(&self, number: SlotNumber) -> Option<Kept> {
        let slot = self.pending.store.traces.slot(number);
        self.held.get(&(Reverse(slot.digest.randomness(slot.trace_id)), number)).copied()
    }
}
