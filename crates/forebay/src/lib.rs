//! Reads a configuration, wires components, runs them until it is told to stop.
//!
//! What a configuration says is read in `settings`; which components there are is listed in `components`; `service`
//! starts and stops them. The binary `forebay` is [`main`]; a program that wants the pipelines of a configuration
//! without its connections to the world has them [`embedded`].

mod cli;
mod commands;
mod components;
mod demo;
pub mod embedded;
mod extensions;
mod gates;
mod handles;
pub mod hop;
mod http_server;
mod logging;
mod memory;
pub mod ports;
pub mod raw;
mod run;
mod schema;
mod service;
mod settings;
mod signals;
mod sockaccel;
mod systemd;
mod version;

use std::process::ExitCode;

use clap::Parser;

/// What the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.command {
        None => run::run(&cli.sources),
        Some(cli::Command::Validate(sources)) => commands::validate(&cli.sources.and(sources)),
        Some(cli::Command::Demo { retroactive, keep_running }) => demo::run(retroactive, keep_running),
        Some(cli::Command::Completions { shell }) => commands::shell::completions(shell),
        Some(cli::Command::Components) => commands::components(),
        Some(cli::Command::Convert { from: cli::Convert::Refinery { rules, config } }) => {
            commands::convert::refinery(&rules, config.as_ref())
        }
        Some(cli::Command::Healthcheck { endpoint }) => commands::healthcheck::healthcheck(&endpoint),
        Some(cli::Command::Man { directory }) => commands::shell::man(&directory),
        Some(cli::Command::PrintConfig { sources, unredacted }) => {
            commands::print_config(&cli.sources.and(sources), unredacted)
        }
        Some(cli::Command::Schema { format }) => commands::write_out(&schema::print(format)),
        Some(cli::Command::Sockaccel { command }) => sockaccel::command(command),
    }
}
