use std::collections::BTreeMap;

use super::*;
use crate::cost::Prices;
use crate::machine::Machine;
use crate::results::{MetricInfo, StrategyResult, VERSION, WorkloadSummary};
use crate::statistics::Estimate;

fn results(recall: &[f64]) -> Results {
    let estimate = Estimate::of(recall.iter().copied().map(Some).collect()).unwrap();
    Results {
        version: VERSION,
        program: String::new(),
        command: Vec::new(),
        machine: Machine::default(),
        workload: WorkloadSummary::default(),
        first_seed: 1,
        seeds: recall.len() as u64,
        prices: Prices::default(),
        metrics: MetricInfo::all(),
        strategies: vec![StrategyResult {
            name: "tail".to_owned(),
            metrics: BTreeMap::from([
                ("anomaly_recall".to_owned(), estimate.clone()),
                ("cpu_ns_per_span".to_owned(), estimate),
            ]),
            ..StrategyResult::default()
        }],
        sweep: Vec::new(),
        live: Vec::new(),
    }
}

#[test]
fn a_small_difference_in_every_seed_is_one_and_the_machine_is_left_out() {
    let found = Differences::of(&results(&[0.1, 0.5, 0.9, 0.3]), &results(&[0.12, 0.53, 0.92, 0.33]));
    assert!(found.paired);
    assert_eq!((found.compared, found.significant.len()), (1, 1));
    assert_eq!(found.significant[0].improved, Some(true));
    assert!(found.to_string().contains("better"), "{found}");
}

#[test]
fn a_difference_within_the_noise_is_none() {
    let found = Differences::of(&results(&[0.1, 0.5, 0.9, 0.3]), &results(&[0.5, 0.1, 0.3, 0.95]));
    assert!(found.significant.is_empty());
}

#[test]
fn other_workloads_are_compared_by_their_means_and_lone_strategies_named() {
    let mut other = results(&[0.9, 0.91, 0.92, 0.9]);
    other.workload.traces = 5;
    let found = Differences::of(&results(&[0.1, 0.11, 0.12, 0.1]), &other);
    assert!(!found.paired && found.significant.len() == 1);
    other.strategies[0].name = "head".to_owned();
    assert_eq!(Differences::of(&results(&[0.1, 0.2]), &other).unmatched, ["tail", "head"]);
}

#[test]
fn an_assertion_names_what_does_not_hold_and_for_whom() {
    use crate::assert::Assertion;
    let results = results(&[0.5]);
    let violations = |text: &str| Assertion::parse(text).unwrap().violations(&results);
    assert!(violations("anomaly_recall >= 0.5").is_empty());
    let [violation] = &violations("anomaly_recall > 0.9")[..] else { panic!("one strategy") };
    assert_eq!(violation.strategy.as_deref(), Some("tail"));
    assert!(violation.message.contains("anomaly_recall = 0.5000"), "{}", violation.message);
    assert!(violations("head: anomaly_recall > 0")[0].message.contains("there is no such strategy"));
}
