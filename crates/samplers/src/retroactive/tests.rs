//! What a fleet keeps is what a tail sampler keeps, whatever happens on the way.

mod disk;
mod fleet;

use std::collections::{BTreeMap, BTreeSet};

use forebay_otlp::tracestate::TraceState;
use proptest::prelude::*;

use self::fleet::{Fleet, STEP, tail};
use crate::tail::Nanos;
use crate::testing::{MILLISECOND, SECOND, Span, Status, attribute, random, span, text, trace};

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

fn policies() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(POLICIES), 1..4)
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
        policies in policies(), seed in any::<u64>(), agents in 1_usize..5, coordinators in 1_usize..3, delay in 0_u64..8,
    ) {
        let yaml = configuration(&policies);
        let arrivals = traffic(seed, 120, agents, 15 * SECOND);
        let mut fleet = Fleet::new(agents, coordinators, &yaml);
        fleet.delay = delay * STEP;
        play(&mut fleet, &arrivals, &[], coordinators);
        prop_assert_eq!(&fleet.kept, &reference(&yaml, &arrivals));
        for agent in &fleet.agents {
            prop_assert_eq!(agent.sampler.pending_traces(), 0);
            prop_assert_eq!(agent.sampler.stats().pending_spans, 0);
        }
    }

    #[test]
    fn streams_that_break_and_coordinators_that_die_change_nothing(
        policies in policies(), seed in any::<u64>(), agents in 1_usize..5, coordinators in 1_usize..3,
        kills in prop::collection::vec((0_u64..200, 0_usize..2, 0_u64..30), 0..3),
        cuts in prop::collection::vec((0_u64..200, 0_usize..4, 1_u64..40), 0..4),
        delay in 0_u64..5,
    ) {
        let yaml = configuration(&policies);
        let arrivals = traffic(seed, 120, agents, 15 * SECOND);
        let mut fleet = Fleet::new(agents, coordinators, &yaml);
        fleet.delay = delay * STEP;
        let kills = kills.into_iter().map(|(at, index, down)| {
            (at * STEP, Fault::KillCoordinator { index: index % coordinators, down: down * STEP })
        });
        let cuts = cuts.into_iter().map(|(at, index, time)| {
            (at * STEP, Fault::CutAgent { index: index % agents, time: time * STEP })
        });
        let faults: Vec<_> = kills.chain(cuts).collect();
        play(&mut fleet, &arrivals, &faults, coordinators);
        prop_assert_eq!(split(&fleet.kept, &arrivals), BTreeSet::new());
        let expected = reference(&yaml, &arrivals);
        prop_assert_eq!(stamps(&fleet.kept), stamps(&expected));
    }

    #[test]
    fn a_coordinator_that_goes_changes_nothing(
        policies in policies(), seed in any::<u64>(), agents in 1_usize..5,
        (at, without, apart) in (0_u64..200, 0_usize..3, 0_u64..15),
        delay in 0_u64..5,
    ) {
        let yaml = configuration(&policies);
        let arrivals = traffic(seed, 120, agents, 15 * SECOND);
        let mut fleet = Fleet::new(agents, 3, &yaml);
        fleet.delay = delay * STEP;
        let faults = [(at * STEP, Fault::Members { without: Some(without), apart: apart * STEP })];
        play(&mut fleet, &arrivals, &faults, 3);
        prop_assert_eq!(split(&fleet.kept, &arrivals), BTreeSet::new());
        let expected = reference(&yaml, &arrivals);
        prop_assert_eq!(stamps(&fleet.kept), stamps(&expected));
    }

    #[test]
    fn coordinators_that_go_and_come_back_split_nothing(
        policies in policies(), seed in any::<u64>(), agents in 1_usize..5,
        changes in prop::collection::vec((0_u64..200, prop::option::of(0_usize..3), 0_u64..15), 2..4),
        delay in 0_u64..5,
    ) {
        let yaml = configuration(&policies);
        let arrivals = traffic(seed, 120, agents, 15 * SECOND);
        let mut fleet = Fleet::new(agents, 3, &yaml);
        fleet.delay = delay * STEP;
        let faults = changes
            .into_iter()
            .map(|(at, without, apart)| (at * STEP, Fault::Members { without, apart: apart * STEP }));
        play(&mut fleet, &arrivals, &faults.collect::<Vec<_>>(), 3);
        prop_assert_eq!(split(&fleet.kept, &arrivals), BTreeSet::new());
    }

    #[test]
    fn spans_that_come_to_the_gateway_itself_join_the_traces_of_agents(
        policies in policies(), seed in any::<u64>(),
    ) {
        let yaml = configuration(&policies);
        let arrivals = traffic(seed, 120, 3, 15 * SECOND);
        let mut fleet = Fleet::new(2, 1, &yaml);
        for arrival in &arrivals {
            while fleet.now < arrival.at {
                fleet.step();
            }
            match arrival.agent {
                2 => fleet.accept_at_coordinator(0, vec![arrival.span.clone()]),
                agent => fleet.accept(agent, vec![arrival.span.clone()]),
            }
        }
        fleet.run(60 * SECOND);
        let expected = reference(&yaml, &arrivals);
        prop_assert_eq!(stamps(&fleet.kept), stamps(&expected));
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
fn stamps(kept: &BTreeMap<Vec<u8>, Span>) -> Vec<(&str, &str)> {
    kept.values().map(|span| (&*span.name, &*span.trace_state)).collect()
}
