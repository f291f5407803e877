//! When traces are decided, and what is done then.

use super::{OUTPUT_BYTES, Output, SamplingStrategy, Settings, TailSampler};
use crate::tail::decision::{Decision, Remembered};
use crate::tail::digest::Digest;
use crate::tail::stamp::{Label, Trigger};
use crate::tail::stats::PolicyCount;
use crate::tail::store::{Nanos, SEGMENT_BYTES, SlotNumber};
use crate::tail::waits::Reason;

/// So many traces are decided at a time.
const BATCH_TRACES: usize = 256;

impl TailSampler {
    /// Decides the traces that are due at `now`.
    pub fn decide_due(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.now = now;
        self.limits.begin_tick(now);
        let together = if self.settings.policies.are_limited() { usize::MAX } else { BATCH_TRACES };
        while self.next_due().is_some_and(|due| due <= now) {
            while self.batch.len() < together && self.next_due().is_some_and(|due| due <= now) {
                self.batch.extend(self.store.schedule.pop(&mut self.store.traces));
            }
            self.decide(Reason::Due, out);
        }
        self.write_leaving(out);
    }

    /// Decides everything that is pending, on the evidence so far.
    pub fn decide_all(&mut self, out: &mut Vec<Output>) {
        while self.decide_oldest(Reason::Shutdown, out) {}
        self.write_leaving(out);
    }

    /// Gives up everything that is pending, undecided, and says how many spans that were.
    pub fn abandon_all(&mut self) -> u64 {
        let mut spans = 0;
        while let Some(slot) = self.store.schedule.pop(&mut self.store.traces) {
            let digest = &self.store.traces.slot(slot).digest;
            spans += u64::from(digest.spans);
            self.waits.add(Reason::Shutdown, digest.arrived.whole_seconds_until(self.now));
            self.store.release(&[slot]);
        }
        self.stats.pending_spans -= spans;
        spans
    }

    /// Looks at what new spans, of which one may be a root, mean for a trace's wait.
    #[inline]
    pub(super) fn reconsider(&mut self, slot: SlotNumber, root: bool, now: Nanos) {
        if let Some(wait) = self.settings.decision_wait_after_root
            && root
        {
            self.store.schedule.hasten(&mut self.store.traces, slot, now.saturating_add(wait));
        }
        let digest = &self.store.traces.slot(slot).digest;
        let Settings { strategy, maximum_trace_bytes, .. } = self.settings;
        if strategy != SamplingStrategy::Complete
            || digest.bytes > maximum_trace_bytes.unwrap_or(u32::MAX)
            || self.settings.is_crowding(digest)
        {
            self.touched.push(slot);
        }
    }

    /// Decides those of the request's traces that need not wait any longer. Not before all its spans have been
    /// taken: envelopes that they share must not go.
    pub(super) fn settle_touched(&mut self, out: &mut Vec<Output>) {
        if self.touched.is_empty() {
            return;
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        self.limits.begin_early(self.now);
        for number in touched.drain(..) {
            if let Some((reason, decision)) = self.settled(number) {
                self.store.schedule.remove(&mut self.store.traces, number);
                self.carry_out(number, reason, decision, out);
            }
        }
        self.touched = touched;
        self.release_gone();
    }

    /// What becomes of a trace, and why, if that is not to wait.
    fn settled(&mut self, number: SlotNumber) -> Option<(Reason, Decision)> {
        let Settings { policies, strategy, maximum_trace_bytes, .. } = &self.settings;
        let slot = self.store.traces.slot(number);
        let trace = self.store.evidence(number, policies.predicates().fingerprints());
        if maximum_trace_bytes.is_some_and(|maximum| slot.digest.bytes > maximum) {
            self.stats.too_large_traces += 1;
            return Some((Reason::Size, Decision::NotSampled));
        }
        let crowding = self.settings.is_crowding(&slot.digest);
        if *strategy == SamplingStrategy::Certain && !crowding && !policies.is_certain(&trace, &self.limits) {
            return None;
        }
        let mut counts = vec![PolicyCount::default(); policies.names().len()];
        policies.decide(&[trace], &mut self.limits, &mut counts, &mut self.decisions);
        let decision = self.decisions.pop()?;
        // What a policy may still drop waits, and so does what no policy asks for yet.
        let open = match decision {
            Decision::NotSampled => true,
            Decision::Keep(_) => policies.may_drop(),
            Decision::Dropped => false,
        };
        if open && !crowding {
            return None;
        }
        self.stats.early_decisions += u64::from(crowding);
        self.stats.early_releases += u64::from(!crowding);
        self.stats.policies.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        Some((if crowding { Reason::Size } else { Reason::Certain }, decision))
    }

    /// Decides early while there are too many traces or bytes. What is about to leave counts as gone.
    pub(super) fn make_room(&mut self, out: &mut Vec<Output>) {
        let Settings { pending_bytes, pending_traces, .. } = self.settings;
        // Kept traces share segments with others, so writing them may free less than their bytes: then more go.
        while self.store.traces.len() > pending_traces || self.store.in_use() > pending_bytes {
            let crowded = self.store.in_use() > pending_bytes;
            let enough = if crowded { pending_bytes.saturating_sub(SEGMENT_BYTES) } else { pending_bytes };
            while self.store.traces.len() - self.leaving.len() > pending_traces
                || self.store.in_use().saturating_sub(self.leaving_bytes) > enough
            {
                if !self.decide_oldest(Reason::Room, out) {
                    return self.write_leaving(out);
                }
            }
            self.write_leaving(out);
        }
    }

    /// Decides the trace that has waited longest; false if there is none.
    fn decide_oldest(&mut self, reason: Reason, out: &mut Vec<Output>) -> bool {
        let oldest = self.store.schedule.pop(&mut self.store.traces);
        self.batch.extend(oldest);
        self.limits.begin_early(self.now);
        self.decide(reason, out);
        oldest.is_some()
    }

    /// Decides the traces in `batch`, which the schedule has given up.
    fn decide(&mut self, reason: Reason, out: &mut Vec<Output>) {
        let policies = &self.settings.policies;
        let fingerprints = policies.predicates().fingerprints();
        let evidence = |&number: &SlotNumber| self.store.evidence(number, fingerprints);
        let mut traces: Vec<_> = self.batch.iter().map(evidence).collect();
        let counts = &mut self.stats.policies;
        if reason == Reason::Room {
            let decisions = &mut self.decisions;
            decisions.extend(traces.iter().filter_map(|trace| policies.evict(trace, counts)));
            traces.drain(..decisions.len());
        }
        policies.decide(&traces, &mut self.limits, counts, &mut self.decisions);
        let mut decisions = std::mem::take(&mut self.decisions);
        let mut batch = std::mem::take(&mut self.batch);
        for (number, decision) in batch.drain(..).zip(decisions.drain(..)) {
            self.stats.early_decisions += u64::from(reason != Reason::Due);
            self.carry_out(number, reason, decision, out);
        }
        (self.decisions, self.batch) = (decisions, batch);
        self.release_gone();
    }

    /// Does with a trace what has been decided.
    fn carry_out(&mut self, number: SlotNumber, reason: Reason, decision: Decision, out: &mut Vec<Output>) {
        let policies = &self.settings.policies;
        if policies.are_rules() {
            let trace = self.store.evidence(number, policies.predicates().fingerprints());
            let evicted = reason == Reason::Room;
            self.rule_decisions.extend(policies.rule_decision(&trace, evicted, &self.limits));
        }
        let slot = self.store.traces.slot(number);
        self.waits.add(reason, slot.digest.arrived.whole_seconds_until(self.now));
        let trigger = Trigger::of(reason, slot.digest.root);
        self.stats.triggers[trigger as usize] += 1;
        let (trace_id, spans) = (slot.trace_id, u64::from(slot.digest.spans));
        self.stats.unknown_head_spans += if slot.digest.head().is_none() { spans } else { 0 };
        if let Decision::Keep(mut kept) = decision {
            let limits = &self.limits;
            let fingerprint = || policies.fingerprint(kept, &self.store.fingerprints.values(number), limits);
            let label = || Label { trigger, fingerprint: fingerprint() };
            kept.part = self.stamps.label(label).or(kept.part);
            self.stats.kept_traces += 1;
            self.stats.kept_spans += spans;
            self.leaving_bytes += slot.digest.bytes as usize;
            self.kept.insert(trace_id, Remembered::new(kept, self.now));
            self.leaving.push((number, kept));
            if self.leaving_bytes >= OUTPUT_BYTES {
                self.write_leaving(out);
            }
            return;
        }
        let traces = if decision == Decision::Dropped {
            &mut self.stats.dropped_traces
        } else {
            &mut self.stats.not_sampled_traces
        };
        *traces += 1;
        self.stats.dropped_spans += spans;
        self.stats.pending_spans -= spans;
        self.gone.push(number);
    }

    /// Frees the traces that are not kept, and remembers them.
    pub(super) fn release_gone(&mut self) {
        for &number in &self.gone {
            self.dropped.insert(self.store.traces.slot(number).trace_id);
        }
        self.store.release(&self.gone);
        self.gone.clear();
    }
}

impl Settings {
    /// Whether a trace has grown so large that it is decided on what has come of it.
    fn is_crowding(&self, digest: &Digest) -> bool {
        digest.bytes > self.trace_bytes || digest.spans >= self.trace_spans
    }
}
