//! An agent's metrics.

use forebay_pipeline::{Ledger, Telemetry};
use forebay_samplers::retroactive::{Counts, RetroactiveAgent};
use forebay_samplers::tail::{AGE_SECONDS, Stats};
use prometheus::{Histogram, IntCounter, IntGauge};

/// What an agent shows of itself.
pub(super) struct Metrics {
    published: (Stats, Counts),
    buffered: IntGauge,
    not_sampled: IntCounter,
    overwritten: IntCounter,
    withheld: IntCounter,
    abandoned: IntCounter,
    traces: IntCounter,
    kept_traces: IntCounter,
    kept_by_clause: IntCounter,
    late_kept: IntCounter,
    late_span_age: Histogram,
    pieces: IntCounter,
    silent: IntCounter,
    unknown_keeps: IntCounter,
    pending_traces: IntGauge,
    pending_bytes: IntGauge,
    horizon: IntGauge,
    attended: IntGauge,
    given_up: u64,
}

impl Metrics {
    /// The metrics of processor `id` (`retroactive_sampling/node`).
    pub(super) fn new(id: &str, telemetry: &Telemetry, ledger: &Ledger) -> Self {
        let counter =
            |name, help: &str| telemetry.counters(name, help, &["processor"]).with_label_values(&[id]);
        let gauge = |name, help: &str| telemetry.gauges(name, help, &["processor"]).with_label_values(&[id]);
        Self {
            published: (Stats::default(), Counts::default()),
            buffered: ledger.buffered.clone(),
            not_sampled: ledger.dropped("not_sampled"),
            overwritten: ledger.dropped("overwritten"),
            withheld: ledger.dropped("egress_limit"),
            abandoned: ledger.dropped("shutdown"),
            traces: counter("forebay_retroactive_sampling_traces", "Traces seen for the first time."),
            kept_traces: counter("forebay_retroactive_sampling_kept_traces", "Traces kept."),
            kept_by_clause: counter(
                "forebay_retroactive_sampling_kept_by_clause",
                "Of these, traces that were kept without asking.",
            ),
            late_kept: counter(
                "forebay_retroactive_sampling_late_spans",
                "Spans that came after their trace had been kept, and left at once.",
            ),
            late_span_age: telemetry
                .histograms(
                    "forebay_retroactive_sampling_late_span_age",
                    "Seconds from the decision to keep a trace to the arrival of spans that leave for it.",
                    &["processor"],
                    AGE_SECONDS,
                )
                .with_label_values(&[id]),
            pieces: counter(
                "forebay_retroactive_sampling_pieces",
                "Pieces of evidence that have been reported.",
            ),
            silent: counter(
                "forebay_retroactive_sampling_silent_traces",
                "New traces of which no evidence was reported because it could not have changed the verdict.",
            ),
            unknown_keeps: counter(
                "forebay_retroactive_sampling_unknown_keeps",
                "Traces that were to be kept and of which there were no spans here.",
            ),
            pending_traces: gauge(
                "forebay_retroactive_sampling_pending_traces",
                "Traces that wait for a decision.",
            ),
            pending_bytes: gauge("forebay_retroactive_sampling_pending_bytes", "Bytes that they hold."),
            horizon: gauge(
                "forebay_retroactive_sampling_horizon_seconds",
                "How long a span can be held at the rate of late.",
            ),
            attended: gauge("forebay_retroactive_sampling_attended", "Whether some coordinator decides."),
            given_up: 0,
        }
    }

    /// Adds what the agent has done since the last time.
    pub(super) fn publish(&mut self, agent: &mut RetroactiveAgent) {
        agent.take_late_ages().into_iter().for_each(|age| self.late_span_age.observe(age));
        let (now, counts) = (agent.stats().clone(), agent.counts());
        let (before, counted) = &self.published;
        let overwritten = counts.overwritten_spans - counted.overwritten_spans;
        let withheld = counts.withheld_spans - counted.withheld_spans;
        let dropped = now.dropped_spans - before.dropped_spans + now.late_dropped - before.late_dropped;
        self.overwritten.inc_by(overwritten);
        self.withheld.inc_by(withheld);
        self.not_sampled.inc_by(dropped - overwritten - withheld - std::mem::take(&mut self.given_up));
        self.traces.inc_by(now.traces - before.traces);
        self.kept_traces.inc_by(now.kept_traces - before.kept_traces);
        self.kept_by_clause.inc_by(counts.kept_by_clause - counted.kept_by_clause);
        self.late_kept.inc_by(now.late_kept - before.late_kept);
        self.pieces.inc_by(counts.pieces - counted.pieces);
        self.silent.inc_by(counts.silent - counted.silent);
        self.unknown_keeps.inc_by(counts.unknown_keeps - counted.unknown_keeps);
        self.buffered.add(now.pending_spans.wrapping_sub(before.pending_spans).cast_signed());
        self.published = (now, counts);
        let set = |gauge: &IntGauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        set(&self.pending_traces, agent.pending_traces() as u64);
        set(&self.pending_bytes, agent.bytes_in_use() as u64);
        set(&self.horizon, agent.horizon() / 1_000_000_000);
        self.attended.set(i64::from(agent.is_attended()));
    }

    /// Counts spans that are given up undecided because the process ends.
    pub(super) fn abandoned(&mut self, spans: u64) {
        self.abandoned.inc_by(spans);
        self.given_up += spans;
    }
}
