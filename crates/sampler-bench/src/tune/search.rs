//! Looking for a good strategy without trying all of them often.
//!
//! Successive halving (Jamieson and Talwalkar, AISTATS 2016): every candidate is run with one seed, the better half
//! with two, the better half of these with four. From the best of the last few, coordinate descent goes on between the
//! points of the grid. Nothing is drawn at random, so a search has one outcome.

use std::cmp::Ordering;

use forebay::embedded::EmbedError;

use super::Tuning;
use crate::results::StrategyResult;
use crate::{FAMILIES, Strategy, Traffic, Workload};

/// What is searched.
#[derive(Clone, Debug)]
pub struct Space {
    traffic: Traffic,
    /// From when on a trace is slow, in milliseconds.
    thresholds: Vec<u64>,
}

/// A member of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    /// Of [`FAMILIES`].
    family: usize,
    percentage: f64,
    /// Of [`Space::thresholds`].
    threshold: usize,
    /// Of [`WAITS`].
    wait: usize,
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The last candidates, which were run with all seeds.
    pub finalists: Vec<StrategyResult>,
    /// How many candidates were run at all.
    pub tried: usize,
}

const PERCENTAGES: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
/// In seconds.
const WAITS: [u64; 4] = [2, 5, 10, 30];
/// Of the grid, every other one.
const GRID_WAITS: [usize; 2] = [0, 2];
/// Traces are slow that take longer than this share of them.
const QUANTILES: [f64; 3] = [0.9, 0.95, 0.99];
/// So few are run with all seeds.
const FINALISTS: usize = 8;
/// A step of coordinate descent multiplies percentages by this, or divides them.
const STEP: f64 = std::f64::consts::SQRT_2;
const STEPS_MAX: usize = 12;

impl Space {
    /// That for a workload.
    #[must_use]
    pub fn of(workload: &Workload) -> Self {
        let mut durations: Vec<_> = workload.population.traces.iter().map(crate::Trace::seconds).collect();
        durations.sort_by(f64::total_cmp);
        let mut thresholds: Vec<_> = QUANTILES.iter().map(|share| milliseconds(&durations, *share)).collect();
        thresholds.dedup();
        Self { traffic: Traffic::of(workload), thresholds }
    }

    /// Searches for what `tuning` asks for. `run` runs strategies with so many seeds; no more than `seeds` are asked for.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn search<E: From<EmbedError>>(
        &self,
        tuning: &Tuning,
        seeds: u64,
        mut run: impl FnMut(&[Strategy], u64) -> Result<Vec<StrategyResult>, E>,
    ) -> Result<Found, E> {
        let mut ranked = |candidates: Vec<Candidate>, seeds| -> Result<Vec<(Candidate, StrategyResult)>, E> {
            let strategies: Vec<_> =
                candidates.iter().map(|candidate| self.strategy(*candidate)).collect::<Result<_, _>>()?;
            let results = run(&strategies, seeds)?;
            let mut ranked: Vec<_> = candidates.into_iter().zip(results).collect();
            ranked.sort_by(|(_, a), (_, b)| tuning.order(a, b));
            Ok(ranked)
        };
        let mut candidates = self.grid();
        let mut tried = candidates.len();
        let mut runs = 1;
        while candidates.len() > FINALISTS {
            let half = candidates.len().div_ceil(2).max(FINALISTS);
            let better = ranked(candidates, runs.min(seeds))?;
            candidates = better.into_iter().take(half).map(|(candidate, _)| candidate).collect();
            runs *= 2;
        }
        let mut finalists = ranked(candidates, seeds)?;
        for _ in 0..STEPS_MAX {
            let known = |other: &Candidate| finalists.iter().any(|(candidate, _)| candidate == other);
            let Some(&(best, _)) = finalists.first() else { break };
            let next: Vec<_> = self.neighbours(best).into_iter().filter(|next| !known(next)).collect();
            tried += next.len();
            finalists.extend(ranked(next, seeds)?);
            finalists.sort_by(|(_, a), (_, b)| tuning.order(a, b));
            if finalists.first().is_some_and(|(candidate, _)| *candidate == best) {
                break;
            }
        }
        Ok(Found { finalists: finalists.into_iter().map(|(_, result)| result).collect(), tried })
    }

    fn grid(&self) -> Vec<Candidate> {
        let mut grid = Vec::new();
        for (family, about) in FAMILIES.iter().enumerate() {
            // Where they do not matter, one will do.
            let (thresholds, waits) = if about.has_symptoms {
                (self.thresholds.len(), &GRID_WAITS[..])
            } else {
                (1, &GRID_WAITS[1..])
            };
            for percentage in PERCENTAGES {
                for threshold in 0..thresholds {
                    grid.extend(waits.iter().map(|&wait| Candidate { family, percentage, threshold, wait }));
                }
            }
        }
        grid
    }

    /// What differs from a candidate by one step.
    fn neighbours(&self, of: Candidate) -> Vec<Candidate> {
        let percentages =
            [of.percentage / STEP, of.percentage * STEP].map(|share| (share * 100.0).round() / 100.0);
        let percentages = percentages.into_iter().filter(|share| (0.01..=100.0).contains(share));
        let mut all: Vec<_> = percentages.map(|percentage| Candidate { percentage, ..of }).collect();
        if FAMILIES[of.family].has_symptoms {
            let beside = |index: usize, length: usize| {
                [index.checked_sub(1), Some(index + 1)]
                    .into_iter()
                    .flatten()
                    .filter(move |next| *next < length)
            };
            let thresholds = beside(of.threshold, self.thresholds.len());
            all.extend(thresholds.map(|threshold| Candidate { threshold, ..of }));
            all.extend(beside(of.wait, WAITS.len()).map(|wait| Candidate { wait, ..of }));
        }
        all
    }

    fn strategy(&self, candidate: Candidate) -> Result<Strategy, EmbedError> {
        let Candidate { family, percentage, threshold, wait } = candidate;
        let slow_ms = self.thresholds.get(threshold).copied().unwrap_or(self.traffic.slow_ms);
        let traffic = Traffic { slow_ms, decision_wait: WAITS[wait], ..self.traffic };
        let strategy = (FAMILIES[family].member)(&traffic, percentage)?;
        let name = if FAMILIES[family].has_symptoms {
            format!("{}, slow from {slow_ms} ms, decided after {} s", strategy.name, WAITS[wait])
        } else {
            strategy.name
        };
        Ok(Strategy { name, ..strategy })
    }
}

/// What this share of the durations (in seconds, sorted) do not exceed, in milliseconds.
fn milliseconds(durations: &[f64], share: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank, and a duration of traces"
    )]
    let rank = (share * durations.len() as f64) as usize;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank, and a duration of traces"
    )]
    let slow = (durations.get(rank).copied().unwrap_or(0.0) * 1e3).ceil() as u64;
    slow.max(1)
}

impl Tuning {
    /// The better one first: within the budget, then by the wish, then the one that stores less.
    fn order(&self, a: &StrategyResult, b: &StrategyResult) -> Ordering {
        let mean = |result: &StrategyResult, name| result.metrics.get(name).map(|estimate| estimate.mean);
        let merit = |result| mean(result, self.wish.name).map_or(f64::MIN, |value| self.merit(value));
        let stored = |result| mean(result, super::STORED).unwrap_or(f64::MAX);
        let (within, other) = (self.budget.holds(a), self.budget.holds(b));
        other
            .cmp(&within)
            .then_with(|| if within && other { merit(b).total_cmp(&merit(a)) } else { Ordering::Equal })
            .then_with(|| stored(a).total_cmp(&stored(b)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::statistics::Estimate;

    const TRAFFIC: Traffic =
        Traffic { traces_per_second: 12.0, spans_per_second: 100.0, slow_ms: 250, decision_wait: 10 };

    fn space() -> Space {
        Space { traffic: TRAFFIC, thresholds: vec![100, 250, 900] }
    }

    /// As if recall grew with the percentage, best at a threshold of 250 ms, and bytes with both.
    fn made_up(strategies: &[Strategy]) -> Vec<StrategyResult> {
        let result = |strategy: &Strategy| {
            let percentage = strategy.knob.as_ref().unwrap().value;
            let (tail, slow) = (strategy.name.starts_with("tail"), strategy.name.contains("from 250 ms"));
            let recall = if tail { 0.5 } else { 0.1 } + if slow { 0.1 } else { 0.0 } + percentage / 1000.0;
            let exactly = |mean| Estimate { mean, low: mean, high: mean, ..Estimate::default() };
            StrategyResult {
                name: strategy.name.clone(),
                metrics: BTreeMap::from([
                    ("anomaly_recall".to_owned(), exactly(recall)),
                    ("egress_ratio".to_owned(), exactly(percentage / 100.0)),
                ]),
                ..StrategyResult::default()
            }
        };
        strategies.iter().map(result).collect()
    }

    #[test]
    fn the_best_is_found_between_the_points_of_the_grid() {
        let tuning = Tuning::new("egress_ratio <= 0.08", "anomaly_recall").unwrap();
        let mut asked = Vec::new();
        let found = space().search(&tuning, 20, |strategies, seeds| {
            asked.push((strategies.len(), seeds));
            Ok::<_, EmbedError>(made_up(strategies))
        });
        let found = found.unwrap();
        // 5 % is on the grid; √2 times as much still fits.
        let best = &found.finalists[0].name;
        assert!(best.starts_with("tail-7.07%, slow from 250 ms"), "{best}");
        assert!(asked.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{asked:?}");
        assert_eq!((asked[0].1, asked.last().unwrap().1), (1, 20));
        assert!(found.tried >= asked[0].0);
    }

    #[test]
    fn every_candidate_is_a_strategy_with_a_name_of_its_own() {
        let space = space();
        let grid = space.grid();
        let mut names: Vec<_> =
            grid.iter().map(|candidate| space.strategy(*candidate).unwrap().name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), grid.len());
    }

    #[test]
    fn neighbours_stay_in_the_space() {
        let space = space();
        let corner = Candidate { family: 2, percentage: 100.0, threshold: 2, wait: 0 };
        let next: Vec<_> = space
            .neighbours(corner)
            .iter()
            .map(|next| (next.percentage, next.threshold, next.wait))
            .collect();
        assert_eq!(next, [(70.71, 2, 0), (100.0, 1, 0), (100.0, 2, 1)]);
    }
}
