//! A strategies file: what each service is told, written down by people.
//!
//! The format is Jaeger's (`sampling.strategies`, JSON; YAML will do). Where Jaeger is silent about a mistake
//! and serves something else, this is an error with its place. On purpose different are:
//!
//! - A rate limit with a fraction is rounded up, with a warning. Clients take whole numbers only, and Jaeger
//!   cuts 0.9 down to a limit of none (jaegertracing/jaeger#2543).
//! - A service with a rate limit and no operations of its own does not inherit the default's: clients that are
//!   given operations ignore the limit beside them.

use std::collections::{HashMap, HashSet};

use forebay_config::Table;

use crate::strategy::{Encoded, Operations, Sampling, Strategy};

/// The strategies of services.
#[derive(Clone, Debug)]
pub struct Strategies {
    default: Encoded,
    services: HashMap<String, Encoded>,
}

/// What Jaeger serves where nothing is said.
pub(crate) const DEFAULT_PROBABILITY: f64 = 0.001;

#[derive(Clone, Copy)]
enum Kind {
    Probabilistic,
    RateLimiting,
}

impl Strategies {
    /// One strategy for all.
    pub(crate) fn all(probability: f64) -> Self {
        Self { default: Strategy::probabilistic(probability).encode(), services: HashMap::new() }
    }

    /// Reads a document. `fallback` is the probability where it names none: of services without a strategy, if
    /// there is no default, and of operations that are not listed where there is a rate limit.
    pub fn read(table: &Table<'_>, fallback: f64) -> Self {
        if !table.has("default_strategy") && !table.has("service_strategies") {
            table.error(
                "default_strategy",
                "there are no strategies: expected `default_strategy` or `service_strategies`",
            );
        }
        let default = table.table("default_strategy").and_then(|table| {
            if table.get("service").is_some() {
                table.warning("service", "has no effect in the default strategy");
            }
            strategy(&table, fallback, None)
        });
        let inherited = default.as_ref().and_then(|default| default.operations.as_ref());
        let (mut services, mut names) = (HashMap::new(), HashSet::new());
        for table in table.tables("service_strategies") {
            let service = table.require("service", table.string("service"));
            let strategy = strategy(&table, fallback, inherited);
            let Some(service) = service else { continue };
            if !names.insert(service.clone()) {
                table.error("service", format!("service `{service}` has a strategy already"));
            } else if let Some(strategy) = strategy {
                services.insert(service, strategy.encode());
            }
        }
        let default = default.unwrap_or(Strategy::probabilistic(fallback));
        Self { default: default.encode(), services }
    }

    /// What `service` is told.
    #[must_use]
    pub fn of(&self, service: &str) -> &Encoded {
        self.services.get(service).unwrap_or(&self.default)
    }
}

/// The strategy of one service, with what it inherits; none if something is wrong with it.
fn strategy(table: &Table<'_>, fallback: f64, inherited: Option<&Operations>) -> Option<Strategy> {
    let sampling = sampling(table);
    let own = operations(table);
    let sampling = sampling?;
    let default = match sampling {
        Sampling::Probabilistic(probability) => probability,
        Sampling::RateLimiting(_) if own.is_empty() => return Some(Strategy { sampling, operations: None }),
        Sampling::RateLimiting(_) => {
            table.warning("operation_strategies", "clients ignore the rate limit beside operations");
            fallback
        }
    };
    let names: HashSet<_> = own.iter().map(|(name, _)| name.clone()).collect();
    let rest = inherited.map(|operations| operations.probabilities.as_slice()).unwrap_or_default();
    let rest = rest.iter().filter(|(name, _)| !names.contains(name)).cloned();
    let probabilities: Vec<_> = own.into_iter().chain(rest).collect();
    let operations =
        (!probabilities.is_empty()).then(|| Operations { default, probabilities, ..Operations::default() });
    Some(Strategy { sampling, operations })
}

fn sampling(table: &Table<'_>) -> Option<Sampling> {
    let kinds = [("probabilistic", Kind::Probabilistic), ("ratelimiting", Kind::RateLimiting)];
    let kind = table.require("type", table.choice("type", &kinds));
    match kind {
        Some(Kind::Probabilistic) => probability(table).map(Sampling::Probabilistic),
        Some(Kind::RateLimiting) => limit(table).map(Sampling::RateLimiting),
        None => {
            table.get("param");
            None
        }
    }
}

fn probability(table: &Table<'_>) -> Option<f64> {
    table.require("param", table.float("param", 0.0..=1.0))
}

fn limit(table: &Table<'_>) -> Option<i32> {
    let param = table.require("param", table.float("param", 0.0..=f64::from(i32::MAX)))?;
    let limit = param.ceil();
    if limit > param {
        table.warning("param", format!("clients take whole numbers of traces a second: {limit} is served"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and at most i32::MAX")]
    Some(limit as i32)
}

/// `operation_strategies`: names and probabilities.
fn operations(table: &Table<'_>) -> Vec<(String, f64)> {
    let mut operations: Vec<(String, f64)> = Vec::new();
    let mut names = HashSet::new();
    for table in table.tables("operation_strategies") {
        let name = table.require("operation", table.string("operation"));
        let sampling = sampling(&table);
        let Some(name) = name else { continue };
        if !names.insert(name.clone()) {
            table.error("operation", format!("operation `{name}` has a strategy already"));
            continue;
        }
        match sampling {
            Some(Sampling::Probabilistic(probability)) => operations.push((name, probability)),
            // As in Jaeger, whose protocol has no other strategies of operations.
            Some(Sampling::RateLimiting(_)) => table.warning(
                "type",
                format!("operations have probabilities only: `{name}` has that of its service"),
            ),
            None => {}
        }
    }
    operations
}

#[cfg(test)]
mod tests;
