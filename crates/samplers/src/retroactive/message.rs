//! What agents and coordinators tell each other.

use std::time::Duration;

use forebay_otlp::TraceId;

use super::key::TraceKey;
use super::program::ProgramId;
use crate::tail::decision::Kept;
use crate::tail::digest::Digest;

/// What an agent knows of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The trace: its id, if the program wants whole ids, else what its key says of it.
    pub trace_id: TraceId,
    /// What its spans there have shown. Columns that the program does not want are as in [`Digest::EMPTY`].
    pub digest: Digest,
    /// The values of which fingerprints are made, encoded; empty if there are none.
    pub values: Vec<u8>,
    /// How long the first of its spans has been there, in whole seconds.
    pub waited: u32,
    /// How the trace is kept, if it is known to be.
    pub kept: Option<Kept>,
    /// Whether it has been dropped, by a coordinator that may not know that any more.
    pub dropped: bool,
    /// Whether another coordinator owned the trace before: what this one has once decided of it stands only if no holder
    /// says that it is kept or dropped.
    pub moved: bool,
}

/// What an agent reports at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its number: larger than those of all reports of the agent before, on other streams too.
    pub window: u64,
    /// The program that it was made with.
    pub program: ProgramId,
    /// The tick of the last [`Decisions`] that have been applied; 0 before the first.
    pub applied: u64,
    /// How long the agent can hold a span at the rate of late.
    pub horizon: Duration,
    /// A hash of the list of coordinators that the agent knows.
    pub members: u64,
    /// Undecided spans that it has lost since it began.
    pub overwritten: u64,
    /// Traces that are new, of which the piece cannot change the verdict, whether it is among `pieces` or not.
    pub idle: u64,
    /// The traces that are new or have grown.
    pub pieces: Vec<Piece>,
    /// Traces that it has told this coordinator of, and that another one owns from now on. Of one that is among
    /// `pieces` as well, these are newer.
    pub moved_on: Vec<TraceKey>,
}

impl Piece {
    /// What the first spans of a trace have shown that have just come.
    #[must_use]
    pub const fn new(trace_id: TraceId, digest: Digest) -> Self {
        Self { trace_id, digest, values: Vec::new(), waited: 0, kept: None, dropped: false, moved: false }
    }
}

/// What a coordinator has decided since it last said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decisions {
    /// Their number, from 1: the same for all agents that are told at a time.
    pub tick: u64,
    /// Every trace that windows up to this one have reported is decided; 0 before the first.
    pub settled: u64,
    /// Every agent has applied what was decided up to this tick; 0 before the first.
    pub stable: u64,
    /// For how long pieces that cannot change the verdict need not be reported: they belong to the first window that
    /// is reported after that, silently. Zero if all pieces are to be reported.
    pub silence: Duration,
    /// The traces to keep.
    pub kept: Vec<(TraceKey, Kept)>,
}
