//! Where the demo's kept traces arrive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use forebay_config::read_str;
use forebay_otlp::attribute::{AnyValue, Attribute, resource_attribute_messages};
use forebay_otlp::{ScanError, SpanView, TraceId};
use forebay_pipeline::{Batch, BoxFuture, Budget, Consumer, Refusal, Telemetry};
use forebay_receiver::{OtlpConfig, OtlpReceiver, Outputs};
use forebay_samplers::tail::POLICY_ATTRIBUTE;
use tokio::time::Instant;

use crate::components::StartError;

/// An OTLP receiver that remembers the traces it gets.
pub(super) struct Backend {
    receiver: OtlpReceiver,
    traces: Arc<Traces>,
}

/// A trace that was kept.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptTrace {
    pub(super) spans: usize,
    /// Nanoseconds since the epoch.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) policy: String,
    /// What its root span is called.
    pub(super) root: String,
    /// The services in it.
    pub(super) services: Vec<String>,
}

#[derive(Default)]
struct Traces(Mutex<HashMap<TraceId, KeptTrace>>);

impl Backend {
    pub(super) async fn start(port: u16) -> Result<Self, StartError> {
        let yaml = format!("protocols: {{grpc: {{endpoint: '127.0.0.1:{port}'}}}}");
        let (config, _) = read_str(&yaml, OtlpConfig::read);
        let traces = Arc::new(Traces::default());
        let outputs =
            Outputs { traces: Some(Arc::clone(&traces) as Arc<dyn Consumer>), metrics: None, logs: None };
        let budget = Budget::new(super::BUDGET);
        let receiver = OtlpReceiver::start("backend", config, outputs, budget, &Telemetry::new()).await?;
        Ok(Self { receiver, traces })
    }

    /// The traces so far, the earliest first.
    pub(super) fn kept(&self) -> Vec<(TraceId, KeptTrace)> {
        let traces = self.traces.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut traces: Vec<_> = traces.iter().map(|(id, trace)| (*id, trace.clone())).collect();
        traces.sort_by_key(|(id, trace)| (trace.start, *id));
        traces
    }

    pub(super) async fn stop(self) {
        self.receiver.shutdown(Instant::now() + super::PROGRESS).await;
    }
}

impl Consumer for Traces {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
        let outcome = self.add(&batch).map_err(|error| Refusal::Permanent(error.to_string()));
        Box::pin(std::future::ready(outcome))
    }
}

impl Traces {
    fn add(&self, batch: &Batch) -> Result<(), ScanError> {
        let index = batch.index()?;
        let mut traces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for span in &index.spans {
            let view = SpanView::new(index.body(&batch.bytes, span));
            let resource = index
                .envelopes
                .resource_parts(&batch.bytes, span.envelope)
                .flat_map(resource_attribute_messages);
            let service =
                string(resource.filter_map(|message| Attribute::parse(message).ok()), "service.name");
            let trace = traces.entry(span.trace_id).or_insert_with(|| KeptTrace {
                start: u64::MAX,
                policy: string(view.attributes(), POLICY_ATTRIBUTE),
                ..KeptTrace::default()
            });
            trace.spans += 1;
            trace.start = trace.start.min(span.start);
            trace.end = trace.end.max(span.end);
            if span.root {
                trace.root = format!("{service} {}", String::from_utf8_lossy(view.name()));
            }
            if !trace.services.contains(&service) {
                trace.services.push(service);
            }
        }
        Ok(())
    }
}

/// The string attribute `key`; empty if there is none.
fn string<'a>(mut attributes: impl Iterator<Item = Attribute<'a>>, key: &str) -> String {
    match attributes.find(|attribute| attribute.key == key.as_bytes()).map(|attribute| attribute.value) {
        Some(AnyValue::String(text)) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}
