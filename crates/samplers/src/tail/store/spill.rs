//! The store's way to disk and back.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use forebay_otlp::{SpanIndex, SpanPiece, Splicer};
use forebay_segments::Address;

use super::disk::Stub;
use super::traces::SlotNumber;
use super::{Flags, Store};

/// Runs that have been read back.
#[derive(Debug, Default)]
pub(crate) struct Recalled {
    runs: HashMap<Address, (Vec<u8>, SpanIndex), RandomState>,
    lost_spans: u64,
}

impl Recalled {
    /// The spans of a run.
    pub(super) fn spans(&self, stub: Stub) -> impl Iterator<Item = &[u8]> {
        self.runs.get(&stub.address).into_iter().flat_map(|(request, index)| {
            index.spans.iter().map(|span| &request[span.body.start as usize..span.body.end as usize])
        })
    }

    /// Spans that could not be read.
    pub(crate) const fn lost_spans(&self) -> u64 {
        self.lost_spans
    }
}

impl Store {
    /// Appends spans of one envelope to a trace, on disk; false if there is no room there, or no disk.
    pub(crate) fn append_to_disk<'a>(
        &mut self,
        number: SlotNumber,
        envelope: u32,
        trace_state: bool,
        arrived_unix_nano: u64,
        spans: impl Iterator<Item = &'a [u8]>,
    ) -> bool {
        let Some(disk) = &mut self.disk else { return false };
        let mut splicer = Splicer::default();
        spans.for_each(|span| splicer.push(0, 0, SpanPiece::verbatim(span)));
        let spans = u32::try_from(splicer.items()).unwrap_or(u32::MAX);
        let address = disk.take_adopting().or_else(|| {
            let (resource, scope) = self.envelopes.parts(envelope);
            let request = splicer.finish(|_| (std::iter::once(resource), std::iter::once(scope)));
            disk.append(self.traces.slot(number).trace_id, arrived_unix_nano, &request)
        });
        let Some(address) = address else { return false };
        let flags = Flags { elided: false, trace_state, on_disk: true };
        let stub = Stub { address, spans }.to_bytes();
        self.append(number, envelope, flags, std::iter::once(&stub[..]));
        true
    }

    /// Reads what is on disk of these traces.
    pub(crate) fn recall(&mut self, numbers: impl Iterator<Item = SlotNumber>) -> Recalled {
        let mut recalled = Recalled::default();
        if self.disk.is_none() {
            return recalled;
        }
        for number in numbers {
            let stubs = self.stubs(number);
            let Some(disk) = &mut self.disk else { break };
            for stub in stubs {
                let run = disk.read(stub.address, stub.spans.into());
                let run = run.and_then(|(_, request)| Some((SpanIndex::scan(&request).ok()?, request)));
                match run {
                    Some((index, request)) => {
                        recalled.runs.insert(stub.address, (request, index));
                    }
                    None => recalled.lost_spans += u64::from(stub.spans),
                }
            }
        }
        recalled
    }

    /// Takes the runs on disk out of these traces: where they are, in the order of writing, and how many spans.
    pub(crate) fn detach(&mut self, numbers: &[SlotNumber]) -> (Vec<Address>, u64) {
        let (mut runs, mut spans) = (Vec::new(), 0);
        if self.disk.is_none() {
            return (runs, spans);
        }
        for &number in numbers {
            let records: Vec<_> = self.records(self.traces.slot(number).last).collect();
            for record in records {
                if let Some(stub) = Stub::of(&self.log.record(record)) {
                    runs.push(stub.address);
                    spans += u64::from(stub.spans);
                    self.log.overwrite(record, &Stub::NONE);
                }
            }
        }
        runs.sort_unstable();
        (runs, spans)
    }

    /// Writes the runs of a trace that lie up to `last` on disk once more; false if that is refused.
    pub(crate) fn relocate(&mut self, number: SlotNumber, last: Address) -> bool {
        let records: Vec<_> = self.records(self.traces.slot(number).last).collect();
        for record in records.into_iter().rev() {
            let Some(disk) = &mut self.disk else { return false };
            if let Some(stub) = Stub::of(&self.log.record(record)).filter(|stub| stub.address <= last) {
                let Some(address) = disk.relocate(stub.address) else { return false };
                self.log.overwrite(record, &Stub { address, ..stub }.to_bytes());
            }
        }
        true
    }

    /// Whether all spans of a trace are on disk, and survive there.
    pub(crate) fn survives(&self, number: SlotNumber) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.works())
            && self
                .records(self.traces.slot(number).last)
                .all(|address| Stub::of(&self.log.record(address)).is_some())
    }

    /// Makes what is on disk survive the process.
    pub(crate) fn flush(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.flush();
        }
    }

    fn stubs(&self, number: SlotNumber) -> Vec<Stub> {
        let records = self.records(self.traces.slot(number).last);
        records.filter_map(|address| Stub::of(&self.log.record(address))).collect()
    }
}
