//! The command line, as the Collector's.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use http::Uri;

use crate::version;

use crate::schema::Format;

/// A trace sampling pipeline in the style of the OpenTelemetry Collector.
///
/// Without a command, runs the pipelines of the configuration until SIGINT or SIGTERM.
#[derive(Debug, Parser)]
#[command(version, long_version = version::long(), args_conflicts_with_subcommands = false, subcommand_negates_reqs = true)]
pub(crate) struct Cli {
    /// What to run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Where the configuration comes from.
    #[command(flatten)]
    pub(crate) sources: Sources,
}

/// Everything but running pipelines.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a configuration: everything that would fail at start fails here.
    Validate(Sources),
    /// Replay recorded traces through a tail-sampling pipeline and show what is kept and why. Needs nothing else.
    Demo {
        /// Run a fleet of one coordinator and five agents, and compare it with forwarding everything.
        #[arg(long, conflicts_with = "keep_running")]
        retroactive: bool,
        /// Leave the pipeline listening afterwards, with the configuration that is printed.
        #[arg(long)]
        keep_running: bool,
    },
    /// Print what the configuration of another system is here. What has no equivalent is listed on standard error.
    Convert {
        /// Which system's.
        #[command(subcommand)]
        from: Convert,
    },
    /// List the components that configurations can use.
    Components,
    /// Ask the extension `health_check` of a running Forebay; fails unless its pipelines run.
    Healthcheck {
        /// Where the extension listens.
        #[arg(long, value_name = "URL", default_value = "http://localhost:13133/")]
        endpoint: Uri,
    },
    /// Print the configuration that results from all sources.
    PrintConfig {
        /// Where the configuration comes from.
        #[command(flatten)]
        sources: Sources,
        /// Print passwords, tokens and headers instead of `[REDACTED]`.
        #[arg(long)]
        unredacted: bool,
    },
    /// Print all that a configuration may say: for editors, as a configuration, or as a page.
    Schema {
        /// As what.
        #[arg(long, value_enum, default_value_t = Format::JsonSchema)]
        format: Format,
    },
    /// Connections on this host without the TCP stack: what the extension `sockaccel` does, tried out.
    Sockaccel {
        /// What to do.
        #[command(subcommand)]
        command: crate::sockaccel::Command,
    },
    /// Print what completes these commands in a shell.
    Completions {
        /// Which shell.
        shell: Shell,
    },
    /// Write man pages, one for each command.
    Man {
        /// Where to.
        #[arg(value_name = "DIRECTORY")]
        directory: PathBuf,
    },
}

/// Configurations that can be converted.
#[derive(Debug, Subcommand)]
pub(crate) enum Convert {
    /// The sampling rules of Honeycomb's Refinery, version 2, in YAML or TOML.
    Refinery {
        /// The rules file.
        #[arg(value_name = "RULES")]
        rules: PathBuf,
        /// The configuration of the Refinery that uses it.
        #[arg(value_name = "CONFIG")]
        config: Option<PathBuf>,
    },
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Sources {
    /// A configuration: a path, `file:PATH`, `env:NAME` or `yaml:TEXT`. Repeat to merge several, later ones
    /// winning.
    #[arg(long = "config", value_name = "URI")]
    pub(crate) configs: Vec<String>,
    /// Set one value, `processors.batch.timeout=2s`, after all configurations. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) sets: Vec<String>,
    /// Feature gates to switch, comma-separated: `name` or `+name` on, `-name` off.
    #[arg(long, value_name = "GATES", value_delimiter = ',', allow_hyphen_values = true)]
    pub(crate) feature_gates: Vec<String>,
}

impl Sources {
    /// These and then `other`, for flags on both sides of a command.
    #[must_use]
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.configs.extend(other.configs);
        self.sets.extend(other.sets);
        self.feature_gates.extend(other.feature_gates);
        self
    }
}
