use std::num::NonZero;

use forebay::embedded::Program;

use super::*;
use crate::generate::Description;
use crate::{Placement, Traffic, builtin};

fn workload() -> Workload {
    Description { duration: Duration::from_secs(30), ..Description::load("shop").unwrap() }
        .generate(1, usize::MAX)
}

fn strategy(name: &str, workload: &Workload) -> Strategy {
    let all = builtin(&Traffic::of(workload)).unwrap();
    all.into_iter().find(|strategy| strategy.name == name).unwrap()
}

fn run(name: &str, workload: &Workload, seed: u64) -> Outcome {
    simulate(&strategy(name, workload), workload, Run { seed, compress: true, measure: true }).unwrap()
}

#[test]
fn whoever_keeps_all_stores_every_byte_of_every_trace() {
    let workload = workload();
    let outcome = run("keep-all", &workload, 1);
    assert_eq!(outcome.kept.len(), workload.population.traces.len());
    assert!(
        outcome.kept.iter().zip(&workload.population.traces).all(|(kept, trace)| kept.spans == trace.sent)
    );
    let [sent, stored] = &outcome.hops[..] else { panic!("{:?}", outcome.hops) };
    assert_eq!((sent.name.as_str(), stored.name.as_str()), ("services to gateway", "gateway to store"));
    assert_eq!((sent.bytes, stored.bytes), (workload.bytes(), workload.bytes()));
    assert!(stored.compressed.unwrap() < stored.bytes);
    assert_eq!((outcome.spans_sent, outcome.spans_refused), (workload.spans() as u64, 0));
    // The clock's ticks are milliseconds.
    assert!(outcome.kept.iter().all(|kept| kept.waited < Duration::from_millis(2)));
}

#[test]
fn the_same_seed_keeps_the_same_and_another_seed_does_not() {
    let workload = workload();
    for name in ["head-equalizing-10%", "tail-5%", "adaptive-throughput-10%", "rate-limited-10%"] {
        let kept = |seed| run(name, &workload, seed).kept;
        assert_eq!(kept(1), kept(1), "{name}");
        assert_ne!(kept(1), kept(2), "{name}");
    }
}

#[test]
fn a_head_sampler_keeps_about_its_share_with_the_weight_that_says_so() {
    let workload = workload();
    let outcome = run("head-equalizing-10%", &workload, 3);
    let share = outcome.kept.len() as f64 / workload.population.traces.len() as f64;
    assert!((0.04..0.18).contains(&share), "{share}");
    assert!(outcome.kept.iter().all(|kept| (kept.weight.unwrap() - 10.0).abs() < 0.01));
    assert_eq!(outcome.hops[0].name, "services to agents");
    assert_eq!(outcome.budget, Some(0.1));
    assert!(outcome.cpu.unwrap().agents > Some(Duration::ZERO));
    assert_eq!(outcome.cpu.unwrap().gateway, None);
}

#[test]
fn a_tail_sampler_keeps_every_failure_whole_and_waits_for_it_in_virtual_time() {
    let workload = workload();
    let outcome = run("tail-5%", &workload, 1);
    let kept: std::collections::BTreeMap<_, _> = outcome.kept.iter().map(|kept| (kept.trace, kept)).collect();
    for (number, trace) in (0..).zip(&workload.population.traces).filter(|(_, trace)| trace.error) {
        assert_eq!(kept[&number].spans, trace.sent);
        assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&kept[&number].waited));
        assert_eq!(kept[&number].weight, Some(1.0));
    }
    assert!(outcome.memory_peak > 0 && outcome.memory_mean <= outcome.memory_peak as f64);
}

#[test]
fn head_and_tail_pass_three_links_that_narrow() {
    let workload = workload();
    let outcome = run("head-25%+tail", &workload, 1);
    let spans: Vec<_> = outcome.hops.iter().map(|hop| hop.spans).collect();
    assert_eq!(spans.len(), 3);
    assert!(spans[0] > spans[1] && spans[1] > spans[2] && spans[2] > 0, "{spans:?}");
}

#[test]
fn a_retroactive_fleet_keeps_what_a_tail_sampler_keeps_and_sends_little() {
    let workload = workload();
    let what = |outcome: &Outcome| -> Vec<_> {
        outcome.kept.iter().map(|kept| (kept.trace, kept.spans, kept.weight)).collect()
    };
    let tail = run("tail-5%", &workload, 1);
    for placement in [Placement::Instance, Placement::Service, Placement::Nodes(NonZero::new(3).unwrap())] {
        let fleet = Strategy { placement, ..strategy("retroactive-5%", &workload) };
        let fleet = simulate(&fleet, &workload, Run { seed: 1, compress: true, measure: true }).unwrap();
        assert_eq!(what(&fleet), what(&tail), "{placement}");
        let names: Vec<_> = fleet.hops.iter().map(|hop| hop.name.as_str()).collect();
        assert_eq!(
            names,
            ["services to agents", "agents to coordinator", "coordinator to agents", "agents to store"]
        );
        let [sent, evidence, decisions, stored] = &fleet.hops[..] else { panic!() };
        assert!(evidence.bytes > 0 && decisions.bytes > 0);
        // What is kept is a seventh of the spans; evidence of all of them is little beside it.
        assert!(evidence.bytes + stored.bytes < sent.bytes / 2, "{:?}", fleet.hops);
        assert!(evidence.compressed <= Some(evidence.bytes));
        assert!(stored.spans == fleet.kept.iter().map(|kept| u64::from(kept.spans)).sum::<u64>());
        assert!(fleet.memory_peak > 0);
        let cpu = fleet.cpu.unwrap();
        assert!(cpu.agents > Some(Duration::ZERO) && cpu.gateway > Some(Duration::ZERO));
    }
}

#[test]
fn agents_without_a_coordinator_are_a_mistake_that_says_so() {
    let workload = workload();
    let lonely = Strategy { gateway: None, ..strategy("retroactive-5%", &workload) };
    let error = simulate(&lonely, &workload, Run { seed: 1, compress: false, measure: false }).unwrap_err();
    assert!(error.to_string().contains("needs a coordinator"), "{error}");
}

#[test]
fn any_configuration_is_a_strategy() {
    let workload = workload();
    let program = Program::read([
        "yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {otlp: {endpoint: 'backend:4317'}}, processors: \
         {batch: , probabilistic_sampler: {sampling_percentage: 100}}, service: {pipelines: {traces: {receivers: [otlp], \
         processors: [probabilistic_sampler, batch], exporters: [otlp]}}}}",
    ]);
    let strategy = Strategy { agent: Some(program.unwrap()), ..strategy("keep-all", &workload) };
    let outcome = simulate(&strategy, &workload, Run { seed: 1, compress: false, measure: false }).unwrap();
    assert_eq!(outcome.kept.len(), workload.population.traces.len());
    assert_eq!(outcome.hops[1].compressed, None);
}
