//! Clients that ask once a minute, and traffic that does as it likes.

use fastrand::Rng;

use super::*;

/// A fleet of clients of one service, and the gateways that they send to.
struct World {
    gateways: Vec<Controller>,
    clients: Vec<Client>,
    /// Whether traces say with which probability they were sampled.
    thresholds: bool,
    random: Rng,
    second: u64,
}

struct Client {
    gateway: usize,
    /// The second of the minute in which it asks.
    asks_at: u64,
    probabilities: BTreeMap<String, f64>,
}

impl World {
    fn new(goals: Goals, gateways: usize, asks_at: impl Fn(u64) -> u64) -> Self {
        let client = |number: usize| Client {
            gateway: number % gateways,
            asks_at: asks_at(number as u64),
            probabilities: BTreeMap::new(),
        };
        Self {
            gateways: (0..gateways).map(|_| Controller::new(goals)).collect(),
            clients: (0..20).map(client).collect(),
            thresholds: true,
            random: Rng::with_seed(7),
            second: 0,
        }
    }

    /// Lets minutes pass in which operations bring so many traces per second, and returns how many were sampled
    /// per second, minute by minute.
    fn run(&mut self, minutes: u64, rates: &[(&str, f64)]) -> Vec<f64> {
        (0..minutes).map(|_| (0..60).map(|_| self.pass(rates)).sum::<f64>() / 60.0).collect()
    }

    /// One second. Returns how many traces were sampled.
    fn pass(&mut self, rates: &[(&str, f64)]) -> f64 {
        if self.second.is_multiple_of(STEP.as_secs()) {
            self.step();
        }
        let (share, second) = (self.clients.len() as f64, self.second);
        let mut sampled = 0.0;
        for client in &mut self.clients {
            let gateway = &mut self.gateways[client.gateway];
            for (operation, rate) in rates {
                if second % 60 == client.asks_at || !client.probabilities.contains_key(*operation) {
                    let probability = told(gateway, "shop", operation);
                    client.probabilities.insert((*operation).to_owned(), probability);
                }
                let probability = client.probabilities[*operation];
                let expected = rate / share * probability;
                let count = (expected + self.random.f64()).floor();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole and small"
                )]
                for _ in 0..count as u64 {
                    let threshold = self.thresholds.then_some(probability);
                    gateway.observe(Root { threshold, ..root("shop", operation) });
                }
                sampled += count;
            }
        }
        self.second += 1;
        sampled
    }

    /// Gateways hear what the others have seen in the step before.
    fn step(&mut self) {
        let none = ByOperation::new();
        let count = self.gateways.len();
        let seen: Vec<_> = self.gateways.iter().map(|gateway| gateway.seen()).collect();
        for (index, gateway) in self.gateways.iter_mut().enumerate() {
            let others = (0..count).filter(|other| *other != index).map(|other| &seen[other]);
            let others = others.fold(none.clone(), add);
            gateway.step(STEP, &others);
        }
    }
}

impl Controller {
    /// What the last step has returned, without one.
    fn seen(&self) -> ByOperation {
        let seconds: f64 = self.elapsed.iter().sum::<f64>().max(1.0);
        let of = |operation: &Operation| operation.traces() / seconds;
        let service = |service: &Service| {
            service.operations.iter().map(|(name, operation)| (name.clone(), of(operation))).collect()
        };
        self.services.iter().map(|(name, known)| (name.clone(), service(known))).collect()
    }
}

fn add(mut sum: ByOperation, rates: &ByOperation) -> ByOperation {
    for (service, operations) in rates {
        for (operation, rate) in operations {
            *sum.entry(service.clone()).or_default().entry(operation.clone()).or_default() += rate;
        }
    }
    sum
}

fn mean(minutes: &[f64]) -> f64 {
    minutes.iter().sum::<f64>() / minutes.len() as f64
}

fn staggered(client: u64) -> u64 {
    client * 3
}

fn together(_: u64) -> u64 {
    1
}

#[test]
fn steady_traffic_is_sampled_at_its_target() {
    for rate in [5.0, 100.0, 10_000.0] {
        let mut world = World::new(goals(), 1, staggered);
        world.run(20, &[("GET /", rate)]);
        let sampled = mean(&world.run(30, &[("GET /", rate)]));
        assert!((0.7..=1.3).contains(&sampled), "{rate}: {sampled}");
    }
}

#[test]
fn a_burst_is_over_for_the_backend_within_three_minutes() {
    let mut world = World::new(goals(), 1, staggered);
    world.run(30, &[("GET /", 100.0)]);
    let burst = world.run(20, &[("GET /", 2_000.0)]);
    assert!(burst[0] < 20.0, "{burst:?}");
    assert!(burst[3..].iter().all(|minute| *minute < 1.6), "{burst:?}");
    assert!(mean(&burst[3..]) > 0.6, "{burst:?}");
}

#[test]
fn after_a_burst_the_rate_comes_back() {
    let mut world = World::new(goals(), 1, staggered);
    world.run(30, &[("GET /", 2_000.0)]);
    // Probabilities double in a minute: a factor of 20 takes five.
    let after = world.run(20, &[("GET /", 100.0)]);
    assert!((0.7..=1.4).contains(&mean(&after[8..])), "{after:?}");
}

#[test]
fn clients_that_all_lag_behind_and_say_nothing_do_not_make_it_swing() {
    for rate in [100.0, 10_000.0] {
        let mut world = World::new(goals(), 1, together);
        world.thresholds = false;
        world.run(30, &[("GET /", rate)]);
        let minutes = world.run(60, &[("GET /", rate)]);
        assert!(minutes.iter().all(|minute| (0.3..=2.0).contains(minute)), "{minutes:?}");
        assert!((0.7..=1.3).contains(&mean(&minutes)), "{minutes:?}");
    }
}

#[test]
fn a_new_operation_begins_at_the_initial_probability_and_reaches_its_target() {
    let mut world = World::new(goals(), 1, staggered);
    world.run(20, &[("GET /", 100.0)]);
    let both = [("GET /", 100.0), ("POST /", 50.0)];
    assert_eq!(told(&mut world.gateways[0], "shop", "POST /"), 0.001);
    world.run(15, &both);
    let sampled = mean(&world.run(30, &both));
    assert!((1.4..=2.6).contains(&sampled), "{sampled}");
}

#[test]
fn a_rare_operation_is_sampled_always() {
    let mut world = World::new(goals(), 1, staggered);
    world.run(20, &[("GET /", 1_000.0)]);
    // One in four minutes, once its first trace has been sampled.
    world.gateways[0].observe(Root { threshold: Some(1.0), ..root("shop", "DELETE /") });
    world.run(30, &[("GET /", 1_000.0), ("DELETE /", 1.0 / 240.0)]);
    assert_eq!(told(&mut world.gateways[0], "shop", "DELETE /"), 1.0);
}

#[test]
fn traffic_that_stops_and_comes_back_is_at_its_target_soon() {
    let mut world = World::new(goals(), 1, staggered);
    world.run(30, &[("GET /", 1_000.0)]);
    world.run(60, &[("GET /", 0.0)]);
    assert_eq!(told(&mut world.gateways[0], "shop", "GET /"), 1.0);
    let back = world.run(20, &[("GET /", 1_000.0)]);
    assert!(back[3..].iter().all(|minute| *minute < 1.6), "{back:?}");
}

#[test]
fn a_service_keeps_to_its_own_target_and_rare_operations_are_whole() {
    let mut world = World::new(Goals { per_service: Some(2.0), ..goals() }, 1, staggered);
    let operations = [("a", 100.0), ("b", 100.0), ("c", 100.0), ("d", 100.0), ("rare", 0.05)];
    world.run(30, &operations);
    let sampled = mean(&world.run(30, &operations));
    assert!((1.4..=2.6).contains(&sampled), "{sampled}");
    assert_eq!(told(&mut world.gateways[0], "shop", "rare"), 1.0);
}

#[test]
fn several_gateways_have_one_target() {
    let mut world = World::new(goals(), 4, staggered);
    world.run(30, &[("GET /", 1_000.0)]);
    let sampled = mean(&world.run(30, &[("GET /", 1_000.0)]));
    assert!((0.7..=1.3).contains(&sampled), "{sampled}");
}
