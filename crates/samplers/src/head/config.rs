//! The Collector's settings of `probabilistic_sampler`.

use forebay_config::Table;

use super::rule::Mode;

/// Settings of one `probabilistic_sampler` processor.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbabilisticConfig {
    /// How items are chosen, and how that composes with earlier stages.
    pub mode: Mode,
    /// Share of items to keep, in percent; 100 and more keeps all. In 32 bits, as the Collector has it.
    pub sampling_percentage: f32,
    /// Seed of the hash of mode `hash_seed`.
    pub hash_seed: u32,
    /// Whether items whose sampling information cannot be read or is inconsistent are dropped rather than kept.
    pub fail_closed: bool,
    /// Hex digits of thresholds, 1 to 14.
    pub sampling_precision: u32,
    /// Of log records: whether mode `hash_seed` hashes their trace id, if they have one.
    pub hashes_trace_id: bool,
    /// Of log records: the attribute that mode `hash_seed` hashes otherwise; empty for none.
    pub from_attribute: String,
    /// Of log records: the attribute that says in percent how likely a record is to be kept; empty for none.
    pub sampling_priority: String,
}

impl Default for ProbabilisticConfig {
    fn default() -> Self {
        Self {
            mode: Mode::HashSeed,
            sampling_percentage: 0.0,
            hash_seed: 0,
            fail_closed: true,
            sampling_precision: 4,
            hashes_trace_id: true,
            from_attribute: String::new(),
            sampling_priority: String::new(),
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
        let sources = [("traceID", true), ("record", false)];
        let percentage = table.float("sampling_percentage", 0.0..=f64::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "as the Collector does")]
        let sampling_percentage = percentage.unwrap_or_default() as f32;
        let config = Self {
            mode: table.choice_or("mode", &modes, default.mode),
            sampling_percentage,
            hash_seed: table.integer_or("hash_seed", .., default.hash_seed),
            fail_closed: table.bool_or("fail_closed", default.fail_closed),
            sampling_precision: table.integer_or("sampling_precision", 1..=14, default.sampling_precision),
            hashes_trace_id: table.choice_or("attribute_source", &sources, default.hashes_trace_id),
            from_attribute: table.string("from_attribute").unwrap_or_default(),
            sampling_priority: table.string("sampling_priority").unwrap_or_default(),
        };
        if percentage.is_some_and(|percentage| percentage > 0.0)
            && f64::from(sampling_percentage) < PERCENTAGE_MIN
        {
            table.error(
                "sampling_percentage",
                "is below 2^-56, the least probability that a threshold expresses",
            );
        }
        if percentage == Some(0.0) || !table.has("sampling_percentage") {
            table.warning("sampling_percentage", "is 0: only what has a sampling priority above 0 is kept");
        }
        config.warn_of_logs(table);
        config
    }

    /// Settings for log records that have no effect, or leave nothing to choose by.
    fn warn_of_logs(&self, table: &Table<'_>) {
        if self.mode != Mode::HashSeed {
            for key in ["attribute_source", "from_attribute"] {
                if table.has(key) {
                    table.warning(key, "has no effect: only mode `hash_seed` hashes attributes");
                }
            }
        } else if !self.hashes_trace_id && self.from_attribute.is_empty() {
            table.warning(
                "attribute_source",
                "is `record`, but there is no `from_attribute`: log records have nothing to be chosen by",
            );
        }
    }
}

#[cfg(test)]
mod tests;
