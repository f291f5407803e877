//! Which agent has been told what: decisions on their way to a fleet.
//!
//! Shards of a coordinating tail sampler say what agents are to be told; here it becomes [`Decisions`], of which
//! every agent gets some at every tick. Agents acknowledge ticks in their reports, and what all have applied is
//! stable. A coordinator that cannot know enough yet is told to hold its decisions.
//!
//! While the fleet is complete and agrees, agents may be silent about pieces that cannot change the verdict. Then nobody
//! knows who holds spans of a trace, so all are told of it; and that nobody has told of a trace says something only
//! if nobody could have more to tell. As soon as an agent is away, everything is told again.

use std::collections::{BTreeMap, VecDeque};

use std::time::Duration;

use super::economy::{Economy, EvidenceMode};
use super::key::TraceKey;
use super::load::{FloodError, Load};
use super::message::{Decisions, Report};
use crate::tail::decision::Kept;
use crate::tail::{AgentNumber, Holders, Nanos, Notice, nanos};

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
    load: Load,
    economy: Economy,
    /// When an agent came or went last.
    unsettled_since: Nanos,
    /// When the last tick was.
    ticked_at: Nanos,
    /// Whether agents are to be told something that should not wait for long.
    pressing: bool,
    /// For how long agents need not report what cannot change the verdict.
    silence: Nanos,
    /// The last tick that allowed it.
    silent_until: u64,
    /// What was kept of late, with when that was, if agents may ever be silent.
    kept: VecDeque<(Nanos, TraceKey, Kept)>,
}

/// What a coordinator's fleet needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoordinationSettings {
    /// How long traces wait, in nanoseconds.
    pub decision_wait: Nanos,
    /// How many shards the sampler has.
    pub shards: usize,
    /// How agents tell of traces.
    pub mode: EvidenceMode,
    /// What undecided traces may hold, in bytes.
    pub pending_bytes: usize,
}

/// An agent, as a coordinator knows it.
#[derive(Debug)]
struct Attendant {
    /// By shard, the last window that is settled there.
    settled: Vec<u64>,
    /// Traces that it is to keep.
    kept: VecDeque<(TraceKey, Kept)>,
    told_settled: u64,
    /// When it was told something last on this stream.
    told_at: Option<Nanos>,
    /// The first window that it has reported on this stream by the list of coordinators that it knows.
    begins: u64,
    /// The tick that told first that this is settled. Before it has been applied, the agent may hold what others have
    /// dropped.
    informed: Option<u64>,
    /// The last tick that told of everything there was to tell.
    told_all: u64,
    applied: u64,
    /// When it last acknowledged something that it had not before, or its stream began.
    acknowledged_at: Nanos,
    /// By the windows that said so, what was applied when, as far as these are not settled.
    acknowledged: VecDeque<(u64, u64)>,
    /// What was applied when the last settled window was reported.
    applied_by_settled: u64,
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
/// How long an agent may be away at most before the others go on without it: one that had little to do says that it can
/// hold spans for an hour.
const AWAY_MAX: Nanos = 600 * SECOND;
/// How often agents are told what is kept.
const TICK: Nanos = SECOND / 5;
/// An agent to which there is nothing to name is told this often what is settled and stable.
const PAUSE: Nanos = SECOND;
/// So many traces are named at a time.
const KEPT_MAX: usize = 1 << 16;
/// Agents that are silent hold what nobody has told of for so many times `decision_wait`, and more.
const HELD: u64 = 4;
/// For so many times `decision_wait` it is remembered what was kept, for agents that are to be silent.
const RETOLD: u64 = 4;

impl Coordination {
    /// A coordinator begins at `now`.
    #[must_use]
    pub fn new(settings: CoordinationSettings, now: Nanos) -> Self {
        let CoordinationSettings { decision_wait, shards, mode, pending_bytes } = settings;
        Self {
            load: Load::new(pending_bytes, decision_wait),
            decision_wait,
            shards,
            agents: BTreeMap::new(),
            tick: 0,
            ticks: VecDeque::new(),
            stable: 0,
            unsure_since: now,
            differing: false,
            economy: Economy::new(mode, now),
            unsettled_since: now,
            ticked_at: now,
            pressing: false,
            silence: 0,
            silent_until: 0,
            kept: VecDeque::new(),
        }
    }

    /// An agent's stream begins at `now`.
    pub fn joined(&mut self, agent: AgentNumber, now: Nanos) {
        (self.unsettled_since, self.pressing) = (now, true);
        // To one that was never here, nothing is that has been decided before.
        let before = self.agents.get(&agent);
        let applied = before.map_or(self.tick, |before| before.applied);
        let applied_by_settled = before.map_or(self.tick, |before| before.applied_by_settled);
        let horizon = before.and_then(|before| before.horizon);
        let attendant = Attendant {
            settled: vec![0; self.shards],
            kept: VecDeque::new(),
            told_settled: 0,
            told_at: None,
            begins: u64::MAX,
            informed: None,
            told_all: self.tick,
            applied,
            acknowledged_at: now,
            acknowledged: VecDeque::new(),
            applied_by_settled,
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
            (self.unsettled_since, self.pressing) = (now, true);
        }
    }

    /// An agent is gone for good, with all that it held. Returns how many pieces that it has reported are undecided.
    pub fn lost(&mut self, agent: AgentNumber, now: Nanos) -> usize {
        self.agents.remove(&agent);
        self.load.undecided(agent, now)
    }

    /// An agent reports.
    ///
    /// # Errors
    /// When it tells of more than there is room for, and of far more than others. The report is not to be taken.
    pub fn reported(&mut self, agent: AgentNumber, report: &Report, now: Nanos) -> Result<(), FloodError> {
        let was_deserted = self.is_deserted();
        let Some(attendant) = self.agents.get_mut(&agent) else { return Ok(()) };
        self.load.add(agent, report.pieces.len(), now)?;
        // Nothing that has not been told can have been applied.
        let applied = report.applied.min(attendant.told_all);
        if attendant.informed.is_some_and(|informed| informed <= applied) && applied > attendant.applied {
            attendant.applied = applied;
            attendant.acknowledged_at = now;
            attendant.acknowledged.push_back((report.window, applied));
        }
        attendant.horizon = Some(nanos(report.horizon));
        self.economy.add_idle(report.idle);
        if attendant.members.replace(report.members) != Some(report.members) {
            (attendant.begins, attendant.informed) = (report.window, None);
        }
        let differing = self.lists_differ();
        let is_first_of_many = was_deserted && self.agents.len() > 1;
        if is_first_of_many || differing && !self.differing {
            self.unsure_since = now;
        }
        self.differing = differing;
        Ok(())
    }

    /// The agent that is there and has acknowledged nothing for longest of what it has been told, and for how long.
    #[must_use]
    pub fn slowest(&self, now: Nanos) -> Option<(AgentNumber, Nanos)> {
        let silences = self.present().filter(|(_, attendant)| attendant.told_all > attendant.applied);
        let silences =
            silences.map(|(&agent, attendant)| (agent, now.saturating_sub(attendant.acknowledged_at)));
        silences.max_by_key(|&(_, silence)| silence)
    }

    /// An agent that is there, but has acknowledged nothing for longer than one that is away would be waited for: while
    /// it counts, nobody frees what is dropped.
    #[must_use]
    pub fn unresponsive(&self, now: Nanos) -> Option<AgentNumber> {
        self.slowest(now).filter(|&(_, silence)| silence > AWAY_MAX).map(|(agent, _)| agent)
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

    /// Whether all agents that have told anything are away, or have told nothing since they are back. What they have
    /// told of is not to be decided: nobody would learn of it, and they may tell more.
    #[must_use]
    pub fn is_deserted(&self) -> bool {
        self.agents.values().any(|attendant| attendant.horizon.is_some())
            && self.present().all(|(_, attendant)| attendant.members.is_none())
    }

    /// A shard has something to tell at `now`.
    pub fn notice(&mut self, shard: usize, notice: Notice, now: Nanos) {
        match notice {
            Notice::Keep(key, kept, holders) => {
                self.pressing = true;
                self.economy.add_kept();
                if self.economy.is_possible() {
                    self.kept.push_back((now, key, kept));
                }
                match holders {
                    Holders::These(agents) if self.silence == 0 => {
                        agents.into_iter().for_each(|agent| self.tell(agent, key, kept));
                    }
                    _ => self.present_mut().for_each(|(_, agent)| agent.kept.push_back((key, kept))),
                }
            }
            Notice::Kept(agent, key, kept) => {
                self.pressing = true;
                self.tell(agent, key, kept);
            }
            Notice::Settled(agent, window) => {
                if let Some(attendant) = self.agents.get_mut(&agent) {
                    attendant.settle(shard, window);
                }
            }
        }
    }

    /// When agents are to be told something next, unless something happens before.
    #[must_use]
    pub const fn next_tick(&self) -> Nanos {
        self.ticked_at.saturating_add(if self.pressing { TICK } else { PAUSE })
    }

    /// What agents are to be told at `now`, if something is; traces that one message has no room for are for the next tick.
    pub fn tick(&mut self, now: Nanos) -> Vec<(AgentNumber, Decisions)> {
        self.forget_departed(now);
        self.ticked_at = now;
        self.tick += 1;
        self.ticks.push_back((self.tick, now));
        self.advance_stable();
        let before = self.silence;
        self.choose_silence(now);
        let (tick, stable, silence) = (self.tick, self.stable, Duration::from_nanos(self.silence));
        let has_changed = before != self.silence;
        let mut told = Vec::new();
        for (&agent, attendant) in self.present_mut() {
            let is_due = attendant.told_at.is_none_or(|at| now.saturating_sub(at) >= PAUSE);
            if is_due || has_changed || !attendant.kept.is_empty() {
                attendant.told_at = Some(now);
                told.push((agent, attendant.decisions(tick, stable, silence)));
            }
        }
        self.pressing = self.backlog() > 0;
        told
    }

    /// How many traces wait to be named to the agent for which most do.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.agents.values().map(|attendant| attendant.kept.len()).max().unwrap_or(0)
    }

    /// Whether agents need not report what cannot change the verdict.
    #[must_use]
    pub const fn allows_silence(&self) -> bool {
        self.silence > 0
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

    fn present_mut(&mut self) -> impl Iterator<Item = (&AgentNumber, &mut Attendant)> {
        self.agents.iter_mut().filter(|(_, attendant)| attendant.left.is_none())
    }

    /// Tells an agent, if it is there, that a trace is kept.
    fn tell(&mut self, agent: AgentNumber, key: TraceKey, kept: Kept) {
        if let Some(attendant) = self.agents.get_mut(&agent).filter(|attendant| attendant.left.is_none()) {
            attendant.kept.push_back((key, kept));
        }
    }

    /// Lets agents be silent, or not any more.
    fn choose_silence(&mut self, now: Nanos) {
        let oldest = now.saturating_sub(self.decision_wait.saturating_mul(RETOLD));
        while self.kept.len() > KEPT_MAX || self.kept.front().is_some_and(|&(at, ..)| at < oldest) {
            self.kept.pop_front();
        }
        let is_worth_it = self.economy.is_worth_it(self.agents.len(), now);
        if !is_worth_it || !self.is_complete(now) {
            self.silence = 0;
            return;
        }
        if self.silence == 0 {
            // Of these, an agent might hold or get spans and not say so.
            let kept: Vec<_> = self.kept.iter().map(|&(_, key, kept)| (key, kept)).collect();
            self.present_mut().for_each(|(_, attendant)| attendant.kept.extend(&kept));
        }
        (self.silence, self.silent_until) = (self.decision_wait, self.tick);
    }

    /// Whether all agents are there, have been for a while, agree, and can hold spans for as long as it takes to know
    /// that nobody has anything to tell of them.
    fn is_complete(&self, now: Nanos) -> bool {
        let since = self.unsettled_since.max(self.unsure_since);
        let needed = self.decision_wait.saturating_mul(HELD);
        !self.differing
            && since.saturating_add(GRACE) <= now
            && self.agents.values().all(|attendant| {
                attendant.left.is_none() && attendant.horizon.is_some_and(|horizon| horizon >= needed)
            })
    }

    /// An agent whose horizon has passed since its stream broke has nothing undecided any more of what it told; one that
    /// never told anything is not waited for.
    fn forget_departed(&mut self, now: Nanos) {
        self.agents.retain(|_, attendant| {
            let waited_for = attendant.horizon.map_or(0, |horizon| horizon.min(AWAY_MAX));
            attendant.left.is_none_or(|left| left.saturating_add(waited_for) > now)
        });
    }

    /// A tick is stable when all agents have applied one that is later by `decision_wait`: by then, every window is
    /// settled in which a holder had reported, before that, a trace that was decided then.
    fn advance_stable(&mut self) {
        let applied = self.agents.values().map(|attendant| attendant.applied).min().unwrap_or(self.tick);
        let at = self.ticks.iter().find(|&&(tick, _)| tick >= applied).map(|&(_, at)| at);
        let until = at.filter(|_| applied > 0).and_then(|at| at.checked_sub(self.decision_wait));
        let Some(until) = until else { return };
        // What was dropped in silence may be kept as long as something is undecided that was reported before that was
        // known.
        let by_settled = self.agents.values().map(|attendant| attendant.applied_by_settled).min();
        let is_told = |tick| tick > self.silent_until || by_settled.is_none_or(|applied| tick < applied);
        let is_stable = |&mut (tick, at): &mut _| at <= until && tick < applied && is_told(tick);
        while let Some((tick, _)) = self.ticks.pop_front_if(is_stable) {
            self.stable = tick;
        }
    }
}

impl Attendant {
    fn decisions(&mut self, tick: u64, stable: u64, silence: Duration) -> Decisions {
        let kept: Vec<_> = self.kept.drain(..self.kept.len().min(KEPT_MAX)).collect();
        // What is settled may be dropped, so all that is to be kept has to be named before.
        if self.kept.is_empty() {
            self.told_all = tick;
            self.told_settled = self.settled.iter().copied().min().unwrap_or(0);
            if self.told_settled >= self.begins {
                self.informed.get_or_insert(tick);
            }
        }
        Decisions { tick, settled: self.told_settled, stable, silence, kept }
    }

    /// All is decided that this window and those before it have reported to a shard.
    fn settle(&mut self, shard: usize, window: u64) {
        let Some(settled) = self.settled.get_mut(shard) else { return };
        *settled = window.max(*settled);
        let all = self.settled.iter().copied().min().unwrap_or(0);
        while let Some((_, applied)) = self.acknowledged.pop_front_if(|&mut (window, _)| window <= all) {
            self.applied_by_settled = applied;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retroactive::program::ProgramId;

    fn report(window: u64, applied: u64) -> Report {
        let horizon = Duration::from_secs(100);
        let program = ProgramId(1);
        Report { window, program, applied, horizon, members: 1, ..Report::default() }
    }

    fn fleet() -> Coordination {
        let settings = CoordinationSettings {
            decision_wait: 10 * SECOND,
            shards: 1,
            mode: EvidenceMode::Exact,
            pending_bytes: 1 << 20,
        };
        Coordination::new(settings, 0)
    }

    /// What is stable after an agent has acknowledged for a minute what it was told; `other` has connected before.
    fn stable_after(other: impl Fn(&mut Coordination)) -> u64 {
        let mut fleet = fleet();
        let agent = AgentNumber(1);
        fleet.joined(agent, 0);
        fleet.joined(AgentNumber(2), 0);
        other(&mut fleet);
        let mut stable = 0;
        for second in 1..60 {
            let now = second * SECOND;
            fleet.reported(agent, &report(second, fleet.tick), now).unwrap();
            fleet.notice(0, Notice::Settled(agent, second), now);
            stable = fleet.tick(now).last().unwrap().1.stable;
        }
        stable
    }

    #[test]
    fn an_agent_that_has_gone_is_waited_for_if_it_has_told_of_anything() {
        let gone = AgentNumber(2);
        assert!(stable_after(|fleet| fleet.left(gone, 0)) > 40, "it never told anything");
        let told = |fleet: &mut Coordination| {
            fleet.reported(gone, &report(1, 0), 0).unwrap();
            fleet.left(gone, 0);
        };
        assert_eq!(stable_after(told), 0, "its horizon has not passed");
        let lost = |fleet: &mut Coordination| {
            told(fleet);
            fleet.lost(gone, 0);
        };
        assert!(stable_after(lost) > 40);
    }

    #[test]
    fn an_agent_that_never_acknowledges_is_known_after_ten_minutes() {
        let mut fleet = fleet();
        let (good, bad) = (AgentNumber(1), AgentNumber(2));
        [good, bad].into_iter().for_each(|agent| fleet.joined(agent, 0));
        for second in 1..=600 {
            let now = second * SECOND;
            fleet.reported(good, &report(second, fleet.tick), now).unwrap();
            fleet.reported(bad, &report(second, 0), now).unwrap();
            for agent in [good, bad] {
                fleet.notice(0, Notice::Settled(agent, second), now);
            }
            fleet.tick(now);
            assert_eq!(fleet.unresponsive(now), None);
            assert_eq!(fleet.slowest(now), Some((bad, now)));
        }
        assert_eq!(fleet.unresponsive(601 * SECOND), Some(bad));
        fleet.lost(bad, 601 * SECOND);
        assert_eq!(fleet.unresponsive(601 * SECOND), None);
        fleet.tick(602 * SECOND);
        assert!(fleet.ticks.len() < 20, "the others free what they have dropped");
    }

    #[test]
    fn what_is_kept_is_told_soon_and_that_nothing_is_once_a_second() {
        let (mut fleet, agent) = (fleet(), AgentNumber(1));
        assert_eq!(fleet.next_tick(), SECOND);
        fleet.joined(agent, 10);
        assert_eq!(fleet.next_tick(), TICK);
        fleet.tick(TICK);
        fleet.notice(0, Notice::Settled(agent, 1), 2 * TICK);
        assert_eq!(fleet.next_tick(), TICK + SECOND);
        let kept = Kept { policy: 0, part: None, threshold: None };
        let key = TraceKey::of(forebay_otlp::TraceId(1 << 20));
        fleet.notice(0, Notice::Keep(key, kept, Holders::These(vec![agent])), 3 * TICK);
        assert_eq!(fleet.next_tick(), 2 * TICK, "at once, since the last was long ago");
        assert_eq!(fleet.tick(3 * TICK)[0].1.kept, [(key, kept)]);
        assert_eq!(fleet.next_tick(), 3 * TICK + SECOND);
        fleet.left(agent, 4 * TICK);
        assert_eq!(fleet.next_tick(), 4 * TICK);
    }
}
