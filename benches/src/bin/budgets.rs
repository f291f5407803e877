//! Prints how well allocators keep to their budgets on made-up and recorded traffic.

use std::path::PathBuf;

use clap::Parser;
use fastrand::Rng;
use forebay_allocators::Goal;
use forebay_benches::Error;
use forebay_benches::budgets::contenders;
use forebay_benches::budgets::traffic::{SECONDS, SYNTHETIC, Second, recorded};

/// Compare the budgets of water filling with those of Refinery's algorithms.
#[derive(Parser)]
struct Arguments {
    /// The share of spans to keep, and, of the mean, the spans per second.
    #[arg(long, default_value_t = 0.05)]
    share: f64,
    /// Seed of what is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Recordings, as OTLP/JSON lines in zstd.
    recordings: Vec<PathBuf>,
}

fn main() -> Result<(), Error> {
    let arguments = Arguments::parse();
    println!("| traffic | goal | allocator | deviation expected | deviation kept | rare kinds kept |");
    println!("|---|---|---|---|---|---|");
    for (name, make) in SYNTHETIC {
        compare(name, &make(&mut Rng::with_seed(arguments.seed), SECONDS), arguments.share);
    }
    for file in &arguments.recordings {
        let traffic = recorded(&mut Rng::with_seed(arguments.seed), file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        compare(name.split('.').next().unwrap_or(&name), &traffic, arguments.share);
    }
    Ok(())
}

fn compare(name: &str, traffic: &[Second], share: f64) {
    let spans: f64 = traffic.iter().flatten().map(|trace| f64::from(trace.spans)).sum();
    for contender in contenders(share, spans / traffic.len() as f64) {
        let goal = match contender.goal {
            Goal::Share(share) => format!("{:.1} %", share * 100.0),
            Goal::SpansPerSecond(rate) => format!("{rate:.0}/s"),
        };
        let allocator = contender.name;
        let figures = contender.run(traffic);
        let [expected, kept] = [figures.expected, figures.kept].map(|part| part * 100.0);
        let rare = figures.rare.map_or_else(|| "none".to_owned(), |rare| format!("{:.1} %", rare * 100.0));
        println!("| {name} | {goal} | {allocator} | {expected:.1} % | {kept:.1} % | {rare} |");
    }
}
