//! What goes when there is no room, and how much may leave.
//!
//! When undecided traces are to go, the oldest few are looked at: the less random half goes, the other half is looked
//! at again when all others have been. So old and little random traces go first, and agents that lose much lose the
//! same traces.

use super::track::State;
use super::{RetroactiveAgent, SECOND};
use crate::tail::Output;
use crate::tail::store::{Nanos, SEGMENT_BYTES, SlotNumber};

/// What may leave: a token bucket of one second.
#[derive(Debug)]
pub(super) struct Egress {
    per_second: Option<u64>,
    tokens: u64,
    /// Nanoseconds times bytes per second that were not worth a byte yet.
    fraction: u128,
    refilled: Nanos,
}

/// So many of the oldest traces are looked at together.
const OLDEST: usize = 64;

impl RetroactiveAgent {
    /// Overwrites undecided traces while there are too many bytes. What is about to leave counts as gone.
    pub(super) fn make_room(&mut self, out: &mut Vec<Output>) {
        let most = self.settings.pending_bytes;
        while self.pending.store.in_use() > most {
            // Kept traces share segments with others, so writing them may free less than their bytes: then more go. Those
            // that stay of the oldest are moved together rather than that younger ones go for the room between them.
            let enough = most.saturating_sub(SEGMENT_BYTES);
            while self.pending.store.in_use().saturating_sub(self.pending.leaving().1) > enough {
                if !self.pending.store.compact() && !self.overwrite_oldest(out) {
                    self.pending.write_leaving(out);
                    return;
                }
            }
            self.pending.write_leaving(out);
        }
    }

    /// Overwrites the less random of the oldest traces; false if there are none.
    fn overwrite_oldest(&mut self, out: &mut Vec<Output>) -> bool {
        let store = &mut self.pending.store;
        let pop = || store.schedule.pop(&mut store.traces);
        let mut oldest: Vec<_> = std::iter::from_fn(pop).take(OLDEST).collect();
        if oldest.is_empty() {
            return self.withhold();
        }
        let traces = &store.traces;
        oldest.sort_unstable_by_key(|&number| {
            let slot = traces.slot(number);
            (self.tracks.get(number).state == State::Undecided, slot.digest.randomness(slot.trace_id))
        });
        let others = oldest.split_off(oldest.len().div_ceil(2));
        for number in others {
            let store = &mut self.pending.store;
            store.schedule.push(&mut store.traces, number, self.now);
        }
        for number in oldest {
            self.counts.overwritten_spans += self.overwrite(number, out);
        }
        self.pending.release_gone();
        true
    }

    /// Lets a trace go that nobody has decided, and says how many spans that has lost.
    pub(super) fn overwrite(&mut self, number: SlotNumber, out: &mut Vec<Output>) -> u64 {
        let track = self.tracks.get(number);
        let clause = track.clause.and_then(|index| self.clauses.get(usize::from(index)));
        let undecided = track.state == State::Undecided;
        if let Some(clause) = clause.filter(|_| undecided) {
            let kept = clause.kept.after(self.pending.store.traces.slot(number).digest.head());
            self.counts.kept_by_clause += 1;
            self.announce(number, kept);
            self.keep(number, kept, out);
            return 0;
        }
        let spans = self.pending.store.local_spans(number);
        let store = &mut self.pending.store;
        store.schedule.remove(&mut store.traces, number);
        self.pending.discard(number);
        if undecided { spans } else { 0 }
    }

    /// Gives up the least random of the kept traces that must not leave yet; false if there are none.
    fn withhold(&mut self) -> bool {
        let Some(((_, number), _)) = self.held.pop_last() else { return false };
        self.counts.withheld_spans += self.pending.store.local_spans(number);
        self.pending.discard(number);
        self.pending.release_gone();
        true
    }

    /// Lets kept traces leave as far as they may.
    pub(super) fn release_held(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.egress.refill(now);
        while let Some(held) = self.held.first_entry() {
            let number = held.key().1;
            let bytes = self.pending.store.traces.slot(number).digest.bytes;
            if !self.egress.take(u64::from(bytes)) {
                return;
            }
            let kept = held.remove();
            self.pending.keep(number, kept, self.now, out);
        }
    }
}

impl Egress {
    pub(super) fn new(per_second: Option<u64>) -> Self {
        Self { per_second, tokens: per_second.unwrap_or(0), fraction: 0, refilled: 0 }
    }

    /// Whether there is a bound.
    pub(super) const fn is_bounded(&self) -> bool {
        self.per_second.is_some()
    }

    fn refill(&mut self, now: Nanos) {
        let Some(per_second) = self.per_second else { return };
        let elapsed = now.saturating_sub(self.refilled).min(SECOND);
        self.refilled = self.refilled.max(now);
        self.fraction += u128::from(elapsed) * u128::from(per_second);
        let bytes = u64::try_from(self.fraction / u128::from(SECOND)).unwrap_or(u64::MAX);
        self.fraction %= u128::from(SECOND);
        self.tokens = self.tokens.saturating_add(bytes).min(per_second);
    }

    /// Takes so many bytes' worth. What is more than a second's worth takes all of it.
    fn take(&mut self, bytes: u64) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let bytes = bytes.min(per_second);
        let enough = self.tokens >= bytes;
        if enough {
            self.tokens -= bytes;
        }
        enough
    }
}
