use std::collections::BTreeMap;

use super::*;

fn description(yaml: &str) -> Description {
    Description::load(&format!("yaml:{yaml}")).unwrap()
}

/// One service that calls another, and a fault of the latter.
fn with_fault(fault: &str) -> Description {
    description(&format!(
        "{{duration: 20s, traces_per_second: 50, services: {{
            web: {{operations: {{GET: {{weight: 1, latency: 2ms, spread: 0, calls: [{{service: db, operation: query}}]}}}}}},
            db: {{instances: 2, operations: {{query: {{latency: 4ms, spread: 0}}, vacuum: {{latency: 1ms}}}}}}}},
         faults: [{{name: bad, service: db, operation: query, from: 5s, to: 10s, percentage: 50, {fault}}}]}}"
    ))
}

/// Traces that begin outside and within the time of the fault, each with its seconds, spans and error.
fn struck_and_calm(workload: &Workload) -> (Vec<&crate::Trace>, Vec<&crate::Trace>) {
    workload.population.traces.iter().partition(|trace| trace.is_anomalous())
}

#[test]
fn the_same_seed_makes_the_same_traffic_and_another_does_not() {
    let description = with_fault("kind: errors");
    let facts = |seed| {
        let workload = description.generate(seed, usize::MAX);
        workload
            .population
            .traces
            .iter()
            .map(|trace| (trace.id, trace.start, trace.end, trace.fault))
            .collect::<Vec<_>>()
    };
    assert_eq!(facts(1), facts(1));
    assert_ne!(facts(1), facts(2));
}

#[test]
fn presets_have_no_mistakes_and_each_of_their_faults_happens() {
    for (name, _) in PRESETS {
        let workload = Description::load(name).unwrap().generate(1, usize::MAX);
        let mut found: BTreeMap<_, _> = workload.population.faults.iter().map(|fault| (fault, 0)).collect();
        for fault in workload.population.traces.iter().filter_map(|trace| trace.fault) {
            *found.get_mut(&workload.population.faults[fault as usize]).unwrap() += 1;
        }
        assert!(found.values().all(|&count| count > 0), "{name}: {found:?}");
        assert_eq!(workload.oddities, crate::Oddities::default(), "{name}");
    }
}

#[test]
fn faults_strike_when_and_as_often_as_they_are_said_to() {
    let workload = with_fault("kind: errors").generate(1, usize::MAX);
    let (struck, calm) = struck_and_calm(&workload);
    let seconds = |trace: &crate::Trace| (trace.start - BEGIN) as f64 / 1e9;
    assert!(struck.iter().all(|trace| (4.9..10.0).contains(&seconds(trace)) && trace.error));
    assert!(calm.iter().all(|trace| !trace.error));
    // 250 traces are expected in five seconds, and half of them struck.
    assert!((80..170).contains(&struck.len()), "{}", struck.len());
}

#[test]
fn a_slow_dependency_is_as_much_slower_as_it_is_said_to_be() {
    let workload = with_fault("kind: slow, factor: 100").generate(1, usize::MAX);
    let (struck, calm) = struck_and_calm(&workload);
    assert!(struck.iter().all(|trace| (0.4..0.5).contains(&trace.seconds())));
    assert!(calm.iter().all(|trace| trace.seconds() < 0.1));
}

#[test]
fn a_storm_of_retries_repeats_calls_and_ends_well() {
    let workload = with_fault("kind: retry_storm, attempts: 4").generate(1, usize::MAX);
    let (struck, calm) = struck_and_calm(&workload);
    assert!(calm.iter().all(|trace| trace.spans.len() == 3));
    assert!(struck.iter().all(|trace| trace.spans.len() > 3 && trace.spans.len() <= 9));
    let root_failed = |trace: &&&crate::Trace| {
        workload.population.spans_of(trace).iter().any(|span| span.parent == 0 && span.error)
    };
    assert_eq!(struck.iter().filter(root_failed).count(), 0);
}

#[test]
fn a_rare_path_is_one_that_nobody_else_takes() {
    let workload =
        with_fault("kind: rare_path, calls: {service: db, operation: vacuum}").generate(1, usize::MAX);
    let (struck, calm) = struck_and_calm(&workload);
    let vacuum = workload.population.operations.iter().position(|name| name == "db vacuum").unwrap();
    let has = |trace: &&crate::Trace| {
        workload.population.spans_of(trace).iter().any(|span| span.operation as usize == vacuum)
    };
    assert!(struck.iter().all(has) && !calm.iter().any(has));
}

#[test]
fn an_instance_that_is_out_answers_nothing_and_its_callers_time_out() {
    let workload = with_fault("kind: outage, instance: 1").generate(1, usize::MAX);
    let (struck, _) = struck_and_calm(&workload);
    assert!(struck.iter().all(|trace| trace.spans.len() == 2 && trace.error && trace.seconds() > 1.0));
    // One of two instances, for half of the calls.
    assert!((30..100).contains(&struck.len()), "{}", struck.len());
}

#[test]
fn mistakes_in_a_description_are_shown_with_their_places() {
    for (yaml, expected) in [
        ("{}", "there are no services"),
        ("services: {a: {operations: {x: {}}}}", "no operation has a `weight`"),
        (
            "services: {a: {operations: {x: {weight: 1, calls: [{service: b, operation: y}]}}}}",
            "there is no service `b`",
        ),
        (
            "services: {a: {operations: {x: {weight: 1, calls: [{service: a, operation: y}]}}}}",
            "has no operation `y`",
        ),
        (
            "services: {a: {operations: {x: {weight: 1, calls: [{service: a, operation: x}]}}}}",
            "calls itself in a circle",
        ),
        ("{services: {a: {operations: {x: {weight: 1, latncy: 1ms}}}}}", "did you mean `latency`"),
        (
            "{services: {a: {operations: {x: {weight: 1}}}}, faults: [{kind: fire, service: a, name: f}]}",
            "fire",
        ),
        (
            "{services: {a: {operations: {x: {weight: 1}}}}, faults: [{kind: errors, service: a}]}",
            "`name` is required",
        ),
        (
            "{services: {a: {operations: {x: {weight: 1}}}}, faults: [{kind: errors, service: a, name: f, from: 2s, to: 1s}]}",
            "is not after",
        ),
    ] {
        let error = Description::load(&format!("yaml:{yaml}")).unwrap_err().to_string();
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}
