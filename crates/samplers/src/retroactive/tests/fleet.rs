//! A fleet in virtual time: agents, coordinators, and streams between them that delay messages and break.

use std::collections::{BTreeMap, VecDeque};

use forebay_otlp::SpanIndex;
use forebay_otlp::threshold::Threshold;
use tempfile::TempDir;

use crate::Compatibility;
use crate::retroactive::message::{Decisions, Report};
use crate::retroactive::program::{Program, ProgramId};
use crate::retroactive::{
    AgentSettings, Coordination, CoordinationSettings, DiskTier, EvidenceMode, Members, RetroactiveAgent,
};
use crate::tail::{AgentNumber, Nanos, Output, Remember, Reported, TailSampler};
use crate::testing::{MILLISECOND, Span, Tail, decode, request, settings};

/// Time passes in steps of this.
pub(super) const STEP: Nanos = 100 * MILLISECOND;
const PROGRAM: ProgramId = ProgramId(1);

pub(super) struct Fleet {
    pub(super) now: Nanos,
    pub(super) agents: Vec<Agent>,
    coordinators: Vec<Coordinator>,
    program: Program,
    streams: BTreeMap<(usize, usize), Stream>,
    /// How long messages take.
    pub(super) delay: Nanos,
    /// What has left, by span id.
    pub(super) kept: BTreeMap<Vec<u8>, Span>,
    yaml: String,
    mode: EvidenceMode,
}

pub(super) struct Agent {
    pub(super) sampler: RetroactiveAgent,
    settings: AgentSettings,
    /// When its clock was zero.
    zero: Nanos,
    /// Where its spans wait, if they do so on disk.
    directory: Option<TempDir>,
    /// The coordinators that it knows.
    members: Vec<usize>,
    /// Nothing gets through to and from it before.
    cut_until: Nanos,
    /// What goes to it and comes from it takes so much longer than with others.
    pub(super) lag: Nanos,
    /// Before that nothing comes through, though nothing is lost.
    pub(super) stalled_until: Nanos,
}

struct Coordinator {
    sampler: TailSampler,
    coordination: Coordination,
    down_until: Nanos,
}

/// A stream of one agent to one coordinator.
struct Stream {
    number: AgentNumber,
    up: VecDeque<(Nanos, Report)>,
    down: VecDeque<(Nanos, Decisions)>,
}

const OF_AGENTS: AgentSettings = AgentSettings {
    pending_bytes: 64 << 20,
    remember_kept: Remember::Decisions(1 << 16),
    remember_dropped: Remember::Decisions(1 << 16),
    egress_bytes_per_second: None,
    epoch_unix_nano: 0,
};

fn name(coordinator: usize) -> String {
    format!("coordinator-{coordinator}:4319")
}

impl Fleet {
    /// So many agents and coordinators, which decide by the settings in `yaml`.
    pub(super) fn new(agents: usize, coordinators: usize, yaml: &str) -> Self {
        let members: Vec<_> = (0..coordinators).collect();
        let mut fleet = Self {
            now: 0,
            agents: Vec::new(),
            coordinators: (0..coordinators).map(|_| Coordinator::new(yaml, EvidenceMode::Exact, 0)).collect(),
            program: settings(yaml, Compatibility::default()).policies.program(false),
            streams: BTreeMap::new(),
            delay: 0,
            kept: BTreeMap::new(),
            yaml: yaml.to_owned(),
            mode: EvidenceMode::Exact,
        };
        for index in 0..agents {
            fleet.agents.push(Agent {
                sampler: RetroactiveAgent::new(OF_AGENTS),
                settings: OF_AGENTS,
                zero: 0,
                directory: None,
                members: Vec::new(),
                cut_until: 0,
                lag: 0,
                stalled_until: 0,
            });
            fleet.know(index, &members);
        }
        fleet
    }

    /// Lets agents tell of traces in this way, if the policies allow it.
    pub(super) fn telling(mut self, mode: EvidenceMode) -> Self {
        let policies = settings(&self.yaml, Compatibility::default()).policies;
        if policies.needing_all_evidence().is_none() {
            self.mode = mode;
            (0..self.coordinators.len()).for_each(|index| self.kill_coordinator(index, 0));
        }
        self
    }

    /// Lets the spans of all agents wait on disk.
    pub(super) fn with_disks(mut self) -> Self {
        for index in 0..self.agents.len() {
            self.agents[index].directory = Some(tempfile::tempdir().unwrap());
            self.restart_agent(index, 0);
        }
        self
    }

    /// Lets all agents have so many bytes for what is undecided.
    pub(super) fn with_room(mut self, pending_bytes: usize) -> Self {
        for index in 0..self.agents.len() {
            self.agents[index].settings.pending_bytes = pending_bytes;
            self.restart_agent(index, 0);
        }
        self
    }

    /// Kills an agent as [`Self::restart_agent`] does. When it is back, it is so late by its clock.
    pub(super) fn restart_agent_at(&mut self, index: usize, unix_nano: u64, time: Nanos) -> u64 {
        self.agents[index].settings.epoch_unix_nano = unix_nano;
        self.agents[index].zero = self.now;
        self.restart_agent(index, time)
    }

    /// Lets coordinators keep only traces whose randomness reaches this too.
    pub(super) fn shed_below(&mut self, threshold: Threshold) {
        self.coordinators.iter_mut().for_each(|coordinator| coordinator.sampler.shed_below(threshold));
    }

    /// Kills an agent, which is back at once and connects after a while. Of what it held it has what is on disk.
    /// Returns how many spans those are.
    pub(super) fn restart_agent(&mut self, index: usize, time: Nanos) -> u64 {
        self.cut_agent(index, time);
        let now = self.now;
        let agent = &mut self.agents[index];
        agent.settings.epoch_unix_nano += now - agent.zero;
        agent.zero = now;
        agent.sampler = RetroactiveAgent::new(agent.settings);
        let mut out = Vec::new();
        let mut recovered = 0;
        if let Some(directory) = &agent.directory {
            let (tier, _) = DiskTier::open(directory.path(), 64 << 20, [1; 16]).unwrap();
            agent.sampler = RetroactiveAgent::with_disk(agent.settings, tier);
            recovered = agent.sampler.recover(0, &mut out);
        }
        let members = agent.members.clone();
        self.deliver(out);
        self.know(index, &members);
        recovered
    }

    /// Gives an agent a list of coordinators.
    pub(super) fn know(&mut self, agent: usize, coordinators: &[usize]) {
        let known = &mut self.agents[agent];
        known.members = coordinators.to_vec();
        known.sampler.set_members(Members::new(coordinators.iter().map(|&index| name(index))));
        let gone: Vec<_> =
            self.streams.keys().filter(|(a, c)| *a == agent && !coordinators.contains(c)).copied().collect();
        gone.into_iter().for_each(|stream| self.cut(stream));
    }

    /// Brings spans to an agent.
    pub(super) fn accept(&mut self, agent: usize, spans: Vec<Span>) {
        let request = request(spans);
        let index = SpanIndex::scan(&request).unwrap();
        let mut out = Vec::new();
        let Agent { sampler, zero, .. } = &mut self.agents[agent];
        sampler.accept(&request, &index.envelopes, &index.spans, self.now - *zero, &mut out);
        self.deliver(out);
    }

    /// Brings spans to a coordinator, which is a gateway too.
    pub(super) fn accept_at_coordinator(&mut self, coordinator: usize, spans: Vec<Span>) {
        let request = request(spans);
        let index = SpanIndex::scan(&request).unwrap();
        let mut out = Vec::new();
        let sampler = &mut self.coordinators[coordinator].sampler;
        sampler.accept(&request, &index.envelopes, &index.spans, self.now, &mut out);
        self.deliver(out);
    }

    /// Kills a coordinator, which is back after a while without its memory.
    pub(super) fn kill_coordinator(&mut self, index: usize, down: Nanos) {
        let streams: Vec<_> = self.streams.keys().filter(|(_, c)| *c == index).copied().collect();
        streams.into_iter().for_each(|stream| self.cut(stream));
        self.coordinators[index] = Coordinator::new(&self.yaml, self.mode, self.now + down);
    }

    /// Cuts an agent off for a while.
    pub(super) fn cut_agent(&mut self, index: usize, time: Nanos) {
        let streams: Vec<_> = self.streams.keys().filter(|(a, _)| *a == index).copied().collect();
        streams.into_iter().for_each(|stream| self.cut(stream));
        self.agents[index].cut_until = self.now + time;
    }

    /// Lets a step pass.
    pub(super) fn step(&mut self) {
        self.now += STEP;
        self.connect();
        self.report();
        self.decide();
        self.tell();
        self.agents.iter_mut().for_each(|agent| agent.sampler.flush());
    }

    pub(super) fn run(&mut self, time: Nanos) {
        (0..time / STEP).for_each(|_| self.step());
    }

    fn cut(&mut self, stream: (usize, usize)) {
        if let Some(Stream { number, .. }) = self.streams.remove(&stream) {
            self.agents[stream.0].sampler.disconnected(&name(stream.1));
            self.coordinators[stream.1].coordination.left(number, self.now);
        }
    }

    fn connect(&mut self) {
        for index in 0..self.agents.len() {
            if self.agents[index].cut_until > self.now {
                continue;
            }
            for coordinator in self.agents[index].members.clone() {
                let is_up = self.coordinators[coordinator].down_until <= self.now;
                if !is_up || self.streams.contains_key(&(index, coordinator)) {
                    continue;
                }
                let number = AgentNumber(u32::try_from(index).unwrap());
                let now = self.now;
                self.coordinators[coordinator].coordination.joined(number, now);
                let Agent { sampler, zero, .. } = &mut self.agents[index];
                sampler.connected(&name(coordinator));
                sampler.follows(&name(coordinator), PROGRAM);
                let mut out = Vec::new();
                sampler.set_program(PROGRAM, &self.program, self.now - *zero, &mut out).unwrap();
                self.deliver(out);
                let stream = Stream { number, up: VecDeque::new(), down: VecDeque::new() };
                self.streams.insert((index, coordinator), stream);
            }
        }
    }

    /// Every agent reports once a second, each at its own time.
    fn report(&mut self) {
        for (&(agent, coordinator), stream) in &mut self.streams {
            let turn = self.now / STEP + agent as u64 * 3;
            let Agent { sampler, zero, lag, .. } = &mut self.agents[agent];
            sampler.meter(self.now - *zero);
            if turn.is_multiple_of(10)
                && let Some(report) = sampler.report(&name(coordinator), self.now - *zero)
            {
                stream.up.push_back((self.now + self.delay + *lag, report));
            }
        }
    }

    fn decide(&mut self) {
        let (now, mut out) = (self.now, Vec::new());
        let stalled = |agent: usize| self.agents[agent].stalled_until > now;
        for (&(_, index), stream) in self.streams.iter_mut().filter(|((agent, _), _)| !stalled(*agent)) {
            let Coordinator { sampler, coordination, .. } = &mut self.coordinators[index];
            while let Some((_, report)) = stream.up.pop_front_if(|(at, _)| *at <= now) {
                coordination.reported(stream.number, &report, now).unwrap();
                let horizon = Nanos::try_from(report.horizon.as_nanos()).unwrap();
                let (agent, Report { window, pieces, moved_on, .. }) = (stream.number, report);
                sampler.report(Reported { agent, window, horizon, pieces, moved_on }, now, &mut out);
            }
        }
        for Coordinator { sampler, coordination, .. } in &mut self.coordinators {
            sampler.hold(coordination.hold_until(now));
            sampler.set_deserted(coordination.is_deserted());
            sampler.decide_due(now, &mut out);
            sampler.take_notices().for_each(|notice| coordination.notice(0, notice, now));
        }
        self.deliver(out);
    }

    fn tell(&mut self) {
        let (now, mut out) = (self.now, Vec::new());
        for (index, coordinator) in self.coordinators.iter_mut().enumerate() {
            if coordinator.down_until <= now && (now / STEP).is_multiple_of(2) {
                for (number, decisions) in coordinator.coordination.tick(now) {
                    let mut streams = self.streams.iter_mut().filter(|((_, c), _)| *c == index);
                    let ((agent, _), stream) = streams.find(|(_, stream)| stream.number == number).unwrap();
                    let lag = self.agents[*agent].lag;
                    stream.down.push_back((now + self.delay + lag, decisions));
                }
            }
        }
        for (&(agent, coordinator), stream) in &mut self.streams {
            let Agent { sampler, zero, stalled_until, .. } = &mut self.agents[agent];
            while let Some((_, decisions)) =
                stream.down.pop_front_if(|(at, _)| *at <= now && *stalled_until <= now)
            {
                sampler.decided(&name(coordinator), &decisions, now - *zero, &mut out);
            }
        }
        self.deliver(out);
    }

    fn deliver(&mut self, out: Vec<Output>) {
        for output in out {
            for located in decode(&output.request) {
                let before = self.kept.insert(located.span.span_id.clone(), located.span);
                assert_eq!(before, None, "a span leaves once");
            }
        }
    }
}

impl Coordinator {
    fn new(yaml: &str, mode: EvidenceMode, begins: Nanos) -> Self {
        let mut settings = settings(yaml, Compatibility::default());
        settings.coordinates = true;
        let coordination = CoordinationSettings {
            decision_wait: settings.decision_wait,
            shards: 1,
            mode,
            pending_bytes: 1 << 30,
        };
        let coordination = Coordination::new(coordination, begins);
        Self { sampler: TailSampler::new(settings), coordination, down_until: begins }
    }
}

/// What a tail sampler keeps that gets all spans, each at its time; by span id.
pub(super) fn tail(yaml: &str, arrivals: &[(Nanos, Span)]) -> BTreeMap<Vec<u8>, Span> {
    let mut tail = Tail::new(yaml);
    let mut kept = Vec::new();
    for (now, span) in arrivals {
        kept.extend(tail.decide_due(*now));
        kept.extend(tail.accept(*now, &request(vec![span.clone()])));
    }
    kept.extend(tail.decide_due(Nanos::MAX / 2));
    kept.into_iter().map(|located| (located.span_id.clone(), located)).collect()
}
