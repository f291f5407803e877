//! What an earlier process has left, put together from runs and marks in the order of writing.

use std::collections::{BTreeMap, HashMap};

use forebay_otlp::TraceId;
use forebay_segments::{Address, Recovered};

use super::{Decided, Head, Mark};

/// Traces that have been found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    traces: HashMap<TraceId, Trace>,
    /// Runs that are of no use.
    void: Vec<Address>,
    /// The number of the next run.
    next: u64,
}

/// A trace that has been found.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// Its runs that have not left, by their number.
    pub(crate) runs: BTreeMap<u64, Address>,
    pub(crate) decided: Option<Decided>,
}

impl Found {
    /// Adds what was written next.
    pub(crate) fn add(&mut self, recovered: Recovered<'_>) {
        match recovered {
            Recovered::Record { address, payload } => match Head::split(payload) {
                Some((head, _)) => {
                    self.next = self.next.max(head.number + 1);
                    let runs = &mut self.traces.entry(head.trace_id).or_default().runs;
                    // The process may have died having written a run once more and not given up the first copy.
                    self.void.extend(runs.insert(head.number, address));
                }
                None => self.void.push(address),
            },
            Recovered::Mark(bytes) => match Mark::from_bytes(bytes) {
                Some(Mark::Gone(traces)) => traces.into_iter().for_each(|trace| self.is_gone(trace)),
                Some(Mark::Dropped(traces)) => {
                    traces.into_iter().for_each(|trace| self.is_decided(trace, Decided::Dropped));
                }
                Some(Mark::Kept { trace_id, kept, at_unix_nano }) => {
                    self.is_decided(trace_id, Decided::Kept(kept, at_unix_nano));
                }
                None => {}
            },
        }
    }

    /// Gives up all runs.
    pub(crate) fn clear(&mut self) {
        let runs = self.traces.drain().flat_map(|(_, trace)| trace.runs.into_values());
        self.void.extend(runs);
    }

    /// Whether there are runs.
    pub(crate) fn has_runs(&self) -> bool {
        self.traces.values().any(|trace| !trace.runs.is_empty())
    }

    /// The traces, in the order in which they arrived.
    pub(crate) fn into_traces(self) -> Vec<(TraceId, Trace)> {
        let mut traces: Vec<_> = self.traces.into_iter().collect();
        traces.sort_unstable_by_key(|(trace_id, trace)| (trace.runs.keys().next().copied(), *trace_id));
        traces
    }

    pub(super) fn take_void(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.void)
    }

    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    fn is_gone(&mut self, trace_id: TraceId) {
        if let Some(trace) = self.traces.get_mut(&trace_id) {
            self.void.extend(std::mem::take(&mut trace.runs).into_values());
            if trace.decided.is_none() {
                self.traces.remove(&trace_id);
            }
        }
    }

    fn is_decided(&mut self, trace_id: TraceId, decided: Decided) {
        self.traces.entry(trace_id).or_default().decided = Some(decided);
    }
}
