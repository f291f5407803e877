//! The pipelines of a configuration inside another program, without its connections to the world.
//!
//! A [`Program`] is read, and its mistakes are told, exactly as `forebay validate` does. What runs are the same
//! components, wired by the same hands; only receivers and exporters are replaced: batches are given to
//! [`Embedded::consume`], and what exporters would send goes to a consumer of the caller's. Extensions and the
//! metrics endpoint are not started; agents of retroactive sampling find their coordinator through a [`Loopback`]. Everything that waits does so by Tokio's clock, so on a paused one an hour
//! passes in as long as the work in it takes, and with one shard the same batches meet the same decisions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use forebay_config::{Diagnostics, Loader, Node};
use forebay_pipeline::{Batch, BoxFuture, Consumer, Refusal, Signal};
use forebay_retroactive::{CoordinatorLink, Loopback, RetroactiveConfig, Wiretap};
use forebay_samplers::tail::LearnedRates;
use thiserror::Error;
use tokio::time::Instant;

use crate::components::{Receiver, StartError, retroactive_agent};
use crate::gates::Gates;
use crate::service::{Service, ServiceError};
use crate::settings::Settings;

/// A configuration that has been read and has no mistakes.
#[derive(Clone, Debug)]
pub struct Program(Node);

/// What of a configuration is connected to others, by ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// The pipelines for traces.
    pub pipelines: Vec<String>,
    /// The processors that are agents of retroactive sampling.
    pub agents: Vec<String>,
    /// The extensions that coordinate such agents, of those that are started.
    pub coordinators: Vec<String>,
}

/// Pipelines for traces that run.
pub struct Embedded {
    service: Service,
    entry: Arc<dyn Consumer>,
    /// What its tail sampler coordinates agents through.
    coordinator: Option<CoordinatorLink>,
}

/// Why a configuration cannot be embedded.
#[derive(Debug, Error)]
pub enum EmbedError {
    /// It has mistakes: what `forebay validate` prints.
    #[error("{0}")]
    Mistakes(String),
    /// None of its pipelines is for traces.
    #[error("the configuration has no pipeline for traces: add one under `service::pipelines`")]
    NoTraces,
    /// A component does not start.
    #[error("{0}")]
    Start(String),
    /// It has agents of retroactive sampling, and nobody coordinates them.
    #[error(
        "`retroactive_sampling` needs a coordinator: give a gateway with `retroactive_coordinator` in \
         `service::extensions` too"
    )]
    NoCoordinator,
}

impl Program {
    /// Reads what `--config` would be given: each of `sources` is a path, `env:NAME`, or `yaml:TEXT`, and is merged
    /// over those before.
    ///
    /// # Errors
    /// When there are mistakes, or no pipeline for traces.
    pub fn read<S: Into<String>>(sources: impl IntoIterator<Item = S>) -> Result<Self, EmbedError> {
        let loader = Loader::new(|name| std::env::var(name).ok());
        let (node, diagnostics) =
            sources.into_iter().fold(loader, |loader, source| loader.config(source)).load();
        let mistakes = |diagnostics: &Diagnostics| EmbedError::Mistakes(diagnostics.render(false));
        let Some(node) = node else { return Err(mistakes(&diagnostics)) };
        let settings = Settings::read(&node, Gates::default(), &diagnostics);
        if diagnostics.has_errors() {
            return Err(mistakes(&diagnostics));
        }
        if settings.pipelines.iter().all(|pipeline| pipeline.signal != Signal::Traces) {
            return Err(EmbedError::NoTraces);
        }
        Ok(Self(node))
    }

    /// The configuration as YAML, all sources merged.
    #[must_use]
    pub fn yaml(&self) -> String {
        forebay_config::print(&self.0, &forebay_config::is_sensitive)
    }

    /// What one has to know of it to connect it otherwise.
    #[must_use]
    pub fn outline(&self) -> Outline {
        let settings = Settings::read(&self.0, Gates::default(), &Diagnostics::default());
        let traces = settings.pipelines.iter().filter(|pipeline| pipeline.signal == Signal::Traces);
        let agents = settings.processors.iter().filter(|(_, processor)| processor.profile.agent.is_some());
        let coordinators = settings.extension_order.iter().filter(|id| {
            settings.extensions.get(id).is_some_and(|extension| extension.profile.coordinator.is_some())
        });
        Outline {
            pipelines: traces.map(|pipeline| pipeline.id.to_string()).collect(),
            agents: agents.map(|(id, _)| id.to_string()).collect(),
            coordinators: coordinators.map(ToString::to_string).collect(),
        }
    }

    /// Starts its pipelines for traces with one shard; what all their exporters would send goes to `out`. Must be
    /// called within a Tokio runtime.
    ///
    /// # Errors
    /// When a component does not start.
    pub async fn start(&self, out: Arc<dyn Consumer>) -> Result<Embedded, EmbedError> {
        self.start_in(out, None).await
    }

    /// The same, where agents of retroactive sampling find their coordinator through `loopback`.
    ///
    /// # Errors
    /// When a component does not start, or there is no coordinator for agents.
    pub async fn start_in(
        &self,
        out: Arc<dyn Consumer>,
        loopback: Option<&Loopback>,
    ) -> Result<Embedded, EmbedError> {
        let mut settings = Settings::read(&self.0, Gates::default(), &Diagnostics::default());
        settings.process.shards = 1;
        let coordinator = coordinator(&settings);
        settings.extension_order.clear();
        connect_agents(&mut settings, loopback)?;
        settings.telemetry.metrics = None;
        settings.pipelines.retain(|pipeline| pipeline.signal == Signal::Traces);
        for exporter in settings.exporters.values_mut() {
            let out = Arc::clone(&out);
            exporter.start = Box::new(move |_id, _context| Ok(out));
        }
        let entry = tap(&mut settings);
        let service = Service::start(settings, &LearnedRates::default()).await;
        let service = service.map_err(|error: ServiceError| EmbedError::Start(error.to_string()))?;
        let entry =
            entry.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or(EmbedError::NoTraces)?;
        Ok(Embedded { service, entry, coordinator })
    }
}

/// What its first coordinator decides through.
fn coordinator(settings: &Settings) -> Option<CoordinatorLink> {
    settings.extension_order.iter().find_map(|id| settings.extensions.get(id)?.profile.coordinator.clone())
}

/// Lets agents find their coordinator through `loopback`.
fn connect_agents(settings: &mut Settings, loopback: Option<&Loopback>) -> Result<(), EmbedError> {
    let used: BTreeSet<_> =
        settings.pipelines.iter().flat_map(|pipeline| &pipeline.processors).cloned().collect();
    for (id, processor) in &mut settings.processors {
        if let Some(config) = processor.profile.agent.take().filter(|_| used.contains(id)) {
            let coordinators = loopback.ok_or(EmbedError::NoCoordinator)?.members();
            processor.start = retroactive_agent(RetroactiveConfig { coordinators, ..config });
        }
    }
    Ok(())
}

/// Lets one receiver feed every pipeline, and returns where it leaves their entry when it starts.
fn tap(settings: &mut Settings) -> Arc<Mutex<Option<Arc<dyn Consumer>>>> {
    let entry = Arc::new(Mutex::new(None));
    let first = settings.pipelines.iter().find_map(|pipeline| pipeline.receivers.first().cloned());
    if let Some(id) = first {
        settings.pipelines.iter_mut().for_each(|pipeline| pipeline.receivers = vec![id.clone()]);
        if let Some(receiver) = settings.receivers.get_mut(&id) {
            let entry = Arc::clone(&entry);
            receiver.start = Box::new(move |_id, outputs, _context| {
                *entry.lock().unwrap_or_else(PoisonError::into_inner) = outputs.traces;
                Box::pin(async { Ok(Box::new(Tap) as Box<dyn Receiver>) as Result<_, StartError> })
            });
        }
    }
    entry
}

/// A receiver that receives nothing by itself.
struct Tap;

impl Receiver for Tap {
    fn stop(self: Box<Self>, _deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

impl Embedded {
    /// Gives a batch of spans to the pipelines.
    ///
    /// # Errors
    /// Their refusal.
    pub async fn consume(&self, batch: Batch) -> Result<(), Refusal> {
        self.entry.consume(batch).await
    }

    /// Where batches of spans go.
    #[must_use]
    pub fn entry(&self) -> Arc<dyn Consumer> {
        Arc::clone(&self.entry)
    }

    /// Where agents reach its coordinator, if it has one; `tap` sees what they tell each other. To be asked for once.
    #[must_use]
    pub fn coordinator(&self, tap: Arc<Wiretap>) -> Option<Loopback> {
        let link = self.coordinator.clone()?;
        Some(Loopback::start(link, self.service.budget(), tap))
    }

    /// Bytes that everything which waits holds now, of the process's budget.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.service.budget().used()
    }

    /// Items that wait in some stage now.
    #[must_use]
    pub fn waiting_items(&self) -> u64 {
        self.service.telemetry().waiting_items()
    }

    /// Decides and hands on what waits, within the configuration's grace, and ends.
    pub async fn stop(self) {
        self.service.stop().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use forebay_otlp::wire::{put_bytes, put_fixed64};

    use super::*;

    const TAIL: &str = "yaml:{receivers: {otlp: {protocols: {grpc: }}}, exporters: {nop: }, processors: \
        {tail_sampling: {decision_wait: 10s, policies: [{name: all, type: always_sample}]}}, service: {pipelines: \
        {traces: {receivers: [otlp], processors: [tail_sampling], exporters: [nop]}}}}";

    /// Remembers how many spans came when.
    #[derive(Default)]
    struct Log(Mutex<Vec<(Duration, usize)>>, Mutex<Option<Instant>>);

    impl Consumer for Log {
        fn consume(&self, batch: Batch) -> BoxFuture<'_, Result<(), Refusal>> {
            let since = self.1.lock().unwrap().unwrap().elapsed();
            self.0.lock().unwrap().push((since, batch.items));
            Box::pin(std::future::ready(Ok(())))
        }
    }

    fn one_span() -> Batch {
        let mut span = Vec::new();
        put_bytes(&mut span, 1, &[7; 16]);
        put_bytes(&mut span, 2, &[7; 8]);
        put_fixed64(&mut span, 7, 1);
        put_fixed64(&mut span, 8, 2);
        let request = [2, 2, 1].into_iter().fold(span, |message, field| {
            let mut outer = Vec::new();
            put_bytes(&mut outer, field, &message);
            outer
        });
        Batch::new(Signal::Traces, Bytes::from(request), 1)
    }

    #[tokio::test(start_paused = true)]
    async fn a_tail_sampler_waits_in_virtual_time_and_nothing_listens() {
        let out = Arc::new(Log::default());
        *out.1.lock().unwrap() = Some(Instant::now());
        let embedded =
            Program::read([TAIL]).unwrap().start(Arc::clone(&out) as Arc<dyn Consumer>).await.unwrap();
        embedded.consume(one_span()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let (after, spans) = out.0.lock().unwrap()[0];
        assert_eq!(spans, 1);
        assert!((Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&after), "{after:?}");
        embedded.stop().await;
    }

    #[test]
    fn an_outline_names_what_is_connected_to_others() {
        let outline = Program::read([TAIL]).unwrap().outline();
        assert_eq!(outline, Outline { pipelines: vec!["traces".to_owned()], ..Outline::default() });
        let gateway = "yaml:{extensions: {retroactive_coordinator/a: }, processors: {tail_sampling: {coordinator: \
            retroactive_coordinator/a}}, service: {extensions: [retroactive_coordinator/a]}}";
        let outline = Program::read([TAIL, gateway]).unwrap().outline();
        assert_eq!(outline.coordinators, ["retroactive_coordinator/a"]);
        let agent = "yaml:{processors: {retroactive_sampling/b: {coordinators: {endpoints: ['a:1']}}}, service: \
            {pipelines: {traces: {processors: [retroactive_sampling/b]}}}}";
        assert_eq!(Program::read([TAIL, agent]).unwrap().outline().agents, ["retroactive_sampling/b"]);
    }

    #[tokio::test]
    async fn agents_need_a_coordinator() {
        let agent = "yaml:{processors: {retroactive_sampling: {coordinators: {endpoints: ['a:1']}}}, service: \
            {pipelines: {traces: {processors: [retroactive_sampling]}}}}";
        let started = Program::read([TAIL, agent]).unwrap().start(Arc::new(Log::default())).await;
        assert!(matches!(started, Err(EmbedError::NoCoordinator)));
    }

    #[test]
    fn mistakes_are_those_of_validate() {
        let error =
            Program::read([TAIL, "yaml:{processors: {tail_sampling: {decision_wiat: 1s}}}"]).unwrap_err();
        assert!(error.to_string().contains("did you mean `decision_wait`"), "{error}");
        let logs = TAIL.replace("traces:", "logs:").replace("processors: [tail_sampling], ", "");
        assert!(matches!(Program::read([logs]), Err(EmbedError::NoTraces)));
    }
}
