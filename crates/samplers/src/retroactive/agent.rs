//! An agent: spans in, evidence out, decisions in, spans out.
//!
//! Spans wait in [`Pending`] as in the tail sampler, but nobody decides here: [`RetroactiveAgent::report`] tells the
//! trace's coordinator what its spans have shown, and [`RetroactiveAgent::decided`] does what the coordinator says.
//! What a clause of the coordinator's program decides is kept without asking. When there is no room, the oldest
//! undecided traces go, the least random first. Time comes from the caller.

mod durable;
mod owner;
mod reporting;
mod room;
mod track;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use forebay_membership::Members;
use forebay_otlp::threshold::Randomness;
use forebay_otlp::{Envelopes, Span, TraceId};
use forebay_ottl::EvalError;

use self::owner::Owner;
use self::room::Egress;
use self::track::{State, Tracks};
use super::key::TraceKey;
use super::message::{Decisions, Piece};
use super::program::{Clause, Columns, Program, ProgramId};
use crate::tail::decision::Kept;
use crate::tail::moment::Moment;
use crate::tail::pending::{Arriving, Pending};
use crate::tail::predicate::{PredicateError, Predicates};
use crate::tail::stamp::Stamps;
use crate::tail::store::{Nanos, SlotNumber, Store};
use crate::tail::{Output, Remember, Stats, nanos};

/// What an agent needs to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgentSettings {
    /// What undecided traces may hold, in bytes. Beyond it the oldest are overwritten.
    pub pending_bytes: usize,
    /// Bounds of the memory of kept and of dropped traces.
    pub remember_kept: Remember,
    /// See `remember_kept`.
    pub remember_dropped: Remember,
    /// Bytes of spans that may leave per second, if that is bounded.
    pub egress_bytes_per_second: Option<u64>,
    /// The time at which the clock was zero, in nanoseconds since 1970.
    pub epoch_unix_nano: u64,
}

/// The undecided traces of an agent.
pub struct RetroactiveAgent {
    settings: AgentSettings,
    pending: Pending,
    program: Option<ProgramId>,
    predicates: Predicates,
    clauses: Vec<Clause>,
    columns: Columns,
    members: Members,
    /// By their index in `members`.
    owners: Vec<Owner>,
    tracks: Tracks,
    /// The last report's number. It begins with the time in milliseconds.
    window: u64,
    /// Traces of the request at hand.
    touched: Vec<SlotNumber>,
    /// Traces that are kept and whose spans wait for the bound on what may leave, the most random first.
    held: BTreeMap<(Reverse<Randomness>, SlotNumber), Kept>,
    egress: Egress,
    /// The traces that have been kept of late, in order: what is told to whoever has not heard of them.
    kept: VecDeque<(Moment, TraceId, Kept)>,
    counts: Counts,
    /// When bytes of spans were last counted, and how many have come since.
    metered: Nanos,
    arrived_bytes: u64,
    /// Bytes of spans that may wait.
    capacity: u64,
    horizon: Nanos,
    /// Whether it is about to end.
    leaving: bool,
    now: Nanos,
}

/// What an agent has done beside what [`Stats`] counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pieces of evidence that have been reported.
    pub pieces: u64,
    /// New traces that coordinators were not told of because that could not change the verdict.
    pub silent: u64,
    /// Traces that clauses have kept.
    pub kept_by_clause: u64,
    /// Spans of undecided traces that were overwritten for want of room.
    pub overwritten_spans: u64,
    /// Spans of kept traces that did not leave because of the bound on what may leave.
    pub withheld_spans: u64,
    /// Traces to be kept of which there were no spans here.
    pub unknown_keeps: u64,
}

const SECOND: Nanos = 1_000_000_000;
const NANOS_PER_MILLISECOND: u64 = 1_000_000;
/// Order of arrival is remembered in steps of this.
const TICK: Nanos = SECOND / 10;
/// An agent of which nothing has come yet can hold a span for very long.
const HORIZON_MAX: Nanos = 3_600 * SECOND;
/// How many kept traces are told again.
const KEPT_MAX: usize = 1 << 16;

impl RetroactiveAgent {
    /// An agent without traces, and without coordinators.
    #[must_use]
    pub fn new(settings: AgentSettings) -> Self {
        let store = Store::new(TICK, TraceKey::MASK);
        let (kept, dropped) = (settings.remember_kept, settings.remember_dropped);
        let mut pending = Pending::new(store, Stamps::default(), kept, dropped, 0);
        pending.late_leaves = settings.egress_bytes_per_second.is_none();
        Self {
            pending,
            program: None,
            predicates: Predicates::default(),
            clauses: Vec::new(),
            columns: Columns::NONE,
            members: Members::default(),
            owners: Vec::new(),
            tracks: Tracks::default(),
            window: settings.epoch_unix_nano / NANOS_PER_MILLISECOND,
            touched: Vec::new(),
            held: BTreeMap::new(),
            egress: Egress::new(settings.egress_bytes_per_second),
            kept: VecDeque::new(),
            counts: Counts::default(),
            metered: 0,
            arrived_bytes: 0,
            capacity: settings.pending_bytes as u64,
            horizon: HORIZON_MAX,
            leaving: false,
            now: 0,
            settings,
        }
    }

    /// Takes `spans` of a request at time `now`.
    pub fn accept(
        &mut self,
        request: &[u8],
        envelopes: &Envelopes,
        spans: &[Span],
        now: Nanos,
        out: &mut Vec<Output>,
    ) {
        self.now = now;
        self.arrived_bytes +=
            spans.iter().map(|span| u64::from(span.body.end - span.body.start)).sum::<u64>();
        self.take(request, envelopes, spans, out);
        self.make_room(out);
        self.release_held(now, out);
        self.pending.write_leaving(out);
        self.make_disk_room(out);
        self.pending.store.shrink_to(self.settings.pending_bytes);
    }

    fn take(&mut self, request: &[u8], envelopes: &Envelopes, spans: &[Span], out: &mut Vec<Output>) {
        let now = self.now;
        let now_unix_nano = self.settings.epoch_unix_nano.saturating_add(now);
        let arriving = Arriving { request, envelopes, spans, now, now_unix_nano };
        let Self { pending, predicates, tracks, members, owners, touched, .. } = self;
        pending.accept(&arriving, predicates, out, |store, added| {
            let number = added.slot;
            if added.first {
                store.schedule.push(&mut store.traces, number, now);
                let owner = members.owner(TraceKey::of(store.traces.slot(number).trace_id).get());
                tracks.begin(number, owner);
            }
            tracks.get_mut(number).served.add(added.spans);
            // One that is kept and held back has been reported.
            if store.traces.slot(number).place.is_some() {
                note_grown(tracks, owners, number);
                touched.push(number);
            }
        });
        self.keep_certain(out);
    }

    /// Keeps those of the request's traces that need not be asked about. Not before all its spans have been taken:
    /// envelopes that they share must not go.
    fn keep_certain(&mut self, out: &mut Vec<Output>) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.dedup();
        for number in touched.drain(..) {
            let traces = &self.pending.store.traces;
            if !traces.is_pending(number) || self.tracks.get(number).state == State::Dropped {
                continue;
            }
            let slot = traces.slot(number);
            let (trace_id, head) = (slot.trace_id, slot.digest.head());
            if !self.pending.late_leaves
                && let Some(remembered) = self.pending.remembered(trace_id)
            {
                self.keep(number, remembered.kept().after(head), out);
                continue;
            }
            let randomness = slot.digest.randomness(trace_id);
            let holding = self.clauses.iter().enumerate();
            let mut holding =
                holding.filter(|(_, clause)| clause.sufficient.holds(&slot.digest, randomness)).peekable();
            let first = holding.peek().map(|&(index, _)| index);
            if let Some((_, clause)) = holding.find(|(_, clause)| clause.leaves) {
                let kept = clause.kept.after(head);
                self.counts.kept_by_clause += 1;
                self.announce(number, kept);
                self.keep(number, kept, out);
            } else {
                self.tracks.get_mut(number).clause = first.and_then(|index| u16::try_from(index).ok());
            }
        }
        self.touched = touched;
    }

    /// Does what the coordinator of this name has decided.
    pub fn decided(&mut self, name: &str, decisions: &Decisions, now: Nanos, out: &mut Vec<Output>) {
        self.now = now;
        let Some(index) = self.owner_of(name) else { return };
        let silence = nanos(decisions.silence);
        let before = std::mem::replace(&mut self.owners[index].silence, silence);
        if before > 0 && silence == 0 {
            // Before anything is settled that it was silent about.
            self.break_silence(index);
        }
        for &(key, kept) in &decisions.kept {
            self.keep_told(index, key, kept, out);
        }
        let traces = &self.pending.store.traces;
        let is_pending = |number| traces.is_pending(number);
        let owner = &mut self.owners[index];
        owner.settle(index, decisions.settled, decisions.tick, &mut self.tracks, is_pending);
        let dropped = owner.dropped_by(decisions.tick).to_vec();
        let stable = owner.stable(index, decisions.stable, &self.tracks, is_pending);
        self.mark_dropped(&dropped);
        for number in stable {
            self.pending.store.schedule.remove(&mut self.pending.store.traces, number);
            self.pending.discard(number);
        }
        self.owners[index].applied = decisions.tick;
        self.pending.release_gone();
        self.release_held(now, out);
        self.pending.write_leaving(out);
        self.make_disk_room(out);
        // What is acknowledged next is as durable as the spans.
        self.pending.store.flush();
    }

    /// Keeps a trace because the coordinator `index` has said so.
    fn keep_told(&mut self, index: usize, key: TraceKey, kept: Kept, out: &mut Vec<Output>) {
        let trace_id = key.to_trace_id();
        // Who is not the owner any more has decided on evidence that is not all there is.
        if self.members.owner(key.get()) != Some(index) {
            return;
        }
        let Some(number) = self.pending.store.traces.find(trace_id) else {
            // Its spans may still come.
            if self.pending.remembered(trace_id).is_none() {
                // Where others are silent, everybody is told.
                self.counts.unknown_keeps += u64::from(self.owners[index].silence == 0);
                self.pending.remember(trace_id, kept, self.now);
            }
            return;
        };
        let slot = self.pending.store.traces.slot(number);
        if slot.place.is_some() {
            let kept = kept.after(slot.digest.head());
            self.keep(number, kept, out);
        }
    }

    /// Keeps a pending trace.
    fn keep(&mut self, number: SlotNumber, kept: Kept, out: &mut Vec<Output>) {
        let store = &mut self.pending.store;
        store.schedule.remove(&mut store.traces, number);
        let slot = store.traces.slot(number);
        let trace_id = slot.trace_id;
        let randomness = slot.digest.randomness(trace_id);
        self.note_kept(self.now, trace_id, kept);
        self.mark_kept(trace_id, kept);
        if self.egress.is_bounded() {
            self.held.insert((Reverse(randomness), number), kept);
        } else {
            self.pending.keep(number, kept, self.now, out);
        }
    }

    /// Tells the owner of a trace that it is kept, with what is known of it.
    fn announce(&mut self, number: SlotNumber, kept: Kept) {
        if let Some(owner) = self.tracks.get(number).owner {
            let piece = Piece { kept: Some(kept), ..self.piece(number) };
            self.owners[owner].announcements.push(piece);
        }
    }

    /// Asks spans from now on what a coordinator's program asks, and those that wait as well.
    ///
    /// # Errors
    /// When the program asks something that this agent does not know. It goes on with the one that it had.
    pub fn set_program(
        &mut self,
        id: ProgramId,
        program: &Program,
        now: Nanos,
        out: &mut Vec<Output>,
    ) -> Result<(), PredicateError> {
        if self.program == Some(id) {
            return Ok(());
        }
        self.now = now;
        self.predicates = Predicates::of_program(program)?;
        self.program = Some(id);
        self.clauses.clone_from(&program.clauses);
        self.columns = program.columns;
        self.pending.stamps = Stamps::new(program.names.clone());
        self.ask_anew(out);
        Ok(())
    }

    /// The coordinators from now on. What changes hands is reported to its new owner.
    pub fn set_members(&mut self, members: Members) {
        let mut before: Vec<_> = std::mem::take(&mut self.owners)
            .into_iter()
            .map(|owner| (owner.name.clone(), Some(owner)))
            .collect();
        self.owners = members
            .names()
            .iter()
            .map(|name| {
                let known =
                    before.iter_mut().find(|(known, _)| known == name).and_then(|(_, owner)| owner.take());
                known.unwrap_or_else(|| Owner::new(name.clone()))
            })
            .collect();
        let old = std::mem::replace(&mut self.members, members);
        for number in self.pending_slots() {
            let trace_id = self.pending.store.traces.slot(number).trace_id;
            let key = TraceKey::of(trace_id);
            let track = self.tracks.get_mut(number);
            track.owner = self.members.owner(key.get());
            let before = old.owner_name(key.get());
            if before != self.members.owner_name(key.get()) {
                let former = self.owners.iter_mut().find(|owner| Some(&*owner.name) == before);
                if let Some(former) = former.filter(|_| track.mark > 0) {
                    former.moved_on.insert(key);
                }
                if let Some(index) = track.owner {
                    self.owners[index].moved_on.remove(&key);
                }
                track.forget_report();
                track.moved = true;
                note_grown(&mut self.tracks, &mut self.owners, number);
            }
        }
        self.tell_kept_again(|key, owner| old.owner_name(key.get()) != Some(owner));
    }

    /// A stream to the coordinator of this name begins: it is told everything again.
    pub fn connected(&mut self, name: &str) {
        let Some(index) = self.owner_of(name) else { return };
        self.owners[index].begin();
        for number in self.pending_slots() {
            if self.tracks.get(number).owner == Some(index) {
                self.tracks.get_mut(number).forget_report();
                note_grown(&mut self.tracks, &mut self.owners, number);
            }
        }
        self.tell_kept_again(|_, owner| owner == name);
    }

    /// The stream to the coordinator of this name has ended.
    pub fn disconnected(&mut self, name: &str) {
        if let Some(index) = self.owner_of(name) {
            self.owners[index].connected = false;
        }
    }

    /// The coordinator of this name decides by this program.
    pub fn follows(&mut self, name: &str, program: ProgramId) {
        if let Some(index) = self.owner_of(name) {
            self.owners[index].program = Some(program);
        }
    }

    /// Is about to end: reports everything once more, and that it can hold nothing any longer, so that it is decided at
    /// once.
    pub fn leave(&mut self) {
        self.leaving = true;
        for number in self.pending_slots() {
            note_grown(&mut self.tracks, &mut self.owners, number);
        }
    }

    /// Whether nothing is undecided.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.pending_slots().into_iter().all(|number| self.tracks.get(number).state == State::Dropped)
    }

    /// Gives up everything that is undecided: what a clause keeps leaves, and of the rest it is said how many spans
    /// that were. What is on disk stays there for the next process.
    pub fn finish(&mut self, out: &mut Vec<Output>) -> u64 {
        let mut spans = 0;
        for number in self.pending_slots() {
            if !self.pending.store.survives(number) {
                spans += self.overwrite(number, out);
            }
        }
        self.pending.release_gone();
        for (&(_, number), &kept) in &std::mem::take(&mut self.held) {
            self.pending.keep(number, kept, self.now, out);
        }
        self.pending.write_leaving(out);
        self.pending.store.flush();
        spans
    }

    /// Whether some coordinator is connected and decides by the program that spans are asked by.
    #[must_use]
    pub fn is_attended(&self) -> bool {
        self.owners.iter().any(|owner| owner.connected && owner.program == self.program)
    }

    /// How long a span can be held at the rate of late, in nanoseconds.
    #[must_use]
    pub const fn horizon(&self) -> Nanos {
        self.horizon
    }

    /// What has happened so far, as with a tail sampler.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.pending.stats
    }

    /// What has happened so far beside that.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Traces that wait.
    #[must_use]
    pub fn pending_traces(&self) -> usize {
        self.pending.store.traces.len()
    }

    /// Bytes that they hold, of those that [`AgentSettings::pending_bytes`] allows.
    #[must_use]
    pub fn bytes_in_use(&self) -> usize {
        self.pending.store.in_use()
    }

    /// Bytes allocated.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.pending.allocated()
            + self.tracks.allocated()
            + self.kept.capacity() * size_of::<(Moment, TraceId, Kept)>()
            + self.owners.iter().map(Owner::allocated).sum::<usize>()
    }

    /// Why a condition could not be evaluated, if one that wants it told has failed since the last call.
    pub fn take_failure(&mut self) -> Option<EvalError> {
        self.pending.workspace.failure.take()
    }

    /// For the late spans of kept traces that came since the last call, how many seconds after the decision.
    pub fn take_late_ages(&mut self) -> Vec<f64> {
        self.pending.take_late_ages()
    }

    /// The traces that are undecided, or dropped and not yet freed, the oldest first.
    fn pending_slots(&self) -> Vec<SlotNumber> {
        self.pending.store.schedule.iter(&self.pending.store.traces).collect()
    }

    fn owner_of(&self, name: &str) -> Option<usize> {
        self.owners.iter().position(|owner| owner.name == name)
    }

    /// What is known of a pending trace, as far as the program wants it.
    fn piece(&self, number: SlotNumber) -> Piece {
        let slot = self.pending.store.traces.slot(number);
        let trace_id =
            if self.columns.trace_ids { slot.trace_id } else { TraceKey::of(slot.trace_id).to_trace_id() };
        Piece {
            values: self.pending.store.fingerprints.values(number).as_bytes().to_vec(),
            waited: slot.digest.arrived.whole_seconds_until(self.now),
            moved: self.tracks.get(number).moved,
            ..Piece::new(trace_id, slot.digest.restricted(self.columns))
        }
    }
}

/// Lets a trace be in its owner's next report.
fn note_grown(tracks: &mut Tracks, owners: &mut [Owner], number: SlotNumber) {
    let track = tracks.get_mut(number);
    if let Some(owner) = track.owner
        && !std::mem::replace(&mut track.unreported, true)
    {
        owners[owner].unreported.push(number);
    }
}
