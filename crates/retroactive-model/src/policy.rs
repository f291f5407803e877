//! What a trace is kept for.

use crate::AGENTS;

/// A policy, as far as it matters who has seen what. A verdict can change either way as evidence grows: duration and
/// counts have upper bounds too, and there are policies that drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Keeps what the pieces of both agents show together.
    Together,
    /// Keeps unless the pieces of both agents together show that it should not.
    Unless,
    /// Keeps what fits into a budget: the same evidence may be judged differently at another time.
    Budget,
    /// The same, by what the first agent's piece shows alone. In economical mode the second agent is silent.
    Silent,
    /// Keeps what the first agent's piece shows alone, by a clause, so that agent has kept it before anybody asks.
    Clause,
}

impl Policy {
    /// The verdicts that are possible on the pieces of these agents.
    pub(crate) fn verdicts(self, seen: [bool; AGENTS]) -> &'static [bool] {
        let kept = match self {
            Self::Together => seen == [true; AGENTS],
            Self::Unless => seen != [true; AGENTS],
            Self::Clause => seen[0],
            // What shows nothing is not kept.
            Self::Silent if !seen[0] => false,
            Self::Budget | Self::Silent => return &[true, false],
        };
        if kept { &[true] } else { &[false] }
    }

    /// The verdicts that are possible on all evidence: the tail sampler's.
    pub(crate) fn of_all(self) -> &'static [bool] {
        self.verdicts([true; AGENTS])
    }
}
