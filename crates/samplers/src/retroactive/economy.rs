//! Whether it is worth it that agents are silent about pieces that cannot change the verdict.
//!
//! Such a piece is one that agents need not send; in return all agents, and not only those that have told, are named
//! every trace that is kept. What that costs depends on how many agents there are and how much is kept, what it saves
//! on how many of the pieces show nothing. Both are counted.

use crate::tail::Nanos;

/// How agents tell of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvidenceMode {
    /// All pieces are reported.
    #[default]
    Exact,
    /// Pieces that cannot change the verdict are not, as long as that is safe.
    Economical,
    /// Whichever takes fewer bytes.
    Auto,
}

/// What a mode's choice rests on.
#[derive(Debug)]
pub(super) struct Economy {
    mode: EvidenceMode,
    saves: bool,
    begun: Nanos,
    /// Pieces that need not be sent.
    idle: u64,
    /// Traces that were kept.
    kept: u64,
}

/// How long is counted before a choice.
const COUNTED: Nanos = 10_000_000_000;
/// Bytes of a piece in a report that has many, and of a key in decisions: `forebay-benches`, `retroactive`.
const PIECE: u64 = 12;
const KEY: u64 = 5;
/// What saves has to save so many times what it costs; it is given up only when it costs more than it saves.
const MARGIN: u64 = 2;

impl Economy {
    pub(super) const fn new(mode: EvidenceMode, now: Nanos) -> Self {
        Self { mode, saves: false, begun: now, idle: 0, kept: 0 }
    }

    /// Whether agents are ever silent.
    pub(super) fn is_possible(&self) -> bool {
        self.mode != EvidenceMode::Exact
    }

    /// Pieces have come, or would have, that need not be sent.
    pub(super) const fn add_idle(&mut self, pieces: u64) {
        self.idle = self.idle.saturating_add(pieces);
    }

    /// A trace has been kept.
    pub(super) const fn add_kept(&mut self) {
        self.kept = self.kept.saturating_add(1);
    }

    /// Whether agents should be silent, of which there are so many.
    pub(super) fn is_worth_it(&mut self, agents: usize, now: Nanos) -> bool {
        match self.mode {
            EvidenceMode::Exact => return false,
            EvidenceMode::Economical => return true,
            EvidenceMode::Auto => {}
        }
        if now.saturating_sub(self.begun) >= COUNTED {
            let saved = self.idle.saturating_mul(PIECE);
            let cost = self.kept.saturating_mul(agents as u64).saturating_mul(KEY);
            let margin = if self.saves { 1 } else { MARGIN };
            self.saves = saved > cost.saturating_mul(margin);
            (self.begun, self.idle, self.kept) = (now, 0, 0);
        }
        self.saves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it is worth it after each of these spells, of which each has idle pieces and kept traces.
    fn choices(mode: EvidenceMode, agents: usize, spells: &[(u64, u64)]) -> Vec<bool> {
        let mut economy = Economy::new(mode, 0);
        let mut now = 0;
        let mut choose = |&(idle, kept): &(u64, u64)| {
            economy.add_idle(idle);
            (0..kept).for_each(|_| economy.add_kept());
            now += COUNTED;
            economy.is_worth_it(agents, now)
        };
        spells.iter().map(&mut choose).collect()
    }

    #[test]
    fn what_is_saved_has_to_be_worth_what_it_costs() {
        // 12 bytes for a piece that is not sent, and for a trace that is kept 5 for each of 10 agents.
        let spells = [(0, 0), (100, 23), (100, 24), (101, 12), (100, 23), (100, 24), (100, 25), (100, 13)];
        let worth_it = [false, false, false, true, true, false, false, false];
        assert_eq!(choices(EvidenceMode::Auto, 10, &spells), worth_it);
    }

    #[test]
    fn a_mode_that_is_set_is_not_a_choice() {
        assert_eq!(choices(EvidenceMode::Exact, 1, &[(1000, 0)]), [false]);
        assert_eq!(choices(EvidenceMode::Economical, 1000, &[(0, 1000)]), [true]);
    }

    #[test]
    fn nothing_is_chosen_before_something_has_been_counted() {
        let mut economy = Economy::new(EvidenceMode::Auto, 0);
        economy.add_idle(1000);
        assert!(!economy.is_worth_it(1, COUNTED - 1));
        assert!(economy.is_worth_it(1, COUNTED));
        assert!(economy.is_worth_it(1, COUNTED + 1), "until the next choice");
    }
}
