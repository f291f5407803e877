//! What a coordinator remembers as long as its process lives.

use crate::AGENTS;
use crate::policy::Policy;
use crate::stream::Known;

/// What has been decided of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// Whether it is kept.
    pub kept: bool,
    /// The tick in which it was decided, from 1.
    pub tick: u8,
}

/// A report that arrives a second time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stray {
    /// Whose it is.
    pub agent: usize,
    /// What it says.
    pub pieces: Vec<(usize, Known)>,
}

/// A coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coordinator {
    /// Which process it is: the number of restarts.
    pub process: u8,
    /// The last tick; 0 before the first.
    pub tick: u8,
    /// The list that each agent told it last; `None` if it has never attended.
    pub attended: [Option<u8>; AGENTS],
    /// What each agent has said of each trace.
    pub known: Vec<[Option<Known>; AGENTS]>,
    /// What has been decided of each trace.
    pub verdicts: Vec<Option<Verdict>>,
    /// Of traces that have been opened again, what was decided last before, with the tick of when that was first.
    pub former: Vec<Option<Verdict>>,
    /// A report that is yet to arrive again.
    pub stray: Option<Stray>,
}

impl Coordinator {
    pub(crate) fn start(process: u8, traces: usize) -> Self {
        Self {
            process,
            tick: 0,
            attended: [None; AGENTS],
            known: vec![[None; AGENTS]; traces],
            verdicts: vec![None; traces],
            former: vec![None; traces],
            stray: None,
        }
    }

    /// Forgets what an agent has said on another stream, and does not read what may yet come of it.
    pub(crate) fn forget_evidence(&mut self, agent: usize) {
        for known in &mut self.known {
            known[agent] = None;
        }
        self.stray.take_if(|stray| stray.agent == agent);
    }

    /// Opens a trace again that has been decided here: its holders may have done otherwise meanwhile.
    pub(crate) fn reopen(&mut self, trace: usize) {
        if let Some(verdict) = self.verdicts[trace].take() {
            let tick = self.former[trace].map_or(verdict.tick, |former| former.tick);
            self.former[trace] = Some(Verdict { tick, ..verdict });
        }
    }

    /// Joins what a report says with what is known. What somebody has kept is kept.
    pub(crate) fn learn(&mut self, agent: usize, pieces: &[(usize, Known)]) {
        for &(trace, said) in pieces.iter().filter(|(_, said)| *said > Known::Silence) {
            let known = &mut self.known[trace][agent];
            *known = (*known).max(Some(said));
            if said == Known::Kept && self.verdicts[trace].is_none_or(|verdict| !verdict.kept) {
                self.decide(trace, true);
            }
        }
    }

    /// The verdicts that are possible now: that somebody knows already, else the former one, else what the policy says.
    pub(crate) fn possible(&self, trace: usize, policy: Policy) -> &'static [bool] {
        let known = self.known[trace];
        if self.verdicts[trace].is_some() || known == [None; AGENTS] {
            &[]
        } else if known.contains(&Some(Known::Kept)) {
            &[true]
        } else if known.contains(&Some(Known::Dropped)) {
            &[false]
        } else if let Some(former) = self.former[trace] {
            if former.kept { &[true] } else { &[false] }
        } else {
            policy.verdicts(known.map(|known| known.is_some()))
        }
    }

    pub(crate) fn decide(&mut self, trace: usize, kept: bool) {
        self.tick += 1;
        self.verdicts[trace] = Some(Verdict { kept, tick: self.tick });
    }
}
