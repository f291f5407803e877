//! Simulated traffic: how near to its limit what is kept comes, and whether weights are true.

use forebay_otlp::threshold::Randomness;
use proptest::prelude::*;

use super::*;
use crate::testing::random;

/// What was kept of some traffic.
struct Kept {
    /// Items kept in each window.
    windows: Vec<usize>,
    /// Their weights together, and items that came.
    estimate: f64,
    came: usize,
}

/// Runs through windows of which each brings so many items, at equal distances, each of a trace of its own.
fn run(limit: Limit, windows: impl Iterator<Item = usize>, seed: u64) -> Kept {
    let mut controller = Controller::new(limit);
    let mut numbers = random(seed).map(Randomness::from_low_bits);
    let mut kept = Kept { windows: Vec::new(), estimate: 0.0, came: 0 };
    for (window, items) in (1..).zip(windows) {
        let mut count = 0;
        for item in 0..items {
            let now = window * WINDOW + WINDOW * item as u64 / items as u64;
            let threshold = controller.threshold(now);
            if threshold.keeps(numbers.next().unwrap()) {
                count += 1;
                kept.estimate += threshold.adjusted_count();
            }
            controller.charge(Threshold::ALWAYS);
        }
        kept.windows.push(count);
        kept.came += items;
    }
    kept
}

/// The mean and four standard errors of what is kept in `windows`, of ten runs each.
fn mean(limit: Limit, windows: &[usize], of: impl Fn(&Kept) -> usize) -> (f64, f64) {
    let runs: Vec<f64> = (0..50).map(|seed| of(&run(limit, windows.iter().copied(), seed)) as f64).collect();
    let mean = runs.iter().sum::<f64>() / runs.len() as f64;
    let variance = runs.iter().map(|run| (run - mean).powi(2)).sum::<f64>() / (runs.len() - 1) as f64;
    (mean, 4.0 * (variance / runs.len() as f64).sqrt())
}

const LIMIT: Limit = Limit { per_second: 1_000.0, burst: 1_000.0 };

/// What is kept after five seconds, in which what was saved up is spent.
fn later(kept: &Kept) -> usize {
    kept.windows[50..].iter().sum()
}

#[test]
fn below_the_limit_everything_is_kept() {
    let kept = run(LIMIT, std::iter::repeat_n(90, 100), 1);
    assert_eq!(kept.windows.iter().sum::<usize>(), kept.came);
}

#[test]
fn a_steady_surplus_is_cut_to_the_limit() {
    for items in [150, 1_000, 20_000] {
        let (mean, error) = mean(LIMIT, &[items; 100], later);
        assert!((mean - 5_000.0).abs() < 0.01 * 5_000.0 + error, "{mean} ± {error} of 5000 at {items}");
    }
}

#[test]
fn a_surplus_that_fluctuates_is_cut_to_the_limit() {
    let windows: Vec<_> =
        random(5).take(250).map(|number| 200 + usize::try_from(number % 800).unwrap()).collect();
    let (mean, error) = mean(LIMIT, &windows, later);
    assert!((mean - 20_000.0).abs() < 0.02 * 20_000.0 + error, "{mean} ± {error}");
}

#[test]
fn a_day_of_slow_waves_is_cut_to_the_limit() {
    // From half to ten times the limit and back, in ten minutes.
    let wave = |window: usize| (window as f64 * std::f64::consts::TAU / 6_000.0).sin().mul_add(475.0, 525.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of items")]
    let windows: Vec<_> = (0..6_000).map(|window| wave(window) as usize).collect();
    let kept = run(LIMIT, windows.iter().copied(), 1);
    let allowed: usize = windows[50..].iter().map(|&items| items.min(100)).sum();
    let deviation = (later(&kept) as f64 - allowed as f64) / allowed as f64;
    assert!(deviation.abs() < 0.02, "{deviation}");
}

#[test]
fn a_burst_costs_little_more_than_the_budget_and_is_paid_back() {
    for factor in [2_usize, 20, 200] {
        let mut windows = vec![200; 100];
        windows[70] *= factor;
        let (mean_of_burst, error) = mean(LIMIT, &windows, |kept| kept.windows[70]);
        let most = 100.0 * (1.0 + (factor as f64).log2().mul_add(0.25, 0.75));
        assert!(mean_of_burst < most + error, "{mean_of_burst} ± {error} above {most} at {factor}");
        let (total, error) = mean(LIMIT, &windows, later);
        assert!((total - 5_000.0).abs() < 0.01 * 5_000.0 + error, "{total} ± {error}");
    }
}

#[test]
fn what_was_saved_up_lets_a_burst_pass() {
    let limit = Limit { per_second: 1_000.0, burst: 500.0 };
    let mut windows = vec![0; 20];
    windows.push(500);
    assert_eq!(run(limit, windows.into_iter(), 1).windows[20], 500);
}

#[test]
fn a_fraction_of_an_item_a_second_is_kept_in_the_long_run() {
    let limit = Limit { per_second: 0.5, burst: 1.0 };
    // Twenty a second for ten minutes.
    let (mean, error) = mean(limit, &[2; 6_000], |kept| kept.windows.iter().sum());
    assert!((mean - 301.0).abs() < 0.05 * 301.0 + error, "{mean} ± {error} of 301");
}

#[test]
fn what_came_sampled_already_counts_as_what_is_left_of_it() {
    // Two hundred a window that have passed a thousandth: nothing is gained by choosing again with more.
    let mut controller = Controller::new(Limit { per_second: 10_000.0, burst: 10_000.0 });
    let before = Threshold::from_probability(0.001, 14).unwrap();
    for item in 0..2_000 {
        let threshold = controller.threshold(WINDOW + item * WINDOW / 200);
        assert!(threshold <= before, "{threshold}");
        controller.charge(before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn weights_are_unbiased_however_the_threshold_moves(
        per_second in 5.0..2_000.0_f64,
        windows in prop::collection::vec(prop_oneof![3 => 0..200_usize, 1 => 0..3_000_usize], 1..12),
    ) {
        let limit = Limit { per_second, burst: (per_second / 5.0).max(1.0) };
        let sets = 200;
        let runs: Vec<_> = (0..sets).map(|set| run(limit, windows.iter().copied(), set)).collect();
        let mean = runs.iter().map(|run| run.estimate).sum::<f64>() / sets as f64;
        let variance = runs.iter().map(|run| (run.estimate - mean).powi(2)).sum::<f64>() / (sets - 1) as f64;
        let came = runs[0].came as f64;
        let error = (variance / sets as f64).sqrt();
        prop_assert!((mean - came).abs() <= 4.0 * error + 1e-6 * came, "{mean} ± {error} for {came}");
    }

    #[test]
    fn whatever_comes_whenever_there_is_a_threshold(
        per_second in 0.001..1e12_f64,
        items in prop::collection::vec((0..10_u64 * SECOND, 0..1_u64 << 56), 0..200),
    ) {
        let mut controller = Controller::new(Limit { per_second, burst: per_second.max(1.0) });
        let mut now = 0;
        for (pause, before) in items {
            now += pause;
            prop_assert!(controller.threshold(now).probability() > 0.0);
            controller.charge(Threshold::new(before).unwrap());
            prop_assert!(controller.budget.is_finite() && controller.demand.is_finite());
        }
    }
}
