//! The probabilistic sampler in a pipeline.

use std::sync::Arc;

use bytes::Bytes;
use forebay_otlp::Signal;
use forebay_otlp::threshold::ProbabilityError;
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Ledger, Refusal, Telemetry};
use prometheus::IntCounter;

use super::config::ProbabilisticConfig;
use super::sampler::{Counts, ProbabilisticSampler};

/// The `probabilistic_sampler` processor.
pub struct ProbabilisticProcessor {
    sampler: ProbabilisticSampler,
    next: Arc<dyn Consumer>,
    budget: Budget,
    ledger: Ledger,
    not_sampled: IntCounter,
    randomness: (IntCounter, IntCounter),
    priority: (IntCounter, IntCounter),
    failed: (IntCounter, IntCounter),
}

impl ProbabilisticProcessor {
    /// The processor called `id`, which hands on to `next`.
    ///
    /// # Errors
    /// When the percentage has no threshold.
    pub fn new(
        id: &str,
        config: &ProbabilisticConfig,
        budget: Budget,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, ProbabilityError> {
        let ledger = telemetry.ledger(&format!("processor/{id}"), Signal::Traces);
        let family = telemetry.counters(
            "otelcol_processor_probabilistic_sampler_count_traces_sampled",
            "Spans by how they were decided.",
            &["processor", "policy", "sampled"],
        );
        let pair = |policy| {
            (
                family.with_label_values(&[id, policy, "true"]),
                family.with_label_values(&[id, policy, "false"]),
            )
        };
        Ok(Self {
            sampler: ProbabilisticSampler::new(config)?,
            next,
            budget,
            not_sampled: ledger.dropped("not_sampled"),
            ledger,
            randomness: pair("sampling_randomness"),
            priority: pair("sampling_priority"),
            failed: pair("trace_state"),
        })
    }

    /// Everything is counted only once the next component has answered: what is refused was not taken.
    fn count(&self, incoming: usize, kept: usize, counts: Counts) {
        self.ledger.incoming.inc_by(incoming as u64);
        self.ledger.outgoing.inc_by(kept as u64);
        self.not_sampled.inc_by((incoming - kept) as u64);
        for (counters, count) in [
            (&self.randomness, counts.randomness),
            (&self.priority, counts.priority),
            (&self.failed, counts.failed),
        ] {
            counters.0.inc_by(count.0);
            counters.1.inc_by(count.1);
        }
    }
}

impl Consumer for ProbabilisticProcessor {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let index = batch.index().map_err(|error| Refusal::Permanent(error.to_string()))?;
            let sampled = self.sampler.sample(&batch.bytes, &index);
            // What was let in is given back as soon as only its kept part is needed.
            drop(batch);
            if sampled.spans > 0 {
                let charge = self.budget.charge(sampled.request.len());
                let kept =
                    Batch::new(Signal::Traces, Bytes::from(sampled.request), sampled.spans).charged(charge);
                self.next.consume(kept).await?;
            }
            self.count(index.spans.len(), sampled.spans, sampled.counts);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
