//! What the tests share: processes, an OTLP backend that remembers what it got, clients, and metrics.

mod backend;
mod grpc;
mod http;
mod metrics;
mod names;
mod otlp;
mod process;
mod status;

use std::time::Duration;

use tokio::time::{Instant, sleep};

pub(crate) use backend::{Backend, Behaviour};
pub(crate) use grpc::GrpcClient;
pub(crate) use http::{get, gzip, post, request};
pub(crate) use metrics::Metrics;
pub(crate) use names::NameServer;
pub(crate) use otlp::{
    Traces, ids, key_value, logs_request, metrics_request, request_of, span, span_of, string_attribute,
};
pub(crate) use process::{Forebay, Output, forebay};
pub(crate) use status::RpcStatus;

/// A port of 127.0.0.1 that nobody listens on, and that no other test of this process gets.
pub(crate) fn free_port() -> u16 {
    let [port] = forebay::ports::free().unwrap();
    port
}

/// Long enough for a loaded machine; nothing waits this long unless it fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Tries again until `probe` finds something.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let probe = async || probe().await.ok_or("");
    within_deadline(probe).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Tries again until `probe` finds something; its last failure if it never does.
pub(crate) async fn within_deadline<T, E>(mut probe: impl AsyncFnMut() -> Result<T, E>) -> Result<T, E> {
    let end = Instant::now() + DEADLINE;
    loop {
        let found = probe().await;
        if found.is_ok() || Instant::now() >= end {
            return found;
        }
        sleep(PAUSE).await;
    }
}
