//! What traffic is described by.

use std::time::Duration;

use forebay_config::{Cursor, Table};

/// A graph of services, how much traffic enters it, and what goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// What the workload is called.
    pub name: String,
    /// How long traffic enters.
    pub duration: Duration,
    /// How many traces begin in a second, on average.
    pub traces_per_second: f64,
    /// The services.
    pub services: Vec<Service>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// How many instances it has.
    pub instances: u32,
    /// What it does.
    pub operations: Vec<Operation>,
}

/// What a service does when it is called.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The name of its spans.
    pub name: String,
    /// How many of the traces begin with it, beside the weights of the others; 0 for none.
    pub weight: f64,
    /// The median of the time that it takes by itself.
    pub latency: Duration,
    /// The standard deviation of that time's logarithm.
    pub spread: f64,
    /// Which share of its calls fails without any fault, from 0 to 1.
    pub errors: f64,
    /// Whether its calls happen at once rather than one after the other.
    pub parallel: bool,
    /// Whom it calls.
    pub calls: Vec<Call>,
    /// Attributes of its spans; `{N}` in a value stands for a random number below N.
    pub attributes: Vec<(String, String)>,
}

/// A call of an operation, by the numbers of its service and of the operation in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Call {
    /// The service's number.
    pub service: usize,
    /// The operation's number in its service.
    pub operation: usize,
    /// How likely the call is, from 0 to 1.
    pub probability: f64,
    /// How often it happens then.
    pub times: u32,
}

/// Something that goes wrong for a while.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What its anomalies are called.
    pub name: String,
    /// What happens.
    pub kind: FaultKind,
    /// The number of the service to which it happens.
    pub service: usize,
    /// The number of the operation to which it happens; `None` for all.
    pub operation: Option<usize>,
    /// When it begins, after the traffic's begin.
    pub from: Duration,
    /// When it is over.
    pub to: Duration,
    /// Which share of the calls it strikes, from 0 to 1.
    pub probability: f64,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// It fails.
    Errors,
    /// It takes so many times as long.
    Slow(f64),
    /// It calls an operation that it never calls otherwise.
    RarePath(Call),
    /// It fails, and is tried again so many times, of which the last succeeds.
    RetryStorm(u32),
    /// The instance of this number does not answer.
    Outage(u32),
}

/// How long a description without a `duration` lasts.
const DURATION: Duration = Duration::from_secs(120);

impl Description {
    /// Reads a description, recording every mistake.
    #[must_use]
    pub fn read(table: &Table<'_>) -> Self {
        let services = table.section("services").entries();
        let names: Vec<Names> = services.iter().map(|(name, cursor)| Names::of(name, cursor)).collect();
        if services.is_empty() {
            table.error("services", "there are no services, so there is no traffic");
        }
        let services: Vec<_> =
            services.iter().filter_map(|(name, cursor)| Service::read(name, cursor, &names)).collect();
        let description = Self {
            name: table.string("name").unwrap_or_else(|| "generated".to_owned()),
            duration: table.duration_or("duration", DURATION),
            traces_per_second: table.float_or("traces_per_second", 0.001..=1e6, 10.0),
            faults: table.tables("faults").iter().filter_map(|fault| Fault::read(fault, &names)).collect(),
            services,
        };
        if !description.services.is_empty() && description.entries().next().is_none() {
            table.error("services", "no operation has a `weight`, so no trace begins anywhere");
        }
        if let Some(circle) = description.circle() {
            table.error("services", format!("`{circle}` calls itself in a circle, and traces would not end"));
        }
        description
    }

    /// Where traces begin: numbers of service and operation, and the weight.
    pub fn entries(&self) -> impl Iterator<Item = (usize, usize, f64)> {
        self.services
            .iter()
            .enumerate()
            .flat_map(|(service, described)| {
                let operations = described.operations.iter().enumerate();
                operations.map(move |(operation, described)| (service, operation, described.weight))
            })
            .filter(|&(_, _, weight)| weight > 0.0)
    }

    /// An operation that ends up calling itself.
    fn circle(&self) -> Option<String> {
        let operations =
            |service: usize| self.services.get(service).map_or(&[][..], |found| &found.operations);
        // Depth first: what is on the path when it is met again is in a circle.
        let mut state: Vec<Vec<u8>> =
            (0..self.services.len()).map(|service| vec![0; operations(service).len()]).collect();
        let mut path = Vec::new();
        for service in 0..self.services.len() {
            for operation in 0..operations(service).len() {
                path.push((service, operation, 0));
                while let Some((service, operation, next)) = path.pop() {
                    if next == 0 {
                        if state[service][operation] == 2 {
                            continue;
                        }
                        state[service][operation] = 1;
                    }
                    let Some(call) = operations(service)[operation].calls.get(next) else {
                        state[service][operation] = 2;
                        continue;
                    };
                    path.push((service, operation, next + 1));
                    match state.get(call.service).and_then(|found| found.get(call.operation)) {
                        Some(1) => return Some(operations(call.service)[call.operation].name.clone()),
                        Some(0) => path.push((call.service, call.operation, 0)),
                        _ => {}
                    }
                }
            }
        }
        None
    }
}

/// What a service and its operations are called.
struct Names {
    service: String,
    operations: Vec<String>,
}

impl Names {
    fn of(name: &str, cursor: &Cursor<'_>) -> Self {
        let operations = cursor.node().get("operations").map(|operations| match &operations.value {
            forebay_config::Value::Map(entries) => entries.iter().map(|entry| entry.key.clone()).collect(),
            _ => Vec::new(),
        });
        Self { service: name.to_owned(), operations: operations.unwrap_or_default() }
    }
}

impl Service {
    fn read(name: &str, cursor: &Cursor<'_>, names: &[Names]) -> Option<Self> {
        let table = cursor.table()?;
        let operations = table.section("operations").entries();
        if operations.is_empty() {
            table.error("operations", format!("service `{name}` has no operations"));
        }
        Some(Self {
            name: name.to_owned(),
            instances: table.integer_or("instances", 1..=1000, 1),
            operations: operations
                .iter()
                .filter_map(|(name, cursor)| Some(Operation::read(name, &cursor.table()?, names)))
                .collect(),
        })
    }
}

impl Operation {
    fn read(name: &str, table: &Table<'_>, names: &[Names]) -> Self {
        Self {
            name: name.to_owned(),
            weight: table.float_or("weight", 0.0..=1e9, 0.0),
            latency: table.duration_or("latency", Duration::from_millis(1)),
            spread: table.float_or("spread", 0.0..=3.0, 0.5),
            errors: table.float_or("error_percentage", 0.0..=100.0, 0.0) / 100.0,
            parallel: table.bool_or("parallel", false),
            calls: table.tables("calls").iter().filter_map(|call| Call::read(call, names)).collect(),
            attributes: table.map("attributes").unwrap_or_default(),
        }
    }
}

impl Call {
    fn read(table: &Table<'_>, names: &[Names]) -> Option<Self> {
        let probability = table.float_or("percentage", 0.0..=100.0, 100.0) / 100.0;
        let times = table.integer_or("times", 1..=1000, 1);
        let service = service(table, names)?;
        let operation = operation(table, &names[service])?;
        let operation = table.require("operation", operation)?;
        Some(Self { service, operation, probability, times })
    }
}

impl Fault {
    fn read(table: &Table<'_>, names: &[Names]) -> Option<Self> {
        let from = table.duration_or("from", Duration::ZERO);
        let to = table.duration_or("to", Duration::MAX);
        if to <= from {
            table.error("to", "is not after `from`, so the fault would never happen");
        }
        let name = table.string("name");
        let name = table.require("name", name);
        let probability = table.float_or("percentage", 0.0..=100.0, 100.0) / 100.0;
        let kinds = [
            ("errors", FaultKind::Errors),
            ("slow", FaultKind::Slow(1.0)),
            ("rare_path", FaultKind::RetryStorm(0)),
            ("retry_storm", FaultKind::RetryStorm(1)),
            ("outage", FaultKind::Outage(0)),
        ];
        let kind = table.choice("kind", &kinds);
        let kind = table.require("kind", kind);
        let service = service(table, names);
        let kind = match kind? {
            FaultKind::Slow(_) => FaultKind::Slow(table.float_or("factor", 1.0..=1e6, 10.0)),
            FaultKind::RetryStorm(0) => {
                let call = table.table("calls").and_then(|call| Call::read(&call, names));
                FaultKind::RarePath(table.require("calls", call)?)
            }
            FaultKind::RetryStorm(_) => FaultKind::RetryStorm(table.integer_or("attempts", 2..=100, 4)),
            FaultKind::Outage(_) => FaultKind::Outage(table.integer_or("instance", 0..1000, 0)),
            other => other,
        };
        let service = service?;
        let operation = operation(table, &names[service])?;
        Some(Self { name: name?, kind, service, operation, from, to, probability })
    }
}

/// The number of the service that `table` names.
fn service(table: &Table<'_>, names: &[Names]) -> Option<usize> {
    let name = table.string("service");
    let name = table.require("service", name)?;
    let found = names.iter().position(|names| names.service == name);
    if found.is_none() {
        let known: Vec<_> = names.iter().map(|names| &*names.service).collect();
        table.error("service", format!("there is no service `{name}`; there are {}", known.join(", ")));
    }
    found
}

/// The number of the operation that `table` names, `Some(None)` if it names none, `None` if there is none so called.
fn operation(table: &Table<'_>, names: &Names) -> Option<Option<usize>> {
    let Some(name) = table.string("operation") else { return Some(None) };
    let found = names.operations.iter().position(|operation| *operation == name);
    if found.is_none() {
        let known = names.operations.join(", ");
        table.error("operation", format!("`{}` has no operation `{name}`; it has {known}", names.service));
    }
    found.map(Some)
}
