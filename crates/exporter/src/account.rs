//! What an exporter says about itself.

use std::sync::OnceLock;

use forebay_pipeline::{Ledger, Signal, Telemetry};
use prometheus::{IntCounter, IntGauge};

/// The ledger and the Collector's metrics of one exporter and signal.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) ledger: Ledger,
    /// Items delivered.
    pub(crate) sent: IntCounter,
    /// Items that could not be delivered.
    pub(crate) send_failed: IntCounter,
}

/// The Collector's metrics of a sending queue.
#[derive(Debug)]
pub(crate) struct QueueMetrics {
    /// Items that were refused because the queue had no room.
    pub(crate) enqueue_failed: IntCounter,
    /// What the queue holds, in the unit of its sizer.
    pub(crate) size: IntGauge,
    /// What the queue can hold.
    pub(crate) capacity: IntGauge,
    /// Requests that are being sent or wait for a retry.
    pub(crate) in_flight: IntGauge,
}

/// Something that an exporter keeps for each signal it has seen.
#[derive(Debug)]
pub(crate) struct PerSignal<T>([OnceLock<T>; Signal::ALL.len()]);

impl Account {
    /// The account of the exporter `id`.
    pub(crate) fn new(telemetry: &Telemetry, id: &str, signal: Signal) -> Self {
        let counter = |name, help| telemetry.counters(name, help, &["exporter"]).with_label_values(&[id]);
        let (sent, send_failed) = match signal {
            Signal::Traces => ("otelcol_exporter_sent_spans", "otelcol_exporter_send_failed_spans"),
            Signal::Metrics => {
                ("otelcol_exporter_sent_metric_points", "otelcol_exporter_send_failed_metric_points")
            }
            Signal::Logs => ("otelcol_exporter_sent_log_records", "otelcol_exporter_send_failed_log_records"),
        };
        Self {
            ledger: telemetry.ledger(&format!("exporter/{id}"), signal),
            sent: counter(sent, "Items delivered to the destination."),
            send_failed: counter(send_failed, "Items that could not be delivered."),
        }
    }

    /// Counts items that were taken and delivered in one step.
    pub(crate) fn delivered(&self, items: usize) {
        self.ledger.incoming.inc_by(items as u64);
        self.ledger.outgoing.inc_by(items as u64);
        self.sent.inc_by(items as u64);
    }
}

impl QueueMetrics {
    /// The metrics of the queue of the exporter `id`.
    pub(crate) fn new(telemetry: &Telemetry, id: &str, signal: Signal) -> Self {
        let enqueue_failed = match signal {
            Signal::Traces => "otelcol_exporter_enqueue_failed_spans",
            Signal::Metrics => "otelcol_exporter_enqueue_failed_metric_points",
            Signal::Logs => "otelcol_exporter_enqueue_failed_log_records",
        };
        let gauge = |name, help| {
            let labels = &["exporter", "data_type"];
            telemetry.gauges(name, help, labels).with_label_values(&[id, signal.as_str()])
        };
        Self {
            enqueue_failed: telemetry
                .counters(enqueue_failed, "Items the sending queue had no room for.", &["exporter"])
                .with_label_values(&[id]),
            size: gauge("otelcol_exporter_queue_size", "What the queue holds, as its sizer counts."),
            capacity: gauge("otelcol_exporter_queue_capacity", "What the queue can hold."),
            in_flight: gauge(
                "otelcol_exporter_in_flight_requests",
                "Requests being sent or waiting for a retry.",
            ),
        }
    }
}

impl<T> PerSignal<T> {
    /// What is kept for `signal`, made now if it has not been seen before.
    pub(crate) fn get_or_init(&self, signal: Signal, make: impl FnOnce() -> T) -> &T {
        self.0[signal as usize].get_or_init(make)
    }

    /// What is kept for the signals seen.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(OnceLock::get)
    }
}

impl<T> Default for PerSignal<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| OnceLock::new()))
    }
}
