//! One shard of the tail sampler: spans in, decisions, requests out.
//!
//! Spans wait in [`Pending`]; here is when a trace is decided, by which evidence, and what is done then. Time comes
//! from the caller, so that hours can be simulated in a second.

mod deciding;
mod evidence;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use forebay_allocators::Learned;
use forebay_otlp::threshold::Threshold;
use forebay_otlp::{Envelopes, Span, TraceId};
use forebay_ottl::EvalError;

use self::evidence::{Claim, Notices, Reports};
pub use self::evidence::{Holders, Notice, Reported};
use super::config::SamplingStrategy;
use super::decision::{Decision, Policies};
use super::limits::Limits;
use super::pending::{Arriving, Pending};
use super::recent::{Recent, RecentSet};
use super::stamp::Stamps;
use super::stats::{RuleDecision, Stats};
use super::store::{Nanos, SlotNumber, Store};
use super::waits::{Wait, Waits};
use crate::retroactive::key::TraceKey;

/// What one shard needs to know.
#[derive(Clone)]
pub struct Settings {
    /// The policies, shared by all shards.
    pub policies: Arc<Policies>,
    /// How long a trace waits, from its first span, in nanoseconds.
    pub decision_wait: Nanos,
    /// How long at most after its root has come, in nanoseconds.
    pub decision_wait_after_root: Option<Nanos>,
    /// Whether traces may leave before they have waited.
    pub strategy: SamplingStrategy,
    /// A trace with more bytes of spans is dropped.
    pub maximum_trace_bytes: Option<u32>,
    /// A trace with more bytes of spans is decided on what has come of it: none is to fill the shard.
    pub trace_bytes: u32,
    /// The same for one with so many spans.
    pub trace_spans: u32,
    /// Whether the caller makes senders wait while the sampler is full, rather than that traces are decided early.
    pub block_on_overflow: bool,
    /// What pending traces may hold, in bytes. Beyond it the oldest are decided early.
    pub pending_bytes: usize,
    /// How many traces may be pending; beyond it the oldest are decided early.
    pub pending_traces: usize,
    /// Bounds of the memory of kept and of dropped traces.
    pub remember_kept: Remember,
    /// See `remember_kept`.
    pub remember_dropped: Remember,
    /// Whether the policy that kept a trace is recorded on its spans.
    pub record_policy: bool,
    /// Whether agents tell of spans that they hold. Traces are then told apart by their keys.
    pub coordinates: bool,
    /// The time at which the clock was zero, in nanoseconds since 1970: for conditions that ask what time it is.
    pub epoch_unix_nano: u64,
}

/// How many decisions are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// As many as fit this many bytes.
    Bytes(usize),
    /// At least this many.
    Decisions(usize),
}

/// An encoded `ExportTraceServiceRequest` of kept spans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The request.
    pub request: Vec<u8>,
    /// Spans in it.
    pub spans: usize,
}

/// Pending traces and remembered decisions of one shard.
pub struct TailSampler {
    settings: Settings,
    pending: Pending,
    limits: Limits,
    /// The traces that are decided together, and what is decided of each.
    batch: Vec<SlotNumber>,
    decisions: Vec<Decision>,
    /// Traces of the request at hand that need not wait any longer, perhaps.
    touched: Vec<SlotNumber>,
    waits: Waits,
    reports: Reports,
    notices: Notices,
    /// What agents have done with pending traces.
    claims: HashMap<SlotNumber, Claim>,
    /// Nothing is decided before, as far as there is room.
    held_until: Nanos,
    /// Whether all agents are away.
    deserted: bool,
    /// What randomness a trace needs in any case.
    shed: Threshold,
    /// The traces that rules have decided, since somebody last asked.
    rule_decisions: Vec<RuleDecision>,
    /// The last time that was given.
    now: Nanos,
}

/// Decisions are taken at multiples of this.
const TICK: Nanos = 10_000_000;
/// The same where policies have limits, or agents report, which they do once a second; less if traces wait less.
const LONG_TICK: Nanos = 1_000_000_000;

impl TailSampler {
    /// A shard without traces.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let policies = &settings.policies;
        let stamps = if policies.are_rules() {
            Stamps::of_rules(policies.names().to_vec())
        } else {
            Stamps::new(settings.record_policy.then(|| policies.names_with_parts()))
        };
        Self {
            pending: Pending::new(
                Store::new(
                    settings.tick(),
                    if settings.coordinates { TraceKey::MASK } else { TraceId(u128::MAX) },
                ),
                stamps,
                settings.remember_kept,
                settings.remember_dropped,
                settings.policies.names().len(),
            ),
            limits: settings.policies.limits(),
            batch: Vec::new(),
            touched: Vec::new(),
            decisions: Vec::new(),
            waits: Waits::default(),
            reports: Reports::default(),
            notices: Notices::default(),
            claims: HashMap::new(),
            held_until: 0,
            deserted: false,
            shed: Threshold::ALWAYS,
            rule_decisions: Vec::new(),
            now: 0,
            settings,
        }
    }

    /// Takes `spans` of a request at time `now`. Late spans of kept traces leave at once, and so do traces for
    /// which there is no room any more.
    pub fn accept(
        &mut self,
        request: &[u8],
        envelopes: &Envelopes,
        spans: &[Span],
        now: Nanos,
        out: &mut Vec<Output>,
    ) {
        self.count_reports(now, out);
        self.now = now;
        let now_unix_nano = self.settings.epoch_unix_nano.saturating_add(now);
        let arriving = Arriving { request, envelopes, spans, now, now_unix_nano };
        let Self { pending, settings, touched, .. } = self;
        pending.accept(&arriving, settings.policies.predicates(), out, |store, added| {
            settings.reconsider(store, added, now, touched);
        });
        self.settle(out);
    }

    /// Decides what need not wait, or cannot, once a request has been taken.
    fn settle(&mut self, out: &mut Vec<Output>) {
        self.settle_touched(out);
        if !self.settings.block_on_overflow {
            self.make_room(out);
        }
        self.pending.write_leaving(out);
        self.pending.store.shrink_to(self.settings.pending_bytes);
    }

    /// When the next trace is due, the next window of an agent is settled, or what agents have reported counts.
    #[must_use]
    pub fn next_due(&self) -> Option<Nanos> {
        let decided = [self.next_trace_due(), self.notices.next_settled()].into_iter().flatten().min();
        let decided = decided.map(|due| due.max(self.held_until));
        [decided, self.reports.due()].into_iter().flatten().min()
    }

    fn next_trace_due(&self) -> Option<Nanos> {
        self.pending.store.schedule.next_due()
    }

    /// Traces that wait for their decision.
    #[must_use]
    pub fn pending_traces(&self) -> usize {
        self.pending.store.traces.len()
    }

    /// Whether there is no room for more; always false if traces are decided early instead.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Settings { pending_bytes, pending_traces, block_on_overflow, .. } = self.settings;
        block_on_overflow
            && (self.pending.store.traces.len() >= pending_traces
                || self.pending.store.in_use() >= pending_bytes)
    }

    /// Bytes allocated for pending traces, remembered decisions, and reports that wait for their tick.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.pending.allocated() + self.reports.bytes()
    }

    /// Bytes that the pending spans and their envelopes take in the store, traces' slots aside.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.store.span_bytes()
    }

    /// Bytes that pending traces hold, of those that [`Settings::pending_bytes`] allows.
    #[must_use]
    pub fn bytes_in_use(&self) -> usize {
        self.pending.store.in_use()
    }

    /// What [`Settings::pending_bytes`] allows.
    #[must_use]
    pub const fn bytes_allowed(&self) -> usize {
        self.settings.pending_bytes
    }

    /// Why a condition could not be evaluated, if one that wants it told has failed since the last call.
    pub fn take_failure(&mut self) -> Option<EvalError> {
        self.pending.workspace.failure.take()
    }

    /// How many conditions of rules have failed since the last call, by rule.
    pub(crate) fn take_rule_failures(&mut self) -> BTreeMap<Arc<str>, u64> {
        std::mem::take(&mut self.pending.workspace.failures)
    }

    /// The traces that rules have decided since the last call.
    pub(crate) fn take_rule_decisions(&mut self) -> impl Iterator<Item = RuleDecision> {
        self.rule_decisions.drain(..)
    }

    /// For the late spans of kept traces that came since the last call, how many seconds after the decision: one
    /// number for spans that came together.
    pub fn take_late_ages(&mut self) -> Vec<f64> {
        self.pending.take_late_ages()
    }

    /// How long the traces had waited that have been decided since the last call.
    pub(crate) fn take_waits(&mut self) -> impl Iterator<Item = Wait> {
        self.waits.drain()
    }

    /// What budgets have learned, each with the policy that has it.
    pub fn learned(&self) -> impl Iterator<Item = (&str, Learned)> {
        self.limits.learned()
    }

    /// How many kinds of traces budgets tell apart, each with the policy that has it.
    pub(crate) fn budget_keys(&self) -> impl Iterator<Item = (&str, usize)> {
        self.limits.budget_keys()
    }

    /// Lets budgets begin with what `remembered` knows of their policies.
    pub fn learn(&mut self, remembered: impl FnMut(&str) -> Option<Learned>) {
        self.limits.learn(remembered);
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.pending.stats
    }
}

impl Settings {
    /// Settings without bounds or options.
    #[must_use]
    pub fn new(policies: Arc<Policies>, decision_wait: Nanos) -> Self {
        Self {
            policies,
            decision_wait,
            decision_wait_after_root: None,
            strategy: SamplingStrategy::default(),
            maximum_trace_bytes: None,
            trace_bytes: u32::MAX,
            trace_spans: u32::MAX,
            block_on_overflow: false,
            pending_bytes: usize::MAX,
            pending_traces: usize::MAX,
            remember_kept: Remember::Decisions(1 << 20),
            remember_dropped: Remember::Decisions(1 << 20),
            record_policy: false,
            coordinates: false,
            epoch_unix_nano: 0,
        }
    }

    /// How long a decision tick is. Limits are a matter of seconds: to choose among more traces is to choose
    /// better, and one that had to spread its budget over ticks of 10 ms would have none for most of them. What
    /// agents have reported comes and leaves in windows, and few messages have room for all that is decided of it.
    fn tick(&self) -> Nanos {
        let is_long = self.policies.are_limited() || self.coordinates;
        self.decision_wait.clamp(TICK, if is_long { LONG_TICK } else { TICK })
    }
}

impl Remember {
    /// One of `shards` equal parts.
    #[must_use]
    pub fn shared_by(self, shards: usize) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes / shards),
            Self::Decisions(decisions) => Self::Decisions(decisions / shards),
        }
    }

    pub(super) fn decisions<V: Copy>(self) -> Recent<V> {
        match self {
            Self::Bytes(bytes) => Recent::of_bytes(bytes),
            Self::Decisions(decisions) => Recent::of_decisions(decisions),
        }
    }

    pub(super) fn traces(self) -> RecentSet {
        match self {
            Self::Bytes(bytes) => RecentSet::of_bytes(bytes),
            Self::Decisions(decisions) => RecentSet::of_decisions(decisions),
        }
    }
}

#[cfg(test)]
mod tests;
