//! The tail sampler's metrics, under the Collector's names where it has them.

use std::time::Duration;

use forebay_pipeline::{Ledger, Telemetry};
use prometheus::{Histogram, IntCounter, IntGauge};

use super::sampler::TailSampler;
use super::stats::Stats;

/// One shard's part in the processor's metrics, which all shards add to.
pub(super) struct Metrics {
    published: Stats,
    pending_traces: i64,
    pending_bytes: i64,
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
    traces_on_memory: IntGauge,
    bytes_on_memory: IntGauge,
    /// Traces that a policy could not judge.
    evaluation_errors: IntCounter,
    policies: Vec<PolicyCounters>,
}

/// Bounds as upstream's.
const DECISION_MILLISECONDS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 750.0, 1e3, 2e3, 3e3,
    4e3, 5e3, 1e4, 2e4, 3e4, 5e4,
];
const LATE_SECONDS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0];

/// What a policy has said.
struct PolicyCounters {
    executions: IntCounter,
    sampled: IntCounter,
    not_sampled: IntCounter,
    dropped: IntCounter,
}

impl Metrics {
    /// The metrics of processor `id` (`tail_sampling/slow`) with these policies.
    pub(super) fn new(id: &str, policies: &[String], telemetry: &Telemetry, ledger: &Ledger) -> Self {
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
        let by_policy = telemetry.counters(
            "otelcol_processor_tail_sampling_count_traces_sampled",
            "Traces that a policy asked for or did not.",
            &["processor", "policy", "sampled", "decision"],
        );
        let executions = telemetry.counters(
            "otelcol_processor_tail_sampling_sampling_policy_execution_count",
            "Traces that a policy was asked of.",
            &["processor", "policy"],
        );
        let policy = |name: &String| {
            // As upstream: a policy of a named processor is called by both names.
            let label = id
                .split_once('/')
                .map_or_else(|| name.clone(), |(_, processor)| format!("{processor}.{name}"));
            let count = |sampled, decision| by_policy.with_label_values(&[id, &label, sampled, decision]);
            PolicyCounters {
                executions: executions.with_label_values(&[id, &label]),
                sampled: count("true", "sampled"),
                not_sampled: count("false", "not_sampled"),
                dropped: count("false", "dropped"),
            }
        };
        Self {
            published: Stats::new(policies.len()),
            pending_traces: 0,
            pending_bytes: 0,
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
                LATE_SECONDS,
            ),
            traces_on_memory: gauge(
                "otelcol_processor_tail_sampling_sampling_traces_on_memory",
                "Traces that wait for their decision.",
            ),
            bytes_on_memory: gauge(
                "forebay_tail_sampling_pending_bytes",
                "Bytes that pending spans and their envelopes hold.",
            ),
            policies: policies.iter().map(policy).collect(),
        }
    }

    /// Adds what the shard has done since the last time.
    pub(super) fn publish(&mut self, sampler: &mut TailSampler) {
        sampler.take_late_ages().into_iter().for_each(|age| self.late_span_age.observe(age));
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
            let news = *now - *before;
            policy.executions.inc_by(news.sampled + news.not_sampled + news.dropped + news.failed);
            policy.sampled.inc_by(news.sampled);
            policy.not_sampled.inc_by(news.not_sampled);
            policy.dropped.inc_by(news.dropped);
            self.evaluation_errors.inc_by(news.failed);
        }
        self.published.clone_from(now);
        move_gauge(&self.traces_on_memory, &mut self.pending_traces, sampler.pending_traces());
        move_gauge(&self.bytes_on_memory, &mut self.pending_bytes, sampler.pending_bytes());
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
