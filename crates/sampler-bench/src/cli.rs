//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::Placement;
use crate::live::{Compression, Fault, Peer};

/// What sampling strategies cost and what they keep.
#[derive(Debug, Parser)]
#[command(name = "sampler-bench", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compare strategies on a workload, by simulation.
    ///
    /// Ends with status 1 if an assertion does not hold, with 2 if something cannot be done.
    Run(RunArguments),
    /// Compare strategies as real processes in real time, beside their simulation.
    ///
    /// Ends with status 1 if an assertion about the simulation does not hold, with 2 if something cannot be done.
    Live(LiveArguments),
    /// Tell in what two results differ, beyond chance.
    ///
    /// Ends with status 1 if an assertion about the second does not hold, with 2 if something cannot be done.
    Compare(CompareArguments),
    /// Search the best strategy for a budget and a wish, and print its configuration.
    Tune(TuneArguments),
    /// Record what services send, to be a workload.
    Record(RecordArguments),
    /// Write a made-up workload to files, as traces and labels.
    Generate(GenerateArguments),
    /// Show what is in a workload.
    Inspect(WorkloadArguments),
}

/// What is sent.
#[derive(Clone, Debug, Args)]
pub struct WorkloadArguments {
    /// Recorded traces: OTLP/JSON lines, OTLP protobuf or Jaeger's JSON, also compressed by zstd or gzip. Without any, a
    /// workload is made up.
    #[arg(value_name = "FILE")]
    pub traces: Vec<PathBuf>,
    /// Which of the traces are anomalous: CSV with the columns TraceID, label and fault.
    #[arg(long, value_name = "FILE", requires = "traces")]
    pub labels: Option<PathBuf>,
    /// The description of a made-up workload: `shop`, `wide` or a YAML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "shop", conflicts_with = "traces")]
    pub workload: String,
    /// What the made-up workload depends on, beside its description.
    #[arg(long, value_name = "SEED", default_value_t = 1, conflicts_with = "traces")]
    pub workload_seed: u64,
    /// How many spans to hold at most; a span takes some 500 bytes.
    #[arg(long, value_name = "SPANS", default_value_t = 2_000_000)]
    pub span_limit: usize,
    /// How much of it to take, in seconds from its first request on.
    #[arg(long)]
    pub seconds: Option<u32>,
}

/// What to compare.
#[derive(Clone, Debug, Args)]
pub struct StrategyArguments {
    /// A strategy to compare in place of the built-in ones: `NAME=GATEWAY.yaml`, `NAME=agent:AGENT.yaml` or
    /// `NAME=agent:AGENT.yaml,GATEWAY.yaml`, where files are Forebay's configurations.
    #[arg(long = "strategy", value_name = "NAME=FILES")]
    pub strategies: Vec<String>,
    /// Of the built-in strategies, compare only those whose names contain this; also beside `--strategy`.
    #[arg(long, value_name = "TEXT")]
    pub builtin: Vec<String>,
    /// Where agents run: one for each service `instance`, for each `service`, or on so many nodes.
    #[arg(long, value_name = "instance|service|NODES", default_value_t)]
    pub agents: Placement,
}

/// How to simulate.
#[derive(Clone, Debug, Args)]
pub struct SimulationArguments {
    /// How many times to run each strategy, each time with other trace ids.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub first_seed: u64,
    /// How many runs at once; as many as there are cores unless said.
    #[arg(long)]
    pub threads: Option<usize>,
    /// A YAML file with prices: `network_per_gb`, `ingestion_per_gb`, `storage_per_gb_month`, `retention_months`,
    /// `core_hour`, `memory_gb_hour`.
    #[arg(long, value_name = "FILE")]
    pub prices: Option<String>,
}

/// `run`
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    /// What is sent.
    #[command(flatten)]
    pub workload: WorkloadArguments,
    /// The strategies.
    #[command(flatten)]
    pub strategies: StrategyArguments,
    /// How to simulate.
    #[command(flatten)]
    pub simulation: SimulationArguments,
    /// How many seeds for each point of the report's sliders; 0 for no sliders.
    #[arg(long, value_name = "SEEDS", default_value_t = 10)]
    pub sweep_seeds: u64,
    /// The folder that report.html, results.json and results.csv are written to.
    #[arg(long, value_name = "FOLDER", default_value = "sampler-bench")]
    pub out: PathBuf,
    /// What has to hold: `anomaly_recall >= 0.95 && egress_ratio <= 0.1`, for all strategies or, behind its name and a
    /// colon, for one.
    #[arg(long = "assert", value_name = "CONDITION")]
    pub assertions: Vec<String>,
}

/// `live`
#[derive(Clone, Debug, Args)]
pub struct LiveArguments {
    /// What is sent, as fast as it came.
    #[command(flatten)]
    pub workload: WorkloadArguments,
    /// The strategies.
    #[command(flatten)]
    pub strategies: StrategyArguments,
    /// How to simulate them.
    #[command(flatten)]
    pub simulation: SimulationArguments,
    /// The `forebay` that runs them; the one beside this program unless said.
    #[arg(long, value_name = "PATH")]
    pub forebay: Option<PathBuf>,
    /// A Collector that runs those strategies that it knows, too.
    #[arg(long, value_name = "PATH")]
    pub otelcol: Option<PathBuf>,
    /// Another program that samples, in the place of a gateway: a command in which `{listen}` is where it is to take
    /// OTLP over gRPC, `{store}` where to send OTLP over gRPC or Honeycomb's events, and each `{free}` a free address.
    #[arg(long = "peer", value_name = "NAME=COMMAND")]
    pub peers: Vec<Peer>,
    /// The core of agents.
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub agent_core: usize,
    /// The core of the gateway.
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    pub gateway_core: usize,
    /// The core of the services, the proxies between tiers, and the store.
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    pub load_core: usize,
    /// How agents and the gateway compress what they send.
    #[arg(long, value_enum, default_value_t)]
    pub compression: Compression,
    /// What goes wrong, from when after the first request, for how long: `kill-gateway@10s`, `cut-link@10s+5s`,
    /// `burst-10x@10s+5s`.
    #[arg(long = "fault", value_name = "FAULT")]
    pub faults: Vec<Fault>,
    /// Seconds after the last request until everything has to be decided.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    pub settle: u32,
    /// The folder that report.html, results.json and results.csv are written to.
    #[arg(long, value_name = "FOLDER", default_value = "sampler-bench")]
    pub out: PathBuf,
    /// What has to hold of the simulation, as of `run`.
    #[arg(long = "assert", value_name = "CONDITION")]
    pub assertions: Vec<String>,
}

/// `compare`
#[derive(Clone, Debug, Args)]
pub struct CompareArguments {
    /// The results to compare with.
    pub before: PathBuf,
    /// The results to compare.
    pub after: PathBuf,
    /// What has to hold of the latter.
    #[arg(long = "assert", value_name = "CONDITION")]
    pub assertions: Vec<String>,
}

/// `tune`
#[derive(Clone, Debug, Args)]
pub struct TuneArguments {
    /// What is sent.
    #[command(flatten)]
    pub workload: WorkloadArguments,
    /// What it may cost: `egress_ratio <= 0.1`.
    #[arg(long, value_name = "CONDITION", default_value = "egress_ratio <= 0.1")]
    pub budget: String,
    /// The metric that is to be as good as it can be.
    #[arg(long, value_name = "METRIC", default_value = "anomaly_recall")]
    pub wish: String,
    /// How to simulate.
    #[command(flatten)]
    pub simulation: SimulationArguments,
}

/// `record`
#[derive(Clone, Debug, Args)]
pub struct RecordArguments {
    /// Where to listen for OTLP over gRPC; without a host, on all interfaces.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4317")]
    pub listen: String,
    /// Where to listen for OTLP over HTTP, if that is wanted.
    #[arg(long, value_name = "HOST:PORT")]
    pub http: Option<String>,
    /// The file: JSON lines, or protobuf if its name ends in `.binpb` or `.pb`.
    #[arg(long, value_name = "FILE", default_value = "traces.jsonl")]
    pub out: PathBuf,
    /// Stop after so many seconds.
    #[arg(long)]
    pub seconds: Option<u32>,
}

/// `generate`
#[derive(Clone, Debug, Args)]
pub struct GenerateArguments {
    /// The description: `shop`, `wide` or a YAML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "shop")]
    pub workload: String,
    /// What the workload depends on, beside its description.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub workload_seed: u64,
    /// The folder that traces.jsonl.zst and labels.csv are written to.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub out: PathBuf,
}
