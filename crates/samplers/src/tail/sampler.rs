//! One shard of the tail sampler: spans in, decisions, requests out.
//!
//! [`TailSampler::accept`] is the hot path. Spans come in runs of one trace under one envelope; a run costs
//! one look at the trace table, a merge into the trace's digest per span, and one record in the log. Time
//! comes from the caller, so that hours can be simulated in a second.

mod deciding;

use std::collections::BTreeMap;
use std::sync::Arc;

use forebay_allocators::Learned;
use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{Envelopes, Span, Splicer, without_leading_trace_id};
use forebay_ottl::EvalError;

use super::config::SamplingStrategy;
use super::decision::{Decision, Kept, Policies, Remembered};
use super::limits::Limits;
use super::moment::Moment;
use super::predicate::{Asked, Workspace};
use super::recent::{Recent, RecentSet};
use super::stamp::Stamps;
use super::stats::{RuleDecision, Stats};
use super::store::{Flags, Nanos, SlotNumber, Store};
use super::waits::{Wait, Waits};

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
    store: Store,
    kept: Recent<Remembered>,
    dropped: RecentSet,
    stamps: Stamps,
    stats: Stats,
    limits: Limits,
    workspace: Workspace,
    /// The traces that are decided together, and what is decided of each.
    batch: Vec<SlotNumber>,
    decisions: Vec<Decision>,
    /// Traces of the request at hand that need not wait any longer, perhaps.
    touched: Vec<SlotNumber>,
    /// Traces decided not to be kept, which have not been freed yet.
    gone: Vec<SlotNumber>,
    /// Traces decided to be kept, whose spans have not been written yet.
    leaving: Vec<(SlotNumber, Kept)>,
    /// Bytes of their spans.
    leaving_bytes: usize,
    /// For each run of the request at hand, where its trace is if it was there before.
    found: Vec<Option<SlotNumber>>,
    /// For late spans of kept traces, how many seconds after the decision they came.
    late_ages: Vec<f64>,
    waits: Waits,
    /// The traces that rules have decided, since somebody last asked.
    rule_decisions: Vec<RuleDecision>,
    /// The last time that was given.
    now: Nanos,
    /// For each envelope of the request at hand, its number in the store once it is needed.
    interned: Vec<Option<u32>>,
}

/// Decisions are taken at multiples of this.
const TICK: Nanos = 10_000_000;
/// The same where policies have limits; less if traces wait less.
const LIMITED_TICK: Nanos = 1_000_000_000;
/// Kept traces leave in requests of about this size: enough to share envelopes, little to hold twice.
const OUTPUT_BYTES: usize = 1 << 20;

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
            store: Store::new(settings.tick()),
            kept: settings.remember_kept.decisions(),
            dropped: settings.remember_dropped.traces(),
            stamps,
            stats: Stats::new(settings.policies.names().len()),
            limits: settings.policies.limits(),
            workspace: Workspace::default(),
            batch: Vec::new(),
            touched: Vec::new(),
            decisions: Vec::new(),
            gone: Vec::new(),
            found: Vec::new(),
            leaving: Vec::new(),
            leaving_bytes: 0,
            late_ages: Vec::new(),
            waits: Waits::default(),
            rule_decisions: Vec::new(),
            now: 0,
            interned: Vec::new(),
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
        self.now = now;
        self.interned.clear();
        self.interned.resize(envelopes.len(), None);
        let mut late = Vec::new();
        let runs = || spans.chunk_by(|a, b| a.trace_id == b.trace_id && a.envelope == b.envelope);
        // One after the other, looks at far memory overlap.
        let mut found = std::mem::take(&mut self.found);
        found.extend(runs().map(|run| self.store.traces.find(run[0].trace_id)));
        for (run, found) in runs().zip(found.drain(..)) {
            let trace_id = run[0].trace_id;
            // It may have come with this very request.
            let slot = match found.or_else(|| self.store.traces.find(trace_id)) {
                Some(slot) => slot,
                None => {
                    if let Some(remembered) = self.kept.get(trace_id) {
                        self.stats.late_kept += run.len() as u64;
                        self.late_ages.push(remembered.age(now));
                        let kept = remembered.kept();
                        // A span may have passed more than the spans that decided its trace.
                        late.extend(run.iter().map(|span| (span, kept.after(head(request, span).0))));
                        continue;
                    }
                    if self.dropped.contains(trace_id) {
                        self.stats.late_dropped += run.len() as u64;
                        continue;
                    }
                    self.stats.traces += 1;
                    let due = now.saturating_add(self.settings.decision_wait);
                    let slot = self.store.traces.insert(trace_id);
                    self.store.traces.slot_mut(slot).digest.arrived = Moment::of(now);
                    self.store.schedule.push(&mut self.store.traces, slot, due);
                    slot
                }
            };
            let root = self.append(request, envelopes, slot, run, now);
            self.reconsider(slot, root, now);
        }
        self.found = found;
        self.write_late(request, envelopes, &late, out);
        self.settle_touched(out);
        if !self.settings.block_on_overflow {
            self.make_room(out);
        }
        self.write_leaving(out);
        self.store.shrink_to(self.settings.pending_bytes);
    }

    /// When the next trace is due.
    #[must_use]
    pub fn next_due(&self) -> Option<Nanos> {
        self.store.schedule.next_due()
    }

    /// Traces that wait for their decision.
    #[must_use]
    pub fn pending_traces(&self) -> usize {
        self.store.traces.len()
    }

    /// Whether there is no room for more; always false if traces are decided early instead.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Settings { pending_bytes, pending_traces, block_on_overflow, .. } = self.settings;
        block_on_overflow
            && (self.store.traces.len() >= pending_traces || self.store.in_use() >= pending_bytes)
    }

    /// Bytes allocated for pending traces and remembered decisions.
    #[must_use]
    pub fn allocated(&self) -> usize {
        self.store.allocated() + self.kept.allocated() + self.dropped.allocated()
    }

    /// Bytes that the pending spans and their envelopes take in the store, traces' slots aside.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.store.span_bytes()
    }

    /// Bytes that pending traces hold, of those that [`Settings::pending_bytes`] allows.
    #[must_use]
    pub fn bytes_in_use(&self) -> usize {
        self.store.in_use()
    }

    /// What [`Settings::pending_bytes`] allows.
    #[must_use]
    pub const fn bytes_allowed(&self) -> usize {
        self.settings.pending_bytes
    }

    /// Why a condition could not be evaluated, if one that wants it told has failed since the last call.
    pub fn take_failure(&mut self) -> Option<EvalError> {
        self.workspace.failure.take()
    }

    /// How many conditions of rules have failed since the last call, by rule.
    pub(crate) fn take_rule_failures(&mut self) -> BTreeMap<Arc<str>, u64> {
        std::mem::take(&mut self.workspace.failures)
    }

    /// The traces that rules have decided since the last call.
    pub(crate) fn take_rule_decisions(&mut self) -> impl Iterator<Item = RuleDecision> {
        self.rule_decisions.drain(..)
    }

    /// For the late spans of kept traces that came since the last call, how many seconds after the decision: one
    /// number for spans that came together.
    pub fn take_late_ages(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.late_ages)
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
        &self.stats
    }

    /// Adds a run of spans to a pending trace. Returns whether one is a root.
    #[inline]
    fn append(
        &mut self,
        request: &[u8],
        envelopes: &Envelopes,
        slot: SlotNumber,
        run: &[Span],
        now: Nanos,
    ) -> bool {
        let now_unix_nano = self.settings.epoch_unix_nano.saturating_add(now);
        let predicates = self.settings.policies.predicates();
        let envelope = *self.interned[run[0].envelope as usize].get_or_insert_with(|| {
            self.store.envelopes.intern(request, envelopes, run[0].envelope, predicates)
        });
        let digest = &mut self.store.traces.slot_mut(slot).digest;
        let (of_envelope, slots) = self.store.envelopes.facts(envelope);
        digest.predicates |= of_envelope;
        self.workspace.collected.clear();
        let mut root = false;
        let mut flags = Flags { elided: true, trace_state: false };
        let trace_id = run[0].trace_id.to_bytes();
        for span in run {
            let body = body(request, span);
            let asked =
                Asked { span, body, trace_state: trace_state(request, span), envelope: slots, now_unix_nano };
            digest.predicates |= predicates.of_span(&asked, digest.predicates, &mut self.workspace);
            digest.add_span(span);
            root |= self.workspace.root;
            // A leading id that a later one overrides is not the trace's, and stays.
            flags.elided &= without_leading_trace_id(body).is_some() && body[2..].starts_with(&trace_id);
            if !span.trace_state.is_empty() {
                flags.trace_state = true;
                let (threshold, randomness) = head(request, span);
                digest.add_head(threshold, randomness);
            }
        }
        digest.root |= root;
        let fingerprints = predicates.fingerprints();
        if !fingerprints.is_empty() {
            let values = self.store.envelopes.values(envelope);
            self.store.fingerprints.add(slot, values, &self.workspace.collected, fingerprints);
        }
        self.stats.pending_spans += run.len() as u64;
        let bodies = run.iter().map(|span| body(request, span));
        if flags.elided {
            self.store.append(
                slot,
                envelope,
                flags,
                bodies.map(|body| without_leading_trace_id(body).unwrap_or(body)),
            );
        } else {
            self.store.append(slot, envelope, flags, bodies);
        }
        root
    }

    /// Writes the traces that are decided to be kept, and frees what they held.
    fn write_leaving(&mut self, out: &mut Vec<Output>) {
        if self.leaving.is_empty() {
            return;
        }
        let stamps = self.stamps.of(self.leaving.iter().map(|&(_, kept)| kept), false);
        let mut splicer = Splicer::default();
        for (slot, kept) in &self.leaving {
            self.store.splice(*slot, &stamps[kept], &mut splicer);
        }
        let spans = splicer.items();
        let request = splicer.finish(|envelope| {
            let (resource, scope) = self.store.envelopes.parts(envelope);
            (std::iter::once(resource), std::iter::once(scope))
        });
        self.stats.pending_spans -= spans as u64;
        out.push(Output { request, spans });
        let slots: Vec<_> = self.leaving.drain(..).map(|(slot, _)| slot).collect();
        self.store.release(&slots);
        self.leaving_bytes = 0;
    }

    /// Writes late spans of kept traces.
    fn write_late(
        &self,
        request: &[u8],
        envelopes: &Envelopes,
        late: &[(&Span, Kept)],
        out: &mut Vec<Output>,
    ) {
        if late.is_empty() {
            return;
        }
        let stamps = self.stamps.of(late.iter().map(|&(_, kept)| kept), true);
        let mut splicer = Splicer::default();
        for (span, kept) in late {
            let piece = stamps[kept].apply(None, body(request, span), !span.trace_state.is_empty());
            splicer.push(envelopes.resource_number(span.envelope), span.envelope, piece);
        }
        let spans = splicer.items();
        out.push(Output { request: splicer.finish_indexed(request, envelopes), spans });
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
            epoch_unix_nano: 0,
        }
    }

    /// How long a decision tick is. Limits are a matter of seconds: to choose among more traces is to choose
    /// better, and one that had to spread its budget over ticks of 10 ms would have none for most of them.
    fn tick(&self) -> Nanos {
        if self.policies.are_limited() { self.decision_wait.clamp(TICK, LIMITED_TICK) } else { TICK }
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

    fn decisions<V: Copy>(self) -> Recent<V> {
        match self {
            Self::Bytes(bytes) => Recent::of_bytes(bytes),
            Self::Decisions(decisions) => Recent::of_decisions(decisions),
        }
    }

    fn traces(self) -> RecentSet {
        match self {
            Self::Bytes(bytes) => RecentSet::of_bytes(bytes),
            Self::Decisions(decisions) => RecentSet::of_decisions(decisions),
        }
    }
}

fn body<'a>(request: &'a [u8], span: &Span) -> &'a [u8] {
    &request[span.body.start as usize..span.body.end as usize]
}

fn trace_state<'a>(request: &'a [u8], span: &Span) -> &'a [u8] {
    &request[span.trace_state.start as usize..span.trace_state.end as usize]
}

/// What a span's `ot` member says about the trace. A threshold that the trace's randomness does not reach is
/// inconsistent and tells nothing; the one that is written on leaving replaces it.
fn head(request: &[u8], span: &Span) -> (Option<Threshold>, Option<Randomness>) {
    let Ok(state) = TraceState::parse(trace_state(request, span)) else { return (None, None) };
    let ot = state.ot();
    let randomness = ot.rv.ok().flatten();
    let actual = randomness.unwrap_or_else(|| Randomness::from_trace_id(span.trace_id.to_bytes()));
    let threshold = ot.th.ok().flatten().filter(|threshold| threshold.keeps(actual));
    (threshold, randomness)
}

#[cfg(test)]
mod tests;
