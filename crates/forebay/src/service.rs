//! Starting and stopping what a configuration describes.
//!
//! Exporters start first and receivers last, so that nothing arrives before there is a way out; stopping goes
//! the other way round, and each component hands on what it holds before the next one stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use forebay_config::ComponentId;
use forebay_pipeline::{Budget, Consumer, FanOut, Signal, Telemetry};
use forebay_receiver::{Endpoint, Outputs};
use forebay_samplers::tail::{Grant, LearnedRates};
use http::StatusCode;
use prometheus::TextEncoder;
use thiserror::Error;
use tokio::time::Instant;

use crate::components::{Context, Extension, Receiver, StartError};
use crate::http_server::{HttpServer, body, status};
use crate::settings::{Pipeline, Settings};

/// Pipelines that run.
pub(crate) struct Service {
    receivers: Vec<Box<dyn Receiver>>,
    /// Of each pipeline, in order from its receivers to its exporters.
    processors: Vec<Vec<Arc<dyn Consumer>>>,
    exporters: BTreeMap<ComponentId, Arc<dyn Consumer>>,
    extensions: Vec<Box<dyn Extension>>,
    context: Arc<Context>,
    /// How long stopping may take in all.
    grace: Duration,
    metrics: Option<HttpServer>,
}

/// Why a configuration does not start although nothing is wrong in it.
#[derive(Debug, Error)]
#[error("cannot start {what}: {error}")]
pub(crate) struct ServiceError {
    what: String,
    error: StartError,
}

impl Service {
    /// Starts everything. Samplers begin with what has been `learned`, and leave there what they learn.
    ///
    /// # Errors
    /// When some component does not start: an address is taken, a file cannot be opened.
    pub(crate) async fn start(mut settings: Settings, learned: &LearnedRates) -> Result<Self, ServiceError> {
        let mut service = Self {
            receivers: Vec::new(),
            processors: Vec::new(),
            exporters: BTreeMap::new(),
            extensions: Vec::new(),
            context: Arc::new(context(&settings, learned)),
            grace: settings.process.shutdown_grace,
            metrics: None,
        };
        if let Err(error) = service.launch(&mut settings).await {
            // What has been started gives its addresses free.
            service.stop().await;
            return Err(error);
        }
        Ok(service)
    }

    async fn launch(&mut self, settings: &mut Settings) -> Result<(), ServiceError> {
        if let Some(endpoint) = &settings.telemetry.metrics {
            self.metrics = Some(serve_metrics(endpoint, self.telemetry()).await?);
        }
        for id in std::mem::take(&mut settings.extension_order) {
            if let Some(extension) = settings.extensions.remove(&id) {
                let started = (extension.start)(id.to_string(), Arc::clone(&self.context)).await;
                self.extensions.push(started.map_err(failed("extension", &id))?);
            }
        }
        self.build_exporters(settings)?;
        let entries = self.build_processors(settings)?;
        self.start_receivers(settings, &entries).await?;
        self.extensions.iter().for_each(|extension| extension.pipelines_running(true));
        Ok(())
    }

    /// The process's metrics.
    pub(crate) fn telemetry(&self) -> Telemetry {
        self.context.telemetry.clone()
    }

    /// What everything that waits is charged to.
    pub(crate) fn budget(&self) -> &Budget {
        &self.context.budget
    }

    /// Stops accepting, decides and delivers what is held, and ends: all of it within the grace.
    ///
    /// There is one deadline for all, but a stage that is stuck leaves time to those behind it: of what is left
    /// when their turn comes, clients may use a quarter, each processor of a pipeline half, and exporters
    /// everything.
    pub(crate) async fn stop(self) {
        self.extensions.iter().for_each(|extension| extension.pipelines_running(false));
        let end = Instant::now() + self.grace;
        join_all(self.receivers.into_iter().map(|receiver| receiver.stop(share(end, 4)))).await;
        join_all(self.processors.iter().map(|pipeline| async move {
            for processor in pipeline {
                processor.shutdown(share(end, 2)).await;
            }
        }))
        .await;
        join_all(self.exporters.values().map(|exporter| exporter.shutdown(end))).await;
        join_all(self.extensions.into_iter().map(|extension| extension.stop(end))).await;
        join_all(self.metrics.into_iter().map(HttpServer::stop)).await;
    }

    /// Builds the exporters that some pipeline uses; pipelines share them.
    fn build_exporters(&mut self, settings: &mut Settings) -> Result<(), ServiceError> {
        let used: BTreeSet<_> =
            settings.pipelines.iter().flat_map(|pipeline| &pipeline.exporters).cloned().collect();
        for id in used {
            if let Some(exporter) = settings.exporters.remove(&id) {
                let built = (exporter.start)(&id.to_string(), &self.context);
                self.exporters.insert(id.clone(), built.map_err(failed("exporter", &id))?);
            }
        }
        Ok(())
    }

    /// Builds each pipeline's own processors, from its exporters up, and returns where each pipeline begins.
    fn build_processors(&mut self, settings: &Settings) -> Result<Vec<Arc<dyn Consumer>>, ServiceError> {
        let mut entries = Vec::new();
        for pipeline in &settings.pipelines {
            let exporters = pipeline.exporters.iter().filter_map(|id| self.exporters.get(id).cloned());
            let mut next = FanOut::of(exporters.collect());
            let mut processors = Vec::new();
            for id in pipeline.processors.iter().rev() {
                if let Some(processor) = settings.processors.get(id) {
                    let built =
                        (processor.start)(&id.to_string(), pipeline.signal, &self.context, Arc::clone(&next));
                    let built = built.map_err(failed("processor", id))?;
                    // One that has nothing to do is the next consumer itself.
                    if !Arc::ptr_eq(&built, &next) {
                        processors.push(Arc::clone(&built));
                    }
                    next = built;
                }
            }
            processors.reverse();
            self.processors.push(processors);
            entries.push(next);
        }
        Ok(entries)
    }

    /// Starts the receivers that some pipeline uses; pipelines share them.
    async fn start_receivers(
        &mut self,
        settings: &mut Settings,
        entries: &[Arc<dyn Consumer>],
    ) -> Result<(), ServiceError> {
        let used: BTreeSet<_> =
            settings.pipelines.iter().flat_map(|pipeline| &pipeline.receivers).cloned().collect();
        for id in used {
            let Some(receiver) = settings.receivers.remove(&id) else { continue };
            let output = |signal| output(&settings.pipelines, entries, &id, signal);
            let outputs = Outputs {
                traces: output(Signal::Traces),
                metrics: output(Signal::Metrics),
                logs: output(Signal::Logs),
            };
            let started = (receiver.start)(id.to_string(), outputs, Arc::clone(&self.context)).await;
            self.receivers.push(started.map_err(failed("receiver", &id))?);
        }
        Ok(())
    }
}

/// Where a receiver's batches of a signal go: to every pipeline that names it.
fn output(
    pipelines: &[Pipeline],
    entries: &[Arc<dyn Consumer>],
    receiver: &ComponentId,
    signal: Signal,
) -> Option<Arc<dyn Consumer>> {
    let consumers: Vec<_> = pipelines
        .iter()
        .zip(entries)
        .filter(|(pipeline, _)| pipeline.signal == signal && pipeline.receivers.contains(receiver))
        .map(|(_, entry)| Arc::clone(entry))
        .collect();
    (!consumers.is_empty()).then(|| FanOut::of(consumers))
}

fn context(settings: &Settings, learned: &LearnedRates) -> Context {
    let process = settings.process;
    let holds_traces = |id: &&ComponentId| {
        ["adaptive_tail_sampling", "retroactive_sampling", "tail_sampling"].contains(&&*id.kind)
    };
    let samplers =
        settings.pipelines.iter().flat_map(|pipeline| &pipeline.processors).filter(holds_traces).count();
    let budget = Budget::new(process.budget_bytes());
    Context {
        tail: Grant {
            budget: budget.clone(),
            pending_bytes: process.pending_bytes(samplers),
            shards: process.shards,
            record_policy: process.gates.record_policy,
            learned: learned.clone(),
        },
        budget,
        telemetry: Telemetry::new(),
    }
}

async fn serve_metrics(endpoint: &Endpoint, telemetry: Telemetry) -> Result<HttpServer, ServiceError> {
    let handler = move |path: &str| {
        if path != "/metrics" {
            return status(StatusCode::NOT_FOUND);
        }
        match TextEncoder::new().encode_to_string(&telemetry.registry().gather()) {
            Ok(text) => body(StatusCode::OK, prometheus::TEXT_FORMAT, Bytes::from(text)),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        }
    };
    let started = HttpServer::start("service::telemetry::metrics", endpoint, Arc::new(handler)).await;
    started.map_err(|error| ServiceError { what: "the metrics endpoint".to_owned(), error: error.into() })
}

fn failed(kind: &str, id: &ComponentId) -> impl FnOnce(StartError) -> ServiceError + use<> {
    let what = format!("{kind} `{id}`");
    move |error| ServiceError { what, error }
}

/// When the first of so many equal parts of the time that is left is over.
fn share(end: Instant, parts: u32) -> Instant {
    let now = Instant::now();
    now + end.saturating_duration_since(now) / parts
}

async fn join_all<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    futures_util::future::join_all(futures).await;
}

#[cfg(test)]
mod tests;
