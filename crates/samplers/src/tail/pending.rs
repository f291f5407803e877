//! Spans of undecided traces, and what is remembered of decided ones.
//!
//! [`Pending::accept`] is the hot path of every sampler that waits for whole traces. Spans come in runs of one trace
//! under one envelope; a run costs one look at the trace table, a merge into the trace's digest per span, and one
//! record in the log. Who decides, and when, is for the owner to say: it is told of each run, and later says which
//! traces to keep and which to drop.

use forebay_otlp::threshold::{Randomness, Threshold};
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{Envelopes, Span, Splicer, TraceId, without_leading_trace_id};

use super::decision::{Kept, Remembered};
use super::moment::Moment;
use super::predicate::{Asked, Predicates, Workspace};
use super::recent::{Recent, RecentSet};
use super::sampler::{Output, Remember};
use super::stamp::Stamps;
use super::stats::Stats;
use super::store::{Flags, Nanos, Recalled, Slot, SlotNumber, Store};

/// The undecided traces of one shard, and its memory of decisions.
pub(crate) struct Pending {
    pub(crate) store: Store,
    kept: Recent<Remembered>,
    dropped: RecentSet,
    pub(crate) stamps: Stamps,
    pub(crate) stats: Stats,
    pub(crate) workspace: Workspace,
    /// Traces decided not to be kept, which have not been freed yet.
    gone: Vec<SlotNumber>,
    /// Traces decided to be kept, whose spans have not been written yet.
    leaving: Vec<(SlotNumber, Kept)>,
    /// Bytes of their spans.
    leaving_bytes: usize,
    /// Whether late spans of kept traces leave at once; if not, they are new traces to whoever decides.
    pub(crate) late_leaves: bool,
    /// For each run of the request at hand, where its trace is if it was there before.
    found: Vec<Option<SlotNumber>>,
    /// For late spans of kept traces, how many seconds after the decision they came.
    late_ages: Vec<f64>,
    /// For each envelope of the request at hand, its number in the store once it is needed.
    interned: Vec<Option<u32>>,
}

/// A request of spans.
#[derive(Clone, Copy)]
pub(crate) struct Arriving<'a> {
    pub(crate) request: &'a [u8],
    pub(crate) envelopes: &'a Envelopes,
    pub(crate) spans: &'a [Span],
    pub(crate) now: Nanos,
    /// `now`, in nanoseconds since 1970.
    pub(crate) now_unix_nano: u64,
}

/// A run of spans that has been added to a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added<'a> {
    pub(crate) slot: SlotNumber,
    pub(crate) spans: &'a [Span],
    /// Whether they are the first of their trace.
    pub(crate) first: bool,
    /// Whether one is a root.
    pub(crate) root: bool,
}

/// Kept traces leave in requests of about this size: enough to share envelopes, little to hold twice.
const OUTPUT_BYTES: usize = 1 << 20;

impl Pending {
    /// No traces.
    pub(crate) fn new(
        store: Store,
        stamps: Stamps,
        kept: Remember,
        dropped: Remember,
        policies: usize,
    ) -> Self {
        Self {
            store,
            kept: kept.decisions(),
            dropped: dropped.traces(),
            stamps,
            stats: Stats::new(policies),
            workspace: Workspace::default(),
            gone: Vec::new(),
            leaving: Vec::new(),
            leaving_bytes: 0,
            late_leaves: true,
            found: Vec::new(),
            late_ages: Vec::new(),
            interned: Vec::new(),
        }
    }

    /// Takes the spans of a request. Late spans of kept traces leave at once; `added` is told of each run of others.
    #[inline]
    pub(crate) fn accept(
        &mut self,
        arriving: &Arriving<'_>,
        predicates: &Predicates,
        out: &mut Vec<Output>,
        mut added: impl FnMut(&mut Store, Added<'_>),
    ) {
        let &Arriving { request, envelopes, spans, now, .. } = arriving;
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
            let found = found.or_else(|| self.store.traces.find(trace_id));
            let slot = match found {
                Some(slot) => slot,
                None => {
                    if let Some(remembered) = self.remembered(trace_id).filter(|_| self.late_leaves) {
                        self.stats.late_kept += run.len() as u64;
                        self.late_ages.push(remembered.age(now));
                        let kept = remembered.kept();
                        // A span may have passed more than the spans that decided its trace.
                        late.extend(run.iter().map(|span| (span, kept.after(head(request, span).0))));
                        continue;
                    }
                    if self.has_dropped(trace_id) && (self.late_leaves || self.remembered(trace_id).is_none())
                    {
                        self.stats.late_dropped += run.len() as u64;
                        continue;
                    }
                    self.begin(trace_id, now)
                }
            };
            let root = self.append(arriving, predicates, slot, run);
            added(&mut self.store, Added { slot, spans: run, first: found.is_none(), root });
        }
        self.found = found;
        self.write_late(request, envelopes, &late, out);
    }

    /// A new trace.
    pub(crate) fn begin(&mut self, trace_id: TraceId, now: Nanos) -> SlotNumber {
        self.stats.traces += 1;
        let slot = self.store.traces.insert(trace_id);
        self.store.traces.slot_mut(slot).digest.arrived = Moment::of(now);
        slot
    }

    /// How a trace has been kept, if it is remembered.
    pub(crate) fn remembered(&self, trace_id: TraceId) -> Option<Remembered> {
        self.kept.get(self.store.traces.identity(trace_id))
    }

    /// Remembers that a trace is kept.
    pub(crate) fn remember(&mut self, trace_id: TraceId, kept: Kept, now: Nanos) {
        self.kept.insert(self.store.traces.identity(trace_id), Remembered::new(kept, now));
    }

    /// Forgets that a trace is kept, and says how it was.
    pub(crate) fn forget_kept(&mut self, trace_id: TraceId) -> Option<Kept> {
        self.kept.remove(self.store.traces.identity(trace_id)).map(Remembered::kept)
    }

    /// Whether a trace has been dropped, as far as that is remembered.
    pub(crate) fn has_dropped(&self, trace_id: TraceId) -> bool {
        self.dropped.contains(self.store.traces.identity(trace_id))
    }

    /// Keeps a trace, which the schedule has given up: its spans leave, now or with [`Self::write_leaving`].
    pub(crate) fn keep(&mut self, number: SlotNumber, kept: Kept, now: Nanos, out: &mut Vec<Output>) {
        let slot = self.store.traces.slot(number);
        let (trace_id, bytes) = (slot.trace_id, slot.digest.bytes as usize);
        self.stats.kept_traces += 1;
        self.stats.kept_spans += u64::from(slot.digest.spans);
        self.leaving_bytes += bytes;
        self.remember(trace_id, kept, now);
        self.leaving.push((number, kept));
        if self.leaving_bytes >= OUTPUT_BYTES {
            self.write_leaving(out);
        }
    }

    /// Drops a trace, which the schedule has given up. It is freed by [`Self::release_gone`].
    pub(crate) fn discard(&mut self, number: SlotNumber) {
        let spans = self.store.local_spans(number);
        self.stats.dropped_spans += spans;
        self.stats.pending_spans -= spans;
        self.gone.push(number);
    }

    /// Frees the traces that are not kept, and remembers them.
    pub(crate) fn release_gone(&mut self) {
        let mut gone = std::mem::take(&mut self.gone);
        for &number in &gone {
            self.remember_dropped(self.store.traces.slot(number).trace_id);
        }
        self.store.release(&gone);
        gone.clear();
        self.gone = gone;
    }

    /// Remembers that a trace has been dropped.
    pub(crate) fn remember_dropped(&mut self, trace_id: TraceId) {
        self.dropped.insert(self.store.traces.identity(trace_id));
    }

    /// Takes traces out, undecided, as a request of their spans in memory, as they came.
    pub(crate) fn take_back(&mut self, numbers: &[SlotNumber]) -> Vec<u8> {
        for &number in numbers {
            self.store.schedule.remove(&mut self.store.traces, number);
        }
        let mut splicer = Splicer::default();
        let recalled = Recalled::default();
        numbers.iter().for_each(|&number| self.store.splice(number, None, &recalled, &mut splicer));
        self.stats.traces -= numbers.len() as u64;
        self.stats.pending_spans -= splicer.items() as u64;
        let request = self.store.finish(splicer);
        self.store.release(numbers);
        request
    }

    /// How many traces are about to leave, and bytes of their spans.
    pub(crate) fn leaving(&self) -> (usize, usize) {
        (self.leaving.len(), self.leaving_bytes)
    }

    /// For the late spans of kept traces that came since the last call, how many seconds after the decision: one
    /// number for spans that came together.
    pub(crate) fn take_late_ages(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.late_ages)
    }

    /// Bytes allocated for pending traces and remembered decisions.
    pub(crate) fn allocated(&self) -> usize {
        self.store.allocated() + self.kept.allocated() + self.dropped.allocated()
    }

    /// Adds a run of spans to a pending trace. Returns whether one is a root.
    #[inline]
    fn append(
        &mut self,
        arriving: &Arriving<'_>,
        predicates: &Predicates,
        slot: SlotNumber,
        run: &[Span],
    ) -> bool {
        let &Arriving { request, envelopes, now_unix_nano, .. } = arriving;
        let envelope = *self.interned[run[0].envelope as usize].get_or_insert_with(|| {
            self.store.envelopes.intern(request, envelopes, run[0].envelope, predicates)
        });
        let Slot { digest, trace_id, last, .. } = self.store.traces.slot_mut(slot);
        if last.is_none() {
            *trace_id = run[0].trace_id;
        }
        let trace_id = trace_id.to_bytes();
        let (of_envelope, slots) = self.store.envelopes.facts(envelope);
        digest.predicates |= of_envelope;
        self.workspace.collected.clear();
        let mut root = false;
        let mut flags = Flags { elided: true, ..Flags::default() };
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
        if self.store.append_to_disk(slot, envelope, flags.trace_state, now_unix_nano, bodies.clone()) {
            return root;
        }
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
    pub(crate) fn write_leaving(&mut self, out: &mut Vec<Output>) {
        if self.leaving.is_empty() {
            return;
        }
        let recalled = self.store.recall(self.leaving.iter().map(|&(slot, _)| slot));
        let stamps = self.stamps.of(self.leaving.iter().map(|&(_, kept)| kept), false);
        let mut splicer = Splicer::default();
        for (slot, kept) in &self.leaving {
            self.store.splice(*slot, Some(&stamps[kept]), &recalled, &mut splicer);
        }
        let spans = splicer.items();
        let request = self.store.finish(splicer);
        self.stats.pending_spans -= spans as u64 + recalled.lost_spans();
        out.push(Output { request, spans });
        let slots: Vec<_> = self.leaving.drain(..).map(|(slot, _)| slot).collect();
        self.store.release(&slots);
        self.store.flush();
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
