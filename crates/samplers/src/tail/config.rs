//! The Collector's settings of `tail_sampling`.

use std::sync::Arc;
use std::time::Duration;

use forebay_config::Table;

use super::decision::Policies;
use super::sampler::{Remember, Settings};
use super::store::Nanos;
use crate::Compatibility;
use crate::retroactive::EvidenceMode;

/// Settings of one `tail_sampling` processor.
#[derive(Clone)]
pub struct TailConfig {
    /// How long a trace waits, from its first span.
    pub decision_wait: Duration,
    /// How long at most after its root has come, if that is sooner.
    pub decision_wait_after_root: Option<Duration>,
    /// Whether traces may leave before they have waited.
    pub strategy: SamplingStrategy,
    /// How many traces may be pending, if that is bounded beside their bytes.
    pub num_traces: Option<usize>,
    /// What a trace may have, in bytes of its spans; one with more is dropped.
    pub maximum_trace_bytes: Option<u32>,
    /// How many spans a trace may have; one that reaches it is decided on what has come of it.
    pub maximum_trace_spans: Option<u32>,
    /// Whether senders wait for room, rather than that traces are decided early.
    pub block_on_overflow: bool,
    /// How many decisions to keep traces are remembered, if not as many as memory allows.
    pub remember_kept: Option<Remember>,
    /// How many decisions to drop traces are remembered, if not as many as memory allows.
    pub remember_dropped: Option<Remember>,
    /// Whether pending traces are dropped rather than decided when the process ends.
    pub drop_pending_traces_on_shutdown: bool,
    /// How agents tell of traces, if it is to decide for some.
    pub evidence: EvidenceMode,
    /// The policies.
    pub policies: Arc<Policies>,
}

/// When a trace may leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SamplingStrategy {
    /// When it is due.
    #[default]
    Complete,
    /// As soon as nothing can change any more that it is kept.
    Certain,
    /// As soon as the policies ask for what has come of it, or drop it; what is due without that is not sampled.
    Ingest,
}

const DECISION_WAIT: Duration = Duration::from_secs(30);
const EVIDENCE: &[(&str, EvidenceMode)] =
    &[("exact", EvidenceMode::Exact), ("economical", EvidenceMode::Economical), ("auto", EvidenceMode::Auto)];
const STRATEGIES: &[(&str, SamplingStrategy)] =
    &[("trace-complete", SamplingStrategy::Complete), ("span-ingest", SamplingStrategy::Ingest)];

impl TailConfig {
    /// Reads the settings, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>, compatibility: Compatibility) -> Self {
        let bound = |key| table.integer::<u32>(key, ..).filter(|&bound| bound > 0);
        let policies = Policies::read(table, compatibility);
        let config = Self {
            decision_wait: table.duration_or("decision_wait", DECISION_WAIT),
            decision_wait_after_root: table
                .duration("decision_wait_after_root_received")
                .filter(|wait| !wait.is_zero()),
            strategy: strategy(table, &policies),
            maximum_trace_bytes: bound("maximum_trace_size_bytes"),
            maximum_trace_spans: bound("maximum_trace_spans"),
            block_on_overflow: table.bool_or("block_on_overflow", false),
            drop_pending_traces_on_shutdown: table.bool_or("drop_pending_traces_on_shutdown", false),
            evidence: evidence(table, &policies),
            ..Self::of_policies(Arc::new(policies), table)
        };
        table.accept("expected_new_traces_per_sec", "tables grow as they need to");
        table.accept("num_shards", "shards are set for the whole process by `forebay::shards`");
        config
    }

    /// The settings that have nothing to do with how policies are combined; others are as if they were not set.
    pub(crate) fn of_policies(policies: Arc<Policies>, table: &Table<'_>) -> Self {
        let caches = table.section("decision_cache");
        let number = |key| caches.integer::<usize>(key, ..).filter(|&number| number > 0);
        let cache =
            |size, bytes| number(size).map(Remember::Decisions).or(number(bytes).map(Remember::Bytes));
        Self {
            decision_wait: DECISION_WAIT,
            decision_wait_after_root: None,
            strategy: SamplingStrategy::Complete,
            num_traces: table.integer("num_traces", 1..),
            maximum_trace_bytes: None,
            maximum_trace_spans: None,
            block_on_overflow: false,
            remember_kept: cache("sampled_cache_size", "sampled_cache_bytes"),
            remember_dropped: cache("non_sampled_cache_size", "non_sampled_cache_bytes"),
            drop_pending_traces_on_shutdown: false,
            evidence: EvidenceMode::Exact,
            policies,
        }
    }

    /// What a shard is to do; its bounds are for whoever knows how many shards there are.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            decision_wait_after_root: self.decision_wait_after_root.map(nanos),
            strategy: self.strategy,
            maximum_trace_bytes: self.maximum_trace_bytes,
            trace_spans: self.maximum_trace_spans.unwrap_or(u32::MAX),
            block_on_overflow: self.block_on_overflow,
            ..Settings::new(Arc::clone(&self.policies), nanos(self.decision_wait))
        }
    }
}

pub(crate) fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

fn evidence(table: &Table<'_>, policies: &Policies) -> EvidenceMode {
    let mode = table.choice_or("evidence", EVIDENCE, EvidenceMode::default());
    if mode != EvidenceMode::Exact && !table.has("coordinator") {
        table
            .warning("evidence", "has no effect: without `coordinator` there are no agents to send evidence");
    }
    match policies.needing_all_evidence() {
        Some(reason) if mode == EvidenceMode::Economical => {
            table.error("evidence", format!("{reason}: set `exact` or `auto`"));
            EvidenceMode::Exact
        }
        Some(_) => EvidenceMode::Exact,
        None => mode,
    }
}

fn strategy(table: &Table<'_>, policies: &Policies) -> SamplingStrategy {
    let strategy = table.choice_or("sampling_strategy", STRATEGIES, SamplingStrategy::Complete);
    let early = table.bool_or("early_decision", false);
    match strategy {
        SamplingStrategy::Ingest => {
            if let Some(name) = policies.needing_whole_traces() {
                table.error(
                    "sampling_strategy",
                    format!("policy `{name}` needs whole traces: it cannot be asked of spans as they come"),
                );
            }
            strategy
        }
        _ if early => SamplingStrategy::Certain,
        _ => strategy,
    }
}

#[cfg(test)]
mod tests;
