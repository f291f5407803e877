//! A coordinator's metrics.

use forebay_pipeline::Telemetry;
use forebay_samplers::retroactive::Coordination;
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
    unstable_ticks: IntGauge,
}

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
            unstable_ticks: gauge(
                "forebay_retroactive_coordinator_unstable_ticks",
                "Ticks that not all agents are known to have applied, of which they hold what is dropped.",
            ),
        }
    }

    /// Shows how the fleet is.
    pub(super) fn publish(&self, coordination: &Coordination) {
        self.silence.set(coordination.allows_silence().into());
        self.unstable_ticks.set(i64::try_from(coordination.unstable_ticks()).unwrap_or(i64::MAX));
    }
}
