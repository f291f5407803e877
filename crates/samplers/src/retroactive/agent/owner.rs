//! What one coordinator has been told, and what it has decided.

use std::collections::{BTreeSet, VecDeque};

use super::track::{State, Tracks};
use crate::retroactive::key::TraceKey;
use crate::retroactive::message::Piece;
use crate::retroactive::program::ProgramId;
use crate::tail::store::{Nanos, SlotNumber};

/// A coordinator, as an agent sees it.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) name: String,
    pub(super) connected: bool,
    /// The program that it decides by.
    pub(super) program: Option<ProgramId>,
    /// The last tick that has been applied.
    pub(super) applied: u64,
    /// Traces that are new to it or have grown. Some may have gone since.
    pub(super) unreported: Vec<SlotNumber>,
    /// Traces that have been kept without it.
    pub(super) announcements: Vec<Piece>,
    /// Traces that it was told of and does not own any more.
    pub(super) moved_on: BTreeSet<TraceKey>,
    /// For how long pieces that cannot change the verdict need not be reported.
    pub(super) silence: Nanos,
    /// The traces that it was not told of for that reason, each with when it might have been.
    pub(super) silent: VecDeque<(Nanos, SlotNumber)>,
    /// Windows that are not settled, with the traces that they have reported first.
    pub(super) windows: VecDeque<(u64, Vec<SlotNumber>)>,
    /// Ticks that are not stable, with the traces that they have dropped.
    dropped: VecDeque<(u64, Vec<SlotNumber>)>,
}

impl Owner {
    /// One that has not been reached yet.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            connected: false,
            program: None,
            applied: 0,
            unreported: Vec::new(),
            announcements: Vec::new(),
            moved_on: BTreeSet::new(),
            silence: 0,
            silent: VecDeque::new(),
            windows: VecDeque::new(),
            dropped: VecDeque::new(),
        }
    }

    /// A stream to it begins: it knows nothing.
    pub(super) fn begin(&mut self) {
        *self = Self { connected: true, ..Self::new(std::mem::take(&mut self.name)) };
    }

    /// Drops what windows up to `settled` have reported and is still pending: it was not to be kept.
    pub(super) fn settle(
        &mut self,
        own_index: usize,
        settled: u64,
        tick: u64,
        tracks: &mut Tracks,
        is_pending: impl Fn(SlotNumber) -> bool,
    ) {
        let mut gone = Vec::new();
        while let Some((window, slots)) = self.windows.pop_front_if(|&mut (window, _)| window <= settled) {
            for slot in slots {
                let track = tracks.get_mut(slot);
                if is_pending(slot) && track.owner == Some(own_index) && track.mark == window {
                    (track.state, track.mark) = (State::Dropped, tick);
                    gone.push(slot);
                }
            }
        }
        if !gone.is_empty() {
            self.dropped.push_back((tick, gone));
        }
    }

    /// What this tick, the last one, has dropped.
    pub(super) fn dropped_by(&self, tick: u64) -> &[SlotNumber] {
        let last = self.dropped.back().filter(|&&(last, _)| last == tick);
        last.map_or(&[], |(_, slots)| slots)
    }

    /// Takes out what ticks up to `stable` have dropped.
    pub(super) fn stable(
        &mut self,
        own_index: usize,
        stable: u64,
        tracks: &Tracks,
        is_pending: impl Fn(SlotNumber) -> bool,
    ) -> Vec<SlotNumber> {
        let mut gone = Vec::new();
        while let Some((tick, slots)) = self.dropped.pop_front_if(|&mut (tick, _)| tick <= stable) {
            gone.extend(slots.into_iter().filter(|&slot| {
                let track = tracks.get(slot);
                let is_dropped = track.state == State::Dropped && track.mark == tick;
                is_pending(slot) && track.owner == Some(own_index) && is_dropped
            }));
        }
        gone
    }

    /// Bytes held.
    pub(super) fn allocated(&self) -> usize {
        let slots = self.unreported.capacity()
            + self.windows.iter().chain(&self.dropped).map(|(_, slots)| slots.capacity()).sum::<usize>();
        slots * size_of::<SlotNumber>()
            + self.silent.capacity() * size_of::<(Nanos, SlotNumber)>()
            + self.announcements.capacity() * size_of::<Piece>()
    }
}
