//! The Collector's settings of `tail_sampling`.

use std::sync::Arc;
use std::time::Duration;

use forebay_config::Table;

use super::policy::Policies;
use super::sampler::Remember;
use crate::Compatibility;

/// Settings of one `tail_sampling` processor.
#[derive(Clone)]
pub struct TailConfig {
    /// How long a trace waits, from its first span.
    pub decision_wait: Duration,
    /// How many traces may be pending, if that is bounded beside their bytes.
    pub num_traces: Option<usize>,
    /// Decisions to keep traces that are remembered, if not as many as memory allows.
    pub sampled_cache_size: Option<usize>,
    /// Decisions to drop traces that are remembered, if not as many as memory allows.
    pub non_sampled_cache_size: Option<usize>,
    /// Whether pending traces are dropped rather than decided when the process ends.
    pub drop_pending_traces_on_shutdown: bool,
    /// The policies.
    pub policies: Arc<Policies>,
}

const DECISION_WAIT: Duration = Duration::from_secs(30);

impl TailConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>, compatibility: Compatibility) -> Self {
        let caches = table.section("decision_cache");
        let size = |key| caches.integer::<usize>(key, ..).filter(|&size| size > 0);
        let config = Self {
            decision_wait: table.duration("decision_wait").unwrap_or(DECISION_WAIT),
            num_traces: table.integer("num_traces", 1..),
            sampled_cache_size: size("sampled_cache_size"),
            non_sampled_cache_size: size("non_sampled_cache_size"),
            drop_pending_traces_on_shutdown: table.bool("drop_pending_traces_on_shutdown").unwrap_or(false),
            policies: Arc::new(Policies::read(table, compatibility)),
        };
        table.accept("expected_new_traces_per_sec", "tables grow as they need to");
        table.accept("num_shards", "shards are set for the whole process by `forebay::shards`");
        table.accept(
            "block_on_overflow",
            "traces are decided early rather than evicted, so nothing overflows",
        );
        config
    }

    /// How many decisions to keep are remembered, `bytes` of memory being allowed.
    #[must_use]
    pub fn remember_kept(&self, bytes: usize) -> Remember {
        self.sampled_cache_size.map_or(Remember::Bytes(bytes), Remember::Decisions)
    }

    /// How many decisions to drop are remembered, `bytes` of memory being allowed.
    #[must_use]
    pub fn remember_dropped(&self, bytes: usize) -> Remember {
        self.non_sampled_cache_size.map_or(Remember::Bytes(bytes), Remember::Decisions)
    }
}

#[cfg(test)]
mod tests;
