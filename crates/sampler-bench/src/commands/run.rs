//! `run` and `tune`.

use std::env;
use std::fs::{self, File};
use std::io::BufWriter;
use std::iter;
use std::path::Path;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Error, check, describe, load, read_assertions, say, strategies};
use crate::cli::{RunArguments, SimulationArguments, TuneArguments};
use crate::cost::Prices;
use crate::machine::Machine;
use crate::results::{MetricInfo, Results, StrategyResult, VERSION, WorkloadSummary, summary};
use crate::run::Comparison;
use crate::tune::{Space, Tuning, best};
use crate::{Strategy, Traffic, Workload, report, sweep};

pub(super) fn run(arguments: &RunArguments) -> Result<ExitCode, Error> {
    // What is wrong with the command line is told before the work.
    let assertions = read_assertions(&arguments.assertions)?;
    let prices = prices(&arguments.simulation)?;
    let workload = load(&arguments.workload)?;
    let traffic = Traffic::of(&workload);
    let chosen = strategies::chosen(&arguments.strategies, &traffic)?;
    let about = WorkloadSummary::of(&workload);
    say(&describe(&about));

    let simulation = &arguments.simulation;
    let compared = compare(&workload, &chosen, simulation, simulation.seeds, prices, "comparing")?;
    let mut family = if arguments.sweep_seeds > 0 { sweep(&traffic)? } else { Vec::new() };
    family.iter_mut().for_each(|member| member.placement = arguments.strategies.agents);
    let swept = compare(&workload, &family, simulation, arguments.sweep_seeds, prices, "sliders")?;
    let results = Results { sweep: swept, ..results(about, simulation, prices, compared) };
    write(&results, &arguments.out)?;
    say(&summary(&results));
    say(&format!("written: {}", arguments.out.join("report.html").display()));
    Ok(check(&assertions, &results))
}

pub(super) fn tune(arguments: &TuneArguments) -> Result<ExitCode, Error> {
    let tuning = Tuning::new(&arguments.budget, &arguments.wish)?;
    let prices = prices(&arguments.simulation)?;
    let workload = load(&arguments.workload)?;
    let simulation = &arguments.simulation;
    let found = Space::of(&workload).search(&tuning, simulation.seeds, |candidates, seeds| {
        compare(&workload, candidates, simulation, seeds, prices, "searching")
    })?;
    match best(&tuning, &found) {
        Some(recommendation) => {
            say(&recommendation.to_string());
            Ok(ExitCode::SUCCESS)
        }
        None => Err(format!("no strategy that was tried stays within `{}`", arguments.budget).into()),
    }
}

/// What is known once strategies have been compared.
pub(super) fn results(
    workload: WorkloadSummary,
    simulation: &SimulationArguments,
    prices: Prices,
    strategies: Vec<StrategyResult>,
) -> Results {
    Results {
        version: VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        // Where the program lies is nobody's business.
        command: iter::once("sampler-bench".to_owned()).chain(env::args().skip(1)).collect(),
        machine: Machine::read().unwrap_or_default(),
        workload,
        first_seed: simulation.first_seed,
        seeds: simulation.seeds,
        prices,
        metrics: MetricInfo::all(),
        strategies,
        sweep: Vec::new(),
        live: Vec::new(),
    }
}

pub(super) fn prices(arguments: &SimulationArguments) -> Result<Prices, Error> {
    Ok(arguments.prices.as_deref().map(Prices::load).transpose()?.unwrap_or_default())
}

pub(super) fn compare(
    workload: &Workload,
    strategies: &[Strategy],
    arguments: &SimulationArguments,
    seeds: u64,
    prices: Prices,
    title: &'static str,
) -> Result<Vec<StrategyResult>, Error> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} runs, {eta} left")?;
    let bar = ProgressBar::new(strategies.len() as u64 * seeds).with_style(style).with_message(title);
    let SimulationArguments { first_seed, threads, .. } = *arguments;
    let comparison = Comparison { workload, strategies, first_seed, seeds, prices, threads };
    let results = comparison.run(|| bar.inc(1));
    bar.finish_and_clear();
    Ok(results?)
}

pub(super) fn write(results: &Results, folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    serde_json::to_writer(BufWriter::new(File::create(folder.join("results.json"))?), results)?;
    results.write_csv(BufWriter::new(File::create(folder.join("results.csv"))?))?;
    fs::write(folder.join("report.html"), report::html(results)?)?;
    Ok(())
}
