//! Runs the cases on Forebay and the OpenTelemetry Collector. See `README.md`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    path::PathBuf,
    process::ExitCode,
};

use clap::Parser;
use forebay_conformance::{
    Error,
    case::{Case, Expectation},
    golden::{self, Outcomes},
    judge::{collector_within_limits, judge},
    live::{self, System},
    outcome::{Arrivals, Senders},
    traffic::{Sort, Traffic},
};

/// Run the cases on Forebay and the OpenTelemetry Collector: same configuration, same traffic.
///
/// Ends with status 1 if something came out otherwise than it has to, with 2 if something could not be run.
#[derive(Parser)]
struct Arguments {
    /// Forebay's executable.
    #[arg(long, value_name = "PATH")]
    forebay: Option<PathBuf>,
    /// The Collector's executable, as `benches/peers/build-otelcol` builds it; without it, what the golden files say it
    /// did counts.
    #[arg(long, value_name = "PATH")]
    otelcol: Option<PathBuf>,
    /// Write what the Collector did to the golden files.
    #[arg(long, requires = "otelcol")]
    bless: bool,
    /// Only cases whose family and name contain this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// How many cases are run at once: all spans have to be taken within a decision wait.
const AT_ONCE: usize = 20;

#[tokio::main]
async fn main() -> ExitCode {
    match compare(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs what was asked for; whether everything is as it has to be.
async fn compare(arguments: Arguments) -> Result<bool, Error> {
    let mut cases = Case::all()?;
    cases.retain(|case| case.id().contains(&arguments.only));
    let otelcol = arguments.otelcol.map(|program| System { name: "otelcol", program, is_forebay: false });
    let forebay = arguments.forebay.map(|program| System { name: "forebay", program, is_forebay: true });
    let mut sound = true;
    for sort in Sort::ALL {
        let cases: Vec<_> = cases.iter().filter(|case| case.sort == sort).collect();
        let traffic = Traffic::new(sort)?;
        let run = Run { senders: Senders::new(&traffic), traffic: &traffic, cases: &cases };
        let theirs = run.on(otelcol.as_ref()).await?;
        let ours = run.on(forebay.as_ref()).await?;
        if arguments.bless {
            run.bless(&theirs, !arguments.only.is_empty())?;
        }
        for case in &cases {
            sound &= run.judge(case, theirs.get(&case.id()), ours.get(&case.id()))?;
        }
    }
    Ok(sound)
}

/// What came out, by case.
type Results = BTreeMap<String, Arrivals>;

struct Run<'a> {
    traffic: &'a Traffic,
    senders: Senders<'a>,
    cases: &'a [&'a Case],
}

impl Run<'_> {
    /// Runs all cases on a system, if it is given.
    async fn on(&self, system: Option<&System>) -> Result<Results, Error> {
        let mut results = Results::new();
        let Some(system) = system else {
            return Ok(results);
        };
        // Gates and switches hold for a whole process.
        let mut groups = BTreeMap::<_, Vec<&Case>>::new();
        for case in self.cases {
            groups.entry((&case.gates, &case.compat)).or_default().push(case);
        }
        for cases in groups.values().flat_map(|cases| cases.chunks(AT_ONCE)) {
            eprintln!("{}: {} cases", system.name, cases.len());
            for (case, requests) in cases.iter().zip(live::run(system, cases, self.traffic).await?) {
                results.insert(case.id(), self.senders.recognise(case.sort, &requests)?);
            }
        }
        Ok(results)
    }

    /// Writes the golden files; what others than these cases did stays if these are not all.
    fn bless(&self, results: &Results, partial: bool) -> Result<(), Error> {
        let mut families = BTreeMap::<_, Outcomes>::new();
        for case in self.cases.iter().filter(|case| case.is_deterministic()) {
            if let Some(arrivals) = results.get(&case.id()) {
                let outcomes = match families.entry(&case.family) {
                    Entry::Occupied(outcomes) => outcomes.into_mut(),
                    Entry::Vacant(place) if partial => place.insert(golden::read(&case.family)?),
                    Entry::Vacant(place) => place.insert(Outcomes::new()),
                };
                outcomes.insert(case.name.clone(), arrivals.outcome(self.traffic, case.aspects));
            }
        }
        families.iter().try_for_each(|(family, outcomes)| golden::write(family, outcomes))
    }

    /// Says what became of a case; whether that is what had to.
    fn judge(&self, case: &Case, theirs: Option<&Arrivals>, ours: Option<&Arrivals>) -> Result<bool, Error> {
        let mut objections = Vec::new();
        if let Some(arrivals) = theirs {
            objections.extend(collector_within_limits(case, self.traffic, arrivals));
            if !arrivals.strangers.is_empty() {
                objections.push(format!("{} spans came out changed", arrivals.strangers.len()));
            }
            let known = golden::read(&case.family)?.remove(&case.name);
            if case.is_deterministic() && known != Some(arrivals.outcome(self.traffic, case.aspects)) {
                objections.push("not what the golden file says".to_owned());
            }
            objections.iter_mut().for_each(|objection| objection.insert_str(0, "Collector: "));
        }
        if let Some(arrivals) = ours {
            let measure = golden::measure(case)?.unwrap_or_default();
            objections.extend(judge(case, self.traffic, &measure, arrivals));
        }
        let verdict = match &case.expectation {
            _ if !objections.is_empty() => "WRONG",
            _ if case.pending.is_some() => "pending",
            Expectation::Equal(differences) if differences.is_empty() => "equal",
            Expectation::Limited { .. } => "within limits",
            _ => "differs as it is to",
        };
        let [theirs, ours] = [theirs, ours]
            .map(|arrivals| arrivals.map_or("-".to_owned(), |all| all.traces.len().to_string()));
        println!("{:<42} {theirs:>5} {ours:>5}  {verdict}", case.id());
        for objection in &objections {
            println!("    {objection}");
        }
        Ok(objections.is_empty())
    }
}
