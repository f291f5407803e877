//! What the receiver counts: the Collector's metrics, and its own ledger.

use forebay_pipeline::{Ledger, Signal, Telemetry};
use prometheus::IntCounter;

use crate::reject::Kind;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Grpc,
    Http,
}

/// The counters of one signal over one transport.
#[derive(Clone)]
pub(crate) struct Metrics {
    accepted: IntCounter,
    refused: IntCounter,
    requests_accepted: IntCounter,
    requests_refused: IntCounter,
    requests_failed: IntCounter,
    ledger: Ledger,
    dropped_malformed: IntCounter,
    dropped_refused: IntCounter,
}

impl Transport {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

impl Metrics {
    pub(crate) fn new(telemetry: &Telemetry, receiver: &str, signal: Signal, transport: Transport) -> Self {
        let (accepted, refused) = item_families(signal);
        let labels = [receiver, transport.as_str()];
        let items = |name, help: &str| {
            telemetry.counters(name, help, &["receiver", "transport"]).with_label_values(&labels)
        };
        let requests = |outcome| {
            let help = "Export requests by outcome: success, refused (worth a retry), failure (not).";
            telemetry
                .counters("otelcol_receiver_requests", help, &["receiver", "transport", "outcome"])
                .with_label_values(&[receiver, transport.as_str(), outcome])
        };
        let ledger = telemetry.ledger(&format!("receiver/{receiver}"), signal);
        Self {
            accepted: items(accepted, "Items handed on to the pipelines."),
            refused: items(refused, "Items that were not handed on."),
            requests_accepted: requests("success"),
            requests_refused: requests("refused"),
            requests_failed: requests("failure"),
            dropped_malformed: ledger.dropped("malformed"),
            dropped_refused: ledger.dropped("refused"),
            ledger,
        }
    }

    /// Items that were in a request and not fit to be handed on.
    pub(crate) fn malformed(&self, items: usize) {
        self.ledger.incoming.inc_by(items as u64);
        self.refused.inc_by(items as u64);
        self.dropped_malformed.inc_by(items as u64);
    }

    /// Items that were offered to the pipelines.
    pub(crate) fn offered(&self, items: usize, taken: bool) {
        self.ledger.incoming.inc_by(items as u64);
        let counters = if taken {
            [&self.accepted, &self.ledger.outgoing]
        } else {
            [&self.refused, &self.dropped_refused]
        };
        for counter in counters {
            counter.inc_by(items as u64);
        }
    }

    /// The outcome of a whole request. What is refused before it is read counts here only: nobody knows
    /// how many items it held.
    pub(crate) fn answered(&self, rejected: Option<Kind>) {
        match rejected {
            None => &self.requests_accepted,
            Some(Kind::Overloaded | Kind::TooSlow | Kind::Gone) => &self.requests_refused,
            Some(_) => &self.requests_failed,
        }
        .inc();
    }
}

const fn item_families(signal: Signal) -> (&'static str, &'static str) {
    match signal {
        Signal::Traces => ("otelcol_receiver_accepted_spans", "otelcol_receiver_refused_spans"),
        Signal::Metrics => {
            ("otelcol_receiver_accepted_metric_points", "otelcol_receiver_refused_metric_points")
        }
        Signal::Logs => ("otelcol_receiver_accepted_log_records", "otelcol_receiver_refused_log_records"),
    }
}
