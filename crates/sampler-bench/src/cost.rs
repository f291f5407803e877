//! What a strategy costs: bytes on every link and in the store, memory, CPU time, delay, and money.

mod money;

use std::time::Duration;

use crate::simulate::Outcome;
use crate::{Better, Metric, Unit};

pub use money::{Priced, Prices};

/// All metrics of cost, in the order in which they are shown.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "egress_ratio",
        title: "bytes to the store",
        unit: Unit::Share,
        better: Better::Lower,
        formula: "bytes of the requests to the store / bytes of the requests that services send",
        source: "1 − size reduction of Autoscope (2025)",
        compute: |_, outcome| ratio(bytes(outcome.hops.last()?), bytes(outcome.hops.first()?)),
    },
    Metric {
        name: "network_ratio",
        title: "bytes leaving the services' hosts",
        unit: Unit::Share,
        better: Better::Lower,
        formula: "bytes of the requests and reports that leave the hosts of the services, from agents where there are \
                  some / bytes of the requests that services send",
        source: "network overhead of Mint (ASPLOS 2025)",
        compute: |_, outcome| ratio(leaving(outcome)?, bytes(outcome.hops.first()?)),
    },
    Metric {
        name: "stored_bytes_per_second",
        title: "bytes stored a second",
        unit: Unit::Bytes,
        better: Better::Lower,
        formula: "bytes of the requests to the store / seconds of traffic",
        source: "common",
        compute: |_, outcome| ratio(bytes(outcome.hops.last()?), outcome.seconds),
    },
    Metric {
        name: "stored_compressed_per_second",
        title: "bytes stored a second, by zstd",
        unit: Unit::Bytes,
        better: Better::Lower,
        formula: "the same of requests compressed one by one by zstd at level 3; of the first seed only",
        source: "RFC 8878",
        compute: |_, outcome| ratio(outcome.hops.last()?.compressed? as f64, outcome.seconds),
    },
    Metric {
        name: "cpu_ns_per_span",
        title: "CPU time of samplers per span",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        formula: "CPU time of all tiers in the simulation, without the harness's / spans sent; neither network nor parsing \
                  is in it; of the first ten seeds",
        source: "defined here; rcabench has wall time per span",
        compute: |_, outcome| cpu_per_span(outcome, outcome.cpu?.total()),
    },
    Metric {
        name: "cpu_ns_per_span_agents",
        title: "CPU time of agents per span",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        formula: "that of calls into agents and of the tasks they start / spans sent; each call counts half a \
                  microsecond of looking at the clock",
        source: "defined here",
        compute: |_, outcome| cpu_per_span(outcome, outcome.cpu?.agents?),
    },
    Metric {
        name: "cpu_ns_per_span_gateway",
        title: "CPU time of the gateway per span",
        unit: Unit::Nanoseconds,
        better: Better::Lower,
        formula: "that of calls into the gateway, or coordinator, and of the tasks it starts / spans sent by services",
        source: "defined here",
        compute: |_, outcome| cpu_per_span(outcome, outcome.cpu?.gateway?),
    },
    Metric {
        name: "memory_peak",
        title: "most memory that waits",
        unit: Unit::Bytes,
        better: Better::Lower,
        formula: "most bytes that all samplers' budgets have charged at a second's end",
        source: "defined here",
        compute: |_, outcome| Some(outcome.memory_peak as f64),
    },
    Metric {
        name: "memory_mean",
        title: "memory that waits, on average",
        unit: Unit::Bytes,
        better: Better::Lower,
        formula: "mean over seconds of the bytes that all samplers' budgets have charged",
        source: "defined here",
        compute: |_, outcome| Some(outcome.memory_mean),
    },
    Metric {
        name: "decision_latency_mean",
        title: "delay of kept traces, on average",
        unit: Unit::Seconds,
        better: Better::Lower,
        formula: "mean over S of the time from when a trace's first span was sent until the first was stored",
        source: "defined here",
        compute: |_, outcome| ratio(waits(outcome).sum(), outcome.kept.len() as f64),
    },
    Metric {
        name: "decision_latency_p50",
        title: "delay of kept traces, half of them",
        unit: Unit::Seconds,
        better: Better::Lower,
        formula: "nearest-rank median of the same over S",
        source: "defined here",
        compute: |_, outcome| wait_quantile(outcome, 0.5),
    },
    Metric {
        name: "decision_latency_p99",
        title: "delay of kept traces, 99 of 100",
        unit: Unit::Seconds,
        better: Better::Lower,
        formula: "nearest-rank 99th percentile of the same over S",
        source: "defined here",
        compute: |_, outcome| wait_quantile(outcome, 0.99),
    },
    Metric {
        name: "decision_latency_max",
        title: "longest delay of a kept trace",
        unit: Unit::Seconds,
        better: Better::Lower,
        formula: "the greatest of the same",
        source: "defined here",
        compute: |_, outcome| waits(outcome).max_by(f64::total_cmp),
    },
    Metric {
        name: "refused_ratio",
        title: "spans refused",
        unit: Unit::Share,
        better: Better::Lower,
        formula: "spans that were refused until their sender gave up / spans sent",
        source: "defined here",
        compute: |_, outcome| ratio(outcome.spans_refused as f64, outcome.spans_sent as f64),
    },
    Metric {
        name: "storage",
        title: "bytes in the store",
        unit: Unit::Bytes,
        better: Better::Lower,
        formula: "bytes of the requests to the store / seconds of traffic × how long things are stored, by the prices below",
        source: "defined here",
        compute: |_, outcome| outcome.priced.map(|priced| priced.storage),
    },
    Metric {
        name: "money_per_month",
        title: "money a month",
        unit: Unit::Money,
        better: Better::Lower,
        formula: "network, ingestion, storage, CPU and memory at the prices below, if the traffic went on like this",
        source: "the price table",
        compute: |_, outcome| outcome.priced?.money,
    },
];

/// Bytes that leave the services' hosts: agents are on them, gateways are not.
fn leaving(outcome: &Outcome) -> Option<f64> {
    let tier = if outcome.hops.first()?.name.ends_with("to agents") { "agents to " } else { "services to " };
    Some(outcome.hops.iter().filter(|hop| hop.name.starts_with(tier)).map(bytes).sum())
}

fn bytes(hop: &crate::simulate::HopCounts) -> f64 {
    hop.bytes as f64
}

fn cpu_per_span(outcome: &Outcome, cpu: Duration) -> Option<f64> {
    ratio(cpu.as_nanos() as f64, outcome.spans_sent as f64)
}

fn waits(outcome: &Outcome) -> impl Iterator<Item = f64> {
    outcome.kept.iter().map(|kept| kept.waited.as_secs_f64())
}

/// The smallest delay that this share of the kept traces does not exceed.
fn wait_quantile(outcome: &Outcome, share: f64) -> Option<f64> {
    let mut waits: Vec<_> = waits(outcome).collect();
    waits.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank among them")]
    let rank = (share * waits.len() as f64).ceil() as usize;
    waits.get(rank.saturating_sub(1)).copied()
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Population;
    use crate::simulate::{HopCounts, Kept, TierCpu};

    fn outcome(hops: &[(&str, u64)]) -> Outcome {
        let hop =
            |&(name, bytes): &(&str, u64)| HopCounts { name: name.to_owned(), bytes, ..HopCounts::default() };
        Outcome { hops: hops.iter().map(hop).collect(), seconds: 10.0, ..Outcome::default() }
    }

    fn value(name: &str, outcome: &Outcome) -> Option<f64> {
        let metric = METRICS.iter().find(|metric| metric.name == name).unwrap();
        (metric.compute)(&Population::default(), outcome)
    }

    #[test]
    fn agents_are_on_the_services_hosts_and_gateways_are_not() {
        let both =
            outcome(&[("services to agents", 100), ("agents to gateway", 50), ("gateway to store", 10)]);
        assert_eq!(value("egress_ratio", &both), Some(0.1));
        assert_eq!(value("network_ratio", &both), Some(0.5));
        assert_eq!(value("stored_bytes_per_second", &both), Some(1.0));
        let retroactive = outcome(&[
            ("services to agents", 100),
            ("agents to coordinator", 2),
            ("coordinator to agents", 1),
            ("agents to store", 10),
        ]);
        assert_eq!(value("egress_ratio", &retroactive), Some(0.1));
        assert_eq!(value("network_ratio", &retroactive), Some(0.12));
        let gateway = outcome(&[("services to gateway", 100), ("gateway to store", 10)]);
        assert_eq!(value("network_ratio", &gateway), Some(1.0));
        assert_eq!(value("stored_compressed_per_second", &gateway), None);
    }

    #[test]
    fn by_hand_delays_of_one_to_a_hundred_seconds() {
        let kept = |waited| Kept { waited: Duration::from_secs(waited), ..Kept::default() };
        let outcome = Outcome { kept: (1..=100).rev().map(kept).collect(), ..Outcome::default() };
        assert_eq!(value("decision_latency_mean", &outcome), Some(50.5));
        assert_eq!(value("decision_latency_p50", &outcome), Some(50.0));
        assert_eq!(value("decision_latency_p99", &outcome), Some(99.0));
        assert_eq!(value("decision_latency_max", &outcome), Some(100.0));
        assert_eq!(value("decision_latency_p99", &Outcome::default()), None);
    }

    #[test]
    fn by_hand_two_tiers_spend_a_millisecond_on_a_hundred_spans() {
        let tiers = |agents, gateway| Outcome {
            cpu: Some(TierCpu { agents, gateway }),
            spans_sent: 100,
            spans_refused: 3,
            ..Outcome::default()
        };
        let both = tiers(Some(Duration::from_micros(400)), Some(Duration::from_micros(600)));
        assert_eq!(value("cpu_ns_per_span", &both), Some(10_000.0));
        assert_eq!(value("cpu_ns_per_span_agents", &both), Some(4000.0));
        assert_eq!(value("cpu_ns_per_span_gateway", &both), Some(6000.0));
        assert_eq!(value("refused_ratio", &both), Some(0.03));
        let gateway = tiers(None, Some(Duration::from_micros(600)));
        assert_eq!(value("cpu_ns_per_span", &gateway), Some(6000.0));
        assert_eq!(value("cpu_ns_per_span_agents", &gateway), None);
    }

    #[test]
    fn what_is_stored_and_what_waits_is_told_as_it_is() {
        let hop = HopCounts { bytes: 100, compressed: Some(40), ..HopCounts::default() };
        let outcome = Outcome {
            hops: vec![hop],
            seconds: 10.0,
            memory_peak: 7,
            memory_mean: 2.5,
            priced: Some(Priced { storage: 3.0, money: Some(4.0) }),
            ..Outcome::default()
        };
        assert_eq!(value("stored_compressed_per_second", &outcome), Some(4.0));
        assert_eq!(value("memory_peak", &outcome), Some(7.0));
        assert_eq!(value("memory_mean", &outcome), Some(2.5));
        assert_eq!(value("storage", &outcome), Some(3.0));
        assert_eq!(value("money_per_month", &outcome), Some(4.0));
        assert_eq!(value("storage", &Outcome::default()), None);
    }

    #[test]
    fn without_traffic_ratios_mean_nothing() {
        let nothing = outcome(&[("services to gateway", 0), ("gateway to store", 0)]);
        assert_eq!(value("egress_ratio", &nothing), None);
        assert_eq!(value("cpu_ns_per_span", &nothing), None);
        assert_eq!(value("decision_latency_mean", &nothing), None);
        assert_eq!(value("decision_latency_max", &nothing), None);
    }
}
