//! The `forebay` binary: reads a configuration, wires components, runs them until it is told to stop.
//!
//! What a configuration says is read in [`settings`]; which components there are is listed in
//! [`components`]; [`service`] starts and stops them.

mod adaptive_sources;
mod cli;
mod commands;
mod components;
mod demo;
mod extensions;
mod gates;
mod http_server;
mod logging;
mod memory;
mod run;
mod service;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

/// Chosen for its speed with many small and short-lived blocks, and for giving memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.command {
        None => run::run(&cli.sources),
        Some(cli::Command::Validate(sources)) => commands::validate(&cli.sources.and(sources)),
        Some(cli::Command::Demo { keep_running }) => demo::run(keep_running),
        Some(cli::Command::Components) => commands::components(),
        Some(cli::Command::Convert { from: cli::Convert::Refinery { rules, config } }) => {
            commands::convert::refinery(&rules, config.as_ref())
        }
        Some(cli::Command::PrintConfig { sources, unredacted }) => {
            commands::print_config(&cli.sources.and(sources), unredacted)
        }
    }
}
