//! The Collector's settings of `probabilistic_sampler`.

use forebay_config::Table;

use super::rule::Mode;

/// Settings of one `probabilistic_sampler` processor.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbabilisticConfig {
    /// How traces are chosen, and how that composes with earlier stages.
    pub mode: Mode,
    /// Share of traces to keep, in percent; 100 and more keeps all.
    pub sampling_percentage: f64,
    /// Seed of the hash of mode `hash_seed`.
    pub hash_seed: u32,
    /// Whether spans whose trace state cannot be read or is inconsistent are dropped rather than kept.
    pub fail_closed: bool,
    /// Hex digits of thresholds, 1 to 14.
    pub sampling_precision: u32,
}

impl Default for ProbabilisticConfig {
    fn default() -> Self {
        Self {
            mode: Mode::HashSeed,
            sampling_percentage: 0.0,
            hash_seed: 0,
            fail_closed: true,
            sampling_precision: 4,
        }
    }
}

/// The least percentage that a threshold expresses, 2^-56.
const PERCENTAGE_MIN: f64 = 100.0 / (1_u64 << 56) as f64;

impl ProbabilisticConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let modes = [
            ("hash_seed", Mode::HashSeed),
            ("proportional", Mode::Proportional),
            ("equalizing", Mode::Equalizing),
        ];
        let percentage = table.float("sampling_percentage", 0.0..=f64::MAX);
        let config = Self {
            mode: table.choice("mode", &modes).unwrap_or(default.mode),
            sampling_percentage: percentage.unwrap_or(default.sampling_percentage),
            hash_seed: table.integer("hash_seed", ..).unwrap_or(default.hash_seed),
            fail_closed: table.bool("fail_closed").unwrap_or(default.fail_closed),
            sampling_precision: table
                .integer("sampling_precision", 1..=14)
                .unwrap_or(default.sampling_precision),
        };
        if config.sampling_percentage > 0.0 && config.sampling_percentage < PERCENTAGE_MIN {
            table.error(
                "sampling_percentage",
                "is below 2^-56, the least probability that a threshold expresses",
            );
        }
        if percentage == Some(0.0) || !table.has("sampling_percentage") {
            table
                .warning("sampling_percentage", "is 0: only spans with `sampling.priority` above 0 are kept");
        }
        for key in ["attribute_source", "from_attribute", "sampling_priority"] {
            table.accept(key, "applies to logs, which this processor does not sample");
        }
        config
    }
}

#[cfg(test)]
mod tests;
