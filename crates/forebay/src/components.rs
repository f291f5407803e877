//! The components that configurations can use.
//!
//! A component is a row here: its names, the signals it takes, and a reader that turns its settings into
//! whatever starts it. Reading never starts anything, so that a configuration can be checked whole.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::sync::Arc;

use forebay_config::{Place, Table};
use forebay_exporter::ExporterContext;
use forebay_pipeline::{BoxFuture, Budget, Consumer, Signal, Telemetry};
use forebay_processor::{BatchConfig, BatchProcessor, MemoryLimiterConfig};
use forebay_receiver::{Endpoint, OtlpConfig, OtlpReceiver, Outputs};
use forebay_samplers::Compatibility;
use forebay_samplers::head::{ProbabilisticConfig, ProbabilisticProcessor};
use forebay_samplers::tail::{Grant, TailConfig, TailProcessor};
use tokio::time::Instant;

use crate::extensions::HealthCheck;
use crate::settings::Listening;

/// One type of component; `S` starts one that has been read.
pub(crate) struct ComponentType<S> {
    /// What configurations call it; the first is the one to use, others are accepted.
    names: &'static [&'static str],
    /// The signals it can take; none for extensions.
    pub(crate) signals: &'static [Signal],
    /// Reads its settings.
    pub(crate) read: fn(&Table<'_>, &Reading) -> S,
}

/// What readers share.
pub(crate) struct Reading {
    compatibility: Compatibility,
    /// The last `memory_limiter` that was read.
    pub(crate) memory_limiter: Cell<Option<MemoryLimiterConfig>>,
    /// Of the component that is being read.
    profile: RefCell<Profile>,
}

/// What matters to others about a component's settings.
#[derive(Default)]
pub(crate) struct Profile {
    /// Where it listens.
    pub(crate) listening: Vec<Listening>,
    /// Signals of its type that it cannot take with these settings, each with the reason.
    pub(crate) unserved: Vec<(Signal, String)>,
}

/// What components need to start.
pub(crate) struct Context {
    /// The process's byte budget.
    pub(crate) budget: Budget,
    /// The process's metrics.
    pub(crate) telemetry: Telemetry,
    /// What each tail sampler may use.
    pub(crate) tail: Grant,
}

/// Why a component does not start.
pub(crate) type StartError = Box<dyn Error + Send + Sync>;

/// Starts a receiver under an id, which hands batches to the outputs.
pub(crate) type StartReceiver = Box<
    dyn FnOnce(String, Outputs, Arc<Context>) -> BoxFuture<'static, Result<Box<dyn Receiver>, StartError>>
        + Send,
>;
/// Builds a pipeline's own instance of a processor under an id, which hands on to the next consumer. `None` if it has
/// nothing to do.
pub(crate) type BuildProcessor =
    Box<dyn Fn(&str, Signal, &Context, Arc<dyn Consumer>) -> Result<Arc<dyn Consumer>, StartError> + Send>;
/// Builds an exporter under an id.
pub(crate) type BuildExporter =
    Box<dyn FnOnce(&str, &Context) -> Result<Arc<dyn Consumer>, StartError> + Send>;
/// Starts an extension.
pub(crate) type StartExtension =
    Box<dyn FnOnce() -> BoxFuture<'static, Result<Arc<dyn Extension>, StartError>> + Send>;

/// A receiver that runs.
pub(crate) trait Receiver: Send + Sync {
    /// Stops accepting, and waits for requests in flight until `deadline`.
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()>;
}

/// An extension that runs.
pub(crate) trait Extension: Send + Sync {
    /// Tells it whether the pipelines are running.
    fn pipelines_running(&self, running: bool);
}

/// All receivers.
pub(crate) const RECEIVERS: &[ComponentType<StartReceiver>] =
    &[ComponentType { names: &["otlp"], signals: &Signal::ALL, read: otlp_receiver }];

/// All processors.
pub(crate) const PROCESSORS: &[ComponentType<BuildProcessor>] = &[
    ComponentType { names: &["batch"], signals: &Signal::ALL, read: batch },
    ComponentType { names: &["memory_limiter"], signals: &Signal::ALL, read: memory_limiter },
    ComponentType {
        names: &["probabilistic_sampler"],
        signals: &[Signal::Traces],
        read: probabilistic_sampler,
    },
    ComponentType { names: &["tail_sampling"], signals: &[Signal::Traces], read: tail_sampling },
];

/// All exporters.
pub(crate) const EXPORTERS: &[ComponentType<BuildExporter>] = &[
    ComponentType { names: &["debug"], signals: &Signal::ALL, read: debug },
    ComponentType { names: &["file"], signals: &Signal::ALL, read: file },
    ComponentType { names: &["nop"], signals: &Signal::ALL, read: nop },
    ComponentType { names: &["otlp_grpc", "otlp"], signals: &Signal::ALL, read: otlp_grpc },
    ComponentType { names: &["otlp_http", "otlphttp"], signals: &Signal::ALL, read: otlp_http },
];

/// All extensions.
pub(crate) const EXTENSIONS: &[ComponentType<StartExtension>] =
    &[ComponentType { names: &["health_check"], signals: &[], read: health_check }];

impl<S> ComponentType<S> {
    /// What configurations call it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<S> {
        self.names.iter().copied()
    }

    /// Whether configurations call it so.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.names.contains(&name)
    }
}

impl Reading {
    /// Nothing has been read.
    pub(crate) fn new(compatibility: Compatibility) -> Self {
        Self { compatibility, memory_limiter: Cell::new(None), profile: RefCell::default() }
    }

    /// What the reader called last has said beside how to start its component.
    pub(crate) fn take_profile(&self) -> Profile {
        self.profile.take()
    }

    fn listens(&self, endpoint: &Endpoint, place: &Place) {
        let listening = Listening { endpoint: endpoint.clone(), place: place.clone() };
        self.profile.borrow_mut().listening.push(listening);
    }
}

impl Context {
    fn exporter(&self) -> ExporterContext {
        ExporterContext { budget: self.budget.clone(), telemetry: self.telemetry.clone() }
    }
}

fn otlp_receiver(table: &Table<'_>, reading: &Reading) -> StartReceiver {
    let config = OtlpConfig::read(table);
    config.endpoints().for_each(|(endpoint, place)| reading.listens(endpoint, place));
    Box::new(move |id, outputs, context| {
        Box::pin(async move {
            let receiver =
                OtlpReceiver::start(&id, config, outputs, context.budget.clone(), &context.telemetry).await?;
            Ok(Box::new(receiver) as Box<dyn Receiver>)
        })
    })
}

impl Receiver for OtlpReceiver {
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(self.shutdown(deadline))
    }
}

fn batch(table: &Table<'_>, _reading: &Reading) -> BuildProcessor {
    let config = BatchConfig::read(table);
    Box::new(move |id, signal, context, next| {
        let Context { budget, telemetry, .. } = context;
        Ok(Arc::new(BatchProcessor::start(id, config, signal, budget.clone(), telemetry, next)))
    })
}

fn memory_limiter(table: &Table<'_>, reading: &Reading) -> BuildProcessor {
    reading.memory_limiter.set(Some(MemoryLimiterConfig::read(table)));
    // The limit holds for the whole process; in the pipeline there is nothing to do.
    Box::new(|_id, _signal, _context, next| Ok(next))
}

fn probabilistic_sampler(table: &Table<'_>, _reading: &Reading) -> BuildProcessor {
    let config = ProbabilisticConfig::read(table);
    Box::new(move |id, _signal, context, next| {
        let Context { budget, telemetry, .. } = context;
        Ok(Arc::new(ProbabilisticProcessor::new(id, &config, budget.clone(), telemetry, next)?))
    })
}

fn tail_sampling(table: &Table<'_>, reading: &Reading) -> BuildProcessor {
    let config = TailConfig::read(table, reading.compatibility);
    Box::new(move |id, _signal, context, next| {
        Ok(Arc::new(TailProcessor::start(id, config.clone(), &context.tail, &context.telemetry, next)))
    })
}

fn debug(table: &Table<'_>, _reading: &Reading) -> BuildExporter {
    use forebay_exporter::debug::{DebugConfig, build};
    let config = DebugConfig::read(table);
    Box::new(move |id, context| Ok(build(id, config, &context.exporter())?))
}

fn file(table: &Table<'_>, _reading: &Reading) -> BuildExporter {
    use forebay_exporter::file::{FileConfig, build};
    let config = FileConfig::read(table);
    Box::new(move |id, context| Ok(build(id, config, &context.exporter())?))
}

fn nop(table: &Table<'_>, _reading: &Reading) -> BuildExporter {
    use forebay_exporter::nop::{NopConfig, build};
    let config = NopConfig::read(table);
    Box::new(move |id, context| Ok(build(id, config, &context.exporter())?))
}

fn otlp_grpc(table: &Table<'_>, _reading: &Reading) -> BuildExporter {
    use forebay_exporter::grpc::{GrpcConfig, build};
    let config = GrpcConfig::read(table);
    Box::new(move |id, context| Ok(build(id, config, &context.exporter())?))
}

fn otlp_http(table: &Table<'_>, reading: &Reading) -> BuildExporter {
    use forebay_exporter::http::{HttpConfig, build};
    let config = HttpConfig::read(table);
    let unserved = config.unserved().iter().map(|&signal| {
        (signal, format!("there is neither an `endpoint` nor a `{signal}_endpoint` to send them to"))
    });
    reading.profile.borrow_mut().unserved.extend(unserved);
    Box::new(move |id, context| Ok(build(id, config, &context.exporter())?))
}

fn health_check(table: &Table<'_>, reading: &Reading) -> StartExtension {
    let config = crate::extensions::HealthCheckConfig::read(table);
    reading.listens(&config.endpoint, &config.place);
    Box::new(move || {
        Box::pin(async move { Ok(Arc::new(HealthCheck::start(config).await?) as Arc<dyn Extension>) })
    })
}
