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

    /// Reads the three keys from an exporter's table; without it, `timeout` is the one given.
    #[must_use]
    pub fn read(table: &Table<'_>, timeout: Duration) -> Self {
        Self {
            timeout: Some(table.duration_or("timeout", timeout)).filter(|timeout| !timeout.is_zero()),
            retry: RetryConfig::read(&table.section("retry_on_failure")),
            queue: QueueConfig::read(&table.section("sending_queue")),
        }
    }
}
