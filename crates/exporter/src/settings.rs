//! The settings that every exporter over a network has.

use std::time::Duration;

use forebay_config::Table;

use crate::queue::QueueConfig;
use crate::retry::RetryConfig;

/// `timeout`, `retry_on_failure` and `sending_queue`.
#[derive(Clone, Debug, PartialEq)]
pub struct SendingConfig {
    /// How long one attempt may take; `None` waits for ever.
    pub timeout: Option<Duration>,
    /// How failures are retried; `None` gives up at the first.
    pub retry: Option<RetryConfig>,
    /// What waits to be sent; `None` lets the sender of a batch wait until it is delivered.
    pub queue: Option<QueueConfig>,
}

impl SendingConfig {
    /// The Collector's defaults, which differ in the timeout only.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            retry: Some(RetryConfig::default()),
            queue: Some(QueueConfig::default()),
        }
    }

    /// Reads the three keys from an exporter's table; absent ones are as in `default`.
    #[must_use]
    pub fn read(table: &Table<'_>, default: Self) -> Self {
        Self {
            timeout: table.duration("timeout").map_or(default.timeout, |t| (!t.is_zero()).then_some(t)),
            retry: table.table("retry_on_failure").map_or(default.retry, |retry| RetryConfig::read(&retry)),
            queue: table.table("sending_queue").map_or(default.queue, |queue| QueueConfig::read(&queue)),
        }
    }
}
