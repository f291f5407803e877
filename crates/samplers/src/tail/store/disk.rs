//! Spans on disk: runs that survive the process.
//!
//! A run of spans becomes one record: a request of its own, with its resource and scope, so it can be taken again by
//! whoever finds it. What is decided about traces becomes marks. Runs are written as they arrive; the log in memory
//! keeps a [`Stub`] of each.
//!
//! When the file system refuses, no more is written, and what has been is not to be found by the next process, since it
//! would not learn what has been decided meanwhile. What is there can still be read.

mod found;
mod mark;

use std::fs;
use std::path::PathBuf;

use forebay_otlp::TraceId;
use forebay_segments::{Address, Error, Segments};

pub(crate) use self::found::Found;
pub(crate) use self::mark::{Decided, Mark};
use super::log::Record;

/// The runs of one agent.
#[derive(Debug)]
pub(crate) struct Disk {
    log: Segments,
    /// The file without which nothing is taken from this log again.
    seal: PathBuf,
    /// The number of the next run.
    next: u64,
    found: Found,
    /// The run whose spans are being taken again, from where they are.
    adopting: Option<Address>,
    /// Traces that have been given up since the last mark.
    gone: Vec<TraceId>,
    failed: bool,
    error: Option<Error>,
    lost_spans: u64,
    scratch: Vec<u8>,
}

/// What memory keeps of a run on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stub {
    pub(crate) address: Address,
    pub(crate) spans: u32,
}

/// What a run begins with; its request follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Tells copies of one run from others.
    pub(crate) number: u64,
    pub(crate) trace_id: TraceId,
    pub(crate) arrived_unix_nano: u64,
}

/// As many traces are named by one mark.
const NAMES_MAX: usize = 128;

impl Disk {
    /// The runs in `log`, of which `found` has been found. They are given up by removing the file `seal`.
    pub(crate) fn new(mut log: Segments, seal: PathBuf, mut found: Found) -> Result<Self, Error> {
        for address in found.take_void() {
            log.release(address)?;
        }
        Ok(Self {
            log,
            seal,
            next: found.next(),
            found,
            adopting: None,
            gone: Vec::new(),
            failed: false,
            error: None,
            lost_spans: 0,
            scratch: Vec::new(),
        })
    }

    /// What an earlier process has left, the first time.
    pub(crate) fn take_found(&mut self) -> Found {
        std::mem::take(&mut self.found)
    }

    /// Writes a run; `None` if it has to stay in memory.
    pub(crate) fn append(
        &mut self,
        trace_id: TraceId,
        arrived_unix_nano: u64,
        request: &[u8],
    ) -> Option<Address> {
        if self.failed {
            return None;
        }
        let head = Head { number: self.next, trace_id, arrived_unix_nano };
        match self.log.append(&[&head.to_bytes(), request]) {
            Ok(address) => {
                self.next += 1;
                Some(address)
            }
            Err(Error::Full { .. } | Error::TooLarge { .. }) => None,
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// The run at `address`: its head and its request. Of one that cannot be read, which has so many `spans`, it is
    /// said why.
    pub(crate) fn read(&mut self, address: Address, spans: u64) -> Option<(Head, Vec<u8>)> {
        match self.log.read(address, &mut self.scratch) {
            Ok(payload) => {
                let run = Head::split(payload).map(|(head, request)| (head, request.to_vec()));
                self.lost_spans += if run.is_some() { 0 } else { spans };
                run
            }
            Err(error) => {
                self.lost_spans += spans;
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// Writes the run at `address` once more, at the end.
    pub(crate) fn relocate(&mut self, address: Address) -> Option<Address> {
        if self.failed {
            return None;
        }
        let payload = match self.log.read(address, &mut self.scratch) {
            Ok(payload) => payload.to_vec(),
            Err(error) => {
                self.error.get_or_insert(error);
                return None;
            }
        };
        match self.log.append(&[&payload]) {
            Ok(moved) => {
                self.release(address);
                Some(moved)
            }
            Err(error) => {
                self.error.get_or_insert(error);
                None
            }
        }
    }

    /// Releases the runs of a trace that is done with.
    pub(crate) fn give_up(&mut self, trace_id: TraceId, runs: impl Iterator<Item = Address>) {
        let mut any = false;
        for address in runs {
            any = true;
            self.release(address);
        }
        if any {
            self.gone.push(trace_id);
        }
    }

    /// Marks the traces that have been given up.
    pub(crate) fn mark_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        gone.chunks(NAMES_MAX).for_each(|traces| self.mark(&Mark::Gone(traces.to_vec())));
    }

    /// Marks traces that are dropped.
    pub(crate) fn mark_dropped(&mut self, traces: &[TraceId]) {
        traces.chunks(NAMES_MAX).for_each(|traces| self.mark(&Mark::Dropped(traces.to_vec())));
    }

    /// Writes a mark.
    pub(crate) fn mark(&mut self, mark: &Mark) {
        if !self.failed
            && let Err(error) = self.log.mark(&[&mark.to_bytes()])
        {
            self.fail(error);
        }
    }

    /// Makes everything that was written survive the process.
    pub(crate) fn flush(&mut self) {
        if !self.failed
            && let Err(error) = self.log.flush()
        {
            self.fail(error);
        }
    }

    /// The next run that is appended is the one at `address`.
    pub(crate) fn adopt(&mut self, address: Address) {
        self.adopting = Some(address);
    }

    /// The run that is to be adopted, if it has not been yet.
    pub(crate) fn take_adopting(&mut self) -> Option<Address> {
        self.adopting.take()
    }

    /// Whether room has to be made.
    pub(crate) fn is_full(&self) -> bool {
        !self.failed && self.log.is_full()
    }

    /// The oldest runs, which have to go or to move together.
    pub(crate) fn oldest(&self) -> Vec<Address> {
        self.log.oldest().collect()
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Whether what is written survives.
    pub(crate) const fn works(&self) -> bool {
        !self.failed
    }

    /// Why something did not work since the last call.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Spans that could not be read back.
    pub(crate) const fn lost_spans(&self) -> u64 {
        self.lost_spans
    }

    /// Lets go of the run at `address`.
    pub(crate) fn release(&mut self, address: Address) {
        if let Err(error) = self.log.release(address)
            && !self.failed
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: Error) {
        self.failed = true;
        self.error = Some(error);
        // Where even this is refused, nothing can be done about what is there.
        let _ = fs::remove_file(&self.seal);
    }
}

impl Stub {
    /// Bytes of one.
    const BYTES: usize = size_of::<u64>() + size_of::<u32>();
    /// What stands where there is none any more.
    pub(crate) const NONE: [u8; Self::BYTES] = [0; Self::BYTES];

    /// The one in `record`, if its spans are on disk.
    pub(crate) fn of(record: &Record<'_>) -> Option<Self> {
        let bytes = record.spans().next().filter(|_| record.flags.on_disk)?;
        let (address, spans) = bytes.split_first_chunk()?;
        let address = Address::from_bits(u64::from_le_bytes(*address))?;
        Some(Self { address, spans: u32::from_le_bytes(spans.try_into().ok()?) })
    }

    /// As it lies in the log in memory.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = Self::NONE;
        bytes[..size_of::<u64>()].copy_from_slice(&self.address.to_bits().to_le_bytes());
        bytes[size_of::<u64>()..].copy_from_slice(&self.spans.to_le_bytes());
        bytes
    }
}

impl Head {
    /// Bytes of one.
    const BYTES: usize = 2 * size_of::<u64>() + size_of::<TraceId>();

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.arrived_unix_nano.to_le_bytes());
        bytes[16..].copy_from_slice(&self.trace_id.to_bytes());
        bytes
    }

    /// The head of a run, and its request.
    fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (number, rest) = payload.split_first_chunk()?;
        let (arrived, rest) = rest.split_first_chunk()?;
        let (trace_id, request) = rest.split_first_chunk()?;
        let head = Self {
            number: u64::from_le_bytes(*number),
            trace_id: TraceId(u128::from_be_bytes(*trace_id)),
            arrived_unix_nano: u64::from_le_bytes(*arrived),
        };
        Some((head, request))
    }
}
