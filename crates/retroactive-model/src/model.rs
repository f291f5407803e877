//! What can happen.

use stateright::{Model, Property};

use crate::agent::{Agent, Fate};
use crate::coordinator::{Coordinator, Stray};
use crate::policy::Policy;
use crate::rule::Rule;
use crate::state::{Faults, State};
use crate::stream::{Decisions, Known, Stream};
use crate::{AGENTS, COORDINATORS};

/// The protocol, with some traces and faults.
#[derive(Clone, Debug, Default)]
pub struct Protocol {
    /// What each trace is kept for.
    pub traces: Vec<Policy>,
    /// What may go wrong.
    pub faults: Faults,
    /// Rules that are left out.
    pub without: Vec<Rule>,
}

/// Something that happens. Agents and coordinators are numbered from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are who does it, to or from whom, and traces")]
pub enum Action {
    /// An agent opens a stream.
    Connect { agent: usize, coordinator: usize },
    /// An agent sends a report of these traces, and the coordinator reads it.
    Report { agent: usize, coordinator: usize, traces: Vec<usize>, acknowledges: bool },
    /// A coordinator reads a report a second time.
    ReadAgain { coordinator: usize },
    /// A coordinator decides a trace.
    Decide { coordinator: usize, trace: usize, kept: bool },
    /// A coordinator sends decisions, and the agent applies them.
    Tell { coordinator: usize, agent: usize },
    /// An agent learns of another list of coordinators.
    Learn { agent: usize },
    /// A stream breaks.
    Cut { agent: usize, coordinator: usize },
    /// A report will arrive again.
    Repeat { agent: usize, coordinator: usize, traces: Vec<usize> },
    /// A coordinator dies and starts again.
    CoordinatorDies { coordinator: usize },
    /// An agent starts again with its spans.
    AgentRestarts { agent: usize },
    /// An agent starts again without its spans.
    AgentDies { agent: usize },
}

/// The coordinator that a trace belongs to.
fn owner(list: u8, trace: usize) -> usize {
    usize::from(trace == 0 && list % 2 == 1)
}

/// Whether a trace has ever had another coordinator.
fn has_moved(list: u8, trace: usize) -> bool {
    (0..list).any(|before| owner(before, trace) != owner(before + 1, trace))
}

/// Whether a coordinator is on a list.
fn is_listed(list: u8, coordinator: usize) -> bool {
    coordinator == 0 || list % 2 == 1
}

impl Protocol {
    fn has(&self, rule: Rule) -> bool {
        !self.without.contains(&rule)
    }

    /// Whether an agent's evidence of a trace cannot change the verdict.
    pub(crate) fn is_silent(&self, agent: usize, trace: usize) -> bool {
        agent == 1 && self.traces[trace] == Policy::Silent
    }

    /// What an agent has yet to say of a trace on a stream.
    fn unsaid(&self, state: &State, agent: usize, coordinator: usize, trace: usize) -> Option<Known> {
        let stream = state.streams[agent][coordinator].as_ref()?;
        let is_silent = self.is_silent(agent, trace) && !has_moved(stream.list, trace);
        let all_is_told = self.all_is_told(state, coordinator);
        let is_known = state.coordinators[coordinator].known[trace][agent].is_some();
        let is_said = stream.has_brought(trace) && !(is_silent && all_is_told && !is_known);
        if owner(stream.list, trace) != coordinator || is_said {
            return None;
        }
        match state.agents[agent].pieces[trace].known()? {
            Known::Evidence if is_silent && !all_is_told => Some(Known::Silence),
            Known::Kept if !self.has(Rule::KeptIsEvidence) => None,
            Known::Kept if !self.has(Rule::KeptIsRepeated) && !stream.first => None,
            Known::Dropped if !self.has(Rule::DroppedIsEvidence) => Some(Known::Evidence),
            known => Some(known),
        }
    }

    /// Whether agents are not to be silent, because one is away.
    fn all_is_told(&self, state: &State, coordinator: usize) -> bool {
        let attended = state.coordinators[coordinator].attended;
        let is_away = |agent: usize| attended[agent].is_some() && state.streams[agent][coordinator].is_none();
        self.has(Rule::SilenceBreaks) && (0..AGENTS).any(is_away)
    }

    /// The reports that an agent could send: which traces are in them, and whether they acknowledge what it has applied.
    fn reports(&self, state: &State, agent: usize, coordinator: usize) -> Vec<(Vec<usize>, bool)> {
        let Some(stream) = &state.streams[agent][coordinator] else { return Vec::new() };
        let unsaid: Vec<usize> = (0..self.traces.len())
            .filter(|&trace| self.unsaid(state, agent, coordinator, trace).is_some())
            .collect();
        let all = (1 << unsaid.len()) - 1;
        let news = stream.decisions.to_acknowledge() != stream.acknowledged;
        let mut reports = Vec::new();
        for set in 0..=all {
            let traces = || (0..unsaid.len()).filter(|at| set >> at & 1 == 1).map(|at| unsaid[at]).collect();
            if set > 0 {
                reports.push((traces(), false));
            }
            if news && (set == all || !self.has(Rule::ReportsBeforeAcknowledging)) {
                reports.push((traces(), true));
            }
        }
        reports
    }

    /// Whether a coordinator may judge a trace by what it knows: it has waited for those who are away, and what those
    /// who are there have to say has come.
    fn may_decide(&self, state: &State, coordinator: usize, trace: usize) -> bool {
        let attended = state.coordinators[coordinator].attended;
        let everybody = (0..AGENTS).all(|agent| match &state.streams[agent][coordinator] {
            None => !self.has(if attended[agent].is_some() { Rule::Patience } else { Rule::Grace }),
            Some(_) => {
                self.unsaid(state, agent, coordinator, trace).is_none_or(|known| known == Known::Silence)
            }
        });
        everybody && self.lists_agree(state, coordinator)
    }

    /// Whether all agents that have attended have told the same list last.
    fn lists_agree(&self, state: &State, coordinator: usize) -> bool {
        let mut lists = state.coordinators[coordinator].attended.iter().flatten();
        let first = lists.next();
        !self.has(Rule::OneList) || lists.all(|list| Some(list) == first)
    }

    /// The last tick whose decisions all agents know; `None` if that cannot be said now.
    fn stable(&self, state: &State, coordinator: usize) -> Option<u8> {
        let Coordinator { attended, known, verdicts, former, .. } = &state.coordinators[coordinator];
        let mut stable = u8::MAX;
        for agent in 0..AGENTS {
            let Some(stream) = &state.streams[agent][coordinator] else {
                if attended[agent].is_some() && self.has(Rule::StabilityWaits) {
                    return None;
                }
                continue;
            };
            let (tick, settled) = stream.acknowledged;
            stable = stable.min(tick);
            if self.has(Rule::SettledIsKnown) {
                let unknown = stream.windows.iter().skip(settled).flatten();
                let reported = unknown.filter(|&&trace| known[trace][agent].is_some());
                // Others may have known of it since it was decided first.
                let decided = reported.filter_map(|&trace| Some(former[trace].or(verdicts[trace])?.tick - 1));
                stable = decided.fold(stable, u8::min);
            }
        }
        self.lists_agree(state, coordinator).then_some(stable)
    }

    /// What a coordinator has to tell an agent now.
    fn decisions(&self, state: &State, coordinator: usize, agent: usize, stream: &Stream) -> Decisions {
        let Coordinator { tick, known, verdicts, .. } = &state.coordinators[coordinator];
        let is_decided = |&trace: &usize| {
            let is_silent = known[trace][agent].is_none();
            let nothing_comes =
                || known[trace] == [None; AGENTS] && self.may_decide(state, coordinator, trace);
            let is_over = || !self.has(Rule::SilenceWaits) || nothing_comes();
            verdicts[trace].is_some() || is_silent && !self.all_is_told(state, coordinator) && is_over()
        };
        let is_kept = |&trace: &usize| {
            let is_silent = known[trace][agent].is_none();
            let is_told = |tick: u8| !is_silent || self.has(Rule::KeptIsRetold) || tick > stream.opened;
            verdicts[trace].is_some_and(|verdict| verdict.kept && is_told(verdict.tick))
        };
        let settled = stream.windows.iter().take_while(|window| window.iter().all(is_decided)).count();
        let stable = self.stable(state, coordinator).unwrap_or_default();
        Decisions {
            tick: *tick,
            settled: settled.max(stream.decisions.settled),
            stable: stable.max(stream.decisions.stable),
            kept: (0..self.traces.len()).filter(|&trace| stream.has_brought(trace)).filter(is_kept).collect(),
        }
    }

    /// What can happen without a fault.
    pub(crate) fn progress(&self, state: &State, actions: &mut Vec<Action>) {
        for coordinator in 0..COORDINATORS {
            for agent in 0..AGENTS {
                let Some(stream) = &state.streams[agent][coordinator] else {
                    if is_listed(state.agents[agent].list, coordinator) {
                        actions.push(Action::Connect { agent, coordinator });
                    }
                    continue;
                };
                for (traces, acknowledges) in self.reports(state, agent, coordinator) {
                    actions.push(Action::Report { agent, coordinator, traces, acknowledges });
                }
                if self.decisions(state, coordinator, agent, stream) != stream.decisions {
                    actions.push(Action::Tell { coordinator, agent });
                }
            }
            if state.coordinators[coordinator].stray.is_some() {
                actions.push(Action::ReadAgain { coordinator });
            }
            for (trace, policy) in self.traces.iter().enumerate() {
                if self.may_decide(state, coordinator, trace) {
                    let verdicts = state.coordinators[coordinator].possible(trace, *policy).iter();
                    actions.extend(verdicts.map(|&kept| Action::Decide { coordinator, trace, kept }));
                }
            }
        }
        let newest = state.agents.iter().map(|agent| agent.list).max();
        let behind = (0..AGENTS).filter(|&agent| Some(state.agents[agent].list) < newest);
        actions.extend(behind.map(|agent| Action::Learn { agent }));
    }

    /// What can go wrong.
    fn mishaps(state: &State, actions: &mut Vec<Action>) {
        let Faults { cuts, coordinators_die, agents_restart, agents_die, repeats, changes } = state.faults;
        let mut add = |left: u8, action: Action| {
            if left > 0 {
                actions.push(action);
            }
        };
        for agent in 0..AGENTS {
            add(agents_restart, Action::AgentRestarts { agent });
            add(agents_die, Action::AgentDies { agent });
            if state.agents.iter().all(|other| other.list <= state.agents[agent].list) {
                add(changes, Action::Learn { agent });
            }
            for coordinator in 0..COORDINATORS {
                let Some(stream) = &state.streams[agent][coordinator] else { continue };
                add(cuts, Action::Cut { agent, coordinator });
                let again =
                    |window: &Vec<usize>| Action::Repeat { agent, coordinator, traces: window.clone() };
                if state.coordinators[coordinator].stray.is_none()
                    && let Some(window) = stream.windows.last()
                {
                    add(repeats, again(window));
                }
            }
        }
        for coordinator in 0..COORDINATORS {
            if state.streams.iter().any(|streams| streams[coordinator].is_some()) {
                add(coordinators_die, Action::CoordinatorDies { coordinator });
            }
        }
    }

    /// What becomes of the pieces of an agent that starts again with its spans.
    fn recover(&self, agent: &mut Agent) {
        agent.met = [None; COORDINATORS];
        for piece in &mut agent.pieces {
            if matches!(piece, Fate::Dropped | Fate::Freed) && !self.has(Rule::DropsAreDurable) {
                *piece = Fate::Undecided;
            }
        }
    }

    /// An agent says `Hello`.
    fn connect(&self, state: &mut State, agent: usize, at: usize) {
        let coordinator = &mut state.coordinators[at];
        let list = state.agents[agent].list;
        let met = state.agents[agent].met[at].replace(coordinator.process);
        let stream =
            Stream::open(list, coordinator.tick, met != Some(coordinator.process), self.traces.len());
        state.streams[agent][at] = Some(stream);
        coordinator.attended[agent] = Some(list);
        if self.has(Rule::StreamsReplace) {
            coordinator.forget_evidence(agent);
        }
    }

    /// An agent reports these traces in a window of their own; without traces it is only an acknowledgement.
    fn report(
        &self,
        state: &mut State,
        agent: usize,
        coordinator: usize,
        traces: Vec<usize>,
        acknowledges: bool,
    ) {
        let say = |&trace: &usize| Some((trace, self.unsaid(state, agent, coordinator, trace)?));
        let pieces: Vec<_> = traces.iter().filter_map(say).collect();
        let Some(stream) = &mut state.streams[agent][coordinator] else { return };
        if acknowledges {
            stream.acknowledged = stream.decisions.to_acknowledge();
        }
        let list = stream.list;
        if !traces.is_empty() {
            stream.report(traces);
        }
        let coordinator = &mut state.coordinators[coordinator];
        for &(trace, _) in pieces.iter().filter(|&&(trace, _)| has_moved(list, trace)) {
            if self.has(Rule::MovedIsOpen) {
                coordinator.reopen(trace);
            }
        }
        coordinator.learn(agent, &pieces);
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let traces = self.traces.len();
        let agent = |agent: usize| Agent {
            list: 0,
            pieces: self
                .traces
                .iter()
                .map(|policy| match policy {
                    Policy::Clause if agent == 0 => Fate::Kept,
                    _ => Fate::Undecided,
                })
                .collect(),
            met: [None; COORDINATORS],
        };
        vec![State {
            agents: std::array::from_fn(agent),
            coordinators: std::array::from_fn(|_| Coordinator::start(0, traces)),
            streams: Default::default(),
            faults: self.faults,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.progress(state, actions);
        Self::mishaps(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Connect { agent, coordinator } => self.connect(&mut state, agent, coordinator),
            Action::Report { agent, coordinator, traces, acknowledges } => {
                self.report(&mut state, agent, coordinator, traces, acknowledges);
            }
            Action::ReadAgain { coordinator } => {
                let coordinator = &mut state.coordinators[coordinator];
                let stray = coordinator.stray.take()?;
                coordinator.learn(stray.agent, &stray.pieces);
            }
            Action::Decide { coordinator, trace, kept } => {
                state.coordinators[coordinator].decide(trace, kept);
            }
            Action::Tell { coordinator, agent } => {
                let stream = state.streams[agent][coordinator].as_mut()?;
                let decisions = self.decisions(last, coordinator, agent, stream);
                stream.tell(decisions, &mut state.agents[agent].pieces, self.has(Rule::Stability));
            }
            Action::Learn { agent } => {
                if state.agents.iter().all(|other| other.list <= last.agents[agent].list) {
                    state.faults.changes -= 1;
                }
                state.agents[agent].list += 1;
                state.streams[agent] = Default::default();
            }
            Action::Cut { agent, coordinator } => {
                state.faults.cuts -= 1;
                state.streams[agent][coordinator] = None;
            }
            Action::Repeat { agent, coordinator, traces } => {
                state.faults.repeats -= 1;
                let known = &last.coordinators[coordinator].known;
                let pieces = traces.iter().filter_map(|&trace| Some((trace, known[trace][agent]?))).collect();
                state.coordinators[coordinator].stray = Some(Stray { agent, pieces });
            }
            Action::CoordinatorDies { coordinator } => {
                state.faults.coordinators_die -= 1;
                let process = state.coordinators[coordinator].process + 1;
                state.coordinators[coordinator] = Coordinator::start(process, self.traces.len());
                for streams in &mut state.streams {
                    streams[coordinator] = None;
                }
            }
            Action::AgentRestarts { agent } => {
                state.faults.agents_restart -= 1;
                state.streams[agent] = Default::default();
                self.recover(&mut state.agents[agent]);
            }
            Action::AgentDies { agent } => {
                state.faults.agents_die -= 1;
                state.streams[agent] = Default::default();
                state.agents[agent].die();
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Self::invariants()
    }
}
