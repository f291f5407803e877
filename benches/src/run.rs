//! One measurement: a system, a scenario and a load.
//!
//! The system under test has one core to itself; the generator and the sink share the other. What the system
//! has spent before the load starts is not counted, what it spends until the last span is out is.

use std::{
    collections::BTreeMap,
    env, fmt,
    fs::{self, File},
    io::BufReader,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::builder::PossibleValue;
use serde::{Serialize, Serializer};

use self::backend::Backend;
use crate::{
    Error,
    compare::Kept,
    load, proc,
    process::{Process, free_addresses, pinned},
};

mod backend;

/// How long a system may take to listen, and to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the system has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Keep traces with errors, slow traces and 5 % of the others.
    Tail,
    /// Keep 10 % of the traces by their id.
    Probabilistic,
    /// Receive and send on.
    Pass,
    /// Receive and forget: a bare tonic server which does not look at what it is sent.
    Floor,
    /// `Probabilistic` in this mode, of a file in `peers/config/modes`.
    Mode(&'static str),
    /// `Tail` with the policies of a file in `peers/config/policies`, of this name.
    Policies(&'static str),
}

/// Scenarios whose policies keep a rate. Which traces those choose depends on when each came.
const LIMITED: [&str; 3] = ["rate_limiting", "bytes_limiting", "composite"];

impl Scenario {
    /// What is measured unless something else is asked for.
    pub const USUAL: [Self; 4] = [Self::Tail, Self::Probabilistic, Self::Pass, Self::Floor];

    /// All: the usual ones, each mode of head sampling, each type of policy, and many policies at once.
    pub const ALL: [Self; 23] = [
        Self::Tail,
        Self::Probabilistic,
        Self::Pass,
        Self::Floor,
        Self::Mode("equalizing"),
        Self::Mode("hash_seed"),
        Self::Mode("proportional"),
        Self::Policies("status_code"),
        Self::Policies("latency"),
        Self::Policies("numeric_attribute"),
        Self::Policies("string_attribute"),
        Self::Policies("string_attribute_regex"),
        Self::Policies("boolean_attribute"),
        Self::Policies("span_count"),
        Self::Policies("trace_state"),
        Self::Policies("and"),
        Self::Policies("not"),
        Self::Policies("drop"),
        Self::Policies("rate_limiting"),
        Self::Policies("bytes_limiting"),
        Self::Policies("composite"),
        Self::Policies("ottl"),
        Self::Policies("many"),
    ];

    /// The name in reports, and of the configuration file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tail => "tail",
            Self::Probabilistic => "probabilistic",
            Self::Pass => "pass",
            Self::Floor => "floor",
            Self::Mode(name) | Self::Policies(name) => name,
        }
    }

    /// The configuration files, each merged over those before.
    #[must_use]
    pub fn configs(self) -> Vec<PathBuf> {
        match self {
            Self::Mode(name) => vec![config("probabilistic"), config(&format!("modes/{name}"))],
            Self::Policies(name) => vec![config("tail"), config(&format!("policies/{name}"))],
            _ => vec![config(self.name())],
        }
    }

    /// Whether two systems have to keep the same traces.
    #[must_use]
    pub fn is_comparable(self) -> bool {
        self != Self::Floor && !LIMITED.contains(&self.name())
    }
}

impl clap::ValueEnum for Scenario {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How much is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// A fixed number of spans at a fixed rate: every system gets the same.
    Paced,
    /// As much as the system takes.
    FlatOut,
}

impl Load {
    /// Both loads.
    pub const ALL: [Self; 2] = [Self::Paced, Self::FlatOut];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paced => "paced",
            Self::FlatOut => "flat out",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum System {
    /// A program that takes a Collector's configuration.
    Collector {
        /// The name in reports.
        name: &'static str,
        /// The executable.
        program: PathBuf,
        /// Configuration files beyond the scenario's.
        configs: Vec<PathBuf>,
    },
    /// The floor.
    BareServer,
}

impl System {
    /// The name in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Collector { name, .. } => name,
            Self::BareServer => "bare tonic server",
        }
    }
}

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The system.
    pub system: &'a System,
    /// What it has to do.
    pub scenario: Scenario,
    /// How much it is sent.
    pub load: Load,
    /// Counted from 0. Every round has its own trace ids, the same for all systems.
    pub round: u32,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.system.name(), self.scenario.name(), self.load.name())
    }
}

/// What a system did and what it took.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The system's name.
    pub system: &'static str,
    /// What it had to do.
    pub scenario: Scenario,
    /// How much it was sent.
    pub load: Load,
    /// The systems of a round were measured one right after the other.
    pub round: u32,
    /// User and system CPU time per span sent, in microseconds.
    pub cpu_us_per_span: f64,
    /// The most memory that was resident, in MiB.
    pub peak_rss_mib: f64,
    /// The memory that was resident before anything was sent, in MiB.
    pub idle_rss_mib: f64,
    /// Spans taken per second.
    pub spans_per_second: f64,
    /// Spans sent.
    pub sent: u64,
    /// Spans refused.
    pub refused: u64,
    /// Spans that came out.
    pub received: u64,
    /// Requests in which they came out.
    pub received_requests: u64,
    /// Share of the system's core that others used meanwhile: the more, the less the figures are worth.
    pub disturbance: f64,
    /// Why spans were refused, and how often.
    pub refusals: BTreeMap<String, u64>,
    /// The traces that came out, where every system was sent the same.
    #[serde(skip)]
    pub kept: Option<Kept>,
}

/// How measurements are made.
#[derive(Clone, Debug, Serialize, clap::Args)]
pub struct Bench {
    /// The core of the system under test.
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub system_core: usize,
    /// The core of the load generator and the sink.
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub load_core: usize,
    /// Spans per second of the paced load.
    #[arg(long, default_value_t = 51_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: u64,
    /// How long the paced load lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub paced: u64,
    /// How long the load lasts that is as high as the system takes.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub flat_out: u64,
    /// How long a system is left alone before its idle memory is read.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub idle: u64,
}

impl Bench {
    /// Starts everything, sends the load, waits until nothing more comes out, and stops everything.
    ///
    /// # Errors
    /// If anything cannot be started or ends before its time. The message then ends with the system's log.
    pub fn measure(&self, case: Case<'_>) -> Result<Measurement, Error> {
        let files = tempfile::tempdir()?;
        let log = files.path().join("log");
        self.measure_in(files.path(), &log, case).map_err(|error| {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let skipped = log.lines().count().saturating_sub(20);
            let log: String = log.lines().skip(skipped).map(|line| format!("\n  | {line}")).collect();
            format!("{case}: {error}{log}").into()
        })
    }

    fn measure_in(&self, files: &Path, log: &Path, case: Case<'_>) -> Result<Measurement, Error> {
        let [listen, backend] = free_addresses()?;
        // Flat out, remembering every trace would make the sink the slowest of the three.
        let record = (case.load == Load::Paced && case.scenario.is_comparable()).then(|| files.join("kept"));
        let mut sink = Backend::start(self.load_core, backend, record.as_deref())?;
        let mut command = self.command(case, listen, backend)?;
        let log = File::create(log)?;
        let mut system = Process::start(case.system.name(), command.stdout(log.try_clone()?).stderr(log))?;
        system.wait_until(PATIENCE, || TcpStream::connect(listen).is_ok())?;
        thread::sleep(Duration::from_secs(self.idle));

        let idle = proc::memory(system.id())?;
        let begun = Instant::now();
        let (cpu, core) = (proc::cpu_time(system.id())?, proc::core_time(self.system_core)?);
        let sent = self.send(case, listen)?;
        sink.wait_until_quiet()?;
        let cpu = proc::cpu_time(system.id())?.saturating_sub(cpu);
        let core = proc::core_time(self.system_core)?.saturating_sub(core);
        let disturbance = core.saturating_sub(cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
        let peak = proc::memory(system.id())?.peak;

        system.terminate(PATIENCE)?;
        let received = sink.finish()?;
        let kept = record.map(|file| Kept::read(BufReader::new(File::open(file)?))).transpose()?;
        Ok(Measurement {
            system: case.system.name(),
            scenario: case.scenario,
            load: case.load,
            round: case.round,
            cpu_us_per_span: cpu.as_secs_f64() * 1e6 / sent.spans as f64,
            peak_rss_mib: mib(peak),
            idle_rss_mib: mib(idle.resident),
            spans_per_second: (sent.spans - sent.refused) as f64 / sent.elapsed_seconds,
            sent: sent.spans,
            refused: sent.refused,
            received: received.spans,
            received_requests: received.requests,
            disturbance,
            refusals: sent.refusals,
            kept,
        })
    }

    fn command(&self, case: Case<'_>, listen: SocketAddr, backend: SocketAddr) -> Result<Command, Error> {
        match case.system {
            System::BareServer => {
                let mut command = pinned(self.system_core, sibling("sink")?);
                command.arg("--discard").arg("--listen").arg(listen.to_string());
                Ok(command)
            }
            System::Collector { program, configs, .. } => {
                let mut command = pinned(self.system_core, program);
                command.env("PEERS_LISTEN", listen.to_string()).env("PEERS_BACKEND", backend.to_string());
                // Go 1.25 and later sees the affinity by itself, older ones start a thread per core.
                command.env("GOMAXPROCS", "1");
                for file in case.scenario.configs().iter().chain(configs) {
                    command.arg("--config").arg(file);
                }
                Ok(command)
            }
        }
    }

    fn send(&self, case: Case<'_>, listen: SocketAddr) -> Result<load::Report, Error> {
        let mut command = pinned(self.load_core, sibling("loadgen")?);
        command.arg("--endpoint").arg(listen.to_string()).arg("--seed").arg((case.round + 1).to_string());
        match case.load {
            Load::Paced => {
                command.arg("--rate").arg(self.rate.to_string()).arg("--seconds").arg(self.paced.to_string())
            }
            Load::FlatOut => command.arg("--seconds").arg(self.flat_out.to_string()),
        };
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("the load generator ended with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// A configuration file of the comparison.
#[must_use]
pub fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/config").join(name).with_extension("yaml")
}

/// Another binary of this crate.
fn sibling(name: &str) -> Result<PathBuf, Error> {
    let path = env::current_exe()?.with_file_name(name);
    if !path.exists() {
        let path = path.display();
        return Err(
            format!("{path} is missing; build it with `cargo build --release -p forebay-benches`").into()
        );
    }
    Ok(path)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
