//! What is on disk survives its agent.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use forebay_otlp::SpanIndex;
use proptest::prelude::*;

use super::fleet::{Fleet, STEP};
use super::{Arrival, cases, configuration, stamps};
use crate::retroactive::{AgentSettings, DiskTier, RetroactiveAgent};
use crate::tail::{Nanos, Output, Remember};
use crate::testing::{SECOND, request, span, trace};

/// Lets spans arrive, kills agents between two steps, each at its time, and waits until all is decided.
fn play(fleet: &mut Fleet, arrivals: &[Arrival], kills: &[(Nanos, usize, Nanos)]) {
    let mut arrivals = arrivals.iter().peekable();
    let mut kills = kills.to_vec();
    let end = arrivals.clone().last().map_or(0, |arrival| arrival.at) + 60 * SECOND;
    while fleet.now < end {
        let now = fleet.now;
        kills.retain(|&(at, agent, time)| {
            if at <= now {
                fleet.restart_agent(agent, time);
            }
            at > now
        });
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at <= now) {
            fleet.accept(arrival.agent, vec![arrival.span.clone()]);
        }
        fleet.step();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn agents_that_are_killed_keep_what_a_tail_sampler_keeps(
        case in cases(1..4, 0..4), coordinators in 1_usize..3,
        kills in prop::collection::vec((0_u64..250, 0_usize..4, 0_u64..20), 0..4),
    ) {
        let mut fleet = case.fleet(coordinators).with_disks();
        let kills: Vec<_> =
            kills.into_iter().map(|(at, agent, time)| (at * STEP, agent % case.agents, time * STEP)).collect();
        play(&mut fleet, &case.traffic(), &kills);
        prop_assert_eq!(case.split(&fleet), BTreeSet::new());
        prop_assert_eq!(stamps(&fleet.kept), stamps(&case.reference()));
        for agent in &mut fleet.agents {
            prop_assert!(agent.sampler.take_disk_error().is_none());
            prop_assert_eq!(agent.sampler.pending_traces(), 0);
            prop_assert_eq!(agent.sampler.stats().pending_spans, 0);
        }
    }
}

#[test]
fn without_a_tier_what_was_undecided_is_gone() {
    let yaml = configuration(&["{name: p, type: always_sample}"]);
    let spans = vec![span(trace(1, 1), 1), span(trace(2, 2), 2)];
    for (on_disk, survive) in [(false, 0), (true, 2)] {
        // Nobody attends, so nothing is decided.
        let mut fleet = Fleet::new(1, 0, &yaml);
        if on_disk {
            fleet = fleet.with_disks();
        }
        fleet.accept(0, spans.clone());
        fleet.step();
        assert_eq!(fleet.restart_agent(0, 0), survive);
        assert_eq!(fleet.agents[0].sampler.stats().pending_spans, survive);
    }
}

fn settings(pending_bytes: usize) -> AgentSettings {
    AgentSettings {
        pending_bytes,
        remember_kept: Remember::Decisions(1 << 10),
        remember_dropped: Remember::Decisions(1 << 10),
        egress_bytes_per_second: None,
        epoch_unix_nano: 0,
    }
}

fn open(directory: &Path, bytes: u64, id: u8) -> DiskTier {
    DiskTier::open(directory, bytes, [id; 16]).unwrap().0
}

/// Gives an agent traces of one span each.
fn feed(agent: &mut RetroactiveAgent, traces: std::ops::RangeInclusive<u64>) -> Vec<Output> {
    let mut out = Vec::new();
    for number in traces {
        let request = request(vec![span(trace(number, number << 40), number)]);
        let index = SpanIndex::scan(&request).unwrap();
        agent.accept(&request, &index.envelopes, &index.spans, number, &mut out);
    }
    out
}

#[test]
fn an_agent_is_who_it_was_only_if_it_has_its_spans() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path(), DiskTier::BYTES_MIN, 1);
    assert_eq!(tier.id(), [1; 16]);
    drop(tier);
    let tier = open(directory.path(), DiskTier::BYTES_MIN, 2);
    assert_eq!(tier.id(), [2; 16]);
    let mut agent = RetroactiveAgent::with_disk(settings(1 << 20), tier);
    feed(&mut agent, 1..=3);
    agent.flush();
    drop(agent);
    let tier = open(directory.path(), DiskTier::BYTES_MIN, 3);
    assert_eq!(tier.id(), [2; 16]);
    let mut agent = RetroactiveAgent::with_disk(settings(1 << 20), tier);
    assert_eq!(agent.recover(0, &mut Vec::new()), 3);
    drop(agent);
    // Without the file, nobody knows what has been decided meanwhile.
    fs::remove_file(directory.path().join("agent-id")).unwrap();
    let tier = open(directory.path(), DiskTier::BYTES_MIN, 4);
    assert_eq!(tier.id(), [4; 16]);
    assert_eq!(RetroactiveAgent::with_disk(settings(1 << 20), tier).recover(0, &mut Vec::new()), 0);
}

#[test]
fn a_full_tier_overwrites_the_old_and_little_random_and_survives_that() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = DiskTier::BYTES_MIN;
    let mut agent = RetroactiveAgent::with_disk(settings(64 << 20), open(directory.path(), bytes, 1));
    feed(&mut agent, 1..=20_000);
    assert!(agent.disk_bytes() <= bytes, "{} bytes", agent.disk_bytes());
    assert!(agent.take_disk_error().is_none());
    let (held, overwritten) = (agent.stats().pending_spans, agent.counts().overwritten_spans);
    assert_eq!(held + overwritten, 20_000);
    assert!(held > 1_000, "{held} spans");
    assert!(overwritten > 1_000, "{overwritten} spans");
    agent.flush();
    drop(agent);
    let mut agent = RetroactiveAgent::with_disk(settings(64 << 20), open(directory.path(), bytes, 2));
    let mut out = Vec::new();
    assert_eq!(agent.recover(0, &mut out), held);
    // A new process begins a new segment, and may have to make room for that.
    let left = agent.stats().pending_spans + agent.counts().overwritten_spans;
    assert_eq!((out.len(), left), (0, held));
}

#[test]
fn a_clean_stop_leaves_what_is_undecided_to_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let tier = open(directory.path(), DiskTier::BYTES_MIN, 1);
    let mut agent = RetroactiveAgent::with_disk(settings(1 << 20), tier);
    feed(&mut agent, 1..=5);
    assert_eq!(agent.finish(&mut Vec::new()), 0);
    drop(agent);
    let tier = open(directory.path(), DiskTier::BYTES_MIN, 2);
    let mut agent = RetroactiveAgent::with_disk(settings(1 << 20), tier);
    assert_eq!(agent.recover(0, &mut Vec::new()), 5);
}

#[test]
fn when_the_file_system_refuses_spans_wait_in_memory_and_it_is_said_once() {
    let directory = tempfile::tempdir().unwrap();
    let spans = directory.path().join("spans");
    let tier = open(&spans, DiskTier::BYTES_MIN, 1);
    let mut agent = RetroactiveAgent::with_disk(settings(8 << 20), tier);
    // There is no segment yet, and nowhere to make one.
    fs::remove_dir_all(&spans).unwrap();
    feed(&mut agent, 1..=10);
    assert!(agent.take_disk_error().is_some());
    feed(&mut agent, 11..=20);
    assert!(agent.take_disk_error().is_none());
    assert_eq!(agent.stats().pending_spans, 20);
    assert_eq!(agent.finish(&mut Vec::new()), 20);
}

#[test]
fn what_left_does_not_leave_again() {
    let yaml = configuration(&["{name: p, type: always_sample}"]);
    let mut fleet = Fleet::new(1, 1, &yaml).with_disks();
    fleet.accept(0, vec![span(trace(1, 1), 1), span(trace(2, 2), 2)]);
    fleet.run(30 * SECOND);
    assert_eq!(fleet.kept.len(), 2);
    assert_eq!(fleet.restart_agent(0, 0), 0);
    // A late span of a trace that was kept leaves, as it would have before.
    fleet.accept(0, vec![span(trace(1, 1), 3)]);
    assert_eq!(fleet.kept.len(), 3);
}
