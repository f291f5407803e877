//! Real processes in real time: what the simulation says of them is what they do, a cut link loses nothing, and any
//! other program can be in a gateway's place.
//!
//! What is kept depends on trace ids alone here, so it does not matter how fast the machine is.

#![expect(clippy::unwrap_used, reason = "a failed assumption is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use forebay::embedded::Program;
use sampler_bench::cost::Prices;
use sampler_bench::generate::Description;
use sampler_bench::live::{Compression, Live, LiveResult, System};
use sampler_bench::simulate::{Run, simulate};
use sampler_bench::{Placement, Strategy, Workload};

const SEED: u64 = 3;

/// The product's binary, which Cargo makes when all packages are tested; alone, this package makes it here.
fn forebay() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_sampler-bench")).with_file_name("forebay");
    if !path.exists() {
        let built =
            Command::new(env!("CARGO")).args(["build", "--package", "forebay", "--bin", "forebay"]).status();
        assert!(built.unwrap().success());
    }
    path
}

fn program(processors: &str, names: &str) -> Program {
    let yaml = format!(
        "yaml:{{receivers: {{otlp: {{protocols: {{grpc: }}}}}}, processors: {{{processors}}}, exporters: {{nop: }}, service: \
         {{pipelines: {{traces: {{receivers: [otlp], processors: [{names}], exporters: [nop]}}}}}}}}"
    );
    Program::read([yaml]).unwrap()
}

/// Agents that let half of the traces through, and a gateway that keeps half of those after a second.
fn strategy() -> Strategy {
    let half = "{mode: equalizing, sampling_percentage: 50}";
    let tail = "{decision_wait: 1s, policies: [{name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}]}";
    Strategy {
        name: "halves".to_owned(),
        about: String::new(),
        knob: None,
        budget: None,
        placement: "2".parse::<Placement>().unwrap(),
        agent: Some(program(&format!("probabilistic_sampler: {half}"), "probabilistic_sampler")),
        gateway: Some(program(&format!("tail_sampling: {tail}"), "tail_sampling")),
    }
}

fn workload() -> Workload {
    Description { duration: Duration::from_secs(4), ..Description::load("shop").unwrap() }
        .generate(1, usize::MAX)
}

fn live(workload: &Workload) -> Live<'_> {
    Live {
        workload,
        seed: SEED,
        faults: Vec::new(),
        settle: Duration::from_secs(5),
        prices: Prices::default(),
    }
}

fn system() -> System {
    System {
        name: "forebay".to_owned(),
        program: forebay(),
        agent_core: 0,
        gateway_core: 0,
        compression: Compression::None,
    }
}

/// How many traces a run has kept, and how many of them are whole.
fn kept(result: &LiveResult, workload: &Workload) -> (f64, f64) {
    let traces = workload.population.traces.len() as f64;
    ((result.metrics["kept_ratio"] * traces).round(), result.metrics["completeness"])
}

#[test]
fn processes_keep_what_the_simulation_keeps() {
    let workload = workload();
    let result = live(&workload).run(&strategy(), &system()).unwrap();
    let difference = result.difference.as_ref().unwrap();
    assert!(difference.both > 0 && difference.kept_error() == 0.0, "{difference:?}");
    assert_eq!(difference.differing_spans, 0);
    assert_eq!(difference.hops.len(), 3);
    assert!(
        difference.hops.iter().all(|hop| 0 < hop.simulated && hop.simulated < hop.live),
        "{difference:?}"
    );
    let tiers: Vec<_> = result.components.iter().map(|tier| (&*tier.name, tier.processes)).collect();
    assert_eq!(tiers, [("agents", 2), ("gateway", 1)]);
    assert!(result.components.iter().all(|tier| 0 < tier.mean_rss && tier.mean_rss <= tier.peak_rss));
}

#[test]
fn what_is_on_its_way_when_a_link_is_cut_arrives_once_it_is_mended() {
    let workload = workload();
    let run = Live {
        faults: vec!["cut-link@1s+2s".parse().unwrap()],
        settle: Duration::from_secs(12),
        ..live(&workload)
    };
    let result = run.run(&strategy(), &system()).unwrap();
    let simulated =
        simulate(&strategy(), &workload, Run { seed: SEED, compress: false, measure: false }).unwrap();
    assert_eq!(kept(&result, &workload), (simulated.kept.len() as f64, 1.0));
    assert_eq!(result.faults, ["cut-link@1s+2s"]);
    assert!(result.difference.is_none());
    // Some of it was sent in the first half of the cut, and waits a second for a decision besides.
    assert!(result.metrics["decision_latency_max"] > 2.0, "{:?}", result.metrics);
}

#[test]
fn any_program_can_be_in_the_place_of_a_gateway() {
    let workload = workload();
    let config = "yaml:{receivers: {otlp: {protocols: {grpc: {endpoint: \"{listen}\"}}}}, exporters: {otlp: {endpoint: \
                  \"{store}\", tls: {insecure: true}, compression: none}}, processors: {probabilistic_sampler: {mode: \
                  equalizing, sampling_percentage: 100}}, service: {telemetry: {metrics: {level: none}}, pipelines: \
                  {traces: {receivers: [otlp], processors: [probabilistic_sampler], exporters: [otlp]}}}}";
    let peer = format!("itself={} --config '{config}'", forebay().display());
    let result = live(&workload).run_peer(&peer.parse().unwrap(), 0).unwrap();
    assert_eq!(kept(&result, &workload), (workload.population.traces.len() as f64, 1.0));
    assert_eq!(result.strategy, "itself");
    let links: Vec<_> = result.hops.iter().map(|hop| hop.name.as_str()).collect();
    assert_eq!(links, ["services to gateway", "gateway to store"]);
}
