//! Counting what passes between two tiers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

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
    meter: Arc<Meter>,
    next: Arc<dyn Consumer>,
}

/// CPU time that the harness itself has spent.
#[derive(Default)]
pub(super) struct Meter(AtomicU64);

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
    pub(super) fn new(link: Arc<Link>, meter: Arc<Meter>, next: Arc<dyn Consumer>) -> Self {
        Self { link, meter, next }
    }
}

impl Consumer for Hop {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let sent = self.meter.measure(|| batch.clone());
            self.next.consume(batch).await?;
            self.meter.measure(|| self.link.count(&sent.bytes, sent.items));
            Ok(())
        })
    }
}

impl Meter {
    /// Does something, the CPU time of which is the harness's.
    pub(super) fn measure<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = cpu_time();
        let done = work();
        let spent = cpu_time().saturating_sub(begun).as_nanos();
        self.0.fetch_add(u64::try_from(spent).unwrap_or(u64::MAX), Ordering::Relaxed);
        done
    }

    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// CPU time of this thread.
pub(super) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
