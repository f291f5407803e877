//! What a fleet promises when it cannot keep what a tail sampler keeps, and what does not even matter to it.

use std::collections::{BTreeMap, BTreeSet};

use forebay_otlp::SpanIndex;
use forebay_otlp::threshold::{Randomness, Threshold};
use proptest::prelude::*;
use prost::Message as _;

use super::fleet::{Fleet, STEP};
use super::{
    Arrival, Fault, POLICIES, cases, configuration, play, reference, split, stamps, traffic, weight,
};
use crate::Compatibility;
use crate::retroactive::key::TraceKey;
use crate::retroactive::message::Decisions;
use crate::retroactive::program::ProgramId;
use crate::retroactive::{AgentSettings, Members, RetroactiveAgent};
use crate::tail::decision::Kept;
use crate::tail::{Nanos, Remember};
use crate::testing::model::trace_of;
use crate::testing::{MILLISECOND, SECOND, Span, attribute, decode, random, request, span, text, trace};

const MINUTE: Nanos = 60 * SECOND;
/// Keeps nearly all, and only coordinators can: nobody knows before the end that something does not last for long.
const SHORT: &str = "{name: p, type: latency, latency: {threshold_ms: 1, upper_threshold_ms: 100000}}";

fn randomness(span: &Span) -> Randomness {
    Randomness::from_trace_id(span.trace_id.as_slice().try_into().unwrap())
}

/// The traces of these spans, each with when the first of it came and to which agents.
fn traces(arrivals: &[Arrival]) -> BTreeMap<&[u8], (Nanos, BTreeSet<usize>)> {
    let mut traces = BTreeMap::new();
    for Arrival { at, agent, span } in arrivals {
        traces.entry(&*span.trace_id).or_insert((*at, BTreeSet::new())).1.insert(*agent);
    }
    traces
}

#[test]
fn an_agent_that_is_cut_off_for_longer_than_its_horizon_keeps_what_it_can_know_and_recovers() {
    let (begin, end, wait) = (30 * SECOND, 4 * MINUTE, 12 * SECOND);
    let yaml = configuration(&[POLICIES[0], POLICIES[3]]);
    for seed in 0..2 {
        let mut arrivals = traffic(seed, 3000, 2, 6 * MINUTE);
        for Arrival { span, .. } in &mut arrivals {
            span.attributes.push(attribute("body", text(&"x".repeat(1000))));
        }
        // A minute's.
        let mut fleet = Fleet::new(2, 1, &yaml).with_room(2 << 20);
        play(&mut fleet, &arrivals, &[(begin, Fault::CutAgent { index: 0, time: end - begin })], 1);
        assert!(fleet.agents[0].sampler.counts().overwritten_spans > 500, "it has no room for more");
        let (expected, traces) = (reference(&yaml, &arrivals), traces(&arrivals));
        let is_floor = |span: &Span| Threshold::from_probability(0.2, 4).unwrap().keeps(randomness(span));
        let is_spared = |span: &Span| {
            let (first, agents) = &traces[&*span.trace_id];
            let overlaps = *first > begin - wait && *first < end;
            !overlaps || !agents.contains(&0)
        };
        // What has been overwritten before its error came is gone.
        let mut begun = BTreeSet::new();
        let failed: BTreeSet<_> = arrivals
            .iter()
            .filter(|arrival| arrival.agent == 0 && begun.insert(&arrival.span.trace_id))
            .filter(|first| first.span.status.is_some())
            .map(|first| &first.span.trace_id)
            .collect();
        let mut promised = 0;
        for Arrival { agent, span, .. } in &arrivals {
            let (kept, wanted) = (fleet.kept.get(&span.span_id), expected.get(&span.span_id));
            if is_spared(span) {
                assert_eq!(kept, wanted, "nothing happens to it");
            } else if is_floor(span) || *agent == 0 && failed.contains(&span.trace_id) {
                assert!(kept.is_some(), "nobody has to be asked about it");
                promised += 1;
            } else if wanted.is_none() {
                assert_eq!(kept, None, "nobody keeps more");
            }
        }
        assert!(promised > 100, "{promised}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn an_agent_that_is_a_hundred_times_slower_changes_nothing_as_long_as_traces_wait_for_it(
        case in cases(2..5, 0..1), coordinators in 1_usize..3, slow in 0_usize..4,
    ) {
        let mut fleet = case.fleet(coordinators);
        fleet.delay = STEP / 2;
        fleet.agents[slow % case.agents].lag = 99 * fleet.delay;
        play(&mut fleet, &case.traffic(), &[], coordinators);
        fleet.run(30 * SECOND);
        prop_assert_eq!(stamps(&fleet.kept), stamps(&case.reference()));
    }

    #[test]
    fn clocks_that_are_minutes_apart_change_nothing(
        policies in prop::collection::vec(prop::sample::select(POLICIES), 1..4), seed in any::<u64>(),
        apart in prop::collection::vec(0_u64..20, 4), agents in 2_usize..5, coordinators in 1_usize..3,
    ) {
        let yaml = configuration(&policies);
        let mut arrivals = traffic(seed, 120, agents, 15 * SECOND);
        for Arrival { agent, span, .. } in &mut arrivals {
            span.start_time_unix_nano += apart[*agent] * MINUTE;
            span.end_time_unix_nano += apart[*agent] * MINUTE;
        }
        let mut fleet = Fleet::new(agents, coordinators, &yaml);
        for (agent, &minutes) in (0..agents).zip(&apart) {
            fleet.restart_agent_at(agent, minutes * MINUTE, 0);
        }
        play(&mut fleet, &arrivals, &[], coordinators);
        prop_assert_eq!(&fleet.kept, &reference(&yaml, &arrivals));
    }

    #[test]
    fn a_clock_that_is_set_back_while_an_agent_is_killed_changes_nothing(
        policies in prop::collection::vec(prop::sample::select(POLICIES), 1..4), seed in any::<u64>(),
        at in 80_u64..150, minutes in 1_u64..10, down in 0_u64..30,
    ) {
        let yaml = configuration(&policies);
        let arrivals = traffic(seed, 120, 2, 15 * SECOND);
        let mut fleet = Fleet::new(2, 1, &yaml).with_disks();
        fleet.restart_agent_at(0, 10 * MINUTE, 0);
        for Arrival { at: arrives, agent, span } in &arrivals {
            while fleet.now < *arrives {
                fleet.step();
                if fleet.now == at * STEP {
                    fleet.restart_agent_at(0, (10 - minutes) * MINUTE, down * STEP);
                }
            }
            fleet.accept(*agent, vec![span.clone()]);
        }
        fleet.run(MINUTE);
        let expected = reference(&yaml, &arrivals);
        prop_assert_eq!(stamps(&fleet.kept), stamps(&expected));
    }

    #[test]
    fn what_is_shed_is_little_random_alike_everywhere_and_known_by_its_threshold(
        seed in any::<u64>(), agents in 1_usize..5, coordinators in 1_usize..3,
        (from, until) in (0_u64..200, 0_u64..400), halvings in 1..6,
    ) {
        let yaml = configuration(&[SHORT]);
        let arrivals = traffic(seed, 120, agents, 15 * SECOND);
        let threshold = Threshold::from_probability(0.5_f64.powi(halvings), 4).unwrap();
        let mut fleet = Fleet::new(agents, coordinators, &yaml);
        let storm = Fault::Shed(threshold);
        let faults = [(from * STEP, storm), (until.max(from) * STEP, Fault::Shed(Threshold::ALWAYS))];
        play(&mut fleet, &arrivals, &faults, coordinators);
        prop_assert_eq!(split(&fleet.kept, &arrivals), BTreeSet::new());
        let whole = reference(&yaml, &arrivals);
        for (id, span) in &whole {
            match fleet.kept.get(id) {
                None => prop_assert!(!threshold.keeps(randomness(span)), "it is shed by nothing but chance"),
                Some(kept) if weight(kept) > 1.0 => {
                    prop_assert!(threshold.keeps(randomness(span)));
                    prop_assert_eq!(weight(kept), threshold.adjusted_count());
                }
                Some(kept) => prop_assert_eq!(kept, span, "it was decided at another time"),
            }
        }
    }
}

#[test]
fn in_a_storm_what_is_kept_stands_for_all() {
    let yaml = configuration(&[SHORT]);
    let (mut weight_of_kept, mut all, mut kept) = (0.0, 0.0, 0);
    for seed in 0..16 {
        let arrivals = traffic(seed, 200, 3, 15 * SECOND);
        let mut fleet = Fleet::new(3, 2, &yaml);
        let storm = Fault::Shed(Threshold::from_probability(0.25, 4).unwrap());
        play(&mut fleet, &arrivals, &[(0, storm)], 2);
        kept += fleet.kept.len();
        weight_of_kept += fleet.kept.values().map(weight).sum::<f64>();
        all += reference(&yaml, &arrivals).len() as f64;
    }
    assert!((0.2..0.3).contains(&(kept as f64 / all)), "{kept} of {all}");
    assert!((0.9..1.1).contains(&(weight_of_kept / all)), "{weight_of_kept} for {all}");
}

#[test]
fn a_full_agent_gives_up_no_more_than_it_has_to() {
    let settings = AgentSettings {
        pending_bytes: 8 << 20,
        remember_kept: Remember::Decisions(1 << 10),
        remember_dropped: Remember::Decisions(1 << 10),
        egress_bytes_per_second: None,
        epoch_unix_nano: 0,
    };
    let mut agent = RetroactiveAgent::new(settings);
    let (mut random, mut out) = (random(3), Vec::new());
    for number in 1..20_000 {
        let mut span = span(trace(number, random.next().unwrap() >> 8), number);
        span.attributes.push(attribute("text", text(&"x".repeat(1000))));
        let request = request(vec![span]);
        let index = SpanIndex::scan(&request).unwrap();
        agent.accept(&request, &index.envelopes, &index.spans, number * MILLISECOND, &mut out);
        assert!(agent.bytes_in_use() <= 8 << 20);
        let pending = agent.stats().pending_spans;
        assert!(pending > 5_000 || agent.counts().overwritten_spans == 0, "{pending} of {number}");
    }
    assert!(out.is_empty() && agent.counts().overwritten_spans > 10_000);
}

#[test]
fn a_coordinator_that_keeps_everything_makes_no_agent_exceed_its_egress_limit() {
    // All are of the same size.
    let spans: Vec<_> = (100..200).map(|number| span(trace(number, number << 40), number)).collect();
    let a_second = 10;
    let settings = AgentSettings {
        pending_bytes: 8 << 20,
        remember_kept: Remember::Decisions(1 << 10),
        remember_dropped: Remember::Decisions(1 << 10),
        egress_bytes_per_second: Some(a_second * spans[0].encoded_len() as u64),
        epoch_unix_nano: 0,
    };
    let (mut agent, mut out) = (RetroactiveAgent::new(settings), Vec::new());
    agent.set_members(Members::new(["c".to_owned()]));
    agent.connected("c");
    agent.follows("c", ProgramId(1));
    let policies = crate::testing::settings(&configuration(&[SHORT]), Compatibility::default()).policies;
    agent.set_program(ProgramId(1), &policies.program(false), 0, &mut out).unwrap();
    let keys: Vec<_> = spans.iter().map(|span| TraceKey::of(trace_of(span))).collect();
    let request = request(spans);
    let index = SpanIndex::scan(&request).unwrap();
    agent.accept(&request, &index.envelopes, &index.spans, 0, &mut out);
    let kept = Kept { policy: 0, part: None, threshold: None };
    let everything = keys.into_iter().map(|key| (key, kept)).collect();
    let mut decisions = Decisions { kept: everything, ..Decisions::default() };
    for tick in 1..=100 {
        decisions.tick = tick;
        let tenth = tick * SECOND / 10;
        agent.decided("c", &decisions, tenth, &mut out);
        decisions.kept.clear();
        // At first a second's worth, and from then on what comes in.
        let left: usize = out.iter().map(|output| output.spans).sum();
        let allowed = (a_second + a_second * (tick - 1) / 10).min(100);
        assert_eq!(left as u64, allowed, "after {tick} tenths of a second");
    }
    let names: Vec<_> =
        out.iter().flat_map(|output| decode(&output.request)).map(|left| left.span.name).collect();
    assert!(names.is_sorted_by(|a, b| a > b), "the most random leave first: {names:?}");
}
