//! How many kinds of traces budgets tell apart.

use forebay_pipeline::Telemetry;
use prometheus::IntGaugeVec;

use crate::tail::sampler::TailSampler;

/// Metrics of the budgets of a processor, which has one shard.
pub(super) struct BudgetMetrics {
    processor: String,
    keys: IntGaugeVec,
}

impl BudgetMetrics {
    /// The metrics of processor `id`.
    pub(super) fn new(id: &str, telemetry: &Telemetry) -> Self {
        let keys = telemetry.gauges(
            "forebay_tail_sampling_budget_keys",
            "Kinds of traces that a policy's budget tells apart.",
            &["processor", "policy"],
        );
        Self { processor: id.to_owned(), keys }
    }

    /// Tells how many there are now.
    pub(super) fn publish(&self, sampler: &TailSampler) {
        for (policy, number) in sampler.budget_keys() {
            let gauge = self.keys.with_label_values(&[&*self.processor, policy]);
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}
