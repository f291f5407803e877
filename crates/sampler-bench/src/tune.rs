//! Which strategy is best for a budget and a wish.
//!
//! What is searched ([`Space`]) are the members of the built-in families: percentages, from when on a trace is slow, and
//! how long decisions wait. Of those that stay within the budget the best by the wish is recommended; of several that
//! are as good as it, as far as chance lets one tell, the one that stores least.

mod search;

use std::fmt;

use thiserror::Error;

use crate::Metric;
use crate::assert::{Assertion, AssertionError};
use crate::metric::Better;
use crate::results::{StrategyResult, format, metrics};
use crate::statistics::Estimate;

pub use self::search::{Found, Space};

/// A budget and a wish.
#[derive(Clone, Debug)]
pub struct Tuning {
    budget: Assertion,
    wish: &'static Metric,
}

/// What cannot be searched for.
#[derive(Clone, Debug, Error)]
pub enum TuningError {
    /// The budget is no condition.
    #[error("{0}")]
    Budget(#[from] AssertionError),
    /// The wish is no metric.
    #[error("there is no metric `{0}`")]
    Wish(String),
    /// The wish has no direction.
    #[error("of the metric `{0}` neither high nor low values are better: wish for another")]
    Direction(String),
}

/// A strategy that is recommended.
#[derive(Clone, Debug)]
pub struct Recommendation<'a> {
    wish: &'static Metric,
    strategy: &'a StrategyResult,
    /// How many candidates were tried.
    tried: usize,
}

/// What tells how much is stored.
const STORED: &str = "egress_ratio";
/// What is shown of a recommendation beside what was wished for.
const SHOWN: [&str; 7] = [
    "egress_ratio",
    "network_ratio",
    "anomaly_recall",
    "type_coverage",
    "count_error",
    "latency_p99_error",
    "money_per_month",
];

impl Tuning {
    /// Reads a condition such as `egress_ratio <= 0.1` and the name of a metric.
    ///
    /// # Errors
    /// When one is not what it should be.
    pub fn new(budget: &str, wish: &str) -> Result<Self, TuningError> {
        let budget = Assertion::parse(budget)?;
        let metric = metrics().find(|metric| metric.name == wish);
        let wish = metric.ok_or_else(|| TuningError::Wish(wish.to_owned()))?;
        if wish.better == Better::Neither {
            return Err(TuningError::Direction(wish.name.to_owned()));
        }
        Ok(Self { budget, wish })
    }

    /// How good a value is: the greater, the better.
    fn merit(&self, value: f64) -> f64 {
        match self.wish.better {
            Better::Higher => value,
            Better::Zero => -value.abs(),
            Better::Lower | Better::Neither => -value,
        }
    }
}

/// The best of what was found; `None` if nothing stays within the budget and has what is wished for.
#[must_use]
pub fn best<'a>(tuning: &Tuning, found: &'a Found) -> Option<Recommendation<'a>> {
    let within: Vec<_> = found.finalists.iter().filter(|strategy| tuning.budget.holds(strategy)).collect();
    let wished = |strategy: &StrategyResult| strategy.metrics.get(tuning.wish.name).cloned();
    let merit = |strategy: &&StrategyResult| wished(strategy).map(|estimate| tuning.merit(estimate.mean));
    let first = within
        .iter()
        .filter_map(|strategy| Some((merit(strategy)?, *strategy)))
        .max_by(|a, b| a.0.total_cmp(&b.0))?
        .1;
    let best = wished(first)?;
    let is_as_good =
        |strategy: &&&StrategyResult| wished(strategy).is_some_and(|estimate| overlap(&estimate, &best));
    let stored =
        |strategy: &StrategyResult| strategy.metrics.get(STORED).map_or(f64::MAX, |stored| stored.mean);
    let strategy = within
        .iter()
        .filter(is_as_good)
        .min_by(|a, b| stored(a).total_cmp(&stored(b)))
        .copied()
        .unwrap_or(first);
    Some(Recommendation { wish: tuning.wish, strategy, tried: found.tried })
}

/// Whether the confidence intervals meet.
fn overlap(a: &Estimate, b: &Estimate) -> bool {
    a.low <= b.high && b.low <= a.high
}

impl fmt::Display for Recommendation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# {}: {}", self.strategy.name, self.strategy.about)?;
        writeln!(f, "# the best of {} that were tried", self.tried)?;
        let names =
            std::iter::once(self.wish.name).chain(SHOWN.into_iter().filter(|name| *name != self.wish.name));
        for name in names {
            let metric = metrics().find(|metric| metric.name == name);
            if let (Some(metric), Some(found)) = (metric, self.strategy.metrics.get(name)) {
                let show = |value| format(value, metric.unit);
                writeln!(f, "# {name}: {} ({} to {})", show(found.mean), show(found.low), show(found.high))?;
            }
        }
        write!(f, "{}", self.strategy.yaml)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn strategy(name: &str, recall: f64, egress: f64) -> StrategyResult {
        let exactly = |mean| Estimate { mean, low: mean, high: mean, ..Estimate::default() };
        StrategyResult {
            name: name.to_owned(),
            metrics: BTreeMap::from([
                ("anomaly_recall".to_owned(), exactly(recall)),
                ("egress_ratio".to_owned(), exactly(egress)),
            ]),
            ..StrategyResult::default()
        }
    }

    #[test]
    fn the_best_within_the_budget_and_of_equals_the_smallest() {
        let tuning = Tuning::new("egress_ratio <= 0.1", "anomaly_recall").unwrap();
        let results = vec![
            strategy("dear", 1.0, 0.5),
            strategy("poor", 0.2, 0.01),
            strategy("large", 0.9, 0.1),
            strategy("small", 0.9, 0.05),
        ];
        let dear = Found { finalists: results[..1].to_vec(), tried: 1 };
        let found = Found { finalists: results, tried: 4 };
        assert_eq!(best(&tuning, &found).unwrap().strategy.name, "small");
        assert!(best(&tuning, &dear).is_none());
    }

    #[test]
    fn wishes_without_direction_are_refused() {
        assert!(matches!(Tuning::new("egress_ratio <= 1", "kept_ratio"), Err(TuningError::Direction(_))));
        assert!(matches!(Tuning::new("egress_ratio <= 1", "happiness"), Err(TuningError::Wish(_))));
    }
}
