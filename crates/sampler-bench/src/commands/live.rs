//! `live`

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use indicatif::ProgressBar;
use rustix::thread::{CpuSet, sched_setaffinity};

use super::run::{compare, prices, results, write};
use super::{Error, check, describe, load, read_assertions, say, strategies};
use crate::cli::LiveArguments;
use crate::live::{Live, LiveResult, System};
use crate::results::{Results, WorkloadSummary, live_summary, summary};
use crate::{Strategy, Traffic};

pub(super) fn live(arguments: &LiveArguments) -> Result<ExitCode, Error> {
    let assertions = read_assertions(&arguments.assertions)?;
    let (simulation, prices) = (&arguments.simulation, prices(&arguments.simulation)?);
    let systems = systems(arguments)?;
    let workload = load(&arguments.workload)?;
    let chosen = strategies::chosen(&arguments.strategies, &Traffic::of(&workload))?;
    let about = WorkloadSummary::of(&workload);
    say(&describe(&about));

    let compared = compare(&workload, &chosen, simulation, simulation.seeds, prices, "simulating")?;
    let live = Live {
        workload: &workload,
        seed: simulation.first_seed,
        faults: arguments.faults.clone(),
        settle: Duration::from_secs(arguments.settle.into()),
        prices,
    };
    let found = run(&live, &chosen, &systems, arguments)?;
    let results = Results { live: found, ..results(about, simulation, prices, compared) };
    write(&results, &arguments.out)?;
    say(&format!("simulated:\n{}", summary(&results)));
    say(&format!("in real time:\n{}", live_summary(&results.live)));
    say(&format!("written: {}", arguments.out.join("report.html").display()));
    Ok(check(&assertions, &results))
}

/// What is there to run strategies: Forebay, and the Collector if it is given.
fn systems(arguments: &LiveArguments) -> Result<Vec<System>, Error> {
    let ours = match &arguments.forebay {
        Some(path) => path.clone(),
        None => env::current_exe()?.with_file_name("forebay"),
    };
    let given = [("forebay", Some(ours)), ("otelcol", arguments.otelcol.clone())];
    let system = |(name, program): (&str, Option<PathBuf>)| {
        let program = program?;
        let found = if program.is_file() {
            Ok(System {
                name: name.to_owned(),
                program,
                agent_core: arguments.agent_core,
                gateway_core: arguments.gateway_core,
                compression: arguments.compression,
            })
        } else {
            let path = program.display();
            Err(format!("there is no {name} at {path}: build it, or say where it is by `--{name} PATH`")
                .into())
        };
        Some(found)
    };
    given.into_iter().filter_map(system).collect()
}

fn run(
    live: &Live<'_>,
    chosen: &[Strategy],
    systems: &[System],
    arguments: &LiveArguments,
) -> Result<Vec<LiveResult>, Error> {
    // One thread, which keeps away from what is measured.
    let mut cores = CpuSet::new();
    let core = arguments.load_core;
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| format!("cannot run on core {core}: {error}"))?;
    let mut found = Vec::new();
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(Duration::from_millis(200));
    for strategy in chosen {
        for system in systems {
            bar.set_message(format!("{} by {}, in real time", strategy.name, system.name));
            if understands(system, strategy)? {
                let result = live.run(strategy, system);
                let failed = |error| format!("{} by {}: {error}", strategy.name, system.name);
                found.push(result.map_err(failed)?);
            } else {
                bar.suspend(|| say(&format!("{} does not know {}", system.name, strategy.name)));
            }
        }
    }
    for peer in &arguments.peers {
        bar.set_message(format!("{}, in real time", peer.name));
        let result = live.run_peer(peer, arguments.gateway_core);
        found.push(result.map_err(|error| format!("{}: {error}", peer.name))?);
    }
    bar.finish_and_clear();
    Ok(found)
}

/// Whether a system accepts a strategy's configurations.
fn understands(system: &System, strategy: &Strategy) -> Result<bool, Error> {
    for program in strategy.agent.iter().chain(&strategy.gateway) {
        if !is_valid(&system.program, &program.yaml())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_valid(program: &Path, yaml: &str) -> Result<bool, Error> {
    let mut command = Command::new(program);
    command.arg("validate").arg(format!("--config=yaml:{yaml}"));
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    Ok(status.map_err(|error| format!("cannot run {}: {error}", program.display()))?.success())
}
