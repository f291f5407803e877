//! What an agent remembers.

use crate::COORDINATORS;
use crate::stream::Known;

/// What has become of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is held, and its agent knows no verdict.
    Undecided,
    /// It has been sent on, and its agent remembers that.
    Kept,
    /// It has been sent on, and its agent has died since.
    Sent,
    /// It is held, and its agent knows that it is dropped.
    Dropped,
    /// It is forgotten because it is dropped.
    Freed,
    /// It was held undecided by an agent that has died.
    Lost,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Agent {
    /// Which list of coordinators it has: the number of changes.
    pub list: u8,
    /// Its pieces, one of each trace.
    pub pieces: Vec<Fate>,
    /// The process of each coordinator that it was connected to last.
    pub met: [Option<u8>; COORDINATORS],
}

impl Fate {
    /// What a report says of it, if there is something to say.
    pub(crate) fn known(self) -> Option<Known> {
        match self {
            Self::Undecided => Some(Known::Evidence),
            Self::Dropped => Some(Known::Dropped),
            Self::Kept => Some(Known::Kept),
            Self::Sent | Self::Freed | Self::Lost => None,
        }
    }

    /// Whether it has been sent on.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self, Self::Kept | Self::Sent)
    }
}

impl Agent {
    /// Dies with its spans. What it has sent on stays sent.
    pub(crate) fn die(&mut self) {
        self.met = [None; COORDINATORS];
        for piece in &mut self.pieces {
            *piece = match *piece {
                Fate::Undecided | Fate::Dropped => Fate::Lost,
                Fate::Kept => Fate::Sent,
                other => other,
            };
        }
    }
}
