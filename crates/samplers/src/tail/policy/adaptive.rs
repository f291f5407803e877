//! `adaptive_percentage` and `adaptive_throughput`: a budget divided among kinds of traces, each of which has a
//! probability of its own (`forebay-allocators`). The keys are those of the Collector's `adaptive_tail_sampling`.

use std::time::Duration;

use forebay_allocators::{EmaSettings, Goal, WaterSettings};
use forebay_config::{Cursor, Table};
use forebay_otlp::threshold::Threshold;

use super::{Compiler, Evidence, Nature, Policy, Verdict};
use crate::retroactive::program::Columns;
use crate::tail::allocation::{BudgetNumber, Division};
use crate::tail::fingerprint::{FingerprintNumber, Selector};
use crate::tail::limits::Limits;

struct Adaptive(BudgetNumber);

#[derive(Clone, Copy, PartialEq)]
enum Algorithm {
    Ema,
    Windowed,
    Total,
    PerKey,
    WaterFilling,
}

const OF_PERCENTAGES: &[(&str, Algorithm)] =
    &[("ema", Algorithm::Ema), ("water_filling", Algorithm::WaterFilling)];
const OF_THROUGHPUTS: &[(&str, Algorithm)] = &[
    ("ema", Algorithm::Ema),
    ("windowed", Algorithm::Windowed),
    ("total", Algorithm::Total),
    ("per_key", Algorithm::PerKey),
    ("water_filling", Algorithm::WaterFilling),
];

const MAX_KEYS: usize = 500;
/// For those who set no bound.
const MAX_KEYS_MOST: usize = 1 << 16;
const INTERVAL: Duration = Duration::from_secs(15);
const WEIGHT: f64 = 0.5;
const INITIAL: f64 = 0.1;
const UPDATE: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_secs(30);
/// Updates in a window, unless it is set.
const UPDATES: u32 = 30;
const UPDATES_MAX: u128 = 300;

pub(super) fn read_percentage(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let goal = percentage(settings, "goal_percentage");
    let algorithm = settings.choice_or("algorithm", OF_PERCENTAGES, Algorithm::Ema);
    let (keys, fingerprint) = (max_keys(settings), fingerprint(settings, compiler));
    let (interval, weight) = smoothing(settings);
    let goal = settings.require("goal_percentage", goal)?;
    let division = match algorithm {
        Algorithm::WaterFilling => water(Goal::Share(goal), interval, weight, keys),
        _ => ema(Goal::Share(goal), goal, interval, weight, keys),
    };
    adaptive(division, fingerprint?, compiler)
}

pub(super) fn read_throughput(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<Box<dyn Policy>> {
    let goal = settings.float("goal_throughput", 0.0..=f64::MAX);
    if goal == Some(0.0) {
        settings.error("goal_throughput", "nothing would be kept: expected spans per second, above 0");
    }
    let algorithm = settings.choice_or("algorithm", OF_THROUGHPUTS, Algorithm::Ema);
    let (max_keys, fingerprint) = (max_keys(settings), fingerprint(settings, compiler));
    settings.accept("shared_counters", "each process counts by itself");
    let goal_is_set = settings.require("goal_throughput", goal);
    let per_second = goal_is_set.unwrap_or(1.0);
    let goal = Goal::SpansPerSecond(per_second);
    let division = match algorithm {
        Algorithm::Ema => {
            settings.default("initial_sampling_percentage", INITIAL * 100.0);
            let initial = percentage(settings, "initial_sampling_percentage").unwrap_or(INITIAL);
            let (interval, weight) = smoothing(settings);
            ema(goal, initial, interval, weight, max_keys)
        }
        Algorithm::WaterFilling => {
            let (interval, weight) = smoothing(settings);
            water(goal, interval, weight, max_keys)
        }
        Algorithm::Windowed => {
            let (update, lookback) = window(settings);
            Division::Windowed { per_second, update, lookback, max_keys }
        }
        Algorithm::Total => {
            let interval = positive(settings, "adjustment_interval", WINDOW);
            Division::Total { per_second, interval, max_keys }
        }
        Algorithm::PerKey => {
            let interval = positive(settings, "adjustment_interval", WINDOW);
            Division::PerKey { per_second, interval, max_keys }
        }
    };
    goal_is_set?;
    adaptive(division, fingerprint?, compiler)
}

fn adaptive(
    division: Division,
    fingerprint: FingerprintNumber,
    compiler: &mut Compiler<'_>,
) -> Option<Box<dyn Policy>> {
    Some(Box::new(Adaptive(compiler.rates.add_budget(&compiler.name, division, fingerprint))))
}

fn ema(goal: Goal, initial: f64, interval: Duration, weight: f64, max_keys: usize) -> Division {
    Division::Ema(EmaSettings { goal, interval, weight, initial, max_keys })
}

/// What is left of a key after an interval is one minus the weight.
fn water(goal: Goal, interval: Duration, weight: f64, max_keys: usize) -> Division {
    let intervals = -1.0 / (1.0 - weight).ln();
    let memory = Duration::try_from_secs_f64(interval.as_secs_f64() * intervals).unwrap_or(Duration::MAX);
    Division::Water(WaterSettings { goal, memory, max_keys })
}

/// A share that is set in percent.
pub(super) fn percentage(settings: &Table<'_>, key: &'static str) -> Option<f64> {
    let percentage = settings.float(key, 0.0..=100.0);
    if percentage == Some(0.0) {
        settings.error(key, "nothing would be kept: expected a percentage above 0");
    }
    percentage.map(|percentage| percentage / 100.0)
}

fn max_keys(settings: &Table<'_>) -> usize {
    let max_keys = settings.integer_or("max_keys", 0..=MAX_KEYS_MOST, MAX_KEYS);
    if max_keys == 0 { MAX_KEYS_MOST } else { max_keys }
}

/// The interval of an average and the weight of the last one. A weight of zero stands for the default, as
/// upstream.
fn smoothing(settings: &Table<'_>) -> (Duration, f64) {
    let weight = Some(settings.float_or("weight", 0.0..=1.0, WEIGHT)).filter(|&weight| weight > 0.0);
    let weight = weight.unwrap_or(WEIGHT);
    if weight == 1.0 {
        settings.error("weight", "1 would forget everything after an interval: expected a weight below it");
    }
    (positive(settings, "adjustment_interval", INTERVAL), weight)
}

fn window(settings: &Table<'_>) -> (Duration, Duration) {
    let update = positive(settings, "update_frequency", UPDATE);
    let lookback = positive(settings, "lookback_frequency", update.saturating_mul(UPDATES));
    if !(1..=UPDATES_MAX).contains(&(lookback.as_nanos() / update.as_nanos())) {
        let message =
            format!("expected a time of at least `update_frequency`, and at most {UPDATES_MAX} times it");
        settings.error("lookback_frequency", message);
    }
    (update, lookback)
}

/// A duration, of which zero stands for the default, as upstream.
fn positive(settings: &Table<'_>, key: &'static str, default: Duration) -> Duration {
    Some(settings.duration_or(key, default)).filter(|duration| !duration.is_zero()).unwrap_or(default)
}

fn fingerprint(settings: &Table<'_>, compiler: &mut Compiler<'_>) -> Option<FingerprintNumber> {
    const KEY: &str = "fingerprint_attributes";
    let entries = settings.require(KEY, settings.list(KEY))?;
    if entries.is_empty() {
        settings.error(KEY, "name at least one attribute");
    }
    let selector = |entry: &Cursor<'_>| {
        let parsed = entry.string()?.parse::<Selector>();
        parsed.map_err(|error| entry.error(error.to_string())).ok()
    };
    let selectors = entries.iter().map(selector).collect::<Option<Vec<_>>>()?;
    let number = compiler.predicates.add_fingerprint(selectors);
    number.map_err(|error| settings.error(KEY, error.to_string())).ok()
}

impl Policy for Adaptive {
    fn evaluate(&self, trace: &Evidence<'_>, limits: &Limits) -> Verdict {
        Verdict::above(self.threshold(trace, limits), trace.randomness)
    }

    fn threshold(&self, trace: &Evidence<'_>, limits: &Limits) -> Option<Threshold> {
        limits.allocated(self.0, trace)
    }

    fn choose(&self, traces: &[Evidence<'_>], limits: &mut Limits) {
        limits.allocate(self.0, traces);
    }

    fn columns(&self) -> Columns {
        Columns::SPANS
    }

    fn nature(&self) -> Nature {
        Nature::LIMITED
    }

    fn budget(&self) -> Option<BudgetNumber> {
        Some(self.0)
    }
}
