//! What the command line asks for.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

use forebay_config::{Diagnostic, Diagnostics, Loader, Node, is_sensitive, print};
use tokio::runtime::{Builder, Runtime};

use crate::cli::Sources;
use crate::components::{ComponentType, EXPORTERS, EXTENSIONS, PROCESSORS, RECEIVERS};
use crate::gates::Gates;
use crate::logging;
use crate::service::Service;
use crate::settings::Settings;
use crate::signals::Signals;

/// The exit code of a second signal during shutdown, as of a process that SIGINT ends.
const INTERRUPTED: i32 = 130;

/// Runs the pipelines of a configuration until it is told to stop.
pub(crate) fn run(sources: &Sources) -> ExitCode {
    let Some(settings) = read(sources) else { return ExitCode::FAILURE };
    logging::start(&settings.telemetry);
    let runtime = match runtime(settings.process.shards) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}")),
    };
    runtime.block_on(async {
        match serve(settings).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => fail(&message),
        }
    })
}

/// Checks a configuration.
pub(crate) fn validate(sources: &Sources) -> ExitCode {
    if read(sources).is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lists the components.
pub(crate) fn components() -> ExitCode {
    let mut text = String::new();
    list("receivers", RECEIVERS, &mut text);
    list("processors", PROCESSORS, &mut text);
    list("exporters", EXPORTERS, &mut text);
    list("extensions", EXTENSIONS, &mut text);
    write_out(&text)
}

/// Prints the configuration that results from all sources.
pub(crate) fn print_config(sources: &Sources, unredacted: bool) -> ExitCode {
    let (node, diagnostics) = load(sources);
    show(&diagnostics);
    match node {
        Some(node) => write_out(&print(&node, &|path| !unredacted && is_sensitive(path))),
        None => ExitCode::FAILURE,
    }
}

/// A thread for each shard; with one shard, everything on the main thread.
pub(crate) fn runtime(shards: usize) -> std::io::Result<Runtime> {
    let mut builder = if shards == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(shards.max(1)).enable_all().build()
}

/// Starts the pipelines and stops them at the first signal; the second ends the process at once.
async fn serve(settings: Settings) -> Result<(), String> {
    let mut signals = Signals::listen().map_err(|error| error.to_string())?;
    let shards = settings.process.shards;
    let memory = settings.process.memory_limit;
    let service = Service::start(settings).await.map_err(|error| error.to_string())?;
    tracing::info!(shards, memory_limit_mib = memory >> 20, "everything is ready");
    signals.next().await;
    tracing::info!("stopping: deciding and delivering what is pending; a second signal ends at once");
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("a second signal: ending at once, what is pending is lost");
        std::process::exit(INTERRUPTED);
    });
    service.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn load(sources: &Sources) -> (Option<Node>, Diagnostics) {
    let mut loader = Loader::new(|name| std::env::var(name).ok());
    for config in &sources.configs {
        loader = loader.config(config);
    }
    for set in &sources.sets {
        loader = loader.set(set);
    }
    loader.load()
}

/// Reads a configuration and shows what is wrong with it; `None` if it cannot be started.
fn read(sources: &Sources) -> Option<Settings> {
    if sources.configs.is_empty() {
        fail("no configuration: give one with --config FILE, or see --help");
        return None;
    }
    let (node, diagnostics) = load(sources);
    let (gates, unknown) = Gates::parse(&sources.feature_gates);
    for gate in unknown {
        diagnostics.add(Diagnostic::warning("", format!("feature gate `{gate}` has no meaning here")));
    }
    let settings = node.map(|node| Settings::read(&node, gates, &diagnostics));
    show(&diagnostics);
    settings.filter(|_| !diagnostics.has_errors())
}

fn show(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        let _ = write!(stderr(), "{}", diagnostics.render(stderr().is_terminal()));
    }
}

fn list<S>(kind: &str, types: &[ComponentType<S>], text: &mut String) {
    text.push_str(kind);
    text.push_str(":\n");
    for component in types {
        let mut names = component.names();
        let name = names.next().unwrap_or_default();
        let aliases: Vec<_> = names.collect();
        let signals: Vec<_> = component.signals.iter().map(|signal| signal.as_str()).collect();
        text.push_str(&format!("  - name: {name}\n"));
        if !aliases.is_empty() {
            text.push_str(&format!("    aliases: [{}]\n", aliases.join(", ")));
        }
        if !signals.is_empty() {
            text.push_str(&format!("    signals: [{}]\n", signals.join(", ")));
        }
    }
}

fn write_out(text: &str) -> ExitCode {
    match stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what is wrong on standard error.
pub(crate) fn fail(message: &str) -> ExitCode {
    // Nowhere is left to complain if standard error is gone.
    let _ = writeln!(stderr(), "error: {message}");
    ExitCode::FAILURE
}
