//! The summary in the terminal.

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, Table};

use super::Results;
use crate::metric::Unit;

/// What is shown of each strategy.
const COLUMNS: [(&str, &str); 10] = [
    ("kept_ratio", "traces"),
    ("egress_ratio", "egress"),
    ("network_ratio", "network"),
    ("anomaly_recall", "anomalies"),
    ("type_coverage", "types"),
    ("completeness", "whole"),
    ("latency_p99_error", "p99 error"),
    ("decision_latency_mean", "delay"),
    ("cpu_ns_per_span_agents", "agents' CPU"),
    ("cpu_ns_per_span_gateway", "gateway's"),
];

/// The strategies as a table.
#[must_use]
pub fn summary(results: &Results) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let titles = COLUMNS.iter().map(|(_, title)| *title);
    table.set_header(["strategy"].into_iter().chain(titles).chain(["count error (z)"]));
    for strategy in &results.strategies {
        let unit =
            |name: &str| results.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.unit);
        let mut cells = vec![Cell::new(&strategy.name)];
        for (name, _) in COLUMNS {
            let value = strategy.metrics.get(name).map(|estimate| estimate.mean);
            let text =
                value.map_or("–".to_owned(), |value| format(value, unit(name).unwrap_or(Unit::Number)));
            cells.push(Cell::new(text).set_alignment(CellAlignment::Right));
        }
        let bias = strategy.metrics.get("count_error").map_or("–".to_owned(), |estimate| {
            let verdict = match estimate.is_biased() {
                Some(false) => "unbiased",
                Some(true) => "biased",
                None => "too few seeds",
            };
            format!("{:+.1} % ({verdict}, {:.1})", estimate.mean * 100.0, estimate.z())
        });
        cells.push(Cell::new(bias).set_alignment(CellAlignment::Right));
        table.add_row(cells);
    }
    table.to_string()
}

/// A value for people.
#[must_use]
pub fn format(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Number => format!("{value:.3}"),
        Unit::Bytes => bytes(value),
        Unit::Seconds => format!("{value:.1} s"),
        Unit::Nanoseconds => format!("{value:.0} ns"),
        Unit::Money => format!("{value:.2}"),
    }
}

fn bytes(value: f64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let mut value = value;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_their_unit() {
        assert_eq!(format(0.1234, Unit::Share), "12.3 %");
        assert_eq!(format(1_234_567.0, Unit::Bytes), "1.2 MB");
        assert_eq!(format(999.0, Unit::Bytes), "999.0 B");
        assert_eq!(format(812.4, Unit::Nanoseconds), "812 ns");
    }
}
