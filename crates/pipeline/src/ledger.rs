//! Accounting that adds up.
//!
//! Each stage of a pipeline keeps a ledger, and for every stage at every moment
//! *in = out + buffered + Σ dropped by reason*. `buffered` is what the stage itself says it holds, not a
//! difference, so that the equation can fail and a scrape can check it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

use crate::Signal;

/// The process's metrics: a Prometheus registry and the families that all stages share.
///
/// Two components of one type share a family and differ in labels, so families are looked up by name
/// and made by whoever asks first.
#[derive(Clone)]
pub struct Telemetry {
    registry: Registry,
    families: Arc<Mutex<HashMap<&'static str, Family>>>,
    incoming: IntCounterVec,
    outgoing: IntCounterVec,
    buffered: IntGaugeVec,
    dropped: IntCounterVec,
}

/// One stage's account of its items (spans, data points or log records).
#[derive(Clone, Debug)]
pub struct Ledger {
    /// Items taken.
    pub incoming: IntCounter,
    /// Items handed on.
    pub outgoing: IntCounter,
    /// Items held now.
    pub buffered: IntGauge,
    dropped: IntCounterVec,
    stage: String,
    signal: Signal,
}

#[derive(Clone)]
enum Family {
    Counters(IntCounterVec),
    Gauges(IntGaugeVec),
    Histograms(HistogramVec),
}

impl Telemetry {
    /// A new registry with the families of the ledgers.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Arc::default();
        let stage = &["stage", "signal"];
        let reason = &["stage", "signal", "reason"];
        Self {
            incoming: counters(&registry, "forebay_stage_incoming_items", "Items a stage has taken.", stage),
            outgoing: counters(
                &registry,
                "forebay_stage_outgoing_items",
                "Items a stage has handed on.",
                stage,
            ),
            buffered: gauges(&registry, "forebay_stage_buffered_items", "Items a stage holds now.", stage),
            dropped: counters(
                &registry,
                "forebay_stage_dropped_items",
                "Items that left a stage otherwise, by reason.",
                reason,
            ),
            registry,
            families,
        }
    }

    /// What a scrape gathers from.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The counters called `name`, made on first use. Use each name with one kind and one set of labels.
    #[must_use]
    pub fn counters(&self, name: &'static str, help: &str, labels: &[&str]) -> IntCounterVec {
        match self.family(name, |registry| Family::Counters(counters(registry, name, help, labels))) {
            Family::Counters(family) => family,
            _ => counters(&Registry::new(), name, help, labels),
        }
    }

    /// The gauges called `name`, made on first use.
    #[must_use]
    pub fn gauges(&self, name: &'static str, help: &str, labels: &[&str]) -> IntGaugeVec {
        match self.family(name, |registry| Family::Gauges(gauges(registry, name, help, labels))) {
            Family::Gauges(family) => family,
            _ => gauges(&Registry::new(), name, help, labels),
        }
    }

    /// The histograms called `name`, with upper bounds `buckets`, made on first use.
    #[must_use]
    pub fn histograms(
        &self,
        name: &'static str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> HistogramVec {
        match self
            .family(name, |registry| Family::Histograms(histograms(registry, name, help, labels, buckets)))
        {
            Family::Histograms(family) => family,
            _ => histograms(&Registry::new(), name, help, labels, buckets),
        }
    }

    fn family(&self, name: &'static str, make: impl FnOnce(&Registry) -> Family) -> Family {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        families.entry(name).or_insert_with(|| make(&self.registry)).clone()
    }

    /// Items that all stages together hold now.
    #[must_use]
    pub fn waiting_items(&self) -> u64 {
        let families = self.buffered.collect();
        let stages = families.iter().flat_map(|family| family.get_metric());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, as a float")]
        let items = stages.map(|stage| stage.get_gauge().get_value()).sum::<f64>() as u64;
        items
    }

    /// The ledger of a stage such as `processor/tail_sampling/slow`.
    #[must_use]
    pub fn ledger(&self, stage: &str, signal: Signal) -> Ledger {
        let labels = &[stage, signal.as_str()];
        Ledger {
            incoming: self.incoming.with_label_values(labels),
            outgoing: self.outgoing.with_label_values(labels),
            buffered: self.buffered.with_label_values(labels),
            dropped: self.dropped.clone(),
            stage: stage.to_owned(),
            signal,
        }
    }
}

impl Ledger {
    /// Counts items that the stage begins to hold.
    pub fn hold(&self, items: usize) {
        self.buffered.add(i64::try_from(items).unwrap_or(i64::MAX));
    }

    /// Counts items that the stage no longer holds.
    pub fn release(&self, items: usize) {
        self.buffered.sub(i64::try_from(items).unwrap_or(i64::MAX));
    }

    /// The counter of items that leave under `reason`; hot paths keep it.
    #[must_use]
    pub fn dropped(&self, reason: &str) -> IntCounter {
        self.dropped.with_label_values(&[self.stage.as_str(), self.signal.as_str(), reason])
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(Opts::new(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    register(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

#[expect(
    clippy::expect_used,
    reason = "names, labels and buckets are constants of the callers, each registered once"
)]
fn register<C: Collector + Clone + 'static>(registry: &Registry, family: prometheus::Result<C>) -> C {
    let family = family.expect("a metric's name and labels are valid");
    registry.register(Box::new(family.clone())).expect("a metric is registered once");
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_components_share_a_family_and_differ_in_labels() {
        let telemetry = Telemetry::new();
        telemetry.counters("sent", "Sent.", &["exporter"]).with_label_values(&["otlp"]).inc();
        telemetry.counters("sent", "Sent.", &["exporter"]).with_label_values(&["otlp/b"]).inc_by(2);
        let text = prometheus::TextEncoder::new().encode_to_string(&telemetry.registry().gather()).unwrap();
        assert!(text.contains("sent{exporter=\"otlp\"} 1"), "{text}");
        assert!(text.contains("sent{exporter=\"otlp/b\"} 2"), "{text}");
    }

    #[test]
    fn a_ledger_names_its_stage_signal_and_reasons() {
        let telemetry = Telemetry::new();
        let ledger = telemetry.ledger("exporter/otlp", Signal::Traces);
        ledger.incoming.inc_by(3);
        ledger.dropped("rejected").inc();
        let text = prometheus::TextEncoder::new().encode_to_string(&telemetry.registry().gather()).unwrap();
        assert!(
            text.contains("forebay_stage_incoming_items{signal=\"traces\",stage=\"exporter/otlp\"} 3"),
            "{text}"
        );
        assert!(text.contains("reason=\"rejected\""), "{text}");
    }
}
