//! Evidence from agents: a tail sampler as the coordinator of a fleet.
//!
//! Agents hold spans and tell what they have shown. A piece of evidence merges into its trace's digest as a span
//! does, so a trace may have spans here, with agents, or both, and is decided as any other. What is decided is
//! then told to the holders. `docs/retroactive-protocol.md` says why nothing is lost on the way.
//!
//! Nothing is decided between ticks, so reports wait for the next one. Several agents tell of a trace at about the same
//! time, and to look for it in far memory once, and then again while it is near, takes a fraction of looking each time.

use std::collections::VecDeque;

use forebay_otlp::TraceId;
use forebay_otlp::threshold::Threshold;

use super::{Output, TailSampler};
use crate::retroactive::key::TraceKey;
use crate::retroactive::message::Piece;
use crate::tail::decision::{Decision, Kept};
use crate::tail::fingerprint::Values;
use crate::tail::moment::Moment;
use crate::tail::pending::Added;
use crate::tail::store::{AgentNumber, Nanos, SlotNumber};

/// What an agent has reported.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Who has.
    pub agent: AgentNumber,
    /// The number of its report.
    pub window: u64,
    /// How long it can hold a span, in nanoseconds.
    pub horizon: Nanos,
    /// What it knows of traces.
    pub pieces: Vec<Piece>,
    /// Traces of which it takes no decision from here any more.
    pub moved_on: Vec<TraceKey>,
}

/// What agents have reported since the last tick.
#[derive(Debug, Default)]
pub(super) struct Reports {
    waiting: Vec<Reported>,
    /// When they count, if there are any.
    due: Option<Nanos>,
    /// Bytes that they hold.
    bytes: usize,
}

/// What agents are to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A trace is kept, of which these agents hold spans, and perhaps others that have not told so.
    Keep(TraceKey, Kept, Holders),
    /// A trace that it tells of has been kept before.
    Kept(AgentNumber, TraceKey, Kept),
    /// Every trace that it has reported up to this window is decided.
    Settled(AgentNumber, u64),
}

/// Who is known to hold spans of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holders {
    /// These agents.
    These(Vec<AgentNumber>),
    /// Any agent, perhaps: it was known, and has been forgotten.
    Any,
}

/// What is done already with spans of a trace that is pending here: what stands later outweighs what stands earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// What has been decided here before the trace went to another coordinator and came back: `None` if it was dropped.
    Decided(Option<Kept>),
    /// A holder has dropped them, as this or another coordinator once decided.
    Dropped,
    /// They have left a holder, or are about to.
    Kept(Kept),
}

/// What is known of a trace when a report begins.
#[derive(Clone, Copy, Debug)]
enum Known {
    Pending(SlotNumber),
    /// It is not pending, and has been dropped, as far as that is remembered.
    Dropped,
    Nothing,
}

/// A piece of a pending trace.
#[derive(Clone, Copy, Debug)]
struct Open<'a> {
    piece: &'a Piece,
    slot: SlotNumber,
    /// Whether it is the first of its trace.
    first: bool,
}

/// Who is to be told what.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: Vec<Notice>,
    /// Windows in the order in which they are settled, each with when it is.
    windows: VecDeque<(Nanos, AgentNumber, u64)>,
}

const SECOND: Nanos = 1_000_000_000;
/// Reports that hold more than this part of what pending traces may hold do not wait.
const REPORTS_SHARE: usize = 16;

impl TailSampler {
    /// Takes what an agent has reported at time `now`. It counts from the next tick.
    pub fn report(&mut self, reported: Reported, now: Nanos, out: &mut Vec<Output>) {
        self.count_reports(now, out);
        self.reports.due.get_or_insert(self.pending.store.schedule.ceil(now));
        self.reports.bytes += reported.bytes();
        self.reports.waiting.push(reported);
        if self.reports.bytes > self.settings.pending_bytes / REPORTS_SHARE {
            self.merge_reports(now, out);
        }
    }

    /// Merges what agents have reported, if its tick has come.
    pub(super) fn count_reports(&mut self, now: Nanos, out: &mut Vec<Output>) {
        if let Some(due) = self.reports.due.filter(|&due| due <= now) {
            self.merge_reports(due, out);
        }
    }

    /// Merges what agents have reported, as of time `now`.
    pub(super) fn merge_reports(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.now = now;
        let Reports { mut waiting, .. } = std::mem::take(&mut self.reports);
        waiting.drain(..).for_each(|reported| self.merge(&reported, out));
        self.reports.waiting = waiting;
    }

    /// Merges what an agent has reported.
    fn merge(&mut self, reported: &Reported, out: &mut Vec<Output>) {
        let now = self.now;
        reported.moved_on.iter().for_each(|key| self.let_go(reported.agent, key.to_trace_id()));
        // Each is somewhere else. One after the other, looks at far memory overlap, so each kind of look has its own loop.
        let pending = &mut self.pending;
        let found = reported.pieces.iter().map(|piece| pending.store.traces.find(piece.trace_id));
        let found: Vec<_> = found.collect();
        let known = reported.pieces.iter().zip(found).map(|(piece, found)| match found {
            Some(slot) => Known::Pending(slot),
            None if pending.has_dropped(piece.trace_id) => Known::Dropped,
            None => Known::Nothing,
        });
        let known: Vec<_> = known.collect();
        let pieces = reported.pieces.iter().zip(known);
        let mut open = Vec::with_capacity(reported.pieces.len());
        open.extend(pieces.filter_map(|(piece, known)| self.open(reported.agent, piece, known)));
        let holders = &mut self.pending.store.holders;
        let more = open.iter().map(|&Open { slot, piece, .. }| {
            holders.hold(slot, reported.agent, piece.digest.spans, piece.digest.bytes)
        });
        let more: Vec<_> = more.collect();
        for (open, more) in open.into_iter().zip(more) {
            self.merge_piece(reported, open, more);
        }
        // A trace waits no longer than that, whoever was the first to know of it.
        let wait = self.settings.decision_wait.min(reported.horizon / 2);
        let due = self.pending.store.schedule.ceil(now.saturating_add(wait));
        self.notices.open(due, reported.agent, reported.window);
        self.settle(out);
    }

    /// Decides nothing before `until`, as far as there is room: the fleet may know more than has been told.
    pub fn hold(&mut self, until: Nanos) {
        self.held_until = until;
    }

    /// Decides nothing that agents have told of, as far as there is room, while they are all away.
    pub fn set_deserted(&mut self, deserted: bool) {
        self.deserted = deserted;
    }

    /// Lets a trace wait for longer if that is to be so, which was due.
    pub(super) fn put_off(&mut self, slot: SlotNumber) -> bool {
        let store = &mut self.pending.store;
        let waits = self.deserted && store.holders.of(slot).next().is_some();
        if waits {
            store.schedule.push(&mut store.traces, slot, self.now.saturating_add(SECOND));
        }
        waits
    }

    /// What agents are to be told since the last call, in order.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> {
        self.notices.waiting.drain(..)
    }

    /// An agent tells another coordinator of a trace from now on. Nobody is to follow what would be decided here on what
    /// is known, so if nobody else holds the trace, it has never been here.
    fn let_go(&mut self, agent: AgentNumber, trace_id: TraceId) {
        let store = &mut self.pending.store;
        let Some(slot) = store.traces.find(trace_id) else { return };
        let (spans, bytes) = store.holders.let_go(slot, agent);
        let digest = &mut store.traces.slot_mut(slot).digest;
        digest.spans = digest.spans.saturating_sub(spans);
        digest.bytes = digest.bytes.saturating_sub(bytes);
        if store.holders.of(slot).next().is_none() && store.local_spans(slot) == 0 {
            store.schedule.remove(&mut store.traces, slot);
            store.release(&[slot]);
            self.claims.remove(&slot);
        }
    }

    /// The trace of a piece, if it is pending or is to be from now on; if it has been decided, its holder is told.
    fn open<'a>(&mut self, agent: AgentNumber, piece: &'a Piece, known: Known) -> Option<Open<'a>> {
        let (now, pending) = (self.now, &mut self.pending);
        let has_dropped = match known {
            Known::Pending(slot) => return Some(Open { piece, slot, first: false }),
            Known::Dropped => true,
            Known::Nothing => false,
        };
        // It may have come with this very report.
        if let Some(slot) = pending.store.traces.find(piece.trace_id) {
            return Some(Open { piece, slot, first: false });
        }
        // One that an agent has kept is kept, whatever has been decided; that holders of it learn of that, it waits like
        // others. So does one that has changed hands: holders may have done other than was decided here.
        let is_open = piece.kept.is_some() || piece.moved;
        if !is_open && let Some(remembered) = pending.remembered(piece.trace_id) {
            let kept = remembered.kept().after(piece.digest.head());
            self.notices.waiting.push(Notice::Kept(agent, TraceKey::of(piece.trace_id), kept));
            return None;
        }
        if !is_open && has_dropped {
            return None;
        }
        if let Some(kept) = piece.kept.filter(|_| has_dropped && !piece.moved) {
            // Others still hold what they have dropped, as long as it may come to this.
            pending.remember(piece.trace_id, kept, now);
            self.notices.keep(piece.trace_id, kept, Holders::Any);
            return None;
        }
        let kept = if is_open { pending.forget_kept(piece.trace_id) } else { None };
        let slot = pending.begin(piece.trace_id, now);
        if kept.is_some() || has_dropped {
            self.claims.insert(slot, Claim::Decided(kept));
        }
        Some(Open { piece, slot, first: true })
    }

    /// Merges a piece whose holder has so many more spans and bytes than it has said before.
    fn merge_piece(&mut self, reported: &Reported, open: Open<'_>, (spans, bytes): (u32, u32)) {
        let Open { piece, slot, first } = open;
        let (now, pending) = (self.now, &mut self.pending);
        let digest = &mut pending.store.traces.slot_mut(slot).digest;
        let (all_spans, all_bytes) = (digest.spans.saturating_add(spans), digest.bytes.saturating_add(bytes));
        digest.merge(&piece.digest);
        (digest.spans, digest.bytes) = (all_spans, all_bytes);
        digest.arrived = digest.arrived.min(Moment::of(now));
        if !piece.values.is_empty() {
            let fingerprints = self.settings.policies.predicates().fingerprints();
            pending.store.fingerprints.merge(slot, &Values::from_bytes(&piece.values), fingerprints);
        }
        let added = Added { slot, spans: &[], first, root: piece.digest.root };
        self.settings.reconsider(&mut pending.store, added, now, &mut self.touched);
        self.claim(slot, piece);
        self.hasten(slot, reported.horizon, piece.waited);
    }

    /// Takes note of what a holder has done.
    fn claim(&mut self, slot: SlotNumber, piece: &Piece) {
        let known = self.claims.get(&slot);
        let claim = match (piece.kept, known) {
            (Some(kept), Some(Claim::Kept(other))) => Claim::Kept(kept.or(*other)),
            (Some(kept), _) => Claim::Kept(kept),
            (None, None | Some(Claim::Decided(_))) if piece.dropped => Claim::Dropped,
            _ => return,
        };
        self.claims.insert(slot, claim);
    }

    /// Lets a trace be decided before half of a holder's horizon has passed since its spans came there.
    fn hasten(&mut self, slot: SlotNumber, horizon: Nanos, waited: u32) {
        let left = (horizon / 2).saturating_sub(u64::from(waited) * SECOND);
        if left < self.settings.decision_wait {
            let store = &mut self.pending.store;
            store.schedule.hasten(&mut store.traces, slot, self.now.saturating_add(left));
        }
    }

    /// Keeps, from now on, only traces whose randomness reaches this too: there is more to tell agents than they take.
    pub fn shed_below(&mut self, threshold: Threshold) {
        self.shed = threshold;
    }

    /// What is decided of a trace, now that it is known what its holders have done.
    pub(super) fn heed(&mut self, slot: SlotNumber, decision: Decision) -> Decision {
        let claimed = if self.claims.is_empty() { None } else { self.claims.remove(&slot) };
        match (decision, claimed) {
            // Also how it is kept: who has decided that may have known more.
            (_, Some(Claim::Kept(kept) | Claim::Decided(Some(kept)))) => {
                Decision::Keep(kept.after(self.pending.store.traces.slot(slot).digest.head()))
            }
            (Decision::Keep(_), Some(Claim::Dropped | Claim::Decided(None))) => Decision::NotSampled,
            (Decision::Keep(kept), None) if self.shed != Threshold::ALWAYS => {
                let trace = self.pending.store.traces.slot(slot);
                let stays = self.shed.keeps(trace.digest.randomness(trace.trace_id));
                if stays { Decision::Keep(kept.after(Some(self.shed))) } else { Decision::NotSampled }
            }
            _ => decision,
        }
    }

    /// Tells agents that a trace is kept.
    pub(super) fn tell_agents(&mut self, slot: SlotNumber, kept: Kept) {
        if self.settings.coordinates {
            let trace_id = self.pending.store.traces.slot(slot).trace_id;
            self.notices.keep(trace_id, kept, Holders::These(self.pending.store.holders.of(slot).collect()));
        }
    }
}

impl Reported {
    /// Bytes that it holds.
    fn bytes(&self) -> usize {
        let values: usize = self.pieces.iter().map(|piece| piece.values.capacity()).sum();
        let moved_on = self.moved_on.capacity() * size_of::<TraceKey>();
        self.pieces.capacity() * size_of::<Piece>() + values + moved_on
    }
}

impl Reports {
    /// When they count, if there are any.
    pub(super) const fn due(&self) -> Option<Nanos> {
        self.due
    }

    /// Bytes that they hold.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Notices {
    fn keep(&mut self, trace_id: TraceId, kept: Kept, holders: Holders) {
        self.waiting.push(Notice::Keep(TraceKey::of(trace_id), kept, holders));
    }

    /// A window is settled when everything is decided that is due until then.
    fn open(&mut self, due: Nanos, agent: AgentNumber, window: u64) {
        let place = self.windows.partition_point(|&(other, ..)| other <= due);
        self.windows.insert(place, (due, agent, window));
    }

    /// When the next window is settled.
    pub(super) fn next_settled(&self) -> Option<Nanos> {
        self.windows.front().map(|&(due, ..)| due)
    }

    /// Says which windows are settled, what was due at `now` having been decided.
    pub(super) fn settle(&mut self, now: Nanos) {
        while let Some((_, agent, window)) = self.windows.pop_front_if(|&mut (due, ..)| due <= now) {
            self.waiting.push(Notice::Settled(agent, window));
        }
    }
}
