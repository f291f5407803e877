//! What a coordinator's policies ask of single spans and of pieces, compiled for agents.

use std::ops::BitOr;

use forebay_ottl::Context;

use crate::tail::decision::{Kept, PolicyNames};
use crate::tail::policy::Sufficient;
use crate::tail::predicate::{ErrorMode, Predicate};

/// What an agent is to do with spans. Agents need not know policies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// What to ask of spans. Bits of digests are given out in this order: one for a predicate, one for conditions and
    /// another if they may fail aloud ([`ErrorMode::Propagate`]), none for a fingerprint.
    pub questions: Vec<Question>,
    /// Whether values of attributes are read as the Collector does.
    pub coerces: bool,
    /// What suffices to keep a trace.
    pub clauses: Vec<Clause>,
    /// What pieces have to have.
    pub columns: Columns,
    /// The policies' names, if they are recorded on kept spans.
    pub names: Option<Vec<PolicyNames>>,
}

/// The first eight bytes of the SHA-256 of a program's encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProgramId(pub u64);

/// Something to ask of every span.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Whether it satisfies this.
    Predicate(Predicate),
    /// Whether one of these conditions in OTTL holds.
    Conditions {
        /// The conditions, each with what it is asked of.
        conditions: Vec<(String, Context)>,
        /// What becomes of those that fail.
        mode: ErrorMode,
    },
    /// The values of these attributes: `any.attributes["key"]`, or `resource`, `scope`, `span` or `root` for `any`.
    Fingerprint(Vec<String>),
}

/// A trace is kept for certain if a condition holds of any piece of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clause {
    /// The condition.
    pub sufficient: Sufficient,
    /// How it is kept then.
    pub kept: Kept,
    /// Whether it may leave at once, because nothing that others know can change how it is kept.
    pub leaves: bool,
}

/// What pieces have to have beside bits, trace states and values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of columns")]
pub struct Columns {
    /// Earliest start and latest end.
    pub times: bool,
    /// Number of spans.
    pub spans: bool,
    /// Bytes of spans.
    pub bytes: bool,
    /// Whether there is a root.
    pub root: bool,
    /// Whole trace ids.
    pub trace_ids: bool,
}

impl BitOr for Columns {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self {
            times: self.times | other.times,
            spans: self.spans | other.spans,
            bytes: self.bytes | other.bytes,
            root: self.root | other.root,
            trace_ids: self.trace_ids | other.trace_ids,
        }
    }
}

impl Columns {
    /// None.
    pub const NONE: Self = Self { times: false, spans: false, bytes: false, root: false, trace_ids: false };
    /// Times alone.
    pub(crate) const TIMES: Self = Self { times: true, ..Self::NONE };
    /// Numbers of spans alone.
    pub(crate) const SPANS: Self = Self { spans: true, ..Self::NONE };
}
