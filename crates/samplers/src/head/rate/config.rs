//! Settings of `rate_limiting_sampler`.

use forebay_config::Table;

use super::controller::Limit;

/// Settings of one `rate_limiting_sampler` processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateConfig {
    /// What is kept at most.
    pub limit: Limit,
    /// Whether the limit is in traces rather than spans.
    pub counts_traces: bool,
}

/// Bursts are this many seconds' worth if they are not set.
const BURST_SECONDS: f64 = 1.0;
impl RateConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let rate = |key| {
            let rate = table.float(key, 0.0..=f64::MAX);
            if rate == Some(0.0) {
                table.error(key, "nothing would be kept: expected a rate above 0");
            }
            rate
        };
        let (spans, traces) = (rate("spans_per_second"), rate("traces_per_second"));
        let burst = table.float("burst_capacity", 1.0..=f64::MAX);
        match (table.has("spans_per_second"), table.has("traces_per_second")) {
            (false, false) => {
                table.error("spans_per_second", "there is no limit: set it, or `traces_per_second`");
            }
            (true, true) => {
                table.error("traces_per_second", "there is a limit in spans already: keep one of the two");
            }
            _ => {}
        }
        let per_second = spans.or(traces).unwrap_or(f64::MAX);
        let burst = burst.unwrap_or_else(|| (per_second * BURST_SECONDS).max(1.0));
        Self { limit: Limit { per_second, burst }, counts_traces: spans.is_none() }
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;
    use crate::testing::findings;

    fn read(yaml: &str) -> (RateConfig, Vec<String>) {
        let (config, diagnostics) = read_str(yaml, RateConfig::read);
        (config, findings(&diagnostics))
    }

    #[test]
    fn a_limit_is_in_spans_or_in_traces() {
        let limited = |per_second, burst, counts_traces| RateConfig {
            limit: Limit { per_second, burst },
            counts_traces,
        };
        for (yaml, config) in [
            ("spans_per_second: 500", limited(500.0, 500.0, false)),
            ("{traces_per_second: 0.5}", limited(0.5, 1.0, true)),
            ("{spans_per_second: 500, burst_capacity: 2000}", limited(500.0, 2_000.0, false)),
        ] {
            assert_eq!(read(yaml), (config, Vec::new()));
        }
    }

    #[test]
    fn mistakes_are_reported() {
        for (yaml, mistake) in [
            ("{}", "error: spans_per_second: there is no limit: set it, or `traces_per_second`"),
            (
                "{spans_per_second: 5, traces_per_second: 5}",
                "error: traces_per_second: there is a limit in spans already: keep one of the two",
            ),
            (
                "spans_per_second: 0",
                "error: spans_per_second: nothing would be kept: expected a rate above 0",
            ),
            ("spans_per_second: -1", "error: spans_per_second: expected a number"),
            ("traces_per_second: .nan", "error: traces_per_second: expected a number"),
            ("{spans_per_second: 5, burst_capacity: 0}", "error: burst_capacity: expected a number"),
        ] {
            let (_, found) = read(yaml);
            assert!(found.len() == 1 && found[0].starts_with(mistake), "{yaml}: {found:?}");
        }
    }
}
