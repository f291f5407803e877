//! Compares Forebay with the OpenTelemetry Collector on this machine. See `peers/README.md`.

use std::{fs::File, path::PathBuf, process::ExitCode};

use clap::Parser;
use forebay_benches::{
    Error,
    report::Group,
    run::{Bench, Case, Load, Measurement, Scenario, System, config},
};
use sampler_bench::machine::Machine;
use serde::Serialize;

/// Compare Forebay with the OpenTelemetry Collector: same configuration, same load, one core each.
///
/// Ends with status 1 if the two kept different traces or tore some apart, with 2 if something could not be run.
#[derive(Parser)]
struct Arguments {
    /// Forebay's executable.
    #[arg(long, value_name = "PATH")]
    forebay: Option<PathBuf>,
    /// The Collector's executable, as `peers/build-otelcol` builds it.
    #[arg(long, value_name = "PATH")]
    otelcol: Option<PathBuf>,
    /// Run Forebay on the shared configuration alone. Lets another Collector stand in for it: how far
    /// measurements of the same thing differ is the noise of the machine.
    #[arg(long)]
    no_compat: bool,
    /// What the systems have to do.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Scenario::USUAL)]
    scenario: Vec<Scenario>,
    /// How much they are sent.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Load::ALL)]
    load: Vec<Load>,
    /// How often to measure everything.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write all measurements and the summary to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    bench: Bench,
}

fn main() -> ExitCode {
    match compare(Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Measures and reports; whether everything that came out is what had to.
fn compare(arguments: Arguments) -> Result<bool, Error> {
    let collectors = collectors(&arguments);
    let mut measurements = Vec::new();
    for round in 0..arguments.rounds {
        for &scenario in &arguments.scenario {
            let mut systems = if scenario == Scenario::Floor {
                vec![&System::BareServer]
            } else {
                collectors.iter().collect()
            };
            // Who comes second finds the machine warmer; that evens out.
            if round % 2 == 1 {
                systems.reverse();
            }
            for &load in &arguments.load {
                for system in &systems {
                    let case = Case { system, scenario, load, round };
                    eprintln!("round {} of {}: {case}", round + 1, arguments.rounds);
                    measurements.push(arguments.bench.measure(case)?);
                }
            }
        }
    }

    let machine = Machine::read()?;
    println!("{machine}\n");
    let loads = |scenario| arguments.load.iter().map(move |&load| (scenario, load));
    let cases = arguments.scenario.iter().flat_map(|&scenario| loads(scenario));
    let groups: Vec<_> =
        cases.filter_map(|(scenario, load)| Group::new(&measurements, scenario, load)).collect();
    for group in &groups {
        println!("{group}");
    }
    if let Some(file) = &arguments.json {
        let report =
            Report { machine, bench: arguments.bench, summary: &groups, measurements: &measurements };
        serde_json::to_writer_pretty(File::create(file)?, &report)?;
    }
    Ok(groups.iter().all(Group::sound))
}

/// What `--json` writes.
#[derive(Serialize)]
struct Report<'a> {
    machine: Machine,
    bench: Bench,
    summary: &'a [Group],
    measurements: &'a [Measurement],
}

fn collectors(arguments: &Arguments) -> Vec<System> {
    let collector = |name, program: &Option<PathBuf>, configs| {
        program.clone().map(|program| System::Collector { name, program, configs })
    };
    let compat = if arguments.no_compat { Vec::new() } else { vec![config("forebay-compat")] };
    let collectors = [
        collector("forebay", &arguments.forebay, compat),
        collector("otelcol", &arguments.otelcol, Vec::new()),
    ];
    collectors.into_iter().flatten().collect()
}
