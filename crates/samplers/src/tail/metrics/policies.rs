//! What each policy has said, under the Collector's names.

use forebay_pipeline::Telemetry;
use prometheus::{IntCounter, IntCounterVec};

use crate::tail::stats::{Amount, PolicyCount};

/// One policy's counters.
pub(super) struct PolicyCounters {
    executions: IntCounter,
    microseconds: IntCounter,
    sampled: AmountCounters,
    not_sampled: AmountCounters,
    dropped: AmountCounters,
}

/// Counters of what a policy has said one thing of.
struct AmountCounters {
    traces: IntCounter,
    spans: IntCounter,
    bytes: IntCounter,
}

impl PolicyCounters {
    /// The counters of the policies of processor `id`, in order.
    pub(super) fn of_all(id: &str, policies: &[String], telemetry: &Telemetry) -> Vec<Self> {
        let by_decision = |name, help: &str| {
            telemetry.counters(name, help, &["processor", "policy", "sampled", "decision"])
        };
        let traces = by_decision(
            "otelcol_processor_tail_sampling_count_traces_sampled",
            "Traces that a policy asked for or did not.",
        );
        let spans = by_decision(
            "otelcol_processor_tail_sampling_count_spans_sampled",
            "Spans of traces that a policy asked for or did not.",
        );
        let bytes = by_decision(
            "otelcol_processor_tail_sampling_count_bytes_sampled",
            "Bytes of spans of traces that a policy asked for or did not.",
        );
        let by_policy = |name, help: &str| telemetry.counters(name, help, &["processor", "policy"]);
        let executions = by_policy(
            "otelcol_processor_tail_sampling_sampling_policy_execution_count",
            "Traces that a policy was asked of.",
        );
        let microseconds = by_policy(
            "otelcol_processor_tail_sampling_sampling_policy_execution_time_sum",
            "Microseconds that a policy took, where it was asked of several traces at once.",
        );
        let of = |name: &String| {
            // As upstream: a policy of a named processor is called by both names.
            let label = id
                .split_once('/')
                .map_or_else(|| name.clone(), |(_, processor)| format!("{processor}.{name}"));
            let amount = |sampled, decision| {
                let labels = [id, &label, sampled, decision];
                let counter = |family: &IntCounterVec| family.with_label_values(&labels);
                AmountCounters { traces: counter(&traces), spans: counter(&spans), bytes: counter(&bytes) }
            };
            Self {
                executions: executions.with_label_values(&[id, &label]),
                microseconds: microseconds.with_label_values(&[id, &label]),
                sampled: amount("true", "sampled"),
                not_sampled: amount("false", "not_sampled"),
                dropped: amount("false", "dropped"),
            }
        };
        policies.iter().map(of).collect()
    }

    /// Adds what the policy has said between two counts.
    pub(super) fn add(&self, now: &PolicyCount, before: &PolicyCount) {
        let news = *now - *before;
        self.executions.inc_by(news.executions());
        // Parts of a microsecond wait for the next time.
        self.microseconds.inc_by(micros(now) - micros(before));
        self.sampled.add(news.sampled);
        self.not_sampled.add(news.not_sampled);
        self.dropped.add(news.dropped);
    }
}

impl AmountCounters {
    fn add(&self, amount: Amount) {
        self.traces.inc_by(amount.traces);
        self.spans.inc_by(amount.spans);
        self.bytes.inc_by(amount.bytes);
    }
}

/// Whole microseconds; those of 500,000 years fit.
fn micros(count: &PolicyCount) -> u64 {
    u64::try_from(count.time.as_micros()).unwrap_or(u64::MAX)
}
