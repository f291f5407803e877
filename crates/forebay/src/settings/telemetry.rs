//! `service.telemetry`: the process's own logs and metrics.

use forebay_config::{Place, Table};
use forebay_receiver::Endpoint;
use tracing::level_filters::LevelFilter;

/// What the process says about itself, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Telemetry {
    /// The least important log lines that are written.
    pub(crate) log_level: LevelFilter,
    /// How they look.
    pub(crate) log_format: LogFormat,
    /// Where Prometheus finds metrics; `None` for nowhere.
    pub(crate) metrics: Option<Endpoint>,
    /// Where that is said.
    pub(crate) metrics_place: Place,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Console,
    /// One JSON object a line.
    Json,
}

const METRICS_HOST: &str = "127.0.0.1";
const METRICS_PORT: u16 = 8888;

impl Telemetry {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub(crate) fn read(table: &Table<'_>) -> Self {
        let logs = table.section("logs");
        let levels = [
            ("debug", LevelFilter::DEBUG),
            ("info", LevelFilter::INFO),
            ("warn", LevelFilter::WARN),
            ("error", LevelFilter::ERROR),
            ("DEBUG", LevelFilter::DEBUG),
            ("INFO", LevelFilter::INFO),
            ("WARN", LevelFilter::WARN),
            ("ERROR", LevelFilter::ERROR),
        ];
        let log_level = logs.choice_or("level", &levels, LevelFilter::INFO);
        let formats = [("console", LogFormat::Console), ("json", LogFormat::Json)];
        let log_format = logs.choice_or("encoding", &formats, LogFormat::Console);
        for key in [
            "sampling",
            "development",
            "disable_caller",
            "disable_stacktrace",
            "initial_fields",
            "processors",
        ] {
            logs.accept(key, "log lines are written to standard error; those that repeat are rate-limited where they arise");
        }
        for key in ["output_paths", "error_output_paths"] {
            logs.accept(key, "log lines are written to standard error");
        }
        table.accept("traces", "Forebay does not trace itself");
        table.accept("resource", "metrics carry no resource attributes");
        let (metrics, metrics_place) = metrics(&table.section("metrics"));
        Self { log_level, log_format, metrics, metrics_place }
    }
}

/// Where metrics are served, and where that is said.
fn metrics(table: &Table<'_>) -> (Option<Endpoint>, Place) {
    let levels = [("none", false), ("normal", true), ("basic", true), ("detailed", true)];
    let wanted = table.choice_or("level", &levels, true);
    table.accept("address", "use `readers`, as the Collector since v0.123");
    table.accept("views", "all metrics are served as they are");
    let mut served = None;
    let readers = table.tables("readers");
    for reader in &readers {
        reader.accept("periodic", "metrics are pulled by Prometheus, not pushed");
        let exporter = reader.section("pull").section("exporter").section("prometheus");
        exporter.default("host", METRICS_HOST);
        let host = exporter.string("host").unwrap_or_else(|| METRICS_HOST.to_owned());
        let port = exporter.integer_or("port", .., METRICS_PORT);
        // Names are without scope, units and suffixes, whatever these say; that is also their default.
        for key in ["without_scope_info", "without_units", "without_type_suffix"] {
            exporter.bool(key);
        }
        exporter.accept("with_resource_constant_labels", "metrics carry no resource attributes");
        exporter.accept("translation_strategy", "names are the Collector's default ones");
        served.get_or_insert((Endpoint::Tcp { host, port }, exporter.place("port")));
    }
    let default = || Endpoint::Tcp { host: METRICS_HOST.to_owned(), port: METRICS_PORT };
    let (endpoint, place) = served.unwrap_or_else(|| (default(), table.place("readers")));
    (wanted.then_some(endpoint), place)
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn the_default_is_the_collectors() {
        let (telemetry, _) = read_str("{}", Telemetry::read);
        assert_eq!(telemetry.metrics, "127.0.0.1:8888".parse().ok());
        assert_eq!((telemetry.log_level, telemetry.log_format), (LevelFilter::INFO, LogFormat::Console));
    }

    #[test]
    fn a_reader_moves_the_endpoint_and_level_none_removes_it() {
        let yaml = "metrics: {readers: [{pull: {exporter: {prometheus: {host: '::', port: 9999}}}}]}";
        let (telemetry, problems) = read_str(yaml, Telemetry::read);
        assert!(problems.is_empty(), "{}", problems.render(false));
        assert_eq!(telemetry.metrics, "[::]:9999".parse().ok());
        let (telemetry, _) = read_str("metrics: {level: none}", Telemetry::read);
        assert_eq!(telemetry.metrics, None);
    }
}
