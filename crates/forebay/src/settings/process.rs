//! What Forebay adds to the Collector's configuration: the top-level key `forebay`.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use forebay_config::Table;
use forebay_processor::MemoryLimiterConfig;
use forebay_samplers::Compatibility;

use crate::gates::Gates;
use crate::memory;

/// What holds for the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Bytes that the process may use.
    pub(crate) memory_limit: usize,
    /// Shards of each tail sampler, and threads.
    pub(crate) shards: usize,
    /// How long shutdown goes on trying to deliver what is held.
    pub(crate) shutdown_grace: Duration,
    /// Where the Collector is followed although it is wrong.
    pub(crate) compatibility: Compatibility,
    /// Feature gates.
    pub(crate) gates: Gates,
    /// Whether `memory_limit` was set by this key, which then wins over `memory_limiter`.
    explicit_limit: bool,
}

const MIB: usize = 1 << 20;
/// Of what the process has, unless something else is said.
const DEFAULT_PERCENTAGE: usize = 75;
/// What the process needs before it holds anything: code, runtime, connections.
const BASELINE: usize = 12 * MIB;
/// Of the budget, the part for pending traces; the rest is for requests on their way in and out.
const PENDING_PERCENTAGE: usize = 75;
const SHARDS_MAX: usize = 256;
const SHUTDOWN_GRACE: Duration = Duration::from_secs(20);

impl Process {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub(crate) fn read(table: &Table<'_>, gates: Gates) -> Self {
        let limit = table.integer::<usize>("memory_limit_mib", 1..).map(|limit| limit.saturating_mul(MIB));
        let mut compatibility = Compatibility::default();
        for item in table.list("compat").unwrap_or_default() {
            let coercion = Compatibility { attribute_coercion: true, ..compatibility };
            let latency = Compatibility { latency_milliseconds: true, ..compatibility };
            let probabilistic = Compatibility { probabilistic_hash: true, ..compatibility };
            let switches = [
                ("attribute_coercion", coercion),
                ("latency_milliseconds", latency),
                ("probabilistic_hash", probabilistic),
            ];
            compatibility = item.choice(&switches).unwrap_or(compatibility);
        }
        let threads = available_parallelism().map_or(1, NonZero::get).min(SHARDS_MAX);
        Self {
            memory_limit: limit.unwrap_or_else(|| memory::available() / 100 * DEFAULT_PERCENTAGE),
            shards: table.integer("shards", 1..=SHARDS_MAX).unwrap_or(threads),
            shutdown_grace: table.duration_or("shutdown_grace", SHUTDOWN_GRACE),
            compatibility,
            gates,
            explicit_limit: limit.is_some(),
        }
    }

    /// Applies the limit of a `memory_limiter`, unless this key has set one.
    pub(crate) fn limit_memory(&mut self, limiter: Option<MemoryLimiterConfig>) {
        if !self.explicit_limit
            && let Some(limit) = limiter.and_then(|limiter| limiter.bytes(memory::available()))
        {
            self.memory_limit = limit;
        }
    }

    /// Bytes of the budget: the limit without what the process needs anyway, but at least half of it.
    #[must_use]
    pub(crate) fn budget_bytes(&self) -> usize {
        self.memory_limit.saturating_sub(BASELINE).max(self.memory_limit / 2)
    }

    /// Bytes for the pending traces of each of `samplers` tail samplers.
    #[must_use]
    pub(crate) fn pending_bytes(&self, samplers: usize) -> usize {
        self.budget_bytes() / 100 * PENDING_PERCENTAGE / samplers.max(1)
    }
}

#[cfg(test)]
mod tests {
    use forebay_config::read_str;

    use super::*;

    #[test]
    fn an_explicit_limit_wins_over_a_memory_limiter() {
        let limiter = MemoryLimiterConfig { limit_mib: Some(64), limit_percentage: None };
        let read = |yaml| {
            let (mut process, problems) = read_str(yaml, |table| Process::read(table, Gates::default()));
            assert!(!problems.has_errors(), "{}", problems.render(false));
            process.limit_memory(Some(limiter));
            process
        };
        assert_eq!(read("{}").memory_limit, 64 * MIB);
        assert_eq!(read("{memory_limit_mib: 100}").memory_limit, 100 * MIB);
    }

    #[test]
    fn the_budget_leaves_room_for_the_process_itself() {
        let (process, _) =
            read_str("{memory_limit_mib: 100}", |table| Process::read(table, Gates::default()));
        assert_eq!(process.budget_bytes(), 88 * MIB);
        let (tiny, _) = read_str("{memory_limit_mib: 16}", |table| Process::read(table, Gates::default()));
        assert_eq!(tiny.budget_bytes(), 8 * MIB);
        assert!(process.pending_bytes(2) * 2 < process.budget_bytes());
    }

    #[test]
    fn compatibility_switches_are_named() {
        let (process, _) =
            read_str("{compat: [probabilistic_hash]}", |table| Process::read(table, Gates::default()));
        assert_eq!(
            process.compatibility,
            Compatibility { probabilistic_hash: true, ..Compatibility::default() }
        );
        let (_, problems) =
            read_str("{compat: [probabilistic]}", |table| Process::read(table, Gates::default()));
        assert!(problems.render(false).contains("probabilistic_hash"));
    }
}
