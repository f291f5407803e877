//! The keys of `sending_queue`.

use std::time::Duration;

use forebay_config::Table;

/// `sending_queue`, with the Collector's keys and defaults.
///
/// Whatever `sizer` counts, the queue of a signal also holds at most a quarter of the process's byte
/// budget; with `sizer: bytes` it holds `queue_size`, but never more than the whole budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueConfig {
    /// How many requests are sent at the same time; at least 1.
    pub num_consumers: usize,
    /// How much the queue holds, in units of `sizer`; at least 1.
    pub queue_size: usize,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// Wait for room instead of refusing.
    pub block_on_overflow: bool,
    /// Answer the sender of a batch only when it is delivered.
    pub wait_for_result: bool,
    /// Holds requests back to make them larger.
    pub batch: Option<BatchConfig>,
}

/// What the size of a queue or batch is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizer {
    /// Requests as they will be sent, after merging.
    Requests,
    /// Spans, data points or log records.
    Items,
    /// Bytes of the encoded requests.
    Bytes,
}

/// `sending_queue::batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// A request that is so old is sent whatever its size.
    pub flush_timeout: Duration,
    /// A request of this size is sent at once.
    pub min_size: usize,
    /// No request grows beyond this, and a larger one is cut; 0: only the limit of 4 MiB applies.
    pub max_size: usize,
    /// What the sizes count; never requests.
    pub sizer: Sizer,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            num_consumers: 10,
            queue_size: 1000,
            sizer: Sizer::Requests,
            block_on_overflow: false,
            wait_for_result: false,
            batch: None,
        }
    }
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self { flush_timeout: Duration::from_millis(200), min_size: 8192, max_size: 0, sizer: Sizer::Items }
    }
}

impl Sizer {
    /// What it counts, as in "at most 1000 requests".
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Items => "items",
            Self::Bytes => "bytes",
        }
    }
}

impl QueueConfig {
    /// Reads `sending_queue`; `None` when it is not enabled.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Option<Self> {
        let default = Self::default();
        let enabled = table.bool_or("enabled", true);
        table.refuse_with_help(
            "storage",
            "a persistent queue is not supported yet",
            "remove `storage`: the queue is then held in memory",
        );
        let sizers = [("requests", Sizer::Requests), ("items", Sizer::Items), ("bytes", Sizer::Bytes)];
        let config = Self {
            num_consumers: table.integer_or("num_consumers", 1.., default.num_consumers),
            queue_size: table.integer_or("queue_size", 1.., default.queue_size),
            sizer: table.choice_or("sizer", &sizers, default.sizer),
            block_on_overflow: table.bool_or("block_on_overflow", default.block_on_overflow),
            wait_for_result: table.bool_or("wait_for_result", default.wait_for_result),
            batch: table.table("batch").and_then(|batch| BatchConfig::read(&batch)),
        };
        if let Some(batch) = config.batch
            && batch.sizer == config.sizer
            && batch.min_size > config.queue_size
        {
            table.error(
                "queue_size",
                format!(
                    "`queue_size` ({}) is less than `batch::min_size` ({}): a batch would never be full",
                    config.queue_size, batch.min_size
                ),
            );
        }
        enabled.then_some(config)
    }
}

impl BatchConfig {
    fn read(table: &Table<'_>) -> Option<Self> {
        let default = Self::default();
        let enabled = table.bool_or("enabled", true);
        table.accept("partition", "requests are not partitioned by metadata");
        let config = Self {
            flush_timeout: table.duration_or("flush_timeout", default.flush_timeout),
            min_size: table.integer_or("min_size", 0.., default.min_size),
            max_size: table.integer_or("max_size", 0.., default.max_size),
            sizer: table.choice_or(
                "sizer",
                &[("items", Sizer::Items), ("bytes", Sizer::Bytes)],
                default.sizer,
            ),
        };
        if config.flush_timeout.is_zero() {
            table.error("flush_timeout", "`flush_timeout` must be more than 0");
        }
        if config.max_size != 0 && config.max_size < config.min_size {
            table.error(
                "max_size",
                format!("`max_size` ({}) is less than `min_size` ({})", config.max_size, config.min_size),
            );
        }
        enabled.then_some(config)
    }

    /// The largest size to which a request may grow by merging.
    pub(crate) fn max_size(&self) -> usize {
        if self.max_size == 0 { usize::MAX } else { self.max_size }
    }
}
