//! The kernel's counters as Prometheus's, read when they are asked for.

use std::sync::{Arc, PoisonError};

use forebay_pipeline::Telemetry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounterVec, IntGaugeVec, Opts};
use sockaccel_bpf::{Counter, Stats};

use super::extension::Shared;

/// What a scrape asks.
struct Metrics {
    accelerator: Shared,
    counters: Vec<Family>,
    live: IntGaugeVec,
}

/// Counters that differ in one label.
struct Family {
    metric: IntCounterVec,
    rows: &'static [(Counter, &'static str)],
}

/// Name, help, the label that tells apart, and what is counted under which value of it.
type Row = (&'static str, &'static str, &'static str, &'static [(Counter, &'static str)]);

const COUNTERS: [Row; 6] = [
    (
        "forebay_sockaccel_sockets_total",
        "Sockets that were considered, and what became of them.",
        "event",
        &[
            (Counter::SocketsTracked, "tracked"),
            (Counter::SocketsClosed, "closed"),
            (Counter::SocketsEvicted, "evicted"),
            (Counter::SocketsRefused, "refused"),
            (Counter::SocketsOver, "over_limit"),
        ],
    ),
    (
        "forebay_sockaccel_directions_total",
        "Directions of connections by what their first message found.",
        "outcome",
        &[(Counter::DirectionsRedirected, "redirected"), (Counter::DirectionsMissed, "tcp")],
    ),
    (
        "forebay_sockaccel_demotions_total",
        "Redirected directions that went back to TCP.",
        "reason",
        &[
            (Counter::DemotedUnread, "receiver_does_not_read"),
            (Counter::DemotedFailed, "redirection_failed"),
            (Counter::DemotedBypassed, "sent_past_the_program"),
            (Counter::DemotedDisabled, "switched_off"),
            (Counter::DemotedZerocopy, "zerocopy"),
            (Counter::DemotedBulk, "bulk"),
            (Counter::DemotedPeer, "other_direction"),
        ],
    ),
    (
        "forebay_sockaccel_messages_total",
        "System calls that sent, on considered sockets.",
        "path",
        &[(Counter::MessagesRedirected, "redirected"), (Counter::MessagesPassed, "tcp")],
    ),
    (
        "forebay_sockaccel_bytes_total",
        "What they sent.",
        "path",
        &[(Counter::BytesRedirected, "redirected"), (Counter::BytesPassed, "tcp")],
    ),
    (
        "forebay_sockaccel_options_refused_total",
        "Socket options that do not go together with redirection.",
        "option",
        &[(Counter::KtlsRefused, "ktls")],
    ),
];

/// Has a registry ask the accelerator.
///
/// # Errors
/// When the registry has metrics of these names.
pub(super) fn register(
    id: &str,
    accelerator: &Shared,
    telemetry: &Telemetry,
) -> Result<(), prometheus::Error> {
    let family = |(name, help, label, rows): Row| {
        let metric = IntCounterVec::new(Opts::new(name, help).const_label("extension", id), &[label])?;
        Ok::<_, prometheus::Error>(Family { metric, rows })
    };
    let help = "Sockets that are considered, and directions that are redirected.";
    let live = Opts::new("forebay_sockaccel_live", help).const_label("extension", id);
    let metrics = Metrics {
        accelerator: Arc::clone(accelerator),
        counters: COUNTERS.into_iter().map(family).collect::<Result<_, _>>()?,
        live: IntGaugeVec::new(live, &["what"])?,
    };
    telemetry.registry().register(Box::new(metrics))
}

impl Metrics {
    fn set(&self, stats: &Stats) {
        for Family { metric, rows } in &self.counters {
            for (counter, label) in *rows {
                let metric = metric.with_label_values(&[*label]);
                metric.reset();
                metric.inc_by(stats.get(*counter));
            }
        }
        for (what, value) in [("sockets", stats.sockets()), ("redirected_directions", stats.redirected())] {
            self.live.with_label_values(&[what]).set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        self.counters.iter().flat_map(|family| family.metric.desc()).chain(self.live.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // Held while the metrics are set and read, so that two scrapes do not add up.
        let accelerator = self.accelerator.lock().unwrap_or_else(PoisonError::into_inner);
        match accelerator.as_ref().map(|accelerator| accelerator.stats()) {
            Some(Ok(stats)) => self.set(&stats),
            Some(Err(error)) => tracing::debug!(%error, "the counters of sockaccel cannot be read"),
            None => {}
        }
        let counters = self.counters.iter().flat_map(|family| family.metric.collect());
        counters.chain(self.live.collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_in_one_metric() {
        let mut shown: Vec<_> = COUNTERS.iter().flat_map(|row| row.3).map(|(counter, _)| *counter).collect();
        shown.push(Counter::DirectionsEnded);
        shown.sort();
        // Directions that ended by their sender's closing are told by the gauge.
        assert_eq!(shown, Counter::ALL);
    }
}
