//! Everything that leaves Forebay.
//!
//! An exporter is a [`Consumer`](forebay_pipeline::Consumer). The two that speak OTLP, [`grpc`] and
//! [`http`], are transports below one sending pipeline: a queue bounded in requests, items or bytes and
//! always in bytes, batching by concatenation of encoded requests, concurrent sending with a timeout, and
//! retry with back-off. A transport knows its protocol and nothing of the rest; the pipeline never looks
//! into a request except to cut one that is too large for its receiver. The others, [`mod@file`], [`debug`]
//! and [`nop`], answer at once and need no queue.
//!
//! Whatever an exporter takes is delivered or counted: by the ledger `exporter/<id>` and by the
//! Collector's `otelcol_exporter_…` metrics.

use std::io;
use std::path::PathBuf;

use forebay_pipeline::{Budget, Telemetry};
use forebay_tls::TlsError;
use thiserror::Error;

mod account;
mod client;
mod compression;
pub mod debug;
mod endpoint;
pub mod fetch;
pub mod file;
pub mod grpc;
mod headers;
pub mod http;
pub mod loadbalancing;
pub mod nop;
mod queue;
mod retry;
mod sender;
mod settings;
#[cfg(test)]
mod testing;
mod transport;

pub use queue::{BatchConfig, QueueConfig, Sizer};
pub use retry::{Backoff, RetryConfig};
pub use settings::SendingConfig;

/// What all exporters of a process share.
#[derive(Clone)]
pub struct ExporterContext {
    /// What queued requests draw on.
    pub budget: Budget,
    /// Where ledgers and metrics are kept.
    pub telemetry: Telemetry,
}

/// Why an exporter cannot be made from its configuration.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The TLS settings cannot be used.
    #[error("tls: {0}")]
    Tls(#[from] TlsError),
    /// The file to write to cannot be opened.
    #[error("cannot open `{}` for writing: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
