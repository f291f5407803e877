//! Streams between agents and coordinators.

use crate::agent::Fate;

/// What a report says of a trace. What is greater outweighs what has been said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Known {
    /// Nothing: the piece cannot change the verdict.
    Silence,
    /// The evidence of the piece.
    Evidence,
    /// That it is dropped.
    Dropped,
    /// That it is kept.
    Kept,
}

/// What a coordinator has decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decisions {
    /// The last tick; 0 before the first.
    pub tick: u8,
    /// How many windows of the stream are settled.
    pub settled: usize,
    /// The last tick whose decisions everybody knows.
    pub stable: u8,
    /// The traces to keep, of those that the agent has reported.
    pub kept: Vec<usize>,
}

/// What both ends of a stream remember as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    /// Which list of coordinators the agent has.
    pub list: u8,
    /// The coordinator's tick when it was opened.
    pub opened: u8,
    /// Whether the agent was not connected to this process before.
    pub first: bool,
    /// The traces in each window that was reported, also those that it was silent about.
    pub windows: Vec<Vec<usize>>,
    /// For each trace, the tick of the decisions that settled its window.
    pub settled_at: Vec<Option<u8>>,
    /// The last decisions, applied by the agent.
    pub decisions: Decisions,
    /// The tick and the number of settled windows that the agent has acknowledged.
    pub acknowledged: (u8, usize),
}

impl Decisions {
    /// What an agent that applies them has to acknowledge.
    pub(crate) fn to_acknowledge(&self) -> (u8, usize) {
        (self.tick, self.settled)
    }
}

impl Stream {
    pub(crate) fn open(list: u8, opened: u8, first: bool, traces: usize) -> Self {
        Self {
            list,
            opened,
            first,
            windows: Vec::new(),
            settled_at: vec![None; traces],
            decisions: Decisions::default(),
            acknowledged: (0, 0),
        }
    }

    /// Whether this trace is in a window.
    pub(crate) fn has_brought(&self, trace: usize) -> bool {
        self.windows.iter().any(|window| window.contains(&trace))
    }

    /// Lets traces be in a window, and not in any earlier one.
    pub(crate) fn report(&mut self, traces: Vec<usize>) {
        self.windows.iter_mut().for_each(|window| window.retain(|trace| !traces.contains(trace)));
        traces.iter().for_each(|&trace| self.settled_at[trace] = None);
        self.windows.push(traces);
    }

    /// Sends decisions, which the agent applies to its pieces.
    pub(crate) fn tell(&mut self, decisions: Decisions, pieces: &mut [Fate], needs_stability: bool) {
        for &trace in &decisions.kept {
            if matches!(pieces[trace], Fate::Undecided | Fate::Dropped) {
                pieces[trace] = Fate::Kept;
            }
        }
        for &trace in self.windows.iter().take(decisions.settled).flatten() {
            if pieces[trace] == Fate::Undecided {
                pieces[trace] = Fate::Dropped;
            }
            let at = *self.settled_at[trace].get_or_insert(decisions.tick);
            if pieces[trace] == Fate::Dropped && (decisions.stable >= at || !needs_stability) {
                pieces[trace] = Fate::Freed;
            }
        }
        self.decisions = decisions;
    }
}
