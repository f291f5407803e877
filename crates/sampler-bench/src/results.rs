//! What is written down of a comparison.

mod live;
mod missed;
mod table;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::Knob;
use crate::cost::Prices;
use crate::live::LiveResult;
use crate::machine::Machine;
use crate::metric::{Better, Unit};
use crate::simulate::HopCounts;
use crate::statistics::Estimate;
use crate::{Metric, Oddities, Workload, cost, quality};

pub use live::live_summary;
pub use missed::{MissedSpan, MissedTrace};
pub use table::{format, summary};

/// A comparison of strategies on one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// Of this file's form.
    pub version: u32,
    /// The version of the program.
    pub program: String,
    /// The command that was given.
    pub command: Vec<String>,
    /// Where it ran; only CPU time depends on it.
    pub machine: Machine,
    /// What was sent.
    pub workload: WorkloadSummary,
    /// The first seed; the others follow.
    pub first_seed: u64,
    /// How many seeds.
    pub seeds: u64,
    /// What things cost.
    pub prices: Prices,
    /// What was measured.
    pub metrics: Vec<MetricInfo>,
    /// The strategies.
    pub strategies: Vec<StrategyResult>,
    /// Members of families, for the sliders; of fewer seeds.
    pub sweep: Vec<StrategyResult>,
    /// What processes did in real time.
    #[serde(default)]
    pub live: Vec<LiveResult>,
}

/// A workload in few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSummary {
    /// What it is called.
    pub name: String,
    /// Its traces.
    pub traces: usize,
    /// Spans sent.
    pub spans: usize,
    /// Bytes of the requests.
    pub bytes: u64,
    /// From the first request to the last.
    pub seconds: f64,
    /// Service instances.
    pub sources: usize,
    /// Types of traces.
    pub types: usize,
    /// Whether anybody has said which traces are anomalous.
    pub labelled: bool,
    /// Anomalous traces by what they are called.
    pub anomalies: BTreeMap<String, usize>,
    /// What was odd about the input.
    pub oddities: Oddities,
}

/// What a reader needs to know of a metric.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MetricInfo {
    /// As in [`Metric`].
    pub name: String,
    /// As in [`Metric`].
    pub title: String,
    /// As in [`Metric`].
    pub unit: Unit,
    /// As in [`Metric`].
    pub better: Better,
    /// As in [`Metric`].
    pub formula: String,
    /// As in [`Metric`].
    pub source: String,
}

/// What a strategy has done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct StrategyResult {
    /// What it is called.
    pub name: String,
    /// What it does.
    pub about: String,
    /// Of which family it is which member.
    pub knob: Option<Knob>,
    /// Its configurations.
    pub yaml: String,
    /// What went over each link, with the first seed.
    pub hops: Vec<HopCounts>,
    /// Each metric that has a value.
    pub metrics: BTreeMap<String, Estimate>,
    /// The recall of each kind of anomaly.
    pub recall_by_fault: BTreeMap<String, Estimate>,
    /// Some anomalies that were not kept, with the first seed.
    pub missed: Vec<MissedTrace>,
}

/// Of [`Results::version`].
pub const VERSION: u32 = 1;

/// All metrics, of quality and of cost.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    quality::METRICS.iter().chain(cost::METRICS)
}

impl MetricInfo {
    /// Of all metrics.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let info = |metric: &Metric| Self {
            name: metric.name.to_owned(),
            title: metric.title.to_owned(),
            unit: metric.unit,
            better: metric.better,
            formula: metric.formula.to_owned(),
            source: metric.source.to_owned(),
        };
        metrics().map(info).collect()
    }
}

impl WorkloadSummary {
    /// Of a workload.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let population = &workload.population;
        let mut anomalies: BTreeMap<_, _> =
            population.faults.iter().map(|fault| (fault.clone(), 0)).collect();
        for fault in population.traces.iter().filter_map(|trace| trace.fault) {
            *anomalies.entry(population.faults[fault as usize].clone()).or_default() += 1;
        }
        Self {
            name: workload.name.clone(),
            traces: population.traces.len(),
            spans: workload.spans(),
            bytes: workload.bytes(),
            seconds: workload.seconds(),
            sources: workload.services.len(),
            types: population.kinds,
            labelled: population.labelled,
            anomalies,
            oddities: workload.oddities,
        }
    }
}

impl Results {
    /// The strategy of this name.
    #[must_use]
    pub fn strategy(&self, name: &str) -> Option<&StrategyResult> {
        self.strategies.iter().find(|strategy| strategy.name == name)
    }

    /// Writes a table with one line for each strategy and metric.
    ///
    /// # Errors
    /// Those of writing.
    pub fn write_csv(&self, out: impl io::Write) -> io::Result<()> {
        let mut out = csv::Writer::from_writer(out);
        out.write_record([
            "workload",
            "strategy",
            "metric",
            "fault",
            "mean",
            "low",
            "high",
            "deviation",
            "seeds",
        ])?;
        for strategy in self.strategies.iter().chain(&self.sweep) {
            let metrics = strategy.metrics.iter().map(|(name, estimate)| (name.as_str(), "", estimate));
            let faults = strategy.recall_by_fault.iter();
            let faults = faults.map(|(fault, estimate)| ("anomaly_recall", fault.as_str(), estimate));
            for (metric, fault, estimate) in metrics.chain(faults) {
                let Estimate { mean, low, high, deviation, .. } = estimate;
                let [mean, low, high, deviation] = [mean, low, high, deviation].map(ToString::to_string);
                let seeds = estimate.runs().to_string();
                let (workload, name) = (self.workload.name.as_str(), strategy.name.as_str());
                out.write_record([workload, name, metric, fault, &mean, &low, &high, &deviation, &seeds])?;
            }
        }
        out.flush()
    }

    /// The same without the values of single seeds.
    #[must_use]
    pub fn without_values(&self) -> Self {
        let mut results = self.clone();
        for strategy in results.strategies.iter_mut().chain(&mut results.sweep) {
            let estimates = strategy.metrics.values_mut().chain(strategy.recall_by_fault.values_mut());
            estimates.for_each(|estimate| estimate.values.clear());
        }
        results
    }
}
