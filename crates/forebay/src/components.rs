//! The components that configurations can use.
//!
//! A component is a row here: its names, the signals it takes, and a reader that turns its settings into
//! whatever starts it. Reading never starts anything, so that a configuration can be checked whole.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::sync::Arc;

use forebay_config::{ComponentId, Place, Table};
use forebay_exporter::ExporterContext;
use forebay_pipeline::{BoxFuture, Budget, Consumer, Signal, Telemetry};
use forebay_processor::{BatchConfig, BatchProcessor, MemoryLimiterConfig};
use forebay_receiver::{Endpoint, OtlpConfig, OtlpReceiver, Outputs};
use forebay_remote_sampling::{
    Adaptive, AdaptiveProcessor, AdaptiveProcessorConfig, RemoteSampling, RemoteSamplingConfig,
};
use forebay_retroactive::{
    CoordinatorConfig, CoordinatorExtension, CoordinatorLink, RetroactiveConfig, RetroactiveProcessor,
};
use forebay_samplers::head::{HeadProcessor, ProbabilisticConfig, RateConfig};
use forebay_samplers::tail::{Grant, TailConfig, TailProcessor};
use forebay_samplers::{Compatibility, adaptive};
use tokio::time::Instant;

use crate::extensions::HealthCheck;
use crate::handles::{Handles, Words};
use crate::settings::{Components, Listening};
use crate::sockaccel::{Sockaccel, SockaccelConfig};

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
    /// The extensions that processors can show traces to, which have been read before.
    adaptive: Handles<Adaptive>,
    /// The extensions that tail samplers can coordinate the agents of, which have been read before.
    coordinators: Handles<CoordinatorLink>,
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
    /// What processors show traces to.
    pub(crate) adaptive: Option<Adaptive>,
    /// What a tail sampler coordinates agents through.
    pub(crate) coordinator: Option<CoordinatorLink>,
    /// What an agent of retroactive sampling is to do.
    pub(crate) agent: Option<RetroactiveConfig>,
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
/// Starts an extension under an id.
pub(crate) type StartExtension = Box<
    dyn FnOnce(String, Arc<Context>) -> BoxFuture<'static, Result<Box<dyn Extension>, StartError>> + Send,
>;

/// A receiver that runs.
pub(crate) trait Receiver: Send + Sync {
    /// Stops accepting, and waits for requests in flight until `deadline`.
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()>;
}

/// An extension that runs.
pub(crate) trait Extension: Send + Sync {
    /// Tells it whether the pipelines are running.
    fn pipelines_running(&self, _running: bool) {}

    /// Stops, by `deadline` at the latest.
    fn stop(self: Box<Self>, _deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// All receivers.
pub(crate) const RECEIVERS: &[ComponentType<StartReceiver>] =
    &[ComponentType { names: &["otlp"], signals: &Signal::ALL, read: otlp_receiver }];

/// All processors.
pub(crate) const PROCESSORS: &[ComponentType<BuildProcessor>] = &[
    ComponentType { names: &["adaptive_sampling"], signals: &[Signal::Traces], read: adaptive_sampling },
    ComponentType {
        names: &["adaptive_tail_sampling"],
        signals: &[Signal::Traces],
        read: adaptive_tail_sampling,
    },
    ComponentType { names: &["batch"], signals: &Signal::ALL, read: batch },
    ComponentType { names: &["memory_limiter"], signals: &Signal::ALL, read: memory_limiter },
    ComponentType {
        names: &["probabilistic_sampler"],
        signals: &[Signal::Traces, Signal::Logs],
        read: probabilistic_sampler,
    },
    ComponentType {
        names: &["rate_limiting_sampler"],
        signals: &[Signal::Traces],
        read: rate_limiting_sampler,
    },
    ComponentType {
        names: &["retroactive_sampling"],
        signals: &[Signal::Traces],
        read: retroactive_sampling,
    },
    ComponentType { names: &["tail_sampling"], signals: &[Signal::Traces], read: tail_sampling },
];

/// All exporters.
pub(crate) const EXPORTERS: &[ComponentType<BuildExporter>] = &[
    ComponentType { names: &["debug"], signals: &Signal::ALL, read: debug },
    ComponentType { names: &["file"], signals: &Signal::ALL, read: file },
    ComponentType {
        names: &["loadbalancing", "load_balancing"],
        signals: &[Signal::Traces],
        read: loadbalancing,
    },
    ComponentType { names: &["nop"], signals: &Signal::ALL, read: nop },
    ComponentType { names: &["otlp_grpc", "otlp"], signals: &Signal::ALL, read: otlp_grpc },
    ComponentType { names: &["otlp_http", "otlphttp"], signals: &Signal::ALL, read: otlp_http },
];

/// All extensions.
pub(crate) const EXTENSIONS: &[ComponentType<StartExtension>] = &[
    ComponentType { names: &["health_check"], signals: &[], read: health_check },
    ComponentType {
        names: &["jaegerremotesampling", "jaeger_remote_sampling"],
        signals: &[],
        read: jaegerremotesampling,
    },
    ComponentType { names: &["remote_sampling"], signals: &[], read: remote_sampling },
    ComponentType { names: &["retroactive_coordinator"], signals: &[], read: retroactive_coordinator },
    ComponentType { names: &["sockaccel"], signals: &[], read: sockaccel },
];

const ADAPTIVE: Words = Words {
    key: "extension",
    sort: "with an `adaptive` source",
    example: "jaegerremotesampling: {source: {adaptive: }}",
    idle: "nobody is told what is learned",
};
const COORDINATOR: Words = Words {
    key: "coordinator",
    sort: "`retroactive_coordinator`",
    example: "retroactive_coordinator: {endpoint: 0.0.0.0:4319}",
    idle: "agents do not reach it",
};

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
        Self {
            compatibility,
            memory_limiter: Cell::new(None),
            adaptive: Handles::default(),
            coordinators: Handles::default(),
            profile: RefCell::default(),
        }
    }

    /// The same, where these extensions have been read.
    pub(crate) fn with_extensions(
        self,
        extensions: &Components<StartExtension>,
        enabled: &[ComponentId],
    ) -> Self {
        let adaptive = Handles::of(extensions, enabled, |profile| profile.adaptive.as_ref());
        let coordinators = Handles::of(extensions, enabled, |profile| profile.coordinator.as_ref());
        Self { adaptive, coordinators, ..self }
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

fn adaptive_sampling(table: &Table<'_>, reading: &Reading) -> BuildProcessor {
    let config = AdaptiveProcessorConfig::read(table);
    let adaptive = reading.adaptive.find(table, config.extension.as_ref(), &ADAPTIVE);
    Box::new(move |id, _signal, context, next| match &adaptive {
        Some(adaptive) => {
            Ok(Arc::new(AdaptiveProcessor::new(id, adaptive.clone(), &context.telemetry, next)))
        }
        None => Ok(next),
    })
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
    Box::new(move |id, signal, context, next| {
        let Context { budget, telemetry, .. } = context;
        Ok(Arc::new(HeadProcessor::probabilistic(id, signal, &config, budget.clone(), telemetry, next)?))
    })
}

fn adaptive_tail_sampling(table: &Table<'_>, reading: &Reading) -> BuildProcessor {
    tail_sampler(adaptive::read(table, reading.compatibility))
}

fn rate_limiting_sampler(table: &Table<'_>, _reading: &Reading) -> BuildProcessor {
    let config = RateConfig::read(table);
    Box::new(move |id, _signal, context, next| {
        let Context { budget, telemetry, .. } = context;
        Ok(Arc::new(HeadProcessor::rate_limiting(id, &config, budget.clone(), telemetry, next)))
    })
}

fn retroactive_sampling(table: &Table<'_>, reading: &Reading) -> BuildProcessor {
    let config = RetroactiveConfig::read(table);
    reading.profile.borrow_mut().agent.clone_from(&config);
    match config {
        Some(config) => retroactive_agent(config),
        // Told as a mistake.
        None => Box::new(|_id, _signal, _context, next| Ok(next)),
    }
}

/// Builds an agent of retroactive sampling.
pub(crate) fn retroactive_agent(config: RetroactiveConfig) -> BuildProcessor {
    Box::new(move |id, _signal, context, next| {
        let Grant { budget, pending_bytes, .. } = context.tail.clone();
        let grant = forebay_retroactive::Grant { budget, pending_bytes };
        Ok(Arc::new(RetroactiveProcessor::start(id, &config, &grant, &context.telemetry, next)?))
    })
}

fn tail_sampling(table: &Table<'_>, reading: &Reading) -> BuildProcessor {
    let config = TailConfig::read(table, reading.compatibility);
    let wanted = table.get("coordinator").filter(|id| !id.is_null()).and_then(|id| id.component_id());
    let link = wanted.and_then(|wanted| reading.coordinators.find(table, Some(&wanted), &COORDINATOR));
    let Some(link) = link else { return tail_sampler(config) };
    Box::new(move |id, _signal, context, next| {
        let (policies, grant) = (Arc::clone(&config.policies), &context.tail);
        let (processor, port) =
            TailProcessor::coordinate(id, config.clone(), grant, &context.telemetry, next);
        link.join(port, &policies.program(grant.record_policy))?;
        Ok(Arc::new(processor))
    })
}

fn tail_sampler(config: TailConfig) -> BuildProcessor {
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

fn loadbalancing(table: &Table<'_>, _reading: &Reading) -> BuildExporter {
    use forebay_exporter::loadbalancing::{LoadBalancingConfig, build};
    let config = LoadBalancingConfig::read(table);
    Box::new(move |id, context| match config {
        Some(config) => Ok(build(id, config, &context.exporter())?),
        None => Err("its settings have mistakes".into()),
    })
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
    Box::new(move |_id, _context| {
        Box::pin(async move { Ok(Box::new(HealthCheck::start(config).await?) as Box<dyn Extension>) })
    })
}

fn jaegerremotesampling(table: &Table<'_>, reading: &Reading) -> StartExtension {
    start_remote_sampling(RemoteSamplingConfig::read(table), reading)
}

fn remote_sampling(table: &Table<'_>, reading: &Reading) -> StartExtension {
    start_remote_sampling(RemoteSamplingConfig::read_jaeger(table), reading)
}

fn start_remote_sampling(config: RemoteSamplingConfig, reading: &Reading) -> StartExtension {
    config.endpoints().for_each(|(endpoint, place)| reading.listens(endpoint, place));
    reading.profile.borrow_mut().adaptive = config.adaptive().cloned();
    Box::new(move |id, context| {
        Box::pin(async move {
            let Context { budget, telemetry, .. } = &*context;
            let server = RemoteSampling::start(&id, config, budget, telemetry).await?;
            Ok(Box::new(server) as Box<dyn Extension>)
        })
    })
}

fn sockaccel(table: &Table<'_>, _reading: &Reading) -> StartExtension {
    let config = SockaccelConfig::read(table);
    Box::new(move |id, context| {
        Box::pin(async move {
            let extension = Sockaccel::start(&id, config, &context.telemetry).await?;
            Ok(Box::new(extension) as Box<dyn Extension>)
        })
    })
}

fn retroactive_coordinator(table: &Table<'_>, reading: &Reading) -> StartExtension {
    let config = CoordinatorConfig::read(table);
    reading.listens(&config.grpc.endpoint, &config.grpc.place);
    let link = CoordinatorLink::new();
    reading.profile.borrow_mut().coordinator = Some(link.clone());
    Box::new(move |id, context| {
        Box::pin(async move {
            let Context { budget, telemetry, .. } = &*context;
            let coordinator = CoordinatorExtension::start(&id, &config, link, budget, telemetry).await?;
            Ok(Box::new(coordinator) as Box<dyn Extension>)
        })
    })
}

impl Extension for CoordinatorExtension {
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(self.shutdown(deadline))
    }
}

impl Extension for RemoteSampling {
    fn stop(self: Box<Self>, deadline: Instant) -> BoxFuture<'static, ()> {
        Box::pin(self.shutdown(deadline))
    }
}
