//! What the command line asks for.

mod generate;
mod live;
mod record;
mod run;
mod strategies;

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;
use std::time::Duration;

use crate::Workload;
use crate::assert::Assertion;
use crate::cli::{Cli, Command, CompareArguments, WorkloadArguments};
use crate::compare::Differences;
use crate::generate::Description;
use crate::input::Input;
use crate::metric::Unit;
use crate::results::{Results, WorkloadSummary, format};

/// What the commands print when something outside of them fails.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// An assertion does not hold.
const VIOLATED: u8 = 1;
/// Something could not be done.
const FAILED: u8 = 2;

/// Does what the command line asks for.
#[must_use]
pub fn dispatch(cli: Cli) -> ExitCode {
    let outcome = match cli.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Live(arguments) => live::live(&arguments),
        Command::Compare(arguments) => compare(&arguments),
        Command::Tune(arguments) => run::tune(&arguments),
        Command::Record(arguments) => record::record(&arguments),
        Command::Generate(arguments) => generate::generate(&arguments),
        Command::Inspect(arguments) => inspect(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        // Nowhere is left to complain if standard error is gone.
        let _ = writeln!(stderr(), "error: {error}");
        ExitCode::from(FAILED)
    })
}

/// Writes to standard output, which may be gone.
fn say(text: &str) {
    let _ = writeln!(stdout(), "{text}");
}

fn load(arguments: &WorkloadArguments) -> Result<Workload, Error> {
    let time_limit =
        arguments.seconds.map_or(Duration::MAX, |seconds| Duration::from_secs(u64::from(seconds)));
    let workload = if arguments.traces.is_empty() {
        let mut description = Description::load(&arguments.workload)?;
        description.duration = description.duration.min(time_limit);
        description.generate(arguments.workload_seed, arguments.span_limit)
    } else {
        let (traces, labels) = (arguments.traces.clone(), arguments.labels.clone());
        Input { traces, labels, span_limit: arguments.span_limit, time_limit }.read()?
    };
    if workload.requests.is_empty() {
        let odd: Vec<_> = workload.oddities.met().map(|(what, count)| format!("{count} {what}")).collect();
        return Err(format!("there are no spans in the input; {}", odd.join(", ")).into());
    }
    Ok(workload)
}

/// A workload for people.
fn describe(summary: &WorkloadSummary) -> String {
    let mut text = format!(
        "{}: {} traces of {} types, {} spans, {} in {:.0} s from {} service instances",
        summary.name,
        summary.traces,
        summary.types,
        summary.spans,
        format(summary.bytes as f64, Unit::Bytes),
        summary.seconds,
        summary.sources,
    );
    if summary.labelled {
        let faults: Vec<_> =
            summary.anomalies.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
        text.push_str(&format!(
            "\nanomalies: {}",
            if faults.is_empty() { "none".to_owned() } else { faults.join(", ") }
        ));
    } else {
        text.push_str("\nno labels: nothing is known of anomalies");
    }
    for (what, count) in summary.oddities.met() {
        text.push_str(&format!("\n  {count} {what}"));
    }
    text
}

fn inspect(arguments: &WorkloadArguments) -> Result<ExitCode, Error> {
    say(&describe(&WorkloadSummary::of(&load(arguments)?)));
    Ok(ExitCode::SUCCESS)
}

fn compare(arguments: &CompareArguments) -> Result<ExitCode, Error> {
    let assertions = read_assertions(&arguments.assertions)?;
    let [before, after] = [&arguments.before, &arguments.after].map(|path| -> Result<Results, Error> {
        let text = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let results = serde_json::from_slice(&text);
        Ok(results
            .map_err(|error| format!("{} is no results.json of this version: {error}", path.display()))?)
    });
    let (before, after) = (before?, after?);
    say(&Differences::of(&before, &after).to_string());
    Ok(check(&assertions, &after))
}

fn read_assertions(texts: &[String]) -> Result<Vec<Assertion>, Error> {
    Ok(texts.iter().map(|text| Assertion::parse(text)).collect::<Result<_, _>>()?)
}

/// Says which assertions do not hold.
fn check(assertions: &[Assertion], results: &Results) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for violation in assertions.iter().flat_map(|assertion| assertion.violations(results)) {
        let strategy = violation.strategy.map_or(String::new(), |name| format!(" for {name}"));
        say(&format!("assertion failed{strategy}: {}", violation.message));
        code = ExitCode::from(VIOLATED);
    }
    code
}
