//! Where pending traces wait: spans in a log, envelopes once each, one slot a trace.

mod envelopes;
mod interner;
mod log;
mod schedule;
mod traces;

use forebay_otlp::Splicer;

use self::envelopes::EnvelopeTable;
use self::log::{Address, Log};
pub(crate) use self::log::{Flags, LOG_BYTES_MAX, SEGMENT_BYTES};
pub use self::schedule::Nanos;
use self::schedule::Schedule;
pub(crate) use self::traces::SlotNumber;
use self::traces::TraceTable;
use super::stamp::Stamp;

/// The pending traces of one shard.
#[derive(Debug, Default)]
pub(crate) struct Store {
    log: Log,
    pub(crate) envelopes: EnvelopeTable,
    pub(crate) traces: TraceTable,
    pub(crate) schedule: Schedule,
}

impl Store {
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
        slot.last = Some(self.log.append(slot.last, envelope, flags, spans));
        self.envelopes.retain(envelope);
    }

    /// Hands the spans of a trace to `splicer`, stamped, in order of arrival.
    pub(crate) fn splice<'a>(&'a self, number: SlotNumber, stamp: &'a Stamp, splicer: &mut Splicer<'a>) {
        let slot = self.traces.slot(number);
        let mut records: Vec<_> = self.records(slot.last).collect();
        records.reverse();
        for address in records {
            let record = self.log.record(address);
            let resource = self.envelopes.resource(record.envelope);
            let trace_id = record.flags.elided.then_some(slot.trace_id);
            for span in record.spans() {
                splicer.push(
                    resource,
                    record.envelope,
                    stamp.apply(trace_id, span, record.flags.trace_state),
                );
            }
        }
    }

    /// Frees a trace and everything it holds.
    pub(crate) fn release(&mut self, number: SlotNumber) {
        let mut next = self.traces.slot(number).last;
        while let Some(address) = next {
            let record = self.log.record(address);
            next = record.previous;
            self.envelopes.release(record.envelope);
            self.log.release(address);
        }
        self.traces.remove(number);
    }

    /// Bytes that pending traces hold: memory that is kept for reuse aside.
    pub(crate) fn in_use(&self) -> usize {
        self.span_bytes() + self.traces.in_use()
    }

    /// Bytes that pending spans and envelopes hold.
    pub(crate) fn span_bytes(&self) -> usize {
        self.log.in_use() + self.envelopes.allocated()
    }

    /// Bytes allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.log.allocated() + self.envelopes.allocated() + self.traces.allocated()
    }

    fn records(&self, last: Option<Address>) -> impl Iterator<Item = Address> + '_ {
        std::iter::successors(last, |&address| self.log.record(address).previous)
    }
}
