//! Where kept spans arrive.

use std::future::ready;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use forebay_otlp::threshold::Threshold;
use forebay_otlp::tracestate::TraceState;
use forebay_otlp::{Span, TraceId};
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal};
use tokio::time::Instant;

use super::Kept;
use crate::Workload;
use crate::workload::number_of;

/// Remembers of each trace what has come.
pub(crate) struct Store {
    seed: u64,
    /// For each trace, when its first span was sent, and the threshold it had passed then.
    sent: Vec<(Duration, Threshold)>,
    /// For each trace, what was kept of it.
    kept: Mutex<Vec<Option<Arrived>>>,
}

/// A span that has come.
pub(crate) struct StoredSpan {
    pub(crate) trace_id: TraceId,
    /// How long it is.
    pub(crate) bytes: u64,
    /// The threshold that it has passed, if it says so.
    pub(crate) threshold: Option<Threshold>,
}

#[derive(Clone, Copy)]
struct Arrived {
    kept: Kept,
    /// When its first span came.
    at: Instant,
    /// The least threshold of its spans: with that probability something of it was kept.
    threshold: Option<Threshold>,
}

impl Store {
    pub(crate) fn new(workload: &Workload, seed: u64) -> Self {
        let thresholds = workload.population.traces.iter().map(|trace| trace.threshold);
        let sent: Vec<_> = workload.first_sent.iter().copied().zip(thresholds).collect();
        let kept = Mutex::new(vec![None; sent.len()]);
        Self { seed, sent, kept }
    }

    /// The traces of which something was kept, where the first request was due at `begin`.
    pub(crate) fn kept(&self, begin: Instant) -> Vec<Kept> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let weighted = |arrived: &Arrived| {
            let (sent, before) = self.sent[arrived.kept.trace as usize];
            let waited = arrived.at.saturating_duration_since(begin + sent);
            let weight =
                arrived.threshold.map(|threshold| threshold.adjusted_count() / before.adjusted_count());
            Kept { weight, waited, ..arrived.kept }
        };
        kept.iter().flatten().map(weighted).collect()
    }

    pub(crate) fn take(&self, batch: &Batch) -> Result<(), Refusal> {
        let index = batch.index().map_err(|error| Refusal::Permanent(error.to_string()))?;
        self.add(index.spans.iter().map(|span| StoredSpan {
            trace_id: span.trace_id,
            bytes: u64::from(span.body.end - span.body.start),
            threshold: threshold(&batch.bytes, span),
        }));
        Ok(())
    }

    /// Adds spans that have come now.
    pub(crate) fn add(&self, spans: impl Iterator<Item = StoredSpan>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        for StoredSpan { trace_id, bytes, threshold } in spans {
            let number = number_of(trace_id, self.seed).filter(|&number| (number as usize) < kept.len());
            // A trace that was never sent.
            let Some(trace) = number else { continue };
            let arrived = kept[trace as usize].get_or_insert(Arrived {
                kept: Kept { trace, ..Kept::default() },
                at: now,
                threshold,
            });
            arrived.kept.spans += 1;
            arrived.kept.bytes += bytes;
            arrived.threshold = arrived.threshold.min(threshold);
        }
    }
}

/// The threshold that a span has passed, if it says so.
fn threshold(request: &[u8], span: &Span) -> Option<Threshold> {
    let state = &request[span.trace_state.start as usize..span.trace_state.end as usize];
    TraceState::parse(state).ok()?.ot().th.ok()?
}

impl Consumer for Store {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(ready(self.take(&batch)))
    }
}
