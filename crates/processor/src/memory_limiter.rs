//! `memory_limiter`: how much memory the process may use.
//!
//! The Collector's processor polls the heap and refuses while it is too large. Here the limit is the
//! process's byte budget, which every byte that waits is charged to when it arrives, so there is nothing to
//! poll, and nothing for this processor to do in a pipeline.

use forebay_config::Table;

/// Settings of `memory_limiter`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimiterConfig {
    /// The limit in MiB.
    pub limit_mib: Option<usize>,
    /// The limit in percent of what the process has, if there is none in MiB.
    pub limit_percentage: Option<usize>,
}

const MIB: usize = 1 << 20;

impl MemoryLimiterConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let config = Self {
            limit_mib: table.integer("limit_mib", 0..).filter(|&limit| limit > 0),
            limit_percentage: table.integer("limit_percentage", 0..=100).filter(|&limit| limit > 0),
        };
        // The Collector refuses a configuration without it, and files are shared with it.
        table.duration("check_interval");
        for key in [
            "spike_limit_mib",
            "spike_limit_percentage",
            "min_gc_interval_when_soft_limited",
            "min_gc_interval_when_hard_limited",
            "max_gc_interval_when_soft_limited",
            "max_gc_interval_when_hard_limited",
        ] {
            table.accept(
                key,
                "the limit is checked for every request, so spikes and garbage collection need no allowance",
            );
        }
        if config == Self::default() {
            table.error("limit_mib", "set `limit_mib` or `limit_percentage`");
        }
        config
    }

    /// The limit in bytes, of `total` bytes that the process has.
    #[must_use]
    pub fn bytes(&self, total: usize) -> Option<usize> {
        let absolute = self.limit_mib.map(|limit| limit.saturating_mul(MIB));
        absolute.or_else(|| self.limit_percentage.map(|percentage| total / 100 * percentage))
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn mebibytes_win_over_a_percentage() {
        let (config, problems) =
            read_str("{check_interval: 1s, limit_mib: 64, limit_percentage: 50}", MemoryLimiterConfig::read);
        assert!(!problems.has_errors());
        assert_eq!(config.bytes(1_000), Some(64 * MIB));
        let (config, _) = read_str("{check_interval: 1s, limit_percentage: 50}", MemoryLimiterConfig::read);
        assert_eq!(config.bytes(1_000), Some(500));
    }

    #[test]
    fn a_limiter_without_limit_is_a_mistake() {
        let (_, problems) = read_str("{check_interval: 1s}", MemoryLimiterConfig::read);
        assert!(problems.render(false).contains("limit_percentage"), "{}", problems.render(false));
    }
}
