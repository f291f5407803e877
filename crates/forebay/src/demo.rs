//! `forebay demo`: real recorded traces through a tail-sampling pipeline, watched.
//!
//! Everything is the real thing on loopback: a client sends the recorded requests over OTLP/gRPC, the
//! pipeline of `demo/config.yaml` samples them, and a backend receives over OTLP/gRPC what was kept.

mod backend;
mod fleet;
mod recording;
mod report;

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use forebay_config::{Loader, read_str};
use forebay_exporter::{ExporterContext, grpc};
use forebay_otlp::Signal;
use forebay_pipeline::{Budget, Consumer, Ledger, Refusal, Telemetry};
use forebay_samplers::tail::LearnedRates;
use tokio::time::{Instant, sleep};

use self::backend::Backend;
use self::report::{Progress, report};
use crate::commands::fail;
use crate::components::StartError;
use crate::gates::Gates;
use crate::logging;
use crate::ports;
use crate::run::runtime;
use crate::service::Service;
use crate::settings::Settings;
use crate::signals::Signals;

const CONFIG: &str = include_str!("../demo/config.yaml");
/// How long the replay takes, however long the recording was.
const REPLAY: Duration = Duration::from_secs(6);
/// Between lines of progress.
const PROGRESS: Duration = Duration::from_millis(500);
/// After the replay, how long the client, and then the pipeline, may take to come to rest by itself.
const SETTLE: Duration = Duration::from_secs(5);
/// What client and backend may hold; the recording is a fraction of that.
const BUDGET: usize = 64 << 20;

/// Runs the demo, of one process or of a fleet; with `keep_running` the one process then goes on listening until SIGINT or SIGTERM.
pub(crate) fn run(retroactive: bool, keep_running: bool) -> ExitCode {
    let outcome = runtime(1).map_err(StartError::from).and_then(|runtime| {
        if retroactive { runtime.block_on(fleet::demo()) } else { runtime.block_on(demo(keep_running)) }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string()),
    }
}

async fn demo(keep_running: bool) -> Result<(), StartError> {
    let requests = recording::requests()?;
    let [pipeline_port, backend_port] = ports::free()?;
    let backend = Backend::start(backend_port).await?;
    let config = with_ports(pipeline_port, backend_port);
    let settings = read_config(&config)?;
    logging::start(&settings.telemetry);
    let service = Service::start(settings, &LearnedRates::default()).await?;
    let sampler = service.telemetry().ledger("processor/tail_sampling", Signal::Traces);
    let spans: usize = requests.iter().map(|request| request.items).sum();
    say(&format!(
        "Replaying {spans} recorded spans over OTLP/gRPC to 127.0.0.1:{pipeline_port}; a trace is decided 2 s after its first span.\n"
    ));

    let client = client(([127, 0, 0, 1], pipeline_port).into(), "none")?;
    let begin = Instant::now();
    let mut shown = begin;
    for (position, request) in (0_u32..).zip(&requests) {
        send(client.as_ref(), request).await?;
        if shown.elapsed() >= PROGRESS {
            shown = Instant::now();
            say(&Progress::of(&sampler).to_string());
        }
        tokio::time::sleep_until(
            begin + REPLAY * position / u32::try_from(requests.len()).unwrap_or(u32::MAX),
        )
        .await;
    }
    client.shutdown(Instant::now() + SETTLE).await;
    settle(&sampler, spans as u64).await;

    let telemetry = service.telemetry();
    if keep_running {
        say(&report(&backend.kept(), &sampler, &telemetry, spans as u64));
        say(&format!(
            "\nStill listening on 127.0.0.1:{pipeline_port}, with this configuration; Ctrl-C ends.\n\n{config}"
        ));
        Signals::listen()?.end().await;
    }
    service.stop().await;
    if !keep_running {
        say(&report(&backend.kept(), &sampler, &telemetry, spans as u64));
    }
    backend.stop().await;
    Ok(())
}

/// Sends a request, again while it is refused for now.
async fn send(client: &dyn Consumer, request: &forebay_pipeline::Batch) -> Result<(), StartError> {
    loop {
        match client.consume(request.clone()).await {
            Ok(()) => return Ok(()),
            Err(Refusal::Permanent(reason)) => return Err(reason.into()),
            Err(Refusal::Retryable { after, .. }) => sleep(after.unwrap_or(PROGRESS)).await,
        }
    }
}

/// Waits until everything that was sent has been decided and handed on, showing how it goes.
async fn settle(sampler: &Ledger, spans: u64) {
    let end = Instant::now() + SETTLE;
    while Instant::now() < end && (sampler.incoming.get() < spans || sampler.buffered.get() > 0) {
        sleep(PROGRESS).await;
        say(&Progress::of(sampler).to_string());
    }
}

fn client(server: SocketAddr, compression: &str) -> Result<Arc<dyn Consumer>, StartError> {
    let yaml = format!("{{endpoint: '{server}', tls: {{insecure: true}}, compression: {compression}}}");
    let (config, _) = read_str(&yaml, grpc::GrpcConfig::read);
    let context = ExporterContext { budget: Budget::new(BUDGET), telemetry: Telemetry::new() };
    Ok(grpc::build("demo", config, &context)?)
}

fn with_ports(pipeline: u16, backend: u16) -> String {
    let yaml = CONFIG.replace("${env:PIPELINE}", &pipeline.to_string());
    yaml.replace("${env:BACKEND}", &backend.to_string())
}

fn read_config(yaml: &str) -> Result<Settings, StartError> {
    let (node, diagnostics) = Loader::new(|_| None).config(format!("yaml:{yaml}")).load();
    let gates = Gates { record_policy: true };
    match node.map(|node| Settings::read(&node, gates, &diagnostics)) {
        Some(settings) if !diagnostics.has_errors() => Ok(settings),
        _ => Err(diagnostics.render(false).into()),
    }
}

/// Writes to standard output, which may be gone: the demo goes on without an audience.
fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}
