//! What a shard has done, as plain numbers.

use std::ops::{AddAssign, Sub};
use std::time::Duration;

use forebay_otlp::threshold::Threshold;

use super::digest::Digest;
use super::policy::Verdict;
use super::stamp::Trigger;

/// What a policy has said of traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyCount {
    /// What it asked for.
    pub sampled: Amount,
    /// What it did not ask for.
    pub not_sampled: Amount,
    /// What it dropped.
    pub dropped: Amount,
    /// Traces it could not judge.
    pub failed: u64,
    /// How long that took, where it was asked of several traces at once.
    pub time: Duration,
}

/// Traces, and what they had when they were judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many they were.
    pub traces: u64,
    /// Their spans.
    pub spans: u64,
    /// Bytes of their spans.
    pub bytes: u64,
}

/// A trace that a rule has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RuleDecision {
    /// The rule's index.
    pub(crate) rule: u16,
    /// What the trace's randomness had to reach, the threshold it came with included; `None` if nothing would do.
    pub(crate) threshold: Option<Threshold>,
    /// How many spans it had.
    pub(crate) spans: u32,
}

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
    /// Decided traces by what has triggered that, in the order of triggers: a root, a timeout, their number of spans,
    /// want of room, the end.
    pub triggers: [u64; Trigger::ALL.len()],
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

impl PolicyCount {
    /// Adds what the policy says of one trace.
    pub(crate) fn add(&mut self, verdict: Verdict, digest: &Digest) {
        let amount = match verdict {
            Verdict::NotSampled => &mut self.not_sampled,
            Verdict::Sampled(_) | Verdict::SampledUnknown => &mut self.sampled,
            Verdict::Dropped => &mut self.dropped,
            Verdict::Failed => return self.failed += 1,
        };
        *amount += Amount { traces: 1, spans: digest.spans.into(), bytes: digest.bytes.into() };
    }

    /// Traces of which the policy was asked.
    #[must_use]
    pub const fn executions(&self) -> u64 {
        self.sampled.traces + self.not_sampled.traces + self.dropped.traces + self.failed
    }
}

impl AddAssign for PolicyCount {
    fn add_assign(&mut self, other: Self) {
        self.sampled += other.sampled;
        self.not_sampled += other.not_sampled;
        self.dropped += other.dropped;
        self.failed += other.failed;
        self.time += other.time;
    }
}

impl Sub for PolicyCount {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            sampled: self.sampled - before.sampled,
            not_sampled: self.not_sampled - before.not_sampled,
            dropped: self.dropped - before.dropped,
            failed: self.failed - before.failed,
            time: self.time.saturating_sub(before.time),
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.traces += other.traces;
        self.spans += other.spans;
        self.bytes += other.bytes;
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            traces: self.traces - before.traces,
            spans: self.spans - before.spans,
            bytes: self.bytes - before.bytes,
        }
    }
}
