//! When traces are decided, and what is done then.

use super::{Output, SamplingStrategy, Settings, TailSampler};
use crate::tail::decision::Decision;
use crate::tail::digest::Digest;
use crate::tail::pending::Added;
use crate::tail::stamp::{Label, Trigger};
use crate::tail::stats::PolicyCount;
use crate::tail::store::{Nanos, SEGMENT_BYTES, SlotNumber, Store};
use crate::tail::waits::Reason;

/// So many traces are decided at a time.
const BATCH_TRACES: usize = 256;

impl TailSampler {
    /// Decides the traces that are due at `now`.
    pub fn decide_due(&mut self, now: Nanos, out: &mut Vec<Output>) {
        self.count_reports(now, out);
        self.now = now;
        self.limits.begin_tick(now);
        let together = if self.settings.policies.are_limited() { usize::MAX } else { BATCH_TRACES };
        while self.is_due(now) {
            while self.batch.len() < together && self.is_due(now) {
                let due = self.pending.store.schedule.pop(&mut self.pending.store.traces);
                let ready = due.filter(|&number| !self.put_off(number));
                self.batch.extend(ready);
            }
            self.decide(Reason::Due, out);
        }
        if now >= self.held_until {
            self.notices.settle(now);
        }
        self.pending.write_leaving(out);
    }

    /// Whether a trace is due.
    fn is_due(&self, now: Nanos) -> bool {
        now >= self.held_until && self.next_trace_due().is_some_and(|due| due <= now)
    }

    /// Decides everything that is pending, on the evidence so far.
    pub fn decide_all(&mut self, out: &mut Vec<Output>) {
        self.merge_reports(self.now, out);
        while self.decide_oldest(Reason::Shutdown, out) {}
        self.pending.write_leaving(out);
    }

    /// Gives up everything that is pending, undecided, and says how many spans that were.
    pub fn abandon_all(&mut self) -> u64 {
        let mut spans = 0;
        while let Some(slot) = self.pending.store.schedule.pop(&mut self.pending.store.traces) {
            spans += self.pending.store.local_spans(slot);
            let digest = &self.pending.store.traces.slot(slot).digest;
            self.waits.add(Reason::Shutdown, digest.arrived.whole_seconds_until(self.now));
            self.pending.store.release(&[slot]);
        }
        self.pending.stats.pending_spans -= spans;
        spans
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
                self.pending.store.schedule.remove(&mut self.pending.store.traces, number);
                self.carry_out(number, reason, decision, out);
            }
        }
        self.touched = touched;
        self.pending.release_gone();
    }

    /// What becomes of a trace, and why, if that is not to wait.
    fn settled(&mut self, number: SlotNumber) -> Option<(Reason, Decision)> {
        let Settings { policies, strategy, maximum_trace_bytes, .. } = &self.settings;
        let slot = self.pending.store.traces.slot(number);
        let trace = self.pending.store.evidence(number, policies.predicates().fingerprints());
        if maximum_trace_bytes.is_some_and(|maximum| slot.digest.bytes > maximum) {
            self.pending.stats.too_large_traces += 1;
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
        self.pending.stats.early_decisions += u64::from(crowding);
        self.pending.stats.early_releases += u64::from(!crowding);
        self.pending.stats.policies.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        Some((if crowding { Reason::Size } else { Reason::Certain }, decision))
    }

    /// Decides early while there are too many traces or bytes. What is about to leave counts as gone.
    pub(super) fn make_room(&mut self, out: &mut Vec<Output>) {
        let Settings { pending_bytes, pending_traces, .. } = self.settings;
        // Kept traces share segments with others, so writing them may free less than their bytes: then more go.
        while self.pending.store.traces.len() > pending_traces || self.pending.store.in_use() > pending_bytes
        {
            let crowded = self.pending.store.in_use() > pending_bytes;
            let enough = if crowded { pending_bytes.saturating_sub(SEGMENT_BYTES) } else { pending_bytes };
            loop {
                let (traces, bytes) = self.pending.leaving();
                let fits = self.pending.store.traces.len() - traces <= pending_traces
                    && self.pending.store.in_use().saturating_sub(bytes) <= enough;
                if fits {
                    break;
                }
                if !self.decide_oldest(Reason::Room, out) {
                    return self.pending.write_leaving(out);
                }
            }
            self.pending.write_leaving(out);
        }
    }

    /// Decides the trace that has waited longest; false if there is none.
    fn decide_oldest(&mut self, reason: Reason, out: &mut Vec<Output>) -> bool {
        let oldest = self.pending.store.schedule.pop(&mut self.pending.store.traces);
        self.batch.extend(oldest);
        self.limits.begin_early(self.now);
        self.decide(reason, out);
        oldest.is_some()
    }

    /// Decides the traces in `batch`, which the schedule has given up.
    fn decide(&mut self, reason: Reason, out: &mut Vec<Output>) {
        let policies = &self.settings.policies;
        let fingerprints = policies.predicates().fingerprints();
        let evidence = |&number: &SlotNumber| self.pending.store.evidence(number, fingerprints);
        let mut traces: Vec<_> = self.batch.iter().map(evidence).collect();
        let counts = &mut self.pending.stats.policies;
        if reason == Reason::Room {
            let decisions = &mut self.decisions;
            decisions.extend(traces.iter().filter_map(|trace| policies.evict(trace, counts)));
            traces.drain(..decisions.len());
        }
        policies.decide(&traces, &mut self.limits, counts, &mut self.decisions);
        let mut decisions = std::mem::take(&mut self.decisions);
        let mut batch = std::mem::take(&mut self.batch);
        for (number, decision) in batch.drain(..).zip(decisions.drain(..)) {
            self.pending.stats.early_decisions += u64::from(reason != Reason::Due);
            self.carry_out(number, reason, decision, out);
        }
        (self.decisions, self.batch) = (decisions, batch);
        self.pending.release_gone();
    }

    /// Does with a trace what has been decided.
    fn carry_out(&mut self, number: SlotNumber, reason: Reason, decision: Decision, out: &mut Vec<Output>) {
        let decision = self.heed(number, decision);
        let policies = &self.settings.policies;
        if policies.are_rules() {
            let trace = self.pending.store.evidence(number, policies.predicates().fingerprints());
            let evicted = reason == Reason::Room;
            self.rule_decisions.extend(policies.rule_decision(&trace, evicted, &self.limits));
        }
        let slot = self.pending.store.traces.slot(number);
        self.waits.add(reason, slot.digest.arrived.whole_seconds_until(self.now));
        let trigger = Trigger::of(reason, slot.digest.root);
        self.pending.stats.triggers[trigger as usize] += 1;
        let spans = u64::from(slot.digest.spans);
        self.pending.stats.unknown_head_spans += if slot.digest.head().is_none() { spans } else { 0 };
        if let Decision::Keep(mut kept) = decision {
            let (limits, fingerprints) = (&self.limits, &self.pending.store.fingerprints);
            let fingerprint = || policies.fingerprint(kept, &fingerprints.values(number), limits);
            let label = || Label { trigger, fingerprint: fingerprint() };
            kept.part = self.pending.stamps.label(label).or(kept.part);
            self.tell_agents(number, kept);
            self.pending.keep(number, kept, self.now, out);
            return;
        }
        let traces = if decision == Decision::Dropped {
            &mut self.pending.stats.dropped_traces
        } else {
            &mut self.pending.stats.not_sampled_traces
        };
        *traces += 1;
        self.pending.discard(number);
    }
}

impl Settings {
    /// Lets a trace wait, as long as what has been added to it means; `touched` are those that need not, perhaps.
    #[inline]
    pub(super) fn reconsider(
        &self,
        store: &mut Store,
        added: Added<'_>,
        now: Nanos,
        touched: &mut Vec<SlotNumber>,
    ) {
        let Added { slot, first, root, .. } = added;
        if first {
            let due = now.saturating_add(self.decision_wait);
            store.schedule.push(&mut store.traces, slot, due);
        }
        if let Some(wait) = self.decision_wait_after_root
            && root
        {
            store.schedule.hasten(&mut store.traces, slot, now.saturating_add(wait));
        }
        let digest = &store.traces.slot(slot).digest;
        if self.strategy != SamplingStrategy::Complete
            || digest.bytes > self.maximum_trace_bytes.unwrap_or(u32::MAX)
            || self.is_crowding(digest)
        {
            touched.push(slot);
        }
    }

    /// Whether a trace has grown so large that it is decided on what has come of it.
    fn is_crowding(&self, digest: &Digest) -> bool {
        digest.bytes > self.trace_bytes || digest.spans >= self.trace_spans
    }
}
