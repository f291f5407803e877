//! One OTLP export request on its way through a pipeline.

use std::sync::Arc;

use bytes::Bytes;
use forebay_otlp::{ScanError, Signal, SpanIndex};

use crate::Charge;

/// An encoded `Export{Trace,Metrics,Logs}ServiceRequest`.
///
/// Cloning shares everything, so a consumer that wants to try again keeps a clone.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Which of the three services the request belongs to.
    pub signal: Signal,
    /// The request message, without gRPC framing or compression.
    pub bytes: Bytes,
    /// Spans, data points or log records in the request.
    pub items: usize,
    /// Where the spans lie, where somebody has looked already; see [`Batch::index`].
    index: Option<Arc<SpanIndex>>,
    /// What the bytes cost the process-wide budget for as long as any clone lives.
    charge: Option<Arc<Charge>>,
}

impl Batch {
    /// A batch of `items` items that nobody has scanned and that is not charged to any budget.
    #[must_use]
    pub fn new(signal: Signal, bytes: Bytes, items: usize) -> Self {
        Self { signal, bytes, items, index: None, charge: None }
    }

    /// A trace request whose spans have been found already.
    #[must_use]
    pub fn scanned(bytes: Bytes, index: SpanIndex) -> Self {
        let items = index.spans.len();
        Self { signal: Signal::Traces, bytes, items, index: Some(Arc::new(index)), charge: None }
    }

    /// The same batch, holding `charge` until its last clone is gone.
    #[must_use]
    pub fn charged(mut self, charge: Charge) -> Self {
        self.charge = Some(Arc::new(charge));
        self
    }

    /// The spans of a trace request, scanned now unless an earlier component has done it.
    ///
    /// # Errors
    /// When the bytes are not an `ExportTraceServiceRequest`.
    pub fn index(&self) -> Result<Arc<SpanIndex>, ScanError> {
        match &self.index {
            Some(index) => Ok(Arc::clone(index)),
            None => SpanIndex::scan(&self.bytes).map(Arc::new),
        }
    }
}
