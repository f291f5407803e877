//! Which agent has been told what: decisions on their way to a fleet.
//!
//! Shards of a coordinating tail sampler say what agents are to be told; here it becomes [`Decisions`], of which
//! every agent gets some at every tick. Agents acknowledge ticks in their reports, and what all have applied is
//! stable. A coordinator that cannot know enough yet is told to hold its decisions.

use std::collections::{BTreeMap, VecDeque};

use super::key::TraceKey;
use super::message::{Decisions, Report};
use crate::tail::decision::Kept;
use crate::tail::{AgentNumber, Nanos, Notice};

/// A coordinator's fleet.
#[derive(Debug)]
pub struct Coordination {
    decision_wait: Nanos,
    shards: usize,
    agents: BTreeMap<AgentNumber, Attendant>,
    tick: u64,
    /// When ticks were that are not stable.
    ticks: VecDeque<(u64, Nanos)>,
    stable: u64,
    /// When it began, or its agents began to know different lists of coordinators.
    unsure_since: Nanos,
    differing: bool,
}

/// An agent, as a coordinator knows it.
#[derive(Debug)]
struct Attendant {
    /// By shard, the last window that is settled there.
    settled: Vec<u64>,
    /// Traces that it is to keep.
    kept: VecDeque<(TraceKey, Kept)>,
    told_settled: u64,
    /// The first window that it has reported on this stream by the list of coordinators that it knows.
    begins: u64,
    /// The tick that told first that this is settled. Before it has been applied, the agent may hold what others have
    /// dropped.
    informed: Option<u64>,
    /// The last tick that told of everything there was to tell.
    told_all: u64,
    applied: u64,
    /// What it has told last, on this stream or one before; none if it never has.
    horizon: Option<Nanos>,
    members: Option<u64>,
    /// When its stream broke.
    left: Option<Nanos>,
}

const SECOND: Nanos = 1_000_000_000;
/// How long a coordinator that may know too little waits at most. More than the longest pause of agents before they
/// connect again, and a window.
const GRACE: Nanos = 8 * SECOND;
/// So many traces are named at a time.
const KEPT_MAX: usize = 1 << 16;

impl Coordination {
    /// A coordinator of so many shards begins at `now`.
    #[must_use]
    pub fn new(decision_wait: Nanos, shards: usize, now: Nanos) -> Self {
        Self {
            decision_wait,
            shards,
            agents: BTreeMap::new(),
            tick: 0,
            ticks: VecDeque::new(),
            stable: 0,
            unsure_since: now,
            differing: false,
        }
    }

    /// An agent's stream begins.
    pub fn joined(&mut self, agent: AgentNumber) {
        let before = self.agents.get(&agent);
        let (applied, horizon) = before.map_or((self.tick, None), |before| (before.applied, before.horizon));
        let attendant = Attendant {
            settled: vec![0; self.shards],
            kept: VecDeque::new(),
            told_settled: 0,
            begins: u64::MAX,
            informed: None,
            told_all: self.tick,
            // To one that was never here, nothing is that has been decided before.
            applied,
            horizon,
            members: None,
            left: None,
        };
        self.agents.insert(agent, attendant);
    }

    /// An agent's stream has ended.
    pub fn left(&mut self, agent: AgentNumber, now: Nanos) {
        if let Some(attendant) = self.agents.get_mut(&agent) {
            attendant.left = Some(now);
            attendant.kept = VecDeque::new();
        }
    }

    /// An agent is gone for good, with all that it held.
    pub fn lost(&mut self, agent: AgentNumber) {
        self.agents.remove(&agent);
    }

    /// An agent reports.
    pub fn reported(&mut self, agent: AgentNumber, report: &Report, now: Nanos) {
        let Some(attendant) = self.agents.get_mut(&agent) else { return };
        // Nothing that has not been told can have been applied.
        let applied = report.applied.min(attendant.told_all);
        if attendant.informed.is_some_and(|informed| informed <= applied) {
            attendant.applied = attendant.applied.max(applied);
        }
        attendant.horizon = Some(Nanos::try_from(report.horizon.as_nanos()).unwrap_or(Nanos::MAX));
        if attendant.members.replace(report.members) != Some(report.members) {
            (attendant.begins, attendant.informed) = (report.window, None);
        }
        let differing = self.lists_differ();
        if differing && !self.differing {
            self.unsure_since = now;
        }
        self.differing = differing;
    }

    /// Until when nothing should be decided.
    #[must_use]
    pub fn hold_until(&self, now: Nanos) -> Nanos {
        let shortest = self.present().filter_map(|(_, attendant)| attendant.horizon).min();
        let grace = GRACE.min(shortest.map_or(Nanos::MAX, |horizon| horizon / 2));
        let until = self.unsure_since.saturating_add(grace);
        let unsure = self.differing || self.unsure_since.saturating_add(GRACE) > now;
        if unsure { until } else { 0 }
    }

    /// A shard has something to tell.
    pub fn notice(&mut self, shard: usize, notice: Notice) {
        match notice {
            Notice::Keep(agent, key, kept) => {
                if let Some(attendant) = self.agents.get_mut(&agent).filter(|agent| agent.left.is_none()) {
                    attendant.kept.push_back((key, kept));
                }
            }
            Notice::Settled(agent, window) => {
                if let Some(settled) =
                    self.agents.get_mut(&agent).and_then(|attendant| attendant.settled.get_mut(shard))
                {
                    *settled = window.max(*settled);
                }
            }
        }
    }

    /// What agents are to be told at `now`; traces that one message has no room for are for the next tick.
    pub fn tick(&mut self, now: Nanos) -> Vec<(AgentNumber, Decisions)> {
        self.forget_departed(now);
        self.tick += 1;
        self.ticks.push_back((self.tick, now));
        self.advance_stable();
        let (tick, stable) = (self.tick, self.stable);
        let present = self.agents.iter_mut().filter(|(_, attendant)| attendant.left.is_none());
        present.map(|(&agent, attendant)| (agent, attendant.decisions(tick, stable))).collect()
    }

    /// How many traces wait to be named to the agent for which most do.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.agents.values().map(|attendant| attendant.kept.len()).max().unwrap_or(0)
    }

    /// Whether agents know different lists of coordinators.
    fn lists_differ(&self) -> bool {
        let mut lists = self.present().filter_map(|(_, attendant)| attendant.members);
        let first = lists.next();
        lists.any(|list| Some(list) != first)
    }

    fn present(&self) -> impl Iterator<Item = (&AgentNumber, &Attendant)> {
        self.agents.iter().filter(|(_, attendant)| attendant.left.is_none())
    }

    /// An agent whose horizon has passed since its stream broke has nothing undecided any more of what it told; one that
    /// never told anything is not waited for.
    fn forget_departed(&mut self, now: Nanos) {
        self.agents.retain(|_, attendant| {
            attendant.left.is_none_or(|left| left.saturating_add(attendant.horizon.unwrap_or(0)) > now)
        });
    }

    /// A tick is stable when all agents have applied one that is later by `decision_wait`: by then, every window is
    /// settled in which a holder had reported, before that, a trace that was decided then.
    fn advance_stable(&mut self) {
        let applied = self.agents.values().map(|attendant| attendant.applied).min().unwrap_or(self.tick);
        let at = self.ticks.iter().find(|&&(tick, _)| tick >= applied).map(|&(_, at)| at);
        let until = at.filter(|_| applied > 0).and_then(|at| at.checked_sub(self.decision_wait));
        let Some(until) = until else { return };
        while let Some((tick, _)) = self.ticks.pop_front_if(|&mut (tick, at)| at <= until && tick < applied) {
            self.stable = tick;
        }
    }
}

impl Attendant {
    fn decisions(&mut self, tick: u64, stable: u64) -> Decisions {
        let kept: Vec<_> = self.kept.drain(..self.kept.len().min(KEPT_MAX)).collect();
        // What is settled may be dropped, so all that is to be kept has to be named before.
        if self.kept.is_empty() {
            self.told_all = tick;
            self.told_settled = self.settled.iter().copied().min().unwrap_or(0);
            if self.told_settled >= self.begins {
                self.informed.get_or_insert(tick);
            }
        }
        Decisions { tick, settled: self.told_settled, stable, economical: false, kept }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::retroactive::program::ProgramId;

    fn report(window: u64, applied: u64) -> Report {
        let horizon = Duration::from_secs(100);
        let program = ProgramId(1);
        Report { window, program, applied, horizon, members: 1, overwritten: 0, pieces: Vec::new() }
    }

    /// What is stable after an agent has acknowledged for a minute what it was told; `other` has connected before.
    fn stable_after(other: impl Fn(&mut Coordination)) -> u64 {
        let mut fleet = Coordination::new(10 * SECOND, 1, 0);
        let agent = AgentNumber(1);
        fleet.joined(agent);
        fleet.joined(AgentNumber(2));
        other(&mut fleet);
        let mut stable = 0;
        for second in 1..60 {
            let now = second * SECOND;
            fleet.reported(agent, &report(second, fleet.tick), now);
            fleet.notice(0, Notice::Settled(agent, second));
            stable = fleet.tick(now).last().unwrap().1.stable;
        }
        stable
    }

    #[test]
    fn an_agent_that_has_gone_is_waited_for_if_it_has_told_of_anything() {
        let gone = AgentNumber(2);
        assert!(stable_after(|fleet| fleet.left(gone, 0)) > 40, "it never told anything");
        let told = |fleet: &mut Coordination| {
            fleet.reported(gone, &report(1, 0), 0);
            fleet.left(gone, 0);
        };
        assert_eq!(stable_after(told), 0, "its horizon has not passed");
        let lost = |fleet: &mut Coordination| {
            told(fleet);
            fleet.lost(gone);
        };
        assert!(stable_after(lost) > 40);
    }
}
