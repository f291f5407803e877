//! All there is at a moment.

use crate::agent::{Agent, Fate};
use crate::coordinator::Coordinator;
use crate::stream::Stream;
use crate::{AGENTS, COORDINATORS};

/// How often things may yet go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A stream breaks; what is on its way is lost.
    pub cuts: u8,
    /// A coordinator dies and starts again, remembering nothing.
    pub coordinators_die: u8,
    /// An agent dies and starts again with the spans that it had.
    pub agents_restart: u8,
    /// An agent dies with its spans.
    pub agents_die: u8,
    /// A report arrives twice, the second time at any moment later.
    pub repeats: u8,
    /// The list of coordinators changes; agents learn it one after another. With the first change trace 0 goes from
    /// coordinator 0 to coordinator 1, with the second it comes back.
    pub changes: u8,
}

/// All there is at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The agents.
    pub agents: [Agent; AGENTS],
    /// The coordinators.
    pub coordinators: [Coordinator; COORDINATORS],
    /// The streams of each agent to each coordinator.
    pub streams: [[Option<Stream>; COORDINATORS]; AGENTS],
    /// What may go wrong yet.
    pub faults: Faults,
}

impl State {
    /// Whether every piece has got where it stays.
    pub(crate) fn is_final(&self) -> bool {
        let mut pieces = self.agents.iter().flat_map(|agent| &agent.pieces);
        pieces.all(|piece| !matches!(piece, Fate::Undecided | Fate::Dropped))
    }

    /// What has become of the pieces of each trace.
    pub(crate) fn fates(&self) -> impl Iterator<Item = [Fate; AGENTS]> {
        (0..self.agents[0].pieces.len()).map(|trace| self.agents.each_ref().map(|agent| agent.pieces[trace]))
    }
}
