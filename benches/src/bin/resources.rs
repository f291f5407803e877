//! What each role needs: memory, and CPU by rate.

use std::io::Write as _;

use clap::Parser;
use forebay_benches::{
    Error,
    fleet::{Arrangement, Cost, Options, run, start_up_time},
};

/// Run one agent and one gateway in each role at each rate, and print what each role needs.
#[derive(Parser)]
struct Arguments {
    /// The binary.
    #[arg(long, default_value = "target/release/forebay")]
    forebay: std::path::PathBuf,
    /// Spans per second.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 50_000])]
    rates: Vec<usize>,
    /// How long to send at each rate, after a warm-up.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    seconds: usize,
    /// How long to send before that.
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    warm_up: usize,
    /// How often to measure how long starting takes.
    #[arg(long, default_value_t = 21)]
    starts: usize,
}

/// A role, the arrangement in which somebody has it, and whether that is the agent.
const ROLES: [(&str, Arrangement, bool); 5] = [
    ("sidecar, keeps 10 % by chance", Arrangement::Head, true),
    ("agent, forwards everything", Arrangement::Forward, true),
    ("gateway, tail sampling, waits 5 s", Arrangement::Tail, false),
    ("agent, retroactive", Arrangement::Retroactive, true),
    ("gateway, retroactive", Arrangement::Retroactive, false),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    let options = |rate| Options {
        forebay: arguments.forebay.clone(),
        agents: 1,
        rate,
        seconds: arguments.seconds,
        warm_up: arguments.warm_up,
        seed: 1,
        workload: None,
    };
    let mut measured = Vec::new();
    for &rate in &arguments.rates {
        let options = options(rate);
        let schedule = options.schedule()?;
        for arrangement in
            [Arrangement::Head, Arrangement::Forward, Arrangement::Tail, Arrangement::Retroactive]
        {
            eprintln!("{arrangement:?} at {rate} spans/s …");
            measured.push((rate, run(&options, &schedule, arrangement).await?));
        }
    }
    let mut starts = Vec::new();
    for _ in 0..arguments.starts {
        starts.push(start_up_time(&options(0))?);
    }
    starts.sort_unstable();
    let mut out = std::io::stdout().lock();
    print(&mut out, &arguments, &measured)?;
    if let (Some(median), Some(slowest)) = (starts.get(starts.len() / 2), starts.last()) {
        writeln!(
            out,
            "\nA sidecar takes connections {median:.1?} after it is started (median of {}; the slowest {slowest:.1?}).",
            starts.len()
        )?;
    }
    Ok(())
}

fn print(
    out: &mut impl std::io::Write,
    arguments: &Arguments,
    measured: &[(usize, Cost)],
) -> Result<(), Error> {
    writeln!(out, "| role | spans/s | CPU, thousandths of a core | µs a span | peak memory, MiB |")?;
    writeln!(out, "|---|---:|---:|---:|---:|")?;
    for (role, arrangement, is_agent) in ROLES {
        for (rate, cost) in measured.iter().filter(|(_, cost)| cost.arrangement == arrangement) {
            let (cpu, memory) = if is_agent {
                (cost.load.agents_cpu, cost.agent_memory)
            } else {
                (cost.load.gateway_cpu, cost.gateway_memory)
            };
            writeln!(
                out,
                "| {role} | {rate} | {:.0} | {:.2} | {:.1} |",
                cpu / arguments.seconds as f64 * 1e3,
                cpu * 1e6 / cost.timed_spans as f64,
                memory as f64 / f64::from(1 << 20),
            )?;
        }
    }
    Ok(())
}
