//! The process's life: it runs a configuration, another one when it is told to read it again, and ends when it is
//! told to.
//!
//! A reload is a stop and a start in one process, and what can go wrong with it is found before the stop: a
//! configuration with mistakes changes nothing. Should the new one not start all the same, since an address of it
//! is taken, the old one goes on. What is pending is decided and delivered in between, as whenever pipelines stop;
//! what samplers have learned stays.

use std::process::ExitCode;

use forebay_samplers::tail::LearnedRates;
use tokio::runtime::{Builder, Runtime};

use crate::cli::Sources;
use crate::commands::{Configuration, fail};
use crate::logging;
use crate::service::{Service, ServiceError};
use crate::settings::Settings;
use crate::signals::{Request, Signals};
use crate::systemd;

/// The exit code of a second signal during shutdown, as of a process that SIGINT ends.
const INTERRUPTED: i32 = 130;

/// Runs the pipelines of a configuration until it is told to stop.
pub(crate) fn run(sources: &Sources) -> ExitCode {
    let Some((configuration, settings)) = Configuration::read(sources) else { return ExitCode::FAILURE };
    logging::start(&settings.telemetry);
    if let Err(error) = forebay_receiver::inherit_sockets() {
        return fail(&format!("cannot use the sockets of the service manager (LISTEN_FDS): {error}"));
    }
    let runtime = match runtime(settings.process.shards) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}")),
    };
    match runtime.block_on(serve(sources, configuration, settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(&message),
    }
}

/// A thread for each shard; with one shard, everything on the main thread.
pub(crate) fn runtime(shards: usize) -> std::io::Result<Runtime> {
    let mut builder = if shards == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(shards.max(1)).enable_all().build()
}

/// Starts the pipelines and stops them at the first signal; the second ends the process at once.
async fn serve(sources: &Sources, mut running: Configuration, settings: Settings) -> Result<(), String> {
    let mut signals = Signals::listen().map_err(|error| error.to_string())?;
    let learned = LearnedRates::default();
    let mut service = start(settings, &learned).await.map_err(|error| error.to_string())?;
    tokio::spawn(systemd::alive());
    systemd::ready();
    while signals.next().await == Request::Reload {
        tracing::info!("reading the configuration again");
        systemd::reloading();
        let Some((configuration, settings)) = Configuration::read(sources) else {
            tracing::error!("the configuration has mistakes: what runs goes on as it is");
            systemd::ready();
            continue;
        };
        service.stop().await;
        service = match start(settings, &learned).await {
            Ok(service) => {
                running = configuration;
                service
            }
            Err(error) => {
                tracing::error!(%error, "the new configuration does not start: back to the one before");
                let settings = running.again().ok_or("the configuration before cannot be read any more")?;
                start(settings, &learned).await.map_err(|error| error.to_string())?
            }
        };
        systemd::ready();
    }
    systemd::stopping();
    tracing::info!("stopping: deciding and delivering what is pending; a second signal ends at once");
    tokio::spawn(async move {
        signals.end().await;
        tracing::warn!("a second signal: ending at once, what is pending is lost");
        std::process::exit(INTERRUPTED);
    });
    service.stop().await;
    tracing::info!("stopped");
    Ok(())
}

async fn start(settings: Settings, learned: &LearnedRates) -> Result<Service, ServiceError> {
    let shards = settings.process.shards;
    let memory_limit_mib = settings.process.memory_limit >> 20;
    let service = Service::start(settings, learned).await?;
    for socket in forebay_receiver::unused_sockets() {
        tracing::warn!(%socket, "no endpoint of the configuration is this socket of the service manager");
    }
    tracing::info!(shards, memory_limit_mib, "everything is ready");
    Ok(service)
}
