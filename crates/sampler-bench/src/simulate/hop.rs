//! Counting what passes between two tiers.

use std::sync::{Arc, Mutex, PoisonError};

use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal};
use serde::{Deserialize, Serialize};
use tracing::{Instrument, Span};

use super::stopwatch::Lane;

/// What went over a link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopCounts {
    /// From where to where.
    pub name: String,
    /// Requests, or messages.
    pub requests: u64,
    /// Spans in them.
    pub spans: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their bytes if each is compressed by zstd, as far as that was tried.
    pub compressed: Option<u64>,
}

/// One link, or all links between two tiers.
pub(super) struct Link(Mutex<HopCounts>);

/// One end of a link, before the tier that it leads to.
pub(super) struct Hop {
    link: Arc<Link>,
    next: Arc<dyn Consumer>,
    /// That of whom it leads to.
    span: Span,
}

/// zstd's default.
const LEVEL: i32 = 3;

impl Link {
    pub(super) fn new(name: &str, compress: bool) -> Self {
        let compressed = compress.then_some(0);
        Self(Mutex::new(HopCounts { name: name.to_owned(), compressed, ..HopCounts::default() }))
    }

    pub(super) fn counts(&self) -> HopCounts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to count anew.
    pub(super) fn reset(&self) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let HopCounts { name, compressed, .. } = std::mem::take(&mut *counts);
        *counts = HopCounts { name, compressed: compressed.map(|_| 0), ..HopCounts::default() };
    }

    /// Counts a message with so many spans in it.
    pub(super) fn count(&self, message: &[u8], spans: usize) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.requests += 1;
        counts.spans += spans as u64;
        counts.bytes += message.len() as u64;
        if let Some(compressed) = &mut counts.compressed {
            // What does not get smaller is sent as it is.
            *compressed += zstd::bulk::compress(message, LEVEL)
                .map_or(message.len(), |small| small.len().min(message.len()))
                as u64;
        }
    }
}

impl Hop {
    /// Leads to `next`, whose CPU time is `lane`'s.
    pub(super) fn new(link: Arc<Link>, lane: Lane, next: Arc<dyn Consumer>) -> Self {
        Self { link, next, span: lane.span() }
    }
}

impl Consumer for Hop {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(
            async move {
                let sent = batch.clone();
                self.next.consume(batch).instrument(self.span.clone()).await?;
                self.link.count(&sent.bytes, sent.items);
                Ok(())
            }
            .instrument(Lane::Harness.span()),
        )
    }
}
