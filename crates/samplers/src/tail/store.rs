//! Where pending traces wait: spans in a log, in memory or on disk, envelopes once each, one slot a trace.

pub(crate) mod disk;
mod envelopes;
mod fingerprints;
mod holders;
mod interner;
mod log;
mod schedule;
mod spill;
mod traces;

use forebay_otlp::{SpanPiece, Splicer, TraceId};

use self::disk::{Disk, Stub};
use self::envelopes::EnvelopeTable;
use self::fingerprints::FingerprintTable;
pub use self::holders::AgentNumber;
use self::holders::HolderTable;
use self::log::{Address, Log, Released};
pub(crate) use self::log::{Flags, LOG_BYTES_MAX, SEGMENT_BYTES};
pub use self::schedule::Nanos;
use self::schedule::Schedule;
pub(crate) use self::spill::Recalled;
use self::traces::TraceTable;
pub(crate) use self::traces::{Slot, SlotNumber};
use super::fingerprint::Fingerprints;
use super::policy::Evidence;
use super::stamp::Stamp;

/// The pending traces of one shard.
#[derive(Debug)]
pub(crate) struct Store {
    log: Log,
    pub(crate) envelopes: EnvelopeTable,
    pub(crate) traces: TraceTable,
    pub(crate) fingerprints: FingerprintTable,
    pub(crate) holders: HolderTable,
    pub(crate) schedule: Schedule,
    /// Where spans go instead of the log, if there is a disk tier.
    pub(crate) disk: Option<Box<Disk>>,
}

/// When the log needs cleaning, releasing a trace cleans a segment, and one more for this many of its bytes.
/// A segment that is cleaned gains a third of itself, and twice what is released has to be gained.
const RELEASED_BYTES_PER_CLEANED: usize = SEGMENT_BYTES / 6;

impl Store {
    /// An empty store; traces are due at multiples of `tick`, and told apart by the bits of their ids in `mask`.
    pub(crate) fn new(tick: Nanos, mask: TraceId) -> Self {
        Self {
            log: Log::default(),
            envelopes: EnvelopeTable::default(),
            traces: TraceTable::new(mask),
            fingerprints: FingerprintTable::default(),
            holders: HolderTable::default(),
            schedule: Schedule::new(tick),
            disk: None,
        }
    }

    /// Appends spans of one envelope to a trace; see [`Log::append`].
    #[inline]
    pub(crate) fn append<'a>(
        &mut self,
        number: SlotNumber,
        envelope: u32,
        flags: Flags,
        spans: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        let slot = self.traces.slot_mut(number);
        slot.last = Some(self.log.append(slot.last, number, envelope, flags, spans));
        self.envelopes.retain(envelope);
    }

    /// Hands the spans of a trace to `splicer`, stamped, in order of arrival: those in memory, and those `recalled`.
    pub(crate) fn splice<'a>(
        &'a self,
        number: SlotNumber,
        stamp: Option<&'a Stamp>,
        recalled: &'a Recalled,
        splicer: &mut Splicer<'a>,
    ) {
        let slot = self.traces.slot(number);
        let mut records: Vec<_> = self.records(slot.last).collect();
        records.reverse();
        for address in records {
            let record = self.log.record(address);
            let resource = self.envelopes.resource(record.envelope);
            let trace_id = record.flags.elided.then_some(slot.trace_id);
            let mut push = |span| {
                let piece = match stamp {
                    Some(stamp) => stamp.apply(trace_id, span, record.flags.trace_state),
                    None => SpanPiece { trace_id, ..SpanPiece::verbatim(span) },
                };
                splicer.push(resource, record.envelope, piece);
            };
            if record.flags.on_disk {
                Stub::of(&record).into_iter().flat_map(|stub| recalled.spans(stub)).for_each(push);
            } else {
                record.spans().for_each(&mut push);
            }
        }
    }

    /// The request of the spans that `splicer` was handed.
    pub(crate) fn finish(&self, splicer: Splicer<'_>) -> Vec<u8> {
        splicer.finish(|envelope| {
            let (resource, scope) = self.envelopes.parts(envelope);
            (std::iter::once(resource), std::iter::once(scope))
        })
    }

    /// What is known of a trace.
    pub(crate) fn evidence<'a>(&'a self, number: SlotNumber, fingerprints: &'a Fingerprints) -> Evidence<'a> {
        let slot = self.traces.slot(number);
        let keys = self.fingerprints.keys(number).unwrap_or_else(|| fingerprints.missing());
        Evidence { keys, ..Evidence::new(slot.trace_id, &slot.digest) }
    }

    /// How many spans of a trace are here rather than with agents.
    pub(crate) fn local_spans(&self, number: SlotNumber) -> u64 {
        match self.traces.slot(number).digest.spans {
            // Who holds spans of it need not be looked for.
            0 => 0,
            spans => u64::from(spans).saturating_sub(self.holders.spans(number)),
        }
    }

    /// Frees traces, which the schedule has given up, and everything they hold.
    pub(crate) fn release(&mut self, numbers: &[SlotNumber]) {
        // Each is somewhere else in the index; one after the other, looks at far memory overlap.
        numbers.iter().for_each(|&number| self.traces.unlist(number));
        numbers.iter().for_each(|&number| self.holders.release(number));
        for &number in numbers {
            let slot = self.traces.slot(number);
            debug_assert!(slot.place.is_none(), "a trace that is released is not due any more");
            let mut next = slot.last;
            let mut released = 0;
            if let Some(disk) = &mut self.disk {
                let records = std::iter::successors(next, |&address| self.log.record(address).previous);
                let stubs = records.filter_map(|address| Stub::of(&self.log.record(address)));
                disk.give_up(slot.trace_id, stubs.map(|stub| stub.address));
            }
            while let Some(address) = next {
                let Released { previous, envelope, bytes } = self.log.release(address);
                self.envelopes.release(envelope);
                released += bytes;
                next = previous;
            }
            self.fingerprints.release(number);
            self.traces.vacate(number);
            self.clean(1 + released / RELEASED_BYTES_PER_CLEANED);
        }
        if let Some(disk) = &mut self.disk {
            disk.mark_gone();
        }
    }

    /// Gives back memory that is kept for reuse, as far as more than `bytes` are allocated.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let others = self.allocated() - self.log.allocated();
        self.log.shrink_to(bytes.saturating_sub(others));
    }

    /// Bytes that pending traces hold: memory that is kept for reuse aside.
    pub(crate) fn in_use(&self) -> usize {
        self.span_bytes()
            + self.traces.allocated()
            + self.fingerprints.allocated()
            + self.holders.allocated()
            + self.schedule.allocated()
    }

    /// Bytes that pending spans and envelopes hold.
    pub(crate) fn span_bytes(&self) -> usize {
        self.log.in_use() + self.envelopes.allocated()
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.in_use() + self.log.allocated() - self.log.in_use()
    }

    /// Moves what is scattered in one segment together, if that gains a third of it.
    pub(crate) fn compact(&mut self) -> bool {
        let Self { log, traces, .. } = self;
        log.compact(|trace, last| traces.slot_mut(trace).last = Some(last))
    }

    /// Cleans the log as far as it needs that, but no more than so many segments.
    fn clean(&mut self, segments: usize) {
        let Self { log, traces, .. } = self;
        for _ in 0..segments {
            if !log.clean(|trace, last| traces.slot_mut(trace).last = Some(last)) {
                return;
            }
        }
    }

    fn records(&self, last: Option<Address>) -> impl Iterator<Item = Address> + '_ {
        std::iter::successors(last, |&address| self.log.record(address).previous)
    }
}
