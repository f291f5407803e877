use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::*;
use crate::compare::is_of_the_machine;
use crate::generate::Description;
use crate::{Traffic, builtin};

/// Forty seconds of little traffic.
fn workload() -> Workload {
    Description {
        duration: Duration::from_secs(40),
        traces_per_second: 5.0,
        ..Description::load("shop").unwrap()
    }
    .generate(1, usize::MAX)
}

fn compare(names: &[&str], seeds: u64, threads: usize) -> Vec<StrategyResult> {
    let workload = workload();
    let mut strategies = builtin(&Traffic::of(&workload)).unwrap();
    strategies.retain(|strategy| names.contains(&strategy.name.as_str()));
    let runs = AtomicU64::new(0);
    let comparison = Comparison {
        workload: &workload,
        strategies: &strategies,
        first_seed: 1,
        seeds,
        prices: Prices::default(),
        threads: Some(threads),
    };
    let results = comparison.run(|| {
        runs.fetch_add(1, Ordering::Relaxed);
    });
    let results = results.unwrap();
    assert_eq!(runs.into_inner(), seeds * strategies.len() as u64);
    results
}

#[test]
fn results_are_in_order_and_do_not_depend_on_the_number_of_threads() {
    let names = ["keep-all", "head-equalizing-10%"];
    let decided = |results: Vec<StrategyResult>| -> Vec<_> {
        results
            .into_iter()
            .map(|mut result| {
                // Those of the machine are another each time.
                result.metrics.retain(|name, _| !is_of_the_machine(name));
                (result.name, result.metrics, result.recall_by_fault, result.hops)
            })
            .collect()
    };
    let one = decided(compare(&names, 3, 1));
    assert_eq!(one.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(one, decided(compare(&names, 3, 2)));
}

#[test]
fn estimates_from_thresholds_are_unbiased_over_two_hundred_seeds() {
    for result in compare(&["head-equalizing-10%", "head-hash-10%", "tail-5%"], 200, 2) {
        assert_eq!(result.metrics["weighted_ratio"].mean, 1.0);
        for metric in ["count_error", "error_count_error"] {
            let z = result.metrics[metric].z();
            assert!(z.abs() < crate::statistics::BIASED, "{} {metric}: {z}", result.name);
        }
    }
}

#[test]
fn whoever_keeps_all_is_perfect_and_misses_nothing() {
    let result = compare(&["keep-all"], 2, 1).remove(0);
    let mean = |name: &str| result.metrics[name].mean;
    for name in ["anomaly_recall", "type_coverage", "completeness", "kept_ratio", "egress_ratio"] {
        assert_eq!(mean(name), 1.0, "{name}");
    }
    for name in ["count_error", "latency_p99_error", "duration_mse", "duration_ks", "duration_jsd"] {
        assert!(mean(name).abs() < 1e-12, "{name}: {}", mean(name));
    }
    assert!(result.missed.is_empty());
}
