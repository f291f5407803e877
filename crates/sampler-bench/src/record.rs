//! Traffic taken down as it comes, to be a workload later.
//!
//! The product's receiver takes OTLP over gRPC and HTTP, and its `file` exporter writes each request as it came. A
//! request is in the file when its sender is told that it was taken.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use forebay_config::read_str;
use forebay_exporter::ExporterContext;
use forebay_exporter::file::{self, FileConfig};
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Refusal, Telemetry};
use forebay_receiver::{OtlpConfig, OtlpReceiver, Outputs};
use thiserror::Error;
use tokio::time::Instant;

/// A recording that goes on.
pub struct Recording {
    receiver: OtlpReceiver,
    counted: Arc<Counted>,
}

/// What has been recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Requests.
    pub requests: u64,
    /// Spans in them.
    pub spans: u64,
}

/// Why nothing can be recorded.
#[derive(Debug, Error)]
pub enum RecordError {
    /// An address or the path is not one.
    #[error("{0}")]
    Mistakes(String),
    /// The file cannot be written.
    #[error("{0}")]
    File(#[from] forebay_exporter::BuildError),
    /// An address cannot be listened at.
    #[error("{0}")]
    Listen(#[from] forebay_receiver::StartError),
}

/// Counts what the file takes.
struct Counted {
    file: Arc<dyn Consumer>,
    requests: AtomicU64,
    spans: AtomicU64,
}

/// What may be on its way to the file.
const BUDGET: usize = 256 << 20;

impl Recording {
    /// Listens at `grpc` and, if there is one, at `http` (`host:port`) for spans, and writes them to the file at `path`:
    /// as protobuf if its name ends in `.binpb` or `.pb`, else as JSON lines. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When an address cannot be listened at, or the file cannot be written.
    pub async fn start(grpc: &str, http: Option<&str>, path: &Path) -> Result<Self, RecordError> {
        let context = ExporterContext { budget: Budget::new(BUDGET), telemetry: Telemetry::new() };
        let format = match path.extension().and_then(|extension| extension.to_str()) {
            Some("binpb" | "pb") => "proto",
            _ => "json",
        };
        let settings = serde_json::json!({ "path": path.to_string_lossy(), "format": format });
        let file = read(&settings, FileConfig::read)?;
        let endpoint = |address: &str| serde_json::json!({ "endpoint": address });
        let mut protocols = serde_json::Map::from_iter([("grpc".to_owned(), endpoint(grpc))]);
        protocols.extend(http.map(|address| ("http".to_owned(), endpoint(address))));
        let receiver = read(&serde_json::json!({ "protocols": protocols }), OtlpConfig::read)?;

        let file = file::build("recording", file, &context)?;
        let counted = Arc::new(Counted { file, requests: AtomicU64::new(0), spans: AtomicU64::new(0) });
        let outputs =
            Outputs { traces: Some(Arc::clone(&counted) as Arc<dyn Consumer>), ..Outputs::default() };
        let ExporterContext { budget, telemetry } = context;
        let receiver = OtlpReceiver::start("recording", receiver, outputs, budget, &telemetry).await?;
        Ok(Self { receiver, counted })
    }

    /// Where it listens for gRPC.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.receiver.grpc_addr()
    }

    /// Stops listening, lets what is on its way arrive by `deadline`, and ends.
    pub async fn finish(self, deadline: Instant) -> Recorded {
        self.receiver.shutdown(deadline).await;
        self.counted.file.shutdown(deadline).await;
        let Counted { requests, spans, .. } = &*self.counted;
        Recorded { requests: requests.load(Ordering::Relaxed), spans: spans.load(Ordering::Relaxed) }
    }
}

/// Reads settings; JSON is YAML.
fn read<T>(
    settings: &serde_json::Value,
    read: impl FnOnce(&forebay_config::Table<'_>) -> T,
) -> Result<T, RecordError> {
    let (config, diagnostics) = read_str(&settings.to_string(), read);
    if diagnostics.has_errors() { Err(RecordError::Mistakes(diagnostics.render(false))) } else { Ok(config) }
}

impl Consumer for Counted {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        Box::pin(async move {
            let items = batch.items as u64;
            self.file.consume(batch).await?;
            self.requests.fetch_add(1, Ordering::Relaxed);
            self.spans.fetch_add(items, Ordering::Relaxed);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_otlp::Signal;

    use super::*;
    use crate::generate::Description;
    use crate::input::Input;
    use crate::live::grpc::RawClient;

    #[tokio::test]
    async fn what_is_sent_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let sent = Description { duration: Duration::from_secs(5), ..Description::load("shop").unwrap() }
            .generate(1, usize::MAX);
        for name in ["traces.jsonl", "traces.binpb"] {
            let path = folder.path().join(name);
            let recording = Recording::start("127.0.0.1:0", None, &path).await.unwrap();
            let mut client = RawClient::connect(recording.address().unwrap()).await.unwrap();
            for request in &sent.requests {
                let batch = request.with_ids_of(7, &sent.population);
                client.export(Signal::Traces, batch.bytes).await.unwrap();
            }
            drop(client);
            let recorded = recording.finish(Instant::now() + Duration::from_secs(30)).await;
            let expected = Recorded { requests: sent.requests.len() as u64, spans: sent.spans() as u64 };
            assert_eq!(recorded, expected);
            let (traces, labels) = (vec![path], None);
            let read = Input { traces, labels, span_limit: usize::MAX, time_limit: Duration::MAX };
            let read = read.read().unwrap();
            assert_eq!((read.requests.len(), read.spans()), (sent.requests.len(), sent.spans()));
            assert_eq!(read.population.traces.len(), sent.population.traces.len());
        }
    }

    #[tokio::test]
    async fn what_is_no_address_is_told() {
        let path = Path::new("traces.jsonl");
        let error = Recording::start("nowhere", None, path).await.err().unwrap();
        assert!(matches!(error, RecordError::Mistakes(_)), "{error}");
    }
}
