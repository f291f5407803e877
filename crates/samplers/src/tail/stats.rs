//! What a shard has done, as plain numbers.

use super::decision::PolicyCount;

/// Counts since the shard began, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Traces seen for the first time.
    pub traces: u64,
    /// Traces kept, and their spans at that moment.
    pub kept_traces: u64,
    /// See `kept_traces`.
    pub kept_spans: u64,
    /// Traces that no policy asked for.
    pub not_sampled_traces: u64,
    /// Traces that a policy dropped.
    pub dropped_traces: u64,
    /// Spans of traces of both kinds, at that moment.
    pub dropped_spans: u64,
    /// Spans that came after their trace had been kept, and left at once.
    pub late_kept: u64,
    /// Spans that came after their trace had been dropped, and went with it.
    pub late_dropped: u64,
    /// Traces decided before their time, for want of room or because the process ended.
    pub early_decisions: u64,
    /// Traces that left before their time because nothing could change any more that they are kept, or because
    /// policies are asked as spans come.
    pub early_releases: u64,
    /// Traces dropped because they had more bytes than a trace may have.
    pub too_large_traces: u64,
    /// Decided spans of traces that came without a readable, consistent threshold: what they were sampled with
    /// before, if anything, is not known.
    pub unknown_head_spans: u64,
    /// Spans that wait now.
    pub pending_spans: u64,
    /// What each policy has said.
    pub policies: Vec<PolicyCount>,
}

impl Stats {
    /// The counts of a shard with so many policies.
    #[must_use]
    pub fn new(policies: usize) -> Self {
        Self { policies: vec![PolicyCount::default(); policies], ..Self::default() }
    }
}
