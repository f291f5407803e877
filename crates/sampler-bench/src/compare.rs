//! In what two results differ, beyond chance.
//!
//! Strategies are matched by name. Of runs with the same seeds on the same workload the differences are tested, else the
//! means ([`p_value`]); and because there are many tests, their p values are adjusted by
//! Holm's method. CPU time is not compared: it is the machine's as much as the strategy's.

use std::fmt;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, Table};

use crate::metric::{Better, Unit};
use crate::results::{Results, format};
use crate::statistics::{holm, p_value};

/// What has changed from one result to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Differences {
    /// Whether seeds and workload are the same, so that runs were paired.
    pub paired: bool,
    /// Strategies that only one has.
    pub unmatched: Vec<String>,
    /// The metrics that differ significantly.
    pub significant: Vec<Difference>,
    /// How many metrics of strategies were compared.
    pub compared: usize,
}

/// A metric that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Of which strategy.
    pub strategy: String,
    /// Which metric.
    pub metric: String,
    /// In what it is measured.
    pub unit: Unit,
    /// What it was.
    pub before: f64,
    /// What it is.
    pub after: f64,
    /// Whether that is better; `None` where neither is.
    pub improved: Option<bool>,
    /// The probability of such a difference by chance, adjusted for the number of tests.
    pub p: f64,
}

/// Differences that chance brings less often than this are told.
const SIGNIFICANT: f64 = 0.05;

/// Whether a metric depends on the machine, as CPU time and what is paid for it.
pub(crate) fn is_of_the_machine(metric: &str) -> bool {
    metric.starts_with("cpu_ns_per_span") || metric == "money_per_month"
}

impl Differences {
    /// The differences from `before` to `after`.
    #[must_use]
    pub fn of(before: &Results, after: &Results) -> Self {
        let paired = before.workload == after.workload
            && (before.first_seed, before.seeds) == (after.first_seed, after.seeds);
        let mut found = Vec::new();
        for old in &before.strategies {
            let Some(new) = after.strategy(&old.name) else { continue };
            let metrics = before.metrics.iter().filter(|metric| !is_of_the_machine(&metric.name));
            for metric in metrics {
                let (Some(a), Some(b)) = (old.metrics.get(&metric.name), new.metrics.get(&metric.name))
                else {
                    continue;
                };
                let Some(p) = p_value(a, b, paired) else { continue };
                let improved = match metric.better {
                    Better::Higher => Some(b.mean > a.mean),
                    Better::Lower => Some(b.mean < a.mean),
                    Better::Zero => Some(b.mean.abs() < a.mean.abs()),
                    Better::Neither => None,
                };
                let (strategy, unit) = (old.name.clone(), metric.unit);
                let (before, after) = (a.mean, b.mean);
                found.push(Difference {
                    strategy,
                    metric: metric.name.clone(),
                    unit,
                    before,
                    after,
                    improved,
                    p,
                });
            }
        }
        let adjusted = holm(&found.iter().map(|difference| difference.p).collect::<Vec<_>>());
        let compared = found.len();
        let adjusted = found.into_iter().zip(adjusted).map(|(difference, p)| Difference { p, ..difference });
        let only = |one: &Results, other: &Results| -> Vec<String> {
            let names = one.strategies.iter().map(|strategy| strategy.name.clone());
            names.filter(|name| other.strategy(name).is_none()).collect()
        };
        Self {
            paired,
            unmatched: [only(before, after), only(after, before)].concat(),
            significant: adjusted.filter(|difference| difference.p < SIGNIFICANT).collect(),
            compared,
        }
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.unmatched {
            writeln!(f, "only one of the two has the strategy {name}")?;
        }
        let how = if self.paired { "seed by seed" } else { "by their means: seeds or workloads differ" };
        writeln!(
            f,
            "{} figures compared, {how}; {} differ beyond chance",
            self.compared,
            self.significant.len()
        )?;
        if self.significant.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY);
        table.set_header(["strategy", "metric", "before", "after", "", "p"]);
        for difference in &self.significant {
            let show = |value| format(value, difference.unit);
            let verdict = match difference.improved {
                Some(true) => "better",
                Some(false) => "worse",
                None => "",
            };
            table.add_row([
                Cell::new(&difference.strategy),
                Cell::new(&difference.metric),
                Cell::new(show(difference.before)),
                Cell::new(show(difference.after)),
                Cell::new(verdict),
                Cell::new(format!("{:.1e}", difference.p)),
            ]);
        }
        write!(f, "{table}")
    }
}

#[cfg(test)]
mod tests;
