//! Comparing strategies: each of them, with each seed, on all cores.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::cost::Prices;
use crate::quality::recall_by_fault;
use crate::results::{MissedTrace, StrategyResult, metrics};
use crate::simulate::{HopCounts, Run, SimulationError, simulate};
use crate::statistics::Estimate;
use crate::{Strategy, Workload};

/// What to compare, and how often.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// What is sent.
    pub workload: &'a Workload,
    /// The strategies.
    pub strategies: &'a [Strategy],
    /// The first seed.
    pub first_seed: u64,
    /// How many seeds, at least 1.
    pub seeds: u64,
    /// What things cost.
    pub prices: Prices,
    /// How many threads; `None` for as many as there are cores.
    pub threads: Option<usize>,
}

/// What one seed has yielded.
#[derive(Default)]
struct Yield {
    metrics: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
    /// With the first seed only.
    hops: Vec<HopCounts>,
    missed: Vec<MissedTrace>,
}

/// With so many seeds CPU time is measured: it depends on the machine and not on the seed.
const MEASURED: u64 = 10;

impl Comparison<'_> {
    /// Runs everything; calls `done` after each run, from any thread.
    ///
    /// # Errors
    /// When a strategy's configurations do not start.
    pub fn run(&self, done: impl Fn() + Sync) -> Result<Vec<StrategyResult>, SimulationError> {
        let seeds = usize::try_from(self.seeds.max(1)).unwrap_or(usize::MAX);
        let jobs = self.strategies.len() * seeds;
        let yields: Mutex<Vec<Option<Yield>>> = Mutex::new((0..jobs).map(|_| None).collect());
        let (next, failure) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            loop {
                let job = next.fetch_add(1, Ordering::Relaxed);
                if job >= jobs {
                    return;
                }
                match self.one(&self.strategies[job / seeds], (job % seeds) as u64) {
                    Ok(found) => yields.lock().unwrap_or_else(PoisonError::into_inner)[job] = Some(found),
                    Err(error) => {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        next.store(jobs, Ordering::Relaxed);
                    }
                }
                done();
            }
        };
        let threads = self.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        thread::scope(|scope| (0..threads.min(jobs)).for_each(|_| drop(scope.spawn(work))));
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut yields = yields.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten();
        let results = self.strategies.iter().map(|strategy| {
            let of_strategy: Vec<_> = yields.by_ref().take(seeds).collect();
            self.result(strategy, of_strategy)
        });
        Ok(results.collect())
    }

    /// One strategy with the seed of this number.
    fn one(&self, strategy: &Strategy, number: u64) -> Result<Yield, SimulationError> {
        let seed = self.first_seed.wrapping_add(number);
        let run = Run { seed, compress: number == 0, measure: number < MEASURED };
        let mut outcome = simulate(strategy, self.workload, run)?;
        outcome.priced = self.prices.of(&outcome);
        let population = &self.workload.population;
        Ok(Yield {
            metrics: metrics().map(|metric| (metric.compute)(population, &outcome)).collect(),
            recall: recall_by_fault(population, &outcome.kept),
            missed: if number == 0 { MissedTrace::of(population, &outcome.kept) } else { Vec::new() },
            hops: outcome.hops,
        })
    }

    fn result(&self, strategy: &Strategy, mut yields: Vec<Yield>) -> StrategyResult {
        let column = |number: usize, of: fn(&Yield) -> &[Option<f64>]| {
            Estimate::of(yields.iter().map(|found| of(found)[number]).collect())
        };
        let by_metric = metrics().enumerate().filter_map(|(number, metric)| {
            Some((metric.name.to_owned(), column(number, |found| &found.metrics)?))
        });
        let faults = self.workload.population.faults.iter().enumerate();
        let by_fault = faults
            .filter_map(|(number, fault)| Some((fault.clone(), column(number, |found| &found.recall)?)));
        let (metrics, recall_by_fault): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (by_metric.collect(), by_fault.collect());
        let first = yields.first_mut().map(std::mem::take).unwrap_or_default();
        StrategyResult {
            name: strategy.name.clone(),
            about: strategy.about.clone(),
            knob: strategy.knob.clone(),
            yaml: strategy.yaml(),
            hops: first.hops,
            metrics,
            recall_by_fault,
            missed: first.missed,
        }
    }
}

#[cfg(test)]
mod tests;
