//! Where each pending trace is on its way to a decision.

use forebay_otlp::Span;

use crate::tail::digest::Digest;
use crate::tail::store::{Nanos, SlotNumber};

/// What is known of pending traces beside their digests, by slot.
#[derive(Debug, Default)]
pub(super) struct Tracks(Vec<Track>);

/// Where a pending trace is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Track {
    /// Its coordinator's index.
    pub(super) owner: Option<usize>,
    /// The window that has reported it first, on this stream; zero if none has. Of a dropped one, the tick that
    /// has dropped it.
    pub(super) mark: u64,
    pub(super) state: State,
    /// Whether there is something about it to report.
    pub(super) unreported: bool,
    /// Whether it has changed hands.
    pub(super) moved: bool,
    /// The clause by which it is kept if nobody says how.
    pub(super) clause: Option<u16>,
    /// When it was not reported because there was no need to; `None` if it has been, or was not to be yet.
    pub(super) silent: Option<Nanos>,
    pub(super) served: Served,
}

/// From the earliest start to the latest end of a piece's `SERVER` spans.
///
/// What they were to answer was going on all the while at whoever called them, so they do not lengthen a trace.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    start: u64,
    end: u64,
}

/// What has been decided of a pending trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Undecided,
    /// It is dropped, and held until everybody knows.
    Dropped,
}

impl Tracks {
    /// A new trace, which belongs to this coordinator.
    pub(super) fn begin(&mut self, slot: SlotNumber, owner: Option<usize>) {
        let place = slot.to_bits() as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, Track::default());
        }
        self.0[place] = Track { owner, ..Track::default() };
    }

    /// A trace that has begun.
    pub(super) fn get(&self, slot: SlotNumber) -> &Track {
        &self.0[slot.to_bits() as usize]
    }

    /// A trace that has begun.
    pub(super) fn get_mut(&mut self, slot: SlotNumber) -> &mut Track {
        &mut self.0[slot.to_bits() as usize]
    }

    /// Bytes held.
    pub(super) fn allocated(&self) -> usize {
        self.0.capacity() * size_of::<Track>()
    }
}

impl Track {
    /// Nobody has been told of it.
    pub(super) fn forget_report(&mut self) {
        (self.mark, self.unreported, self.silent) = (0, false, None);
    }
}

impl Default for Served {
    fn default() -> Self {
        Self { start: u64::MAX, end: 0 }
    }
}

impl Served {
    /// Adds those of these spans.
    pub(super) fn add(&mut self, spans: &[Span]) {
        for span in spans.iter().filter(|span| span.server) {
            (self.start, self.end) = (self.start.min(span.start), self.end.max(span.end));
        }
    }

    /// Whether no span of the piece begins before them or ends after them.
    pub(super) fn covers(&self, digest: &Digest) -> bool {
        self.start == digest.start && self.end == digest.end
    }
}
