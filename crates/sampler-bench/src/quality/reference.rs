//! Every metric a second time, slowly and as its formula reads, and both have to say the same of any population.
//!
//! Everything is a scan over lists; nothing is shared with what is tested, and a metric without a formula here fails.

use std::collections::BTreeSet;
use std::f64::consts::LOG2_E;

use proptest::prelude::*;

use super::METRICS;
use super::testing::{any_case, close};
use crate::simulate::{Kept, Outcome};
use crate::{Population, Trace};

/// A population and what was kept of it, as lists.
struct Case<'a> {
    population: &'a Population,
    budget: Option<f64>,
    all: Vec<&'a Trace>,
    kept: Vec<(&'a Trace, &'a Kept)>,
}

fn divide(part: f64, whole: f64) -> Option<f64> {
    (whole != 0.0).then(|| part / whole)
}

fn count<T>(items: impl IntoIterator<Item = T>) -> f64 {
    items.into_iter().count() as f64
}

fn distinct<T: Ord>(items: impl IntoIterator<Item = T>) -> f64 {
    items.into_iter().collect::<BTreeSet<_>>().len() as f64
}

fn w(kept: &Kept) -> f64 {
    kept.weight.unwrap_or(1.0)
}

fn duration(trace: &Trace) -> f64 {
    (trace.end - trace.start) as f64 / 1e9
}

impl<'a> Case<'a> {
    fn new(population: &'a Population, outcome: &'a Outcome) -> Self {
        let kept = outcome.kept.iter().map(|kept| (&population.traces[kept.trace as usize], kept)).collect();
        Self { population, budget: outcome.budget, all: population.traces.iter().collect(), kept }
    }

    /// The value of the metric of this name.
    fn value(&self, metric: &str) -> Option<f64> {
        let (all, kept) = (self.all.len() as f64, self.kept.len() as f64);
        let bad = |trace: &Trace| trace.fault.is_some();
        let anomalies = count(self.all.iter().filter(|trace| bad(trace)));
        let caught = count(self.kept.iter().filter(|(trace, _)| bad(trace)));
        let whole = |trace: &Trace, kept: &Kept| kept.spans >= trace.sent;
        let weights = || self.kept.iter().map(|(_, kept)| w(kept));
        let when_labelled = |value: Option<f64>| value.filter(|_| self.population.labelled);
        match metric {
            "anomaly_recall" => when_labelled(divide(caught, anomalies)),
            "anomaly_precision" => when_labelled(divide(caught, kept)),
            "anomaly_lift" => when_labelled(divide(divide(caught, kept)?, divide(anomalies, all)?)),
            "bytes_per_anomaly" => {
                when_labelled(divide(self.kept.iter().map(|(_, kept)| kept.bytes as f64).sum(), caught))
            }
            "kept_ratio" => divide(kept, all),
            "budget_deviation" => {
                let wanted = (self.budget? * all).floor();
                divide((kept - wanted).abs(), wanted)
            }
            "type_coverage" => {
                divide(distinct(self.kept.iter().map(|(trace, _)| trace.kind)), distinct(self.kinds()))
            }
            "anomalous_type_recall" => divide(
                distinct(self.kept.iter().filter(|(trace, _)| bad(trace)).map(|(trace, _)| trace.kind)),
                distinct(self.all.iter().filter(|trace| bad(trace)).map(|trace| trace.kind)),
            ),
            "operation_coverage" => divide(
                distinct(self.kept.iter().flat_map(|(trace, _)| self.operations_of(trace))),
                self.population.operations.len() as f64,
            ),
            "rare_share" => {
                let like = |trace: &Trace| count(self.all.iter().filter(|other| other.entry == trace.entry));
                divide(count(self.kept.iter().filter(|(trace, _)| like(trace) < 0.05 * all)), kept)
            }
            "balance_cv" => variation(&self.counts(true)),
            "balance_cv_kept" => variation(&self.counts(false)),
            "type_entropy" => Some(self.entropy()),
            "type_entropy_normalised" => divide(self.entropy(), distinct(self.kinds()).max(1.0).log2()),
            "types_per_trace" => divide(count(self.counts(false)), kept),
            "dissimilarity" => self.dissimilarity(),
            "completeness" => {
                divide(count(self.kept.iter().filter(|(trace, kept)| whole(trace, kept))), kept)
            }
            "whole_anomaly_recall" => divide(
                count(self.kept.iter().filter(|(trace, kept)| bad(trace) && whole(trace, kept))),
                anomalies,
            ),
            "weighted_ratio" => {
                divide(count(self.kept.iter().filter(|(_, kept)| kept.weight.is_some())), kept)
            }
            "count_error" => self.count_error(|_| true),
            "error_count_error" => self.count_error(|trace| trace.error),
            "entry_count_error" => {
                let entries: BTreeSet<_> = self.all.iter().map(|trace| trace.entry).collect();
                let off = |entry| {
                    let estimate: f64 = self
                        .kept
                        .iter()
                        .filter(|(trace, _)| trace.entry == entry)
                        .map(|(_, kept)| w(kept))
                        .sum();
                    (estimate - count(self.all.iter().filter(|trace| trace.entry == entry))).abs()
                };
                divide(entries.into_iter().map(off).sum(), all)
            }
            "count_interval_coverage" => {
                let half = 1.96 * weights().map(|w| w * w - w).sum::<f64>().sqrt();
                let holds = (weights().sum::<f64>() - all).abs() <= half + 1e-6;
                (all > 0.0).then_some(if holds { 1.0 } else { 0.0 })
            }
            "latency_p50_error" => self.quantile_error(0.5),
            "latency_p90_error" => self.quantile_error(0.9),
            "latency_p99_error" => self.quantile_error(0.99),
            "latency_p99_rank_error" => {
                let found = self.quantile(&self.weighted(), 0.99)?;
                let below = count(self.all.iter().filter(|trace| duration(trace) < found)) / all;
                let up_to = count(self.all.iter().filter(|trace| duration(trace) <= found)) / all;
                Some(if below > 0.99 {
                    below - 0.99
                } else if up_to < 0.99 {
                    0.99 - up_to
                } else {
                    0.0
                })
            }
            "duration_mse" => self.duration_mse(),
            "duration_ks" => {
                let (all, kept) = (self.unweighted(), self.weighted());
                let steps = all.iter().map(|(x, _)| (share(&all, *x) - share(&kept, *x)).abs());
                (!kept.is_empty()).then(|| steps.fold(0.0, f64::max))
            }
            "duration_jsd" => self.divergence(),
            unknown => panic!("{unknown} has no formula here"),
        }
    }

    fn kinds(&self) -> impl Iterator<Item = u32> {
        self.all.iter().map(|trace| trace.kind)
    }

    fn operations_of(&self, trace: &Trace) -> Vec<u32> {
        self.population.spans[trace.spans.clone()].iter().map(|span| span.operation).collect()
    }

    /// How many traces of each type were kept, with or without those of which none was.
    fn counts(&self, with_none: bool) -> Vec<f64> {
        let kinds: BTreeSet<_> = self.kinds().collect();
        let of = |kind| count(self.kept.iter().filter(|(trace, _)| trace.kind == kind));
        kinds.into_iter().map(of).filter(|&count| with_none || count > 0.0).collect()
    }

    fn entropy(&self) -> f64 {
        let kept = self.kept.len() as f64;
        self.counts(false).iter().map(|count| count / kept).map(|p| p * (1.0 / p).ln() * LOG2_E).sum()
    }

    fn dissimilarity(&self) -> Option<f64> {
        let kinds: BTreeSet<_> = self.kept.iter().map(|(trace, _)| trace.kind).collect();
        let set = |kind: u32| self.population.patterns[kind as usize].iter().collect::<BTreeSet<_>>();
        let mut distances = Vec::new();
        for a in &kinds {
            for b in kinds.iter().filter(|b| *b > a) {
                let common = count(set(*a).intersection(&set(*b)));
                distances.push(1.0 - common / count(set(*a).union(&set(*b))));
            }
        }
        divide(distances.iter().sum(), distances.len() as f64)
    }

    fn count_error(&self, counted: impl Fn(&Trace) -> bool) -> Option<f64> {
        let truth = count(self.all.iter().filter(|trace| counted(trace)));
        let estimate: f64 =
            self.kept.iter().filter(|(trace, _)| counted(trace)).map(|(_, kept)| w(kept)).sum();
        divide(estimate - truth, truth)
    }

    fn unweighted(&self) -> Vec<(f64, f64)> {
        self.all.iter().map(|trace| (duration(trace), 1.0)).collect()
    }

    fn weighted(&self) -> Vec<(f64, f64)> {
        self.kept.iter().map(|(trace, kept)| (duration(trace), w(kept))).collect()
    }

    /// The least of the values up to which the share `q` of the weight lies.
    fn quantile(&self, values: &[(f64, f64)], q: f64) -> Option<f64> {
        let enough = values.iter().map(|(x, _)| *x).filter(|x| share(values, *x) >= q - 1e-12);
        enough.min_by(f64::total_cmp)
    }

    fn quantile_error(&self, q: f64) -> Option<f64> {
        let truth = self.quantile(&self.unweighted(), q)?;
        divide((self.quantile(&self.weighted(), q)? - truth).abs(), truth)
    }

    fn duration_mse(&self) -> Option<f64> {
        let spans = |traces: &mut dyn Iterator<Item = &Trace>, operation: u32| -> Vec<f64> {
            let spans = traces.flat_map(|trace| &self.population.spans[trace.spans.clone()]);
            let mut found: Vec<_> = spans
                .filter(|span| span.operation == operation)
                .map(|span| (span.end - span.start) as f64 / 1e3)
                .collect();
            found.sort_by(f64::total_cmp);
            found
        };
        let error = |operation| {
            let all = spans(&mut self.all.iter().copied(), operation);
            let mut kept = spans(&mut self.kept.iter().map(|(trace, _)| *trace), operation);
            if kept.is_empty() {
                kept = vec![all[0]];
            }
            let range = all[all.len() - 1] - all[0] + 1e-7;
            let percents = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0];
            percents
                .map(|p| ((interpolated(&kept, p) - interpolated(&all, p)) / range).powi(2))
                .iter()
                .sum::<f64>()
                / 8.0
        };
        let operations = 0..u32::try_from(self.population.operations.len()).unwrap();
        (!operations.is_empty()).then(|| operations.map(error).sum())
    }

    fn divergence(&self) -> Option<f64> {
        let (all, kept) = (self.unweighted(), self.weighted());
        let least = all.iter().map(|(x, _)| *x).min_by(f64::total_cmp)?;
        let greatest = all.iter().map(|(x, _)| *x).max_by(f64::total_cmp)?;
        let bin = |x: f64| {
            let place = (x - least) / (greatest - least).max(f64::MIN_POSITIVE) * 10.0;
            (1..10).rev().find(|edge| place >= f64::from(*edge)).unwrap_or(0)
        };
        let part = |values: &[(f64, f64)], number| {
            let inside: f64 =
                values.iter().filter(|(x, _)| bin(*x) == number).map(|(_, weight)| weight).sum();
            inside / values.iter().map(|(_, weight)| weight).sum::<f64>()
        };
        let term = |a: f64, m: f64| if a > 0.0 { a * (a / m).ln() * LOG2_E } else { 0.0 };
        let bins = (0..10).map(|number| {
            let (p, q) = (part(&all, number), part(&kept, number));
            (term(p, (p + q) / 2.0) + term(q, (p + q) / 2.0)) / 2.0
        });
        (!kept.is_empty()).then(|| bins.sum::<f64>().max(0.0))
    }
}

/// Standard deviation over mean.
fn variation(counts: &[f64]) -> Option<f64> {
    let number = counts.len() as f64;
    let mean = divide(counts.iter().sum(), number)?;
    // E[x²] − E[x]²
    let variance = counts.iter().map(|count| count * count).sum::<f64>() / number - mean * mean;
    divide(variance.max(0.0).sqrt(), mean)
}

/// The share of the weight at or below `x`.
fn share(values: &[(f64, f64)], x: f64) -> f64 {
    let below: f64 = values.iter().filter(|(value, _)| *value <= x).map(|(_, weight)| weight).sum();
    below / values.iter().map(|(_, weight)| weight).sum::<f64>()
}

/// A percentile of values in order, on the line between its neighbours.
fn interpolated(values: &[f64], percent: f64) -> f64 {
    let place = (values.len() - 1) as f64 * percent / 100.0;
    let near =
        (0..).zip(values).map(|(rank, value)| (1.0 - (place - f64::from(rank)).abs()).max(0.0) * value);
    near.sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_metric_is_what_its_formula_says((population, outcome) in any_case()) {
        let case = Case::new(&population, &outcome);
        for metric in METRICS {
            let (found, expected) = ((metric.compute)(&population, &outcome), case.value(metric.name));
            prop_assert!(close(found, expected), "{}: {found:?}, and slowly {expected:?}", metric.name);
        }
    }
}
