//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Tell in what two results differ, beyond chance.
    ///
    /// Ends with status 1 if an assertion about the second does not hold, with 2 if something cannot be done.
    Compare(CompareArguments),
    /// Search the best strategy for a budget and a wish, and print its configuration.
    Tune(TuneArguments),
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
    /// A strategy to compare in place of the built-in ones: `NAME=GATEWAY.yaml`, `NAME=agent:AGENT.yaml` or
    /// `NAME=agent:AGENT.yaml,GATEWAY.yaml`, where files are Forebay's configurations.
    #[arg(long = "strategy", value_name = "NAME=FILES")]
    pub strategies: Vec<String>,
    /// Of the built-in strategies, compare only those whose names contain this; also beside `--strategy`.
    #[arg(long, value_name = "TEXT")]
    pub builtin: Vec<String>,
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
