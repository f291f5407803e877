//! `forebay sockaccel check`, `run` and `bench`.

use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use sockaccel_bpf::{Accelerator, Counter, Options, Stats, requirements, self_test};

use super::bench::{Part, bench};
use super::config::{PORTS, default_cgroup};
use crate::commands::{fail, write_out};
use crate::run::runtime;
use crate::signals::Signals;

/// What `forebay sockaccel` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Say what this host supports, what is missing, and how to grant it. Fails if something is missing.
    Check,
    /// Accelerate connections until SIGINT or SIGTERM. Prints `ready` once it does.
    Run {
        /// Among sockets made in this cgroup or below it [default: all cgroups].
        #[arg(long, value_name = "PATH")]
        cgroup: Option<PathBuf>,
        /// Which connections.
        #[command(flatten)]
        connections: Connections,
    },
    /// Compare TCP, redirected TCP and Unix sockets on this host, in a cgroup of its own.
    Bench {
        /// Make that cgroup below this one [default: all cgroups].
        #[arg(long, value_name = "PATH")]
        cgroup: Option<PathBuf>,
        /// Measure these parts only.
        #[arg(long, value_name = "PARTS", value_delimiter = ',')]
        only: Vec<Part>,
        /// How often each is measured; what is shown is the median.
        #[arg(long, value_name = "N", default_value_t = 11)]
        rounds: usize,
        /// Draw the tables into this directory, too.
        #[arg(long, value_name = "DIRECTORY")]
        svg: Option<PathBuf>,
    },
}

/// Which connections are accelerated.
#[derive(Args, Debug)]
pub(crate) struct Connections {
    /// Those to these ports.
    #[arg(long, value_name = "PORTS", value_delimiter = ',', default_values_t = PORTS)]
    ports: Vec<u16>,
    /// Those that the kernel redirects to a proxy at these ports.
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    mesh_ports: Vec<u16>,
    /// Bytes that a receiver may leave unread before its sender goes back to TCP.
    #[arg(long, value_name = "BYTES", default_value_t = Options::default().max_inflight_bytes)]
    max_inflight_bytes: u64,
    /// Go on where the self-test finds the kernel unsafe.
    #[arg(long)]
    allow_unsafe_kernel: bool,
}

/// How long redirected connections may take to go back to TCP at the end.
const DETACHING: Duration = Duration::from_secs(2);

/// Does what the command line asks for.
pub(crate) fn command(command: Command) -> ExitCode {
    let below = |cgroup: Option<PathBuf>| cgroup.unwrap_or_else(default_cgroup);
    match command {
        Command::Check => check(),
        Command::Run { cgroup, connections } => run(&below(cgroup), &connections.into()),
        Command::Bench { cgroup, only, rounds, svg } => {
            let parts = if only.is_empty() { Part::value_variants() } else { &only };
            bench(&below(cgroup), parts, rounds, svg.as_deref())
        }
    }
}

impl From<Connections> for Options {
    fn from(connections: Connections) -> Self {
        let Connections { ports, mesh_ports, max_inflight_bytes, allow_unsafe_kernel } = connections;
        Self { ports, mesh_ports, max_inflight_bytes, allow_unsafe_kernel, ..Self::default() }
    }
}

fn check() -> ExitCode {
    let mut text = String::new();
    let requirements = requirements::all();
    for requirement in &requirements {
        text += &format!("{} {requirement}\n", mark(requirement.is_met()));
    }
    let able = requirements.iter().all(requirements::Requirement::is_met);
    let passed = able.then(self_test);
    text += &match &passed {
        None => format!("{} self-test: not made, since something is missing\n", mark(false)),
        Some(Ok(())) => format!(
            "{} self-test: a connection on loopback was redirected, complete, and within its bound\n",
            mark(true)
        ),
        Some(Err(error)) => format!("{} self-test: {error}\n", mark(false)),
    };
    let succeeded = write_out(&text) == ExitCode::SUCCESS && matches!(passed, Some(Ok(())));
    if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn mark(met: bool) -> &'static str {
    if met { "ok     " } else { "missing" }
}

/// Accelerates connections in a cgroup until SIGINT or SIGTERM.
pub(crate) fn run(cgroup: &Path, options: &Options) -> ExitCode {
    let accelerator = match Accelerator::attach(cgroup, options) {
        Ok(accelerator) => accelerator,
        Err(error) => return fail(&error.to_string()),
    };
    let waited = runtime(1).and_then(|runtime| {
        runtime.block_on(async {
            let mut signals = Signals::listen()?;
            writeln!(stdout(), "ready")?;
            signals.end().await;
            io::Result::Ok(())
        })
    });
    let detached = accelerator.detach(DETACHING);
    match (waited, detached) {
        (Ok(()), Ok(stats)) => write_out(&summary(&stats)),
        (Err(error), _) => fail(&format!("cannot wait for a signal: {error}")),
        (_, Err(error)) => fail(&error.to_string()),
    }
}

fn summary(stats: &Stats) -> String {
    let [sockets, redirected, passed] =
        [Counter::SocketsTracked, Counter::BytesRedirected, Counter::BytesPassed]
            .map(|counter| stats.get(counter));
    format!("{sockets} sockets were considered; {redirected} bytes were redirected, {passed} went by TCP\n")
}
