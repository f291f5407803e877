//! Compares what a fleet costs that forwards everything, and one that samples retroactively.

use std::io::Write as _;

use clap::Parser;
use forebay_benches::{
    Error,
    fleet::{Arrangement, Cost, Options, run},
};

/// Run a fleet of agents with a gateway in each arrangement, and print what each costs.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Run only these, without a table: to be profiled, or with `--json`.
    #[arg(long, value_enum, value_name = "ARRANGEMENT", value_delimiter = ',')]
    only: Vec<Arrangement>,
    /// Write all figures there as JSON, too.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let Arguments { options, only, json } = Arguments::parse();
    let schedule = options.schedule()?;
    let mut costs = Vec::new();
    let arrangements = if only.is_empty() { &Arrangement::COMPARED[..] } else { &only };
    for &arrangement in arrangements {
        eprintln!("{arrangement:?} …");
        costs.push(run(&options, &schedule, arrangement).await?);
    }
    print(&costs)?;
    if let Some(file) = json {
        std::fs::write(file, serde_json::to_string_pretty(&costs)?)?;
    }
    Ok(())
}

fn print(costs: &[Cost]) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let of = |wanted| costs.iter().find(|cost| cost.arrangement == wanted);
    let (Some(forward), Some(tail)) = (of(Arrangement::Forward), of(Arrangement::Tail)) else {
        return Ok(());
    };
    writeln!(
        out,
        "| | egress, B/span | / tail | evidence, B/piece | ingress, B/span | agents, µs/span | + forward | gateway, \
         µs/span | / tail | CPU in all / tail | peak MiB, agent | gateway | kept | torn | differs from tail | delay, s | at most | horizon, s |"
    )?;
    writeln!(out, "|---|{}", "---:|".repeat(17))?;
    for cost in costs {
        let spans = cost.spans as f64;
        let micros = |seconds: f64| seconds * 1e6 / cost.timed_spans as f64;
        let compared = cost.traces.compare(&tail.traces);
        let mib = |bytes: u64| bytes >> 20;
        writeln!(
            out,
            "| {:?} | {:.1} | {:.3} | {:.1} | {:.2} | {:.2} | {:+.2} | {:.3} | {:.3} | {:.2} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {} |",
            cost.arrangement,
            cost.egress as f64 / spans,
            cost.egress as f64 / tail.egress as f64,
            cost.evidence as f64 / cost.pieces as f64,
            cost.ingress as f64 / spans,
            micros(cost.load.agents_cpu),
            micros(cost.load.agents_cpu - forward.load.agents_cpu),
            micros(cost.load.gateway_cpu),
            cost.load.gateway_cpu / tail.load.gateway_cpu,
            (cost.load.agents_cpu + cost.load.gateway_cpu) / (tail.load.agents_cpu + tail.load.gateway_cpu),
            mib(cost.agent_memory),
            mib(cost.gateway_memory),
            cost.kept,
            cost.torn,
            compared.only_first + compared.only_second,
            cost.delay[0],
            cost.delay[1],
            cost.load.horizon.map_or(String::new(), |horizon| format!("{horizon:.0}")),
        )?;
    }
    Ok(())
}
