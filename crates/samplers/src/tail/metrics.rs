//! The tail sampler's metrics, under the Collector's names where it has them.

mod budgets;
mod policies;
mod rules;

use std::time::Duration;

use forebay_pipeline::{Ledger, Telemetry};
use prometheus::local::LocalHistogram;
use prometheus::{Histogram, IntCounter, IntGauge};

use self::budgets::BudgetMetrics;
use self::policies::PolicyCounters;
use self::rules::RuleMetrics;
use super::decision::Policies;
use super::sampler::TailSampler;
use super::stats::Stats;
use super::waits::Reason;

/// One shard's part in the processor's metrics, which all shards add to.
pub(super) struct Metrics {
    published: Stats,
    pending_traces: i64,
    pending_bytes: i64,
    allowed_bytes: i64,
    buffered: IntGauge,
    not_sampled: IntCounter,
    abandoned: IntCounter,
    traces: IntCounter,
    kept_traces: IntCounter,
    not_sampled_traces: IntCounter,
    dropped_traces: IntCounter,
    late_kept: IntCounter,
    late_dropped: IntCounter,
    early_decisions: IntCounter,
    early_releases: IntCounter,
    too_large_traces: IntCounter,
    unknown_head_spans: IntCounter,
    decision_latency: Histogram,
    late_span_age: Histogram,
    /// By reason, in its order.
    removal_ages: [LocalHistogram; Reason::ALL.len()],
    traces_on_memory: IntGauge,
    bytes_on_memory: IntGauge,
    bytes_allowed: IntGauge,
    /// Traces that a policy could not judge.
    evaluation_errors: IntCounter,
    policies: Vec<PolicyCounters>,
    rules: Option<RuleMetrics>,
    budgets: Option<BudgetMetrics>,
}

/// Bounds as upstream's.
const DECISION_MILLISECONDS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 750.0, 1e3, 2e3, 3e3,
    4e3, 5e3, 1e4, 2e4, 3e4, 5e4,
];
/// Bounds of histograms of ages, in seconds.
pub const AGE_SECONDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0];

impl Metrics {
    /// The metrics of processor `id` (`tail_sampling/slow`) with these policies.
    pub(super) fn new(id: &str, policies: &Policies, telemetry: &Telemetry, ledger: &Ledger) -> Self {
        let counter =
            |name, help: &str| telemetry.counters(name, help, &["processor"]).with_label_values(&[id]);
        let gauge = |name, help: &str| telemetry.gauges(name, help, &["processor"]).with_label_values(&[id]);
        let histogram = |name, help: &str, bounds| {
            telemetry.histograms(name, help, &["processor"], bounds).with_label_values(&[id])
        };
        let global = telemetry.counters(
            "otelcol_processor_tail_sampling_global_count_traces_sampled",
            "Traces by decision.",
            &["processor", "sampled", "decision"],
        );
        let releases = telemetry.counters(
            "otelcol_processor_tail_sampling_early_releases_from_cache_decision",
            "Late spans that got their trace's decision, by whether that was to keep it.",
            &["processor", "sampled"],
        );
        let removal_age = telemetry.histograms(
            "otelcol_processor_tail_sampling_sampling_trace_removal_age",
            "Seconds from a trace's arrival to its decision, rounded down, by why it was decided.",
            &["processor", "reason"],
            AGE_SECONDS,
        );
        Self {
            published: Stats::new(policies.names().len()),
            pending_traces: 0,
            pending_bytes: 0,
            allowed_bytes: 0,
            buffered: ledger.buffered.clone(),
            not_sampled: ledger.dropped("not_sampled"),
            abandoned: ledger.dropped("shutdown"),
            traces: counter(
                "otelcol_processor_tail_sampling_new_trace_id_received",
                "Traces seen for the first time.",
            ),
            kept_traces: global.with_label_values(&[id, "true", "sampled"]),
            not_sampled_traces: global.with_label_values(&[id, "false", "not_sampled"]),
            dropped_traces: global.with_label_values(&[id, "false", "dropped"]),
            late_kept: releases.with_label_values(&[id, "true"]),
            late_dropped: releases.with_label_values(&[id, "false"]),
            early_decisions: counter(
                "forebay_tail_sampling_early_decisions",
                "Traces decided before their time, for want of room or because the process ended.",
            ),
            early_releases: counter(
                "forebay_tail_sampling_early_releases",
                "Traces that left before their time because it was certain that they are kept.",
            ),
            too_large_traces: counter(
                "otelcol_processor_tail_sampling_traces_dropped_too_large",
                "Traces dropped because they had more bytes than maximum_trace_size_bytes.",
            ),
            unknown_head_spans: counter(
                "forebay_tail_sampling_unknown_head_spans",
                "Decided spans that came without a threshold: whatever they were sampled with before is not in their weight.",
            ),
            evaluation_errors: counter(
                "otelcol_processor_tail_sampling_sampling_policy_evaluation_error",
                "Traces that a policy could not judge.",
            ),
            decision_latency: histogram(
                "otelcol_processor_tail_sampling_sampling_decision_timer_latency",
                "Milliseconds that the decisions of a tick took.",
                DECISION_MILLISECONDS,
            ),
            late_span_age: histogram(
                "otelcol_processor_tail_sampling_sampling_late_span_age",
                "Seconds from a trace's decision to the arrival of spans that get it, where it was to keep them.",
                AGE_SECONDS,
            ),
            removal_ages: Reason::ALL
                .map(|reason| removal_age.with_label_values(&[id, reason.name()]).local()),
            traces_on_memory: gauge(
                "otelcol_processor_tail_sampling_sampling_traces_on_memory",
                "Traces that wait for their decision.",
            ),
            bytes_on_memory: gauge("forebay_tail_sampling_pending_bytes", "Bytes that pending traces hold."),
            bytes_allowed: gauge(
                "forebay_tail_sampling_pending_bytes_limit",
                "Bytes that pending traces may hold.",
            ),
            policies: PolicyCounters::of_all(id, policies.names(), telemetry),
            rules: policies.are_rules().then(|| RuleMetrics::new(id, policies.names(), telemetry)),
            budgets: policies.are_limited().then(|| BudgetMetrics::new(id, telemetry)),
        }
    }

    /// Adds what the shard has done since the last time.
    pub(super) fn publish(&mut self, sampler: &mut TailSampler) {
        sampler.take_late_ages().into_iter().for_each(|age| self.late_span_age.observe(age));
        for wait in sampler.take_waits() {
            let ages = &self.removal_ages[wait.reason as usize];
            (0..wait.traces).for_each(|_| ages.observe(f64::from(wait.seconds)));
        }
        self.removal_ages.iter().for_each(LocalHistogram::flush);
        let (now, before) = (sampler.stats(), &self.published);
        self.not_sampled
            .inc_by(now.dropped_spans - before.dropped_spans + now.late_dropped - before.late_dropped);
        self.traces.inc_by(now.traces - before.traces);
        self.kept_traces.inc_by(now.kept_traces - before.kept_traces);
        self.not_sampled_traces.inc_by(now.not_sampled_traces - before.not_sampled_traces);
        self.dropped_traces.inc_by(now.dropped_traces - before.dropped_traces);
        self.late_kept.inc_by(now.late_kept - before.late_kept);
        self.late_dropped.inc_by(now.late_dropped - before.late_dropped);
        self.early_decisions.inc_by(now.early_decisions - before.early_decisions);
        self.early_releases.inc_by(now.early_releases - before.early_releases);
        self.too_large_traces.inc_by(now.too_large_traces - before.too_large_traces);
        self.unknown_head_spans.inc_by(now.unknown_head_spans - before.unknown_head_spans);
        self.buffered.add(now.pending_spans.wrapping_sub(before.pending_spans).cast_signed());
        let counts = now.policies.iter().zip(&before.policies);
        for (policy, (now, before)) in self.policies.iter().zip(counts) {
            policy.add(now, before);
            self.evaluation_errors.inc_by(now.failed - before.failed);
        }
        if let Some(rules) = &self.rules {
            rules.add(now, before);
        }
        self.published.clone_from(now);
        let traces = self.pending_traces;
        move_gauge(&self.traces_on_memory, &mut self.pending_traces, sampler.pending_traces());
        if let Some(rules) = &self.rules {
            rules.publish(sampler, self.pending_traces - traces);
        }
        if let Some(budgets) = &self.budgets {
            budgets.publish(sampler);
        }
        move_gauge(&self.bytes_on_memory, &mut self.pending_bytes, sampler.bytes_in_use());
        move_gauge(&self.bytes_allowed, &mut self.allowed_bytes, sampler.bytes_allowed());
    }

    /// Counts how long the decisions of a tick took.
    pub(super) fn decided_within(&self, time: Duration) {
        self.decision_latency.observe(time.as_secs_f64() * 1_000.0);
    }

    /// Counts spans that were given up undecided, on request.
    pub(super) fn abandoned(&self, spans: u64) {
        self.abandoned.inc_by(spans);
    }
}

/// Moves a gauge that several shards share by the change of this one's part.
fn move_gauge(gauge: &IntGauge, part: &mut i64, now: usize) {
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    gauge.add(now - *part);
    *part = now;
}
