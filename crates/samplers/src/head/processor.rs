//! Head samplers in a pipeline.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use forebay_otlp::threshold::ProbabilityError;
use forebay_otlp::{LogIndex, ScanError, Signal};
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Ledger, Refusal, Telemetry};
use prometheus::IntCounter;
use tokio::time::Instant;

use super::Sampled;
use super::config::ProbabilisticConfig;
use super::rate::{RateConfig, RateSampler};
use super::records::RecordSampler;
use super::spans::SpanSampler;
use super::verdict::{Counts, Policy};

/// A `probabilistic_sampler` or `rate_limiting_sampler` processor.
pub struct HeadProcessor {
    sampler: Sampler,
    metrics: Metrics,
    budget: Budget,
    next: Arc<dyn Consumer>,
}

struct Metrics {
    ledger: Ledger,
    not_sampled: IntCounter,
    /// Items kept and items dropped by each policy.
    sampled: Vec<(Policy, IntCounter, IntCounter)>,
}

enum Sampler {
    Spans(Box<SpanSampler>),
    Records(Box<RecordSampler>),
    /// With the instant from which its time is counted.
    Rate(Instant, Mutex<RateSampler>),
}

impl HeadProcessor {
    /// The `probabilistic_sampler` called `id` of a pipeline of log records, or else of spans, which hands on to
    /// `next`.
    ///
    /// # Errors
    /// When the percentage has no threshold.
    pub fn probabilistic(
        id: &str,
        signal: Signal,
        config: &ProbabilisticConfig,
        budget: Budget,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> Result<Self, ProbabilityError> {
        let (sampler, name, attribute) = match signal {
            Signal::Logs => (
                Sampler::Records(Box::new(RecordSampler::new(config)?)),
                "otelcol_processor_probabilistic_sampler_count_logs_sampled",
                config.from_attribute.as_str(),
            ),
            Signal::Traces | Signal::Metrics => (
                Sampler::Spans(Box::new(SpanSampler::new(config)?)),
                "otelcol_processor_probabilistic_sampler_count_traces_sampled",
                "",
            ),
        };
        let metrics = Metrics::new(id, signal, name, attribute, telemetry);
        Ok(Self { sampler, metrics, budget, next })
    }

    /// The `rate_limiting_sampler` called `id`, which hands on to `next`.
    #[must_use]
    pub fn rate_limiting(
        id: &str,
        config: &RateConfig,
        budget: Budget,
        telemetry: &Telemetry,
        next: Arc<dyn Consumer>,
    ) -> Self {
        let sampler = Sampler::Rate(Instant::now(), Mutex::new(RateSampler::new(config)));
        let name = "forebay_rate_limiting_sampler_count_spans_sampled";
        let metrics = Metrics::new(id, Signal::Traces, name, "", telemetry);
        Self { sampler, metrics, budget, next }
    }

    /// What is left of a request, and how many items it had.
    fn sample(&self, batch: &Batch) -> Result<(Sampled, usize), ScanError> {
        Ok(match &self.sampler {
            Sampler::Spans(sampler) => {
                let index = batch.index()?;
                (sampler.sample(&batch.bytes, &index), index.spans.len())
            }
            Sampler::Records(sampler) => {
                let index = LogIndex::scan(&batch.bytes)?;
                (sampler.sample(&batch.bytes, &index), index.records.len())
            }
            Sampler::Rate(epoch, sampler) => {
                let index = batch.index()?;
                let mut sampler = sampler.lock().unwrap_or_else(PoisonError::into_inner);
                // Under the lock, so that it does not go back.
                let now = u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX);
                (sampler.sample(now, &batch.bytes, &index), index.spans.len())
            }
        })
    }
}

impl Metrics {
    /// The metrics of the processor called `id`, whose policies count under `name`; what is hashed is `attribute`, if
    /// it is not empty.
    fn new(id: &str, signal: Signal, name: &'static str, attribute: &str, telemetry: &Telemetry) -> Self {
        let ledger = telemetry.ledger(&format!("processor/{id}"), signal);
        let help = "Spans or log records by how they were decided.";
        let family = telemetry.counters(name, help, &["processor", "policy", "sampled"]);
        let counters = |policy: Policy| {
            let counter = |sampled| family.with_label_values(&[id, policy.label(attribute), sampled]);
            (policy, counter("true"), counter("false"))
        };
        let has_label = |policy: &Policy| !policy.label(attribute).is_empty();
        let sampled = Policy::ALL.into_iter().filter(has_label).map(counters).collect();
        Self { not_sampled: ledger.dropped("not_sampled"), ledger, sampled }
    }

    /// Everything is counted only once the next component has answered: what is refused was not taken.
    fn count(&self, incoming: usize, kept: usize, counts: Counts) {
        self.ledger.incoming.inc_by(incoming as u64);
        self.ledger.outgoing.inc_by(kept as u64);
        self.not_sampled.inc_by((incoming - kept) as u64);
        for (policy, kept, dropped) in &self.sampled {
            let count = counts.of(*policy);
            kept.inc_by(count.0);
            dropped.inc_by(count.1);
        }
    }
}

impl Consumer for HeadProcessor {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let (sampled, incoming) =
                self.sample(&batch).map_err(|error| Refusal::Permanent(error.to_string()))?;
            let signal = batch.signal;
            // What was let in is given back as soon as only its kept part is needed.
            drop(batch);
            if sampled.items > 0 {
                let charge = self.budget.charge(sampled.request.len());
                let kept = Batch::new(signal, Bytes::from(sampled.request), sampled.items).charged(charge);
                self.next.consume(kept).await?;
            }
            self.metrics.count(incoming, sampled.items, sampled.counts);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
