//! What is stored, and what a month costs.

use forebay_config::{Loader, Table};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{bytes, leaving};
use crate::simulate::{Outcome, TierCpu};

/// What things cost, in any one currency. The defaults are round numbers in the range of what clouds and tracing
/// backends list; whoever decides by them puts in their own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// For a GB that leaves the services' hosts for another zone.
    pub network_per_gb: f64,
    /// For a GB that the store takes in.
    pub ingestion_per_gb: f64,
    /// For a GB that is stored for a month.
    pub storage_per_gb_month: f64,
    /// How long things are stored, in months.
    pub retention_months: f64,
    /// For an hour of one core.
    pub core_hour: f64,
    /// For an hour of a GB of memory.
    pub memory_gb_hour: f64,
}

/// What follows from an outcome and the price table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Priced {
    /// Bytes in the store, once things are deleted as fast as they come.
    pub storage: f64,
    /// What a month costs, where CPU time was measured.
    pub money: Option<f64>,
}

/// A price table cannot be used.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct PricesError(String);

const GB: f64 = 1e9;
const HOURS: f64 = 730.0;
const SECONDS: f64 = HOURS * 3600.0;
const PRICE_MAX: f64 = 1e9;

impl Default for Prices {
    fn default() -> Self {
        Self {
            network_per_gb: 0.02,
            ingestion_per_gb: 0.10,
            storage_per_gb_month: 0.03,
            retention_months: 1.0,
            core_hour: 0.04,
            memory_gb_hour: 0.005,
        }
    }
}

impl Prices {
    /// Reads a price table from a YAML file; what it does not say is as by default.
    ///
    /// # Errors
    /// When there are mistakes in it.
    pub fn load(path: &str) -> Result<Self, PricesError> {
        let (node, diagnostics) = Loader::new(|_| None).config(path).load();
        let prices = node.map(|node| Self::read(&Table::root(&node, &diagnostics)));
        match prices {
            Some(prices) if !diagnostics.has_errors() => Ok(prices),
            _ => Err(PricesError(diagnostics.render(false))),
        }
    }

    fn read(table: &Table<'_>) -> Self {
        let default = Self::default();
        let price = |key, default| table.float_or(key, 0.0..=PRICE_MAX, default);
        Self {
            network_per_gb: price("network_per_gb", default.network_per_gb),
            ingestion_per_gb: price("ingestion_per_gb", default.ingestion_per_gb),
            storage_per_gb_month: price("storage_per_gb_month", default.storage_per_gb_month),
            retention_months: price("retention_months", default.retention_months),
            core_hour: price("core_hour", default.core_hour),
            memory_gb_hour: price("memory_gb_hour", default.memory_gb_hour),
        }
    }

    /// What it takes to go on with such traffic; `None` if there was no traffic.
    #[must_use]
    pub fn of(&self, outcome: &Outcome) -> Option<Priced> {
        if outcome.seconds <= 0.0 {
            return None;
        }
        let months = SECONDS / outcome.seconds;
        let stored = bytes(outcome.hops.last()?) * months / GB;
        let network = leaving(outcome)? * months / GB;
        let storage = stored * self.retention_months;
        let core_hours = |cpu: TierCpu| cpu.total().as_secs_f64() / outcome.seconds * HOURS;
        let money = |cpu| {
            network * self.network_per_gb
                + stored * self.ingestion_per_gb
                + storage * self.storage_per_gb_month
                + core_hours(cpu) * self.core_hour
                + outcome.memory_mean / GB * HOURS * self.memory_gb_hour
        };
        Some(Priced { storage: storage * GB, money: outcome.cpu.map(money) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_config::read_str;

    use super::*;
    use crate::simulate::HopCounts;

    #[test]
    fn by_hand_a_gigabyte_an_hour_of_which_a_tenth_is_stored() {
        let hop = |name: &str, bytes| HopCounts { name: name.to_owned(), bytes, ..HopCounts::default() };
        let outcome = Outcome {
            hops: vec![hop("services to gateway", 1_000_000_000), hop("gateway to store", 100_000_000)],
            seconds: 3600.0,
            cpu: Some(TierCpu {
                agents: Some(Duration::from_secs(30)),
                gateway: Some(Duration::from_secs(6)),
            }),
            memory_mean: 2e9,
            ..Outcome::default()
        };
        let prices = Prices {
            network_per_gb: 1.0,
            ingestion_per_gb: 2.0,
            storage_per_gb_month: 3.0,
            retention_months: 2.0,
            core_hour: 10.0,
            memory_gb_hour: 0.5,
        };
        // 730 GB of network, 73 GB at 2 and twice 3, a hundredth of a core, 2 GB.
        let expected = 730.0 + 73.0 * 8.0 + 0.01 * 730.0 * 10.0 + 2.0 * 730.0 * 0.5;
        let priced = prices.of(&outcome).unwrap();
        assert!((priced.money.unwrap() - expected).abs() < 1e-6);
        // Two months of 73 GB.
        assert!((priced.storage - 146e9).abs() < 1.0);
        assert_eq!(prices.of(&Outcome { cpu: None, ..outcome }).unwrap().money, None);
        assert_eq!(prices.of(&Outcome::default()), None);
    }

    #[test]
    fn a_table_changes_what_it_says_and_unknown_prices_are_mistakes() {
        let (prices, problems) = read_str("core_hour: 1", Prices::read);
        assert!(problems.is_empty());
        assert_eq!(prices, Prices { core_hour: 1.0, ..Prices::default() });
        let (_, problems) = read_str("core_hours: 1", Prices::read);
        assert!(problems.render(false).contains("did you mean `core_hour`"));
    }
}
