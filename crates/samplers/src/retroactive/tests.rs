//! What a fleet keeps is what a tail sampler keeps, whatever happens on the way.

mod disk;
mod faults;
mod fleet;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use forebay_otlp::threshold::Threshold;
use forebay_otlp::tracestate::TraceState;
use proptest::prelude::*;

use self::fleet::{Fleet, STEP, tail};
use super::EvidenceMode;
use crate::Compatibility;
use crate::tail::Nanos;
use crate::testing::{
    MILLISECOND, SECOND, Span, Status, attribute, random, settings, span, span_with_state, text, trace,
};

/// Policies of every kind that judges a trace by itself.
const POLICIES: &[&str] = &[
    "{name: p, type: status_code, status_code: {status_codes: [ERROR]}}",
    "{name: p, type: latency, latency: {threshold_ms: 500}}",
    "{name: p, type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 400}}",
    "{name: p, type: probabilistic, probabilistic: {sampling_percentage: 20}}",
    "{name: p, type: string_attribute, string_attribute: {key: route, values: [/pay]}}",
    "{name: p, type: string_attribute, string_attribute: {key: route, values: [/pay], invert_match: true}}",
    "{name: p, type: span_count, span_count: {min_spans: 6}}",
    "{name: p, type: span_count, span_count: {min_spans: 2, max_spans: 3}}",
    "{name: p, type: ottl_condition, ottl_condition: {span: ['attributes[\"route\"] == \"/pay\"']}}",
    "{name: p, type: and, and: {and_sub_policy: [{name: a, type: latency, latency: {threshold_ms: 200}}, \
      {name: b, type: probabilistic, probabilistic: {sampling_percentage: 50}}]}}",
    "{name: p, type: not, not: {not_sub_policy: {name: a, type: status_code, status_code: {status_codes: [ERROR]}}}}",
    "{name: p, type: drop, drop: {drop_sub_policy: [{name: a, type: string_attribute, \
      string_attribute: {key: route, values: [/health]}}]}}",
    "{name: p, type: always_sample}",
];

const SERVER: i32 = 2;

/// A span on its way: when, and to which agent.
#[derive(Clone, Debug)]
struct Arrival {
    at: Nanos,
    agent: usize,
    span: Span,
}

/// What happens to a fleet.
#[derive(Clone, Copy, Debug)]
enum Fault {
    KillCoordinator {
        index: usize,
        down: Nanos,
    },
    CutAgent {
        index: usize,
        time: Nanos,
    },
    /// One agent after the other learns that there is one coordinator fewer, or that it is back.
    Members {
        without: Option<usize>,
        apart: Nanos,
    },
    /// What an agent has to say and to hear takes so long.
    SlowAgent {
        index: usize,
        lag: Nanos,
    },
    /// Coordinators keep only what reaches this too.
    Shed(Threshold),
    /// It waits for so long, and then comes at once.
    Stall {
        index: usize,
        time: Nanos,
    },
}

fn configuration(policies: &[&str]) -> String {
    let named: Vec<_> = policies
        .iter()
        .enumerate()
        .map(|(index, policy)| policy.replacen("name: p", &format!("name: p{index}"), 1))
        .collect();
    format!("{{decision_wait: 10s, policies: [{}]}}", named.join(", "))
}

/// Traces of one to eight spans, which come to some of the agents within two seconds.
fn traffic(seed: u64, traces: u64, agents: usize, over: Nanos) -> Vec<Arrival> {
    let mut random = random(seed);
    let mut next = move |below: u64| random.next().unwrap() % below;
    let mut arrivals = Vec::new();
    let mut number = 0;
    for index in 1..=traces {
        let id = trace(index, next(1 << 56));
        let begun = next(over);
        let agents_of_trace = 1 + next(agents as u64);
        for position in 0..1 + next(8) {
            number += 1;
            let mut span = span(id, number);
            span.start_time_unix_nano = SECOND + next(400) * MILLISECOND;
            span.end_time_unix_nano = span.start_time_unix_nano + next(200) * MILLISECOND;
            if position > 0 {
                span.parent_span_id = 1_u64.to_be_bytes().to_vec();
            }
            if next(40) == 0 {
                span.status = Some(Status { code: 2, ..Status::default() });
            }
            let route = ["/pay", "/buy", "/health", "/home"][usize::try_from(next(4)).unwrap()];
            if next(3) == 0 {
                span.attributes.push(attribute("route", text(route)));
            }
            let agent = usize::try_from(next(agents_of_trace)).unwrap();
            arrivals.push(Arrival { at: begun + next(2 * SECOND), agent, span });
        }
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}

/// The same where a `SERVER` span lies within the span that has called it: the root is as long as the trace.
fn nested_traffic(seed: u64, traces: u64, agents: usize, over: Nanos) -> Vec<Arrival> {
    let mut arrivals = traffic(seed, traces, agents, over);
    let mut extents = BTreeMap::new();
    for Arrival { span, .. } in &arrivals {
        let extent = extents.entry(span.trace_id.clone()).or_insert((u64::MAX, 0));
        *extent = (extent.0.min(span.start_time_unix_nano), extent.1.max(span.end_time_unix_nano));
    }
    let mut random = random(seed);
    for Arrival { span, .. } in &mut arrivals {
        if span.parent_span_id.is_empty() {
            (span.start_time_unix_nano, span.end_time_unix_nano) = extents[&span.trace_id];
        } else if !random.next().unwrap().is_multiple_of(4) {
            span.kind = SERVER;
        }
    }
    arrivals
}

fn reference(yaml: &str, arrivals: &[Arrival]) -> BTreeMap<Vec<u8>, Span> {
    let spans: Vec<_> = arrivals.iter().map(|arrival| (arrival.at, arrival.span.clone())).collect();
    tail(yaml, &spans)
}

/// Lets spans arrive and faults happen, each at its time, and waits until all is decided.
fn play(fleet: &mut Fleet, arrivals: &[Arrival], faults: &[(Nanos, Fault)], coordinators: usize) {
    let mut arrivals = arrivals.iter().peekable();
    let mut changes: Vec<(Nanos, usize, Vec<usize>)> = Vec::new();
    let end = arrivals.clone().last().map_or(0, |arrival| arrival.at) + 60 * SECOND;
    let mut faults: Vec<_> = faults.to_vec();
    while fleet.now < end {
        let now = fleet.now;
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at <= now) {
            fleet.accept(arrival.agent, vec![arrival.span.clone()]);
        }
        faults.retain(|&(at, fault)| {
            if at > now {
                return true;
            }
            match fault {
                Fault::KillCoordinator { index, down } => fleet.kill_coordinator(index, down),
                Fault::CutAgent { index, time } => fleet.cut_agent(index, time),
                Fault::SlowAgent { index, lag } => fleet.agents[index].lag = lag,
                Fault::Shed(threshold) => fleet.shed_below(threshold),
                Fault::Stall { index, time } => fleet.agents[index].stalled_until = now + time,
                Fault::Members { without, apart } => {
                    let members: Vec<_> = (0..coordinators).filter(|&index| Some(index) != without).collect();
                    for agent in 0..fleet.agents.len() {
                        changes.push((now + agent as u64 * apart, agent, members.clone()));
                    }
                }
            }
            false
        });
        // An agent that learns of a list does not learn of an older one later.
        while let Some(index) = changes.iter().rposition(|&(at, ..)| at <= now) {
            let (_, agent, members) = changes.remove(index);
            fleet.know(agent, &members);
            let mut position = 0..;
            changes.retain(|&(_, other, _)| position.next() >= Some(index) || other != agent);
        }
        fleet.step();
    }
}

/// How agents tell of traces, and policies that allow it.
fn telling() -> impl Strategy<Value = (EvidenceMode, Vec<&'static str>)> {
    let of = |mode, policies| {
        let policies = prop::collection::vec(prop::sample::select(policies), 1..4);
        policies.prop_map(move |policies| (mode, policies))
    };
    let exact = of(EvidenceMode::Exact, POLICIES.to_vec());
    let needs_all = |policy: &&str| {
        let yaml = configuration(&[policy]);
        settings(&yaml, Compatibility::default()).policies.needing_all_evidence().is_some()
    };
    let economical = POLICIES.iter().copied().filter(|policy| !needs_all(policy)).collect();
    prop_oneof![exact, of(EvidenceMode::Economical, economical)]
}

/// A fleet and its traffic, and how late messages come.
#[derive(Clone, Debug)]
struct Case {
    mode: EvidenceMode,
    yaml: String,
    seed: u64,
    agents: usize,
    delay: Nanos,
}

/// Fleets of so many agents, whose messages take so many steps.
fn cases(agents: Range<usize>, delays: Range<u64>) -> impl Strategy<Value = Case> {
    (telling(), any::<u64>(), agents, delays).prop_map(|((mode, policies), seed, agents, delay)| Case {
        mode,
        yaml: configuration(&policies),
        seed,
        agents,
        delay: delay * STEP,
    })
}

impl Case {
    /// Traffic of which agents can tell in this mode what a tail sampler would know.
    fn traffic(&self) -> Vec<Arrival> {
        match self.mode {
            EvidenceMode::Exact => traffic(self.seed, 120, self.agents, 15 * SECOND),
            // Agents are not silent before the coordinators are sure that all are there.
            _ => nested_traffic(self.seed, 160, self.agents, 45 * SECOND),
        }
    }

    fn fleet(&self, coordinators: usize) -> Fleet {
        let mut fleet = Fleet::new(self.agents, coordinators, &self.yaml).telling(self.mode);
        fleet.delay = self.delay;
        fleet
    }

    /// Plays it with these faults.
    fn play(&self, coordinators: usize, faults: &[(Nanos, Fault)]) -> Fleet {
        let mut fleet = self.fleet(coordinators);
        play(&mut fleet, &self.traffic(), faults, coordinators);
        fleet
    }

    /// What a tail sampler keeps of it.
    fn reference(&self) -> BTreeMap<Vec<u8>, Span> {
        reference(&self.yaml, &self.traffic())
    }

    fn split(&self, fleet: &Fleet) -> BTreeSet<Vec<u8>> {
        split(&fleet.kept, &self.traffic())
    }
}

/// The traces of which some, but not all spans have left.
fn split(kept: &BTreeMap<Vec<u8>, Span>, arrivals: &[Arrival]) -> BTreeSet<Vec<u8>> {
    let left: BTreeSet<_> = kept.values().map(|span| span.trace_id.clone()).collect();
    let missing = arrivals.iter().filter(|arrival| !kept.contains_key(&arrival.span.span_id));
    missing.map(|arrival| arrival.span.trace_id.clone()).filter(|id| left.contains(id)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_fleet_keeps_what_a_tail_sampler_keeps_and_stamps_it_alike(
        case in cases(1..5, 0..8), coordinators in 1_usize..3,
    ) {
        let fleet = case.play(coordinators, &[]);
        prop_assert_eq!(&fleet.kept, &case.reference());
        for agent in &fleet.agents {
            prop_assert_eq!(agent.sampler.pending_traces(), 0);
            prop_assert_eq!(agent.sampler.stats().pending_spans, 0);
        }
    }

    #[test]
    fn streams_that_break_and_coordinators_that_die_change_nothing(
        case in cases(1..5, 0..5), coordinators in 1_usize..3,
        kills in prop::collection::vec((0_u64..400, 0_usize..2, 0_u64..30), 0..3),
        cuts in prop::collection::vec((0_u64..400, 0_usize..4, 1_u64..40), 0..4),
    ) {
        let kills = kills.into_iter().map(|(at, index, down)| {
            (at * STEP, Fault::KillCoordinator { index: index % coordinators, down: down * STEP })
        });
        let cuts = cuts.into_iter().map(|(at, index, time)| {
            (at * STEP, Fault::CutAgent { index: index % case.agents, time: time * STEP })
        });
        let faults: Vec<_> = kills.chain(cuts).collect();
        let fleet = case.play(coordinators, &faults);
        prop_assert_eq!(case.split(&fleet), BTreeSet::new());
        prop_assert_eq!(stamps(&fleet.kept), stamps(&case.reference()));
    }

    #[test]
    fn a_coordinator_that_goes_changes_nothing(
        case in cases(1..5, 0..5),
        (at, without, apart) in (0_u64..400, 0_usize..3, 0_u64..15),
    ) {
        let faults = [(at * STEP, Fault::Members { without: Some(without), apart: apart * STEP })];
        let fleet = case.play(3, &faults);
        prop_assert_eq!(case.split(&fleet), BTreeSet::new());
        prop_assert_eq!(stamps(&fleet.kept), stamps(&case.reference()));
    }

    #[test]
    fn coordinators_that_go_and_come_back_change_nothing(
        case in cases(1..5, 0..5),
        changes in prop::collection::vec((0_u64..400, prop::option::of(0_usize..3), 0_u64..15), 2..4),
    ) {
        let faults = changes
            .into_iter()
            .map(|(at, without, apart)| (at * STEP, Fault::Members { without, apart: apart * STEP }));
        let fleet = case.play(3, &faults.collect::<Vec<_>>());
        prop_assert_eq!(case.split(&fleet), BTreeSet::new());
        prop_assert_eq!(stamps(&fleet.kept), stamps(&case.reference()));
    }

    #[test]
    fn a_coordinator_that_goes_while_an_agent_is_away_splits_nothing(
        case in cases(2..5, 0..5),
        (cut, index, time) in (20_u64..300, 0_usize..4, 100_u64..600),
        (at, without, apart) in (20_u64..400, 0_usize..3, 0_u64..15),
    ) {
        let faults = [
            (cut * STEP, Fault::CutAgent { index: index % case.agents, time: time * STEP }),
            (at * STEP, Fault::Members { without: Some(without), apart: apart * STEP }),
        ];
        let mut fleet = case.play(3, &faults);
        fleet.run(120 * SECOND);
        prop_assert_eq!(case.split(&fleet), BTreeSet::new());
    }

    #[test]
    fn agents_that_are_slow_or_stall_split_nothing(
        case in cases(2..5, 0..5), coordinators in 1_usize..3,
        slow in prop::collection::vec((0_u64..400, 0_usize..4, 0_u64..200), 0..4),
        stall in prop::option::of((50_u64..400, 0_usize..4, 0_u64..500)),
    ) {
        let faults = slow.into_iter().map(|(at, index, lag)| {
            (at * STEP, Fault::SlowAgent { index: index % case.agents, lag: lag * STEP })
        });
        let stall = stall.map(|(at, index, time)| {
            (at * STEP, Fault::Stall { index: index % case.agents, time: time * STEP })
        });
        let mut fleet = case.play(coordinators, &faults.chain(stall).collect::<Vec<_>>());
        fleet.run(120 * SECOND);
        prop_assert_eq!(case.split(&fleet), BTreeSet::new());
    }

    #[test]
    fn spans_that_come_to_the_gateway_itself_join_the_traces_of_agents(case in cases(3..4, 0..1)) {
        let mut fleet = Fleet::new(2, 1, &case.yaml).telling(case.mode);
        for arrival in case.traffic() {
            while fleet.now < arrival.at {
                fleet.step();
            }
            match arrival.agent {
                2 => fleet.accept_at_coordinator(0, vec![arrival.span]),
                agent => fleet.accept(agent, vec![arrival.span]),
            }
        }
        fleet.run(60 * SECOND);
        prop_assert_eq!(stamps(&fleet.kept), stamps(&case.reference()));
    }
}

#[test]
fn budgets_hold_for_the_fleet_and_keep_whole_traces() {
    let yaml = "{decision_wait: 10s, policies: [{name: l, type: rate_limiting, rate_limiting: {spans_per_second: 8}}]}";
    let (mut weight_of_kept, mut all) = (0.0, 0.0);
    for seed in 0..16 {
        let arrivals = traffic(seed, 200, 3, 20 * SECOND);
        let mut fleet = Fleet::new(3, 1, yaml);
        play(&mut fleet, &arrivals, &[], 1);
        assert_eq!(split(&fleet.kept, &arrivals), BTreeSet::new());
        // Twenty-two seconds and the burst of two.
        assert!((80..=8 * 24).contains(&fleet.kept.len()), "{} spans", fleet.kept.len());
        weight_of_kept += fleet.kept.values().map(weight).sum::<f64>();
        all += arrivals.len() as f64;
    }
    assert!((0.8..1.25).contains(&(weight_of_kept / all)), "{weight_of_kept} for {all}");
}

/// By how many spans one stands for.
fn weight(span: &Span) -> f64 {
    let state = TraceState::parse(span.trace_state.as_bytes()).unwrap();
    state.ot().th.unwrap().unwrap().adjusted_count()
}

/// Which spans have left, and with what.
fn stamps(kept: &BTreeMap<Vec<u8>, Span>) -> Vec<(String, String)> {
    kept.values().map(|span| (span.name.clone(), span.trace_state.clone())).collect()
}

#[test]
fn silence_saves_most_of_the_evidence_and_changes_nothing() {
    let yaml = configuration(&[POLICIES[0], POLICIES[1], POLICIES[3]]);
    let arrivals = nested_traffic(7, 600, 4, 60 * SECOND);
    let [exact, economical] = [EvidenceMode::Exact, EvidenceMode::Economical].map(|mode| {
        let mut fleet = Fleet::new(4, 1, &yaml).telling(mode);
        play(&mut fleet, &arrivals, &[], 1);
        assert_eq!(stamps(&fleet.kept), stamps(&reference(&yaml, &arrivals)));
        fleet.agents.iter().map(|agent| agent.sampler.counts().pieces).sum::<u64>()
    });
    assert!(economical * 10 < exact * 8, "{economical} pieces instead of {exact}");
}

#[test]
fn what_came_before_the_policies_were_known_is_asked_all_of_them() {
    let yaml = configuration(&[POLICIES[8]]);
    let mut fleet = Fleet::new(1, 1, &yaml);
    fleet.cut_agent(0, SECOND);
    // They share a resource and a scope, and are more than are asked at a time.
    let mut arrivals = Vec::new();
    for index in 1..=600 {
        // Someone has sampled them before.
        let mut span = span_with_state(trace(index, (index << 20) | (1 << 55)), index, "ot=th:8");
        span.attributes.push(attribute("route", text("/pay")));
        fleet.accept(0, vec![span.clone()]);
        arrivals.push(Arrival { at: 0, agent: 0, span });
    }
    fleet.run(30 * SECOND);
    assert_eq!(stamps(&fleet.kept), stamps(&reference(&yaml, &arrivals)));
    assert_eq!(fleet.kept.len(), 600);
}

/// Three agents that may be silent, of which the last is cut off again and again from 25 s to `until`.
/// A trace of which the root, which makes it worth keeping, comes to the second agent at `root`, and a span that says
/// nothing to the first at `served`. Returns the names of the spans that leave.
fn kept_of_two(root: Nanos, served: Nanos, until: Nanos) -> Vec<String> {
    let yaml = configuration(&[POLICIES[2]]);
    let mut fleet = Fleet::new(3, 1, &yaml).telling(EvidenceMode::Economical);
    let id = trace(1, 1);
    let mut spans = [(root, 1, span(id, 1)), (served, 0, span(id, 2))];
    spans[0].2.end_time_unix_nano = SECOND + 300 * MILLISECOND;
    spans[1].2.parent_span_id = vec![1; 8];
    spans[1].2.kind = SERVER;
    while fleet.now < until + 60 * SECOND {
        if fleet.now >= 25 * SECOND && fleet.now < until && fleet.now.is_multiple_of(4 * SECOND) {
            fleet.cut_agent(2, SECOND);
        }
        for (at, agent, span) in &spans {
            if *at == fleet.now {
                fleet.accept(*agent, vec![span.clone()]);
            }
        }
        fleet.step();
    }
    fleet.kept.into_values().map(|span| span.name).collect()
}

#[test]
fn what_agents_were_silent_about_is_told_when_one_is_away() {
    // Nobody would say for a minute that the trace is kept.
    assert_eq!(kept_of_two(23 * SECOND, 23 * SECOND, 90 * SECOND), ["span 1", "span 2"]);
}

#[test]
fn agents_that_may_be_silent_know_what_was_kept_before() {
    // The trace is decided while all is told, and its last span comes when it need not be any more.
    assert_eq!(kept_of_two(26 * SECOND, 55 * SECOND, 40 * SECOND), ["span 1", "span 2"]);
}
