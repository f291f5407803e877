//! What each rule has decided, under the names of the Collector's `adaptive_tail_sampling`.

use forebay_otlp::threshold::Threshold;
use forebay_pipeline::Telemetry;
use prometheus::local::LocalHistogram;
use prometheus::{IntCounter, IntCounterVec, IntGauge};

use crate::tail::sampler::TailSampler;
use crate::tail::stamp::Trigger;
use crate::tail::stats::Stats;

/// Metrics of a processor's rules.
pub(super) struct RuleMetrics {
    processor: String,
    rules: Vec<OfRule>,
    /// By what has triggered decisions, in its order.
    triggers: [IntCounter; Trigger::ALL.len()],
    evicted: IntCounter,
    active: IntGauge,
    /// Failures of conditions: by rule, and of the condition that tells which spans are roots.
    failures: IntCounterVec,
}

/// Metrics of one rule.
struct OfRule {
    sampled: IntCounter,
    dropped: IntCounter,
    rates: LocalHistogram,
    spans: LocalHistogram,
}

/// Bounds as upstream's, the defaults of an SDK, but for the least: 1 and 2 rather than 0, which nothing is.
const BOUNDS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4];

impl RuleMetrics {
    /// The metrics of processor `id` with rules of these names.
    pub(super) fn new(id: &str, rules: &[String], telemetry: &Telemetry) -> Self {
        let by_rule = |name, help: &str| telemetry.counters(name, help, &["processor", "rule"]);
        let distribution =
            |name, help: &str| telemetry.histograms(name, help, &["processor", "rule"], BOUNDS);
        let sampled = by_rule(
            "otelcol_processor_adaptive_tail_sampling_traces_sampled",
            "Traces that a rule has kept.",
        );
        let dropped = by_rule(
            "otelcol_processor_adaptive_tail_sampling_traces_dropped",
            "Traces that a rule has not kept, or that no rule was for.",
        );
        let failures = by_rule(
            "otelcol_processor_adaptive_tail_sampling_ottl_eval_errors",
            "Evaluations of a rule's conditions on a span that failed.",
        );
        let rates = distribution(
            "otelcol_processor_adaptive_tail_sampling_decision_sample_rate",
            "One in how many traces of its kind is kept, for each trace that a rule has decided.",
        );
        let spans = distribution(
            "otelcol_processor_adaptive_tail_sampling_trace_span_count",
            "Spans of each trace that a rule has decided.",
        );
        let triggers = telemetry.counters(
            "otelcol_processor_adaptive_tail_sampling_decision_triggers",
            "Decided traces by what has triggered that.",
            &["processor", "trigger"],
        );
        let evicted = telemetry.counters(
            "otelcol_processor_adaptive_tail_sampling_traces_evicted",
            "Traces decided because there was no room for them to wait longer.",
            &["processor"],
        );
        let active = telemetry.gauges(
            "otelcol_processor_adaptive_tail_sampling_traces_active",
            "Traces that wait for their decision.",
            &["processor"],
        );
        let of_rule = |rule: &String| OfRule {
            sampled: sampled.with_label_values(&[id, rule]),
            dropped: dropped.with_label_values(&[id, rule]),
            rates: rates.with_label_values(&[id, rule]).local(),
            spans: spans.with_label_values(&[id, rule]).local(),
        };
        Self {
            processor: id.to_owned(),
            rules: rules.iter().map(of_rule).collect(),
            triggers: Trigger::ALL.map(|trigger| triggers.with_label_values(&[id, trigger.name()])),
            evicted: evicted.with_label_values(&[id]),
            active: active.with_label_values(&[id]),
            failures,
        }
    }

    /// Adds what rules have decided between two counts.
    pub(super) fn add(&self, now: &Stats, before: &Stats) {
        for (trigger, (now, before)) in self.triggers.iter().zip(now.triggers.iter().zip(before.triggers)) {
            trigger.inc_by(now - before);
        }
        let room = Trigger::Room as usize;
        self.evicted.inc_by(now.triggers[room] - before.triggers[room]);
        for (rule, (now, before)) in self.rules.iter().zip(now.policies.iter().zip(&before.policies)) {
            rule.sampled.inc_by(now.sampled.traces - before.sampled.traces);
            rule.dropped.inc_by(now.not_sampled.traces - before.not_sampled.traces);
        }
    }

    /// Adds what the shard's rules have met since the last time, and by how much the number of waiting traces has
    /// changed.
    pub(super) fn publish(&self, sampler: &mut TailSampler, more_traces: i64) {
        for decision in sampler.take_rule_decisions() {
            let Some(rule) = self.rules.get(usize::from(decision.rule)) else { continue };
            rule.spans.observe(f64::from(decision.spans));
            if let Some(rate) = decision.threshold.map(Threshold::adjusted_count) {
                rule.rates.observe(rate);
            }
        }
        for rule in &self.rules {
            rule.rates.flush();
            rule.spans.flush();
        }
        for (rule, failures) in sampler.take_rule_failures() {
            self.failures.with_label_values(&[&*self.processor, &*rule]).inc_by(failures);
        }
        self.active.add(more_traces);
    }
}
