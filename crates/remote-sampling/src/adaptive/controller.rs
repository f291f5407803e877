//! All operations, and what follows from their traffic.
//!
//! Of what clients have sampled the controller estimates all that there was (Horvitz and Thompson): a trace
//! sampled with probability `p` counts `1/p`. So it does not matter that clients learn of a new probability only
//! when they ask the next time, once in a minute, as long as a trace says its own; one that does not is taken for
//! sampled with what clients have been told, on average over that minute.
//!
//! Names are the clients' choice, so there is room for so many services and operations and no more. Those
//! without an entry share one, whose name is empty; its probability is also that of operations never heard of.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use forebay_allocators::{Vessel, level};

use super::ByOperation;
use super::formula::{Goals, STEPS};
use super::operation::Operation;
use crate::strategy::{Encoded, Operations, Strategy};

/// The first span of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Root<'a> {
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    /// The probability in its trace state, above 0.
    pub(crate) threshold: Option<f64>,
    /// The probability in Jaeger's attributes, above 0.
    pub(crate) tagged: Option<f64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Controller {
    goals: Goals,
    services: BTreeMap<String, Service>,
    /// Seconds of the last steps, the newest last.
    elapsed: VecDeque<f64>,
    /// What services without an entry are told.
    unknown: Encoded,
    /// Traces without an entry of their own since somebody asked.
    overflow: u64,
}

#[derive(Debug, Default)]
struct Service {
    operations: BTreeMap<String, Operation>,
    /// Whether it has asked what to sample.
    asked: bool,
    /// What it is told until the next step.
    encoded: Option<Encoded>,
}

/// The entry of those that have none of their own.
const OTHERS: &str = "";
/// Longer names have no entry of their own, in bytes.
const NAME_MAX: usize = 256;
/// The silence after which an operation is forgotten: if there is room, so that rare ones keep their probability,
/// and if there is none.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);
const FORGOTTEN_IF_FULL: Duration = Duration::from_secs(10 * 60);

impl Controller {
    /// One that knows no traffic.
    pub(crate) fn new(goals: Goals) -> Self {
        let unknown = Strategy::probabilistic(goals.initial).encode();
        Self { goals, services: BTreeMap::new(), elapsed: VecDeque::new(), unknown, overflow: 0 }
    }

    /// Counts a trace.
    pub(crate) fn observe(&mut self, root: Root<'_>) {
        let (service, operation) = self.names(root.service, root.operation);
        self.overflow += u64::from(operation.len() < root.operation.len());
        let least = self.goals.least;
        let service = self.services.entry(service.to_owned()).or_default();
        let tagged = root.tagged.filter(|_| !service.asked);
        let operation = service.operation(operation, self.goals.initial);
        operation.count(root.threshold.or(tagged), least);
    }

    /// What a service is told. Nothing is remembered of one without an entry.
    pub(crate) fn strategy(&mut self, service: &str) -> Encoded {
        let Some(service) = self.services.get_mut(service) else { return self.unknown.clone() };
        service.asked = true;
        match &service.encoded {
            Some(encoded) => encoded.clone(),
            None => service.encoded.insert(service.strategy(&self.goals).encode()).clone(),
        }
    }

    /// Recalculates all probabilities, `elapsed` after the last time, where others have seen so many traces per
    /// second as `others` says. Returns what this controller has seen.
    pub(crate) fn step(&mut self, elapsed: Duration, others: &ByOperation) -> ByOperation {
        let others = self.admit(others);
        self.elapsed.push_back(elapsed.as_secs_f64().max(f64::EPSILON));
        if self.elapsed.len() > STEPS as usize {
            self.elapsed.pop_front();
        }
        let seconds = self.elapsed.iter().sum();
        let mut own = ByOperation::new();
        for (name, service) in &mut self.services {
            let rates = service.measure(elapsed, seconds);
            service.adjust(&self.goals, elapsed, &rates, others.get(name));
            own.insert(name.clone(), rates);
        }
        self.forget();
        let others = self.services.get(OTHERS).map(|service| service.others(&self.goals));
        self.unknown = Strategy::probabilistic(others.unwrap_or(self.goals.initial)).encode();
        own
    }

    /// What clients are told.
    pub(crate) fn probabilities(&self) -> ByOperation {
        let of = |operations: &BTreeMap<String, Operation>| {
            operations.iter().map(|(name, operation)| (name.clone(), operation.probability)).collect()
        };
        self.services.iter().map(|(name, service)| (name.clone(), of(&service.operations))).collect()
    }

    /// Goes on with what clients were told before.
    pub(crate) fn restore(&mut self, probabilities: &ByOperation) {
        for (service, operations) in probabilities {
            for (operation, probability) in operations {
                let (service, operation) = self.names(service, operation);
                let service = self.services.entry(service.to_owned()).or_default();
                let probability = probability.clamp(self.goals.least, 1.0);
                service.operations.insert(operation.to_owned(), Operation::new(probability));
            }
        }
    }

    /// Operations with an entry.
    pub(crate) fn operations(&self) -> usize {
        self.services.values().map(|service| service.operations.len()).sum()
    }

    /// Traces without an entry of their own since the last call.
    pub(crate) fn take_overflow(&mut self) -> u64 {
        std::mem::take(&mut self.overflow)
    }

    /// What others have seen, by the entries where it would be counted here, which there are then.
    fn admit(&mut self, others: &ByOperation) -> ByOperation {
        let mut admitted = ByOperation::new();
        for (service, operations) in others {
            for (operation, rate) in operations {
                let (service, operation) = self.names(service, operation);
                let known = self.services.entry(service.to_owned()).or_default();
                known.operation(operation, self.goals.initial);
                let rates = admitted.entry(service.to_owned()).or_default();
                *rates.entry(operation.to_owned()).or_default() += rate;
            }
        }
        admitted
    }

    /// The names of the entry where an operation is counted.
    fn names<'n>(&self, service: &'n str, operation: &'n str) -> (&'n str, &'n str) {
        let Goals { max_services, max_operations, .. } = self.goals;
        let service = admitted(&self.services, service, max_services);
        let operation = match self.services.get(service) {
            _ if service == OTHERS => OTHERS,
            Some(service) => admitted(&service.operations, operation, max_operations),
            None if operation.len() <= NAME_MAX => operation,
            None => OTHERS,
        };
        (service, operation)
    }

    fn forget(&mut self) {
        for service in self.services.values_mut() {
            let full = service.operations.len() >= self.goals.max_operations;
            let patience = if full { FORGOTTEN_IF_FULL } else { FORGOTTEN };
            service.operations.retain(|_, operation| operation.silent < patience);
        }
        let full = self.services.len() >= self.goals.max_services;
        let patience = if full { FORGOTTEN_IF_FULL } else { FORGOTTEN };
        let remembered = |operation: &Operation| operation.silent < patience;
        self.services.retain(|_, service| service.operations.values().any(remembered));
    }
}

/// The name under which there is an entry or may be one.
fn admitted<'n, T>(entries: &BTreeMap<String, T>, name: &'n str, most: usize) -> &'n str {
    let fits = name.len() <= NAME_MAX && entries.len() < most;
    if fits || entries.contains_key(name) { name } else { OTHERS }
}

impl Service {
    fn operation(&mut self, name: &str, initial: f64) -> &mut Operation {
        self.operations.entry(name.to_owned()).or_insert_with(|| Operation::new(initial))
    }

    /// The probability of operations without an entry.
    fn others(&self, goals: &Goals) -> f64 {
        self.operations.get(OTHERS).map_or(goals.initial, |operation| operation.probability)
    }

    /// Traces per second by operation.
    fn measure(&mut self, elapsed: Duration, seconds: f64) -> BTreeMap<String, f64> {
        let measured = |(name, operation): (&String, &mut Operation)| {
            (name.clone(), operation.measure(elapsed, seconds))
        };
        self.operations.iter_mut().map(measured).collect()
    }

    /// Recalculates the probabilities from the traces per second that this and other controllers have seen.
    fn adjust(
        &mut self,
        goals: &Goals,
        elapsed: Duration,
        own: &BTreeMap<String, f64>,
        others: Option<&BTreeMap<String, f64>>,
    ) {
        let rate = |name: &str| {
            let of = |rates: &BTreeMap<String, f64>| rates.get(name).copied().unwrap_or(0.0);
            of(own) + others.map_or(0.0, of)
        };
        let target = goals.target(self.operations.keys().map(|name| rate(name)));
        for (name, operation) in &mut self.operations {
            let rate = rate(name);
            operation.silent = if rate > 0.0 { Duration::ZERO } else { operation.silent + elapsed };
            operation.probability = if rate <= 0.0 && name == OTHERS {
                // Whoever comes next is as new as the first was.
                goals.initial
            } else {
                goals.next(operation.probability, rate * operation.probability, target)
            };
        }
        self.encoded = None;
    }

    fn strategy(&self, goals: &Goals) -> Strategy {
        let default = self.others(goals);
        let own = self.operations.iter().filter(|(name, _)| *name != OTHERS);
        let probabilities: Vec<_> =
            own.map(|(name, operation)| (name.clone(), operation.probability)).collect();
        let operations = (!probabilities.is_empty()).then(|| Operations {
            default,
            lower_bound: goals.lower_bound,
            probabilities,
            ..Operations::default()
        });
        Strategy { operations, ..Strategy::probabilistic(default) }
    }
}

impl Goals {
    /// Sampled traces per second that each operation of a service may have, whose operations bring so many traces
    /// per second before sampling. What rare operations leave of the service's target is for the others.
    fn target(&self, rates: impl Iterator<Item = f64>) -> f64 {
        let Some(total) = self.per_service else { return self.per_operation };
        let wanted = rates.map(|rate| rate.min(self.per_operation)).filter(|&wanted| wanted > 0.0);
        let mut vessels: Vec<_> = wanted.map(|wanted| Vessel { height: wanted, volume: wanted }).collect();
        level(total, &mut vessels).min(self.per_operation)
    }
}

#[cfg(test)]
mod tests;
