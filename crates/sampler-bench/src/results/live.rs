//! What processes did in real time, in the terminal.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, Table};

use super::format;
use crate::live::{Difference, LiveResult};
use crate::metric::Unit;

const TITLES: [&str; 10] = [
    "strategy",
    "run by",
    "anomalies",
    "network",
    "egress",
    "CPU/span",
    "peak RSS",
    "delay p50 / p99",
    "export p50 / p99, added",
    "simulation is off by",
];

/// Runs in real time as a table.
#[must_use]
pub fn live_summary(results: &[LiveResult]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(TITLES);
    for result in results {
        let metric = |name: &str, unit| {
            result.metrics.get(name).map_or("–".to_owned(), |&value| format(value, unit))
        };
        let delay = |name| metric(name, Unit::Seconds);
        let tiers = |show: &dyn Fn(&crate::live::Component) -> String| {
            let tiers = result.components.iter().map(|tier| format!("{} {}", tier.name, show(tier)));
            tiers.collect::<Vec<_>>().join(", ")
        };
        let export = result.export;
        let added = |ours: f64, direct: f64| format!("{:+.1}", (ours - direct) * 1e3);
        let cells = [
            metric("anomaly_recall", Unit::Share),
            metric("network_ratio", Unit::Share),
            metric("egress_ratio", Unit::Share),
            tiers(&|tier| format(tier.cpu_ns_per_span, Unit::Nanoseconds)),
            tiers(&|tier| format(tier.peak_rss as f64, Unit::Bytes)),
            format!("{} / {}", delay("decision_latency_p50"), delay("decision_latency_p99")),
            format!("{} / {} ms", added(export.p50, export.direct_p50), added(export.p99, export.direct_p99)),
            result.difference.as_ref().map_or_else(|| result.faults.join(", "), difference),
        ];
        let named = [Cell::new(&result.strategy), Cell::new(&result.system)];
        table.add_row(
            named.into_iter().chain(cells.map(|cell| Cell::new(cell).set_alignment(CellAlignment::Right))),
        );
    }
    table.to_string()
}

fn difference(found: &Difference) -> String {
    let hops = found.hops.iter().map(|hop| {
        let off = (hop.simulated as f64 / hop.live.max(1) as f64 - 1.0) * 100.0;
        format!("{} {off:+.1} %", hop.name)
    });
    let differing = found.only_simulated + found.only_live;
    let traces = format!("{differing} of {} traces", found.both + differing);
    std::iter::once(traces).chain(hops).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::HopDifference;

    #[test]
    fn a_difference_says_of_how_many_traces_and_by_what_part_of_the_bytes() {
        let hop = HopDifference { name: "agents to store".to_owned(), simulated: 90, live: 100 };
        let found =
            Difference { both: 7, only_simulated: 1, only_live: 2, differing_spans: 0, hops: vec![hop] };
        assert_eq!(difference(&found), "3 of 10 traces\nagents to store -10.0 %");
    }
}
