//! What coordinators are told.

use std::time::Duration;

use forebay_otlp::SpanIndex;

use super::track::State;
use super::{HORIZON_MAX, RetroactiveAgent, SECOND, note_grown};
use crate::retroactive::key::TraceKey;
use crate::retroactive::message::{Piece, Report};
use crate::tail::Output;
use crate::tail::digest::Digest;
use crate::tail::predicate::Bits;
use crate::tail::store::{Nanos, SlotNumber};

/// Pieces in a report; the rest is for the next.
const PIECES_MAX: usize = 1 << 16;
/// Windows that may be unsettled: with more, only acknowledgements are reported.
const WINDOWS_MAX: usize = 600;
/// So many traces are asked anew at a time.
const ANEW: usize = 256;

impl RetroactiveAgent {
    /// What the coordinator of this name is to be told at `now`; `None` if it is not connected, or decides by another
    /// program.
    pub fn report(&mut self, name: &str, now: Nanos) -> Option<Report> {
        self.now = now;
        self.pending.store.flush();
        let index = self.owner_of(name)?;
        let program = self.program?;
        if !self.owners[index].connected || self.owners[index].program != Some(program) {
            return None;
        }
        self.window += 1;
        let window = self.window;
        let mut pieces = std::mem::take(&mut self.owners[index].announcements);
        let (mut reported, mut idle) = (Vec::new(), 0);
        if self.owners[index].windows.len() < WINDOWS_MAX {
            let mut unreported = std::mem::take(&mut self.owners[index].unreported);
            let room = PIECES_MAX.saturating_sub(pieces.len());
            let rest = unreported.split_off(unreported.len().min(room));
            for number in unreported {
                idle += u64::from(self.report_trace(index, window, number, &mut pieces, &mut reported));
            }
            self.owners[index].unreported = rest;
            self.end_silence(index, window, &mut reported);
        }
        self.counts.pieces += pieces.len() as u64;
        let owner = &mut self.owners[index];
        if !reported.is_empty() {
            owner.windows.push_back((window, reported));
        }
        Some(Report {
            window,
            program,
            applied: owner.applied,
            horizon: if self.leaving { Duration::ZERO } else { Duration::from_nanos(self.horizon) },
            members: self.members.hash(),
            overwritten: self.counts.overwritten_spans,
            idle,
            pieces,
            moved_on: std::iter::from_fn(|| owner.moved_on.pop_first()).take(PIECES_MAX).collect(),
        })
    }

    /// Measures at which rate spans come. To be called every few seconds.
    pub fn meter(&mut self, now: Nanos) {
        let elapsed = now.saturating_sub(self.metered);
        if elapsed < SECOND {
            return;
        }
        let per_nano = self.arrived_bytes as f64 / elapsed as f64;
        (self.metered, self.arrived_bytes) = (now, 0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float cast saturates, and neither is negative"
        )]
        let horizon = (self.capacity as f64 / per_nano) as Nanos;
        let horizon = horizon.min(HORIZON_MAX);
        // A burst shortens it at once, a pause lengthens it slowly.
        self.horizon = horizon.min(self.horizon + self.horizon / 4);
    }

    /// Reports a trace, unless there is no need to yet. Returns whether its piece is new, and cannot change the verdict.
    fn report_trace(
        &mut self,
        index: usize,
        window: u64,
        number: SlotNumber,
        pieces: &mut Vec<Piece>,
        reported: &mut Vec<SlotNumber>,
    ) -> bool {
        // It may have been kept or overwritten since it was noted, or have changed hands.
        if !self.pending.store.traces.is_pending(number) {
            return false;
        }
        let is_idle = self.is_idle(number);
        let track = self.tracks.get_mut(number);
        if track.owner != Some(index) || !std::mem::take(&mut track.unreported) {
            return false;
        }
        let (state, was_silent) = (track.state, track.silent.is_some());
        let is_new = track.mark == 0 && !was_silent;
        if is_idle && self.owners[index].silence > 0 && !self.leaving {
            if is_new {
                track.silent = Some(self.now);
                self.counts.silent += 1;
                self.owners[index].silent.push_back((self.now, number));
            }
            return is_new;
        }
        // What nobody has heard of yet does not belong to a window of silence any more.
        let is_first = track.mark == 0 || was_silent && state == State::Undecided;
        if is_first {
            (track.mark, track.silent) = (window, None);
            reported.push(number);
        }
        match state {
            State::Undecided => pieces.push(self.piece(number)),
            State::Dropped if is_first => {
                pieces.push(Piece {
                    digest: Digest::EMPTY,
                    values: Vec::new(),
                    dropped: true,
                    ..self.piece(number)
                });
            }
            // Its coordinator has dropped it, and what comes later is dropped with it.
            State::Dropped => {}
        }
        is_idle && is_new
    }

    /// Whether a piece shows nothing that a policy could want to know, beside that it is there.
    fn is_idle(&self, number: SlotNumber) -> bool {
        let (track, digest) = (self.tracks.get(number), &self.pending.store.traces.slot(number).digest);
        track.state == State::Undecided
            && track.clause.is_none()
            && !track.moved
            && !digest.root
            && digest.predicates == Bits::NONE
            && digest.head().is_none()
            && digest.explicit_randomness().is_none()
            && (!self.columns.times || track.served.covers(digest))
    }

    /// Lets traces belong to this window of which others, too, have had the time to tell.
    fn end_silence(&mut self, index: usize, window: u64, reported: &mut Vec<SlotNumber>) {
        let owner = &mut self.owners[index];
        let ended = self.now.saturating_sub(owner.silence);
        while let Some((since, number)) = owner.silent.pop_front_if(|&mut (since, _)| since <= ended) {
            // Its place may be another trace's by now.
            let is_pending = self.pending.store.traces.is_pending(number);
            let track = self.tracks.get_mut(number);
            if is_pending && track.owner == Some(index) && track.silent == Some(since) && track.mark == 0 {
                track.mark = window;
                reported.push(number);
            }
        }
    }

    /// Tells a coordinator that wants to know of all pieces from now on also of those that it was not told of.
    pub(super) fn break_silence(&mut self, index: usize) {
        self.owners[index].silent.clear();
        for number in self.pending_slots() {
            let track = self.tracks.get_mut(number);
            if track.owner == Some(index) && track.silent.is_some() {
                track.forget_report();
                note_grown(&mut self.tracks, &mut self.owners, number);
            }
        }
    }

    /// Tells owners of traces that have been kept within the horizon that they are, if they are `unaware` of it.
    pub(super) fn tell_kept_again(&mut self, unaware: impl Fn(TraceKey, &str) -> bool) {
        let (now, horizon) = (self.now, self.horizon as f64 / SECOND as f64);
        self.kept.retain(|(moment, ..)| moment.age(now) <= horizon);
        for &(moment, trace_id, kept) in &self.kept {
            let key = TraceKey::of(trace_id);
            let Some(owner) = self.members.owner(key.get()) else { return };
            if unaware(key, &self.owners[owner].name) {
                self.owners[owner].announcements.push(Piece {
                    waited: moment.whole_seconds_until(now),
                    kept: Some(kept),
                    ..Piece::new(key.to_trace_id(), Digest::EMPTY)
                });
            }
        }
    }

    /// Asks what waits undecided what the program asks: it leaves the store as requests, which are taken anew.
    pub(super) fn ask_anew(&mut self, out: &mut Vec<Output>) {
        // Traces that stay, and those that are taken later, hold on to what they share with the first.
        self.pending.store.envelopes.ask_anew(&self.predicates);
        let undecided: Vec<_> = self.pending_slots();
        let undecided: Vec<_> = undecided
            .into_iter()
            .filter(|&number| self.tracks.get(number).state == State::Undecided)
            .collect();
        for numbers in undecided.chunks(ANEW) {
            let arrived: Vec<_> = numbers
                .iter()
                .map(|&number| {
                    let slot = self.pending.store.traces.slot(number);
                    (slot.trace_id, slot.digest.arrived)
                })
                .collect();
            let (on_disk, spans_on_disk) = self.pending.store.detach(numbers);
            self.pending.stats.pending_spans -= spans_on_disk;
            let request = self.pending.take_back(numbers);
            self.retake(&on_disk, out);
            // It was spliced of spans that have been scanned before.
            let Ok(index) = SpanIndex::scan(&request) else { continue };
            self.take(&request, &index.envelopes, &index.spans, out);
            for (trace_id, arrived) in arrived {
                if let Some(number) = self.pending.store.traces.find(trace_id) {
                    self.pending.store.traces.slot_mut(number).digest.arrived = arrived;
                }
            }
        }
        self.pending.write_leaving(out);
    }
}
