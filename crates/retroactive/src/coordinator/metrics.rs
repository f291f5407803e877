//! A coordinator's metrics.

use forebay_pipeline::Telemetry;
use forebay_samplers::retroactive::Coordination;
use forebay_samplers::tail::Nanos;
use prometheus::{IntCounter, IntGauge};

/// What a coordinator shows of its fleet. What it decides, its sampler shows.
pub(crate) struct Metrics {
    pub(super) agents: IntGauge,
    pub(super) reports: IntCounter,
    pub(super) pieces: IntCounter,
    pub(super) lost_pieces: IntCounter,
    pub(super) floods: IntCounter,
    pub(super) shed_halvings: IntGauge,
    silence: IntGauge,
    slowest: IntGauge,
}

const SECOND: Nanos = 1_000_000_000;

impl Metrics {
    /// The metrics of extension `id` (`retroactive_coordinator/fleet`).
    pub(crate) fn new(id: &str, telemetry: &Telemetry) -> Self {
        let counter =
            |name, help: &str| telemetry.counters(name, help, &["extension"]).with_label_values(&[id]);
        let gauge = |name, help: &str| telemetry.gauges(name, help, &["extension"]).with_label_values(&[id]);
        Self {
            agents: gauge("forebay_retroactive_coordinator_agents", "Agents that are connected."),
            reports: counter("forebay_retroactive_coordinator_reports", "Reports of agents."),
            pieces: counter("forebay_retroactive_coordinator_pieces", "Pieces of evidence in reports."),
            lost_pieces: counter(
                "forebay_retroactive_coordinator_lost_pieces",
                "Pieces that were undecided when their agent came back without the spans.",
            ),
            floods: counter(
                "forebay_retroactive_coordinator_floods",
                "Times that an agent was cut off because it had told of too many traces.",
            ),
            shed_halvings: gauge(
                "forebay_retroactive_coordinator_shed_halvings",
                "How many times the share of kept traces is halved, since agents cannot be told of more.",
            ),
            silence: gauge(
                "forebay_retroactive_coordinator_silence",
                "Whether agents may be silent about what cannot change the verdict.",
            ),
            slowest: gauge(
                "forebay_retroactive_coordinator_slowest_agent_seconds",
                "For how many seconds, the begun one too, the slowest agent has acknowledged nothing new.",
            ),
        }
    }

    /// Shows how the fleet is.
    pub(super) fn publish(&self, coordination: &Coordination, now: Nanos) {
        self.silence.set(coordination.allows_silence().into());
        let slowest = coordination.slowest(now).map_or(0, |(_, silence)| silence.div_ceil(SECOND));
        self.slowest.set(i64::try_from(slowest).unwrap_or(i64::MAX));
    }
}
