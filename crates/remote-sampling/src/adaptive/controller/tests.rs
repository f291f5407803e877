mod simulation;

use super::*;
use crate::adaptive::AdaptiveConfig;
use crate::strategy::Sampling;
use crate::wire;

const STEP: Duration = Duration::from_secs(15);

fn goals() -> Goals {
    AdaptiveConfig::default().goals
}

fn root<'a>(service: &'a str, operation: &'a str) -> Root<'a> {
    Root { service, operation, threshold: None, tagged: None }
}

/// What a client makes of its answer: the probability of an operation.
fn told(controller: &mut Controller, service: &str, operation: &str) -> f64 {
    let strategy = wire::decode(&controller.strategy(service).protobuf).unwrap();
    let listed = strategy.operations.map(|operations| operations.probabilities).unwrap_or_default();
    match (listed.into_iter().find(|(name, _)| name == operation), strategy.sampling) {
        (Some((_, probability)), _) | (None, Sampling::Probabilistic(probability)) => probability,
        (None, Sampling::RateLimiting(_)) => unreachable!("adaptive strategies are probabilistic"),
    }
}

/// Steps until the window holds the same traces everywhere, and what they are estimated at per second.
fn rate(controller: &mut Controller, roots: &[Root<'_>]) -> f64 {
    roots.iter().for_each(|root| controller.observe(*root));
    let rates = controller.step(Duration::from_secs(1), &ByOperation::new());
    rates.values().flat_map(|operations| operations.values()).sum()
}

#[test]
fn a_trace_counts_by_its_threshold_then_by_what_was_told_then_by_its_tag() {
    let said = Root { threshold: Some(0.5), tagged: Some(0.25), ..root("shop", "GET /") };
    let tagged = Root { threshold: None, ..said };
    let mut controller = Controller::new(goals());
    assert_eq!(rate(&mut controller, &[said, said]), 4.0);
    let mut controller = Controller::new(goals());
    assert_eq!(rate(&mut controller, &[tagged]), 4.0);
    let mut controller = Controller::new(goals());
    controller.observe(tagged);
    controller.strategy("shop");
    assert_eq!(rate(&mut controller, &[tagged, said]), 4.0 + 1000.0 + 2.0);
    let mut controller = Controller::new(goals());
    assert_eq!(rate(&mut controller, &[root("shop", "GET /")]), 1000.0);
}

#[test]
fn no_trace_counts_as_millions() {
    let tiny = Root { threshold: Some(1e-12), ..root("shop", "GET /") };
    assert_eq!(rate(&mut Controller::new(goals()), &[tiny]), 1.0 / goals().least);
}

#[test]
fn a_step_that_comes_late_measures_the_same_rate() {
    let mut controller = Controller::new(goals());
    for seconds in [15, 15, 60, 1] {
        for _ in 0..seconds {
            controller.observe(Root { threshold: Some(0.5), ..root("shop", "GET /") });
        }
        let rates = controller.step(Duration::from_secs(seconds), &ByOperation::new());
        assert!((rates["shop"]["GET /"] - 2.0).abs() < 1e-9, "{rates:?}");
    }
}

#[test]
fn asking_leaves_nothing_behind() {
    let mut controller = Controller::new(goals());
    for number in 0..10_000 {
        assert_eq!(told(&mut controller, &format!("service-{number}"), "any"), 0.001);
    }
    assert_eq!((controller.services.len(), controller.operations()), (0, 0));
}

#[test]
fn a_flood_of_operations_shares_one_probability_and_is_counted() {
    let mut controller = Controller::new(Goals { max_operations: 3, ..goals() });
    for number in 0..100 {
        controller.observe(Root { threshold: Some(1.0), ..root("shop", &format!("GET /{number}")) });
    }
    // The shared entry comes on top.
    assert_eq!((controller.operations(), controller.take_overflow(), controller.take_overflow()), (4, 97, 0));
    controller.step(STEP, &ByOperation::new());
    let shared = told(&mut controller, "shop", "GET /77");
    assert_eq!(shared, told(&mut controller, "shop", "never seen"));
    // 97 traces in 15 s at 0.001 are less than is wanted, so it grows; but for all of them together.
    assert!(shared > 0.001 && shared < 0.002, "{shared}");
}

#[test]
fn a_flood_of_services_shares_one_probability_and_is_counted() {
    let mut controller = Controller::new(Goals { max_services: 2, ..goals() });
    for number in 0..100 {
        for _ in 0..1000 {
            controller.observe(Root { threshold: Some(1.0), ..root(&format!("service-{number}"), "GET /") });
        }
    }
    assert_eq!((controller.operations(), controller.take_overflow()), (3, 98_000));
    controller.step(STEP, &ByOperation::new());
    // 98,000 traces in 15 s are 6.5 a second at 0.001.
    let shared = told(&mut controller, "service-77", "GET /");
    assert!((shared - 15.0 / 98_000.0).abs() < 1e-9, "{shared}");
}

#[test]
fn long_names_have_no_entry() {
    let mut controller = Controller::new(goals());
    let name = "x".repeat(NAME_MAX + 1);
    controller.observe(root("shop", &name));
    controller.observe(root(&name, "GET /"));
    assert_eq!(controller.take_overflow(), 2);
    assert!(!controller.probabilities().values().any(|operations| operations.contains_key(&name)));
}

#[test]
fn what_is_silent_is_forgotten_sooner_where_there_is_no_room() {
    let hour = Duration::from_secs(60 * 60);
    let mut roomy = Controller::new(goals());
    let mut full = Controller::new(Goals { max_operations: 1, ..goals() });
    for controller in [&mut roomy, &mut full] {
        controller.observe(root("shop", "GET /"));
        // The window has to pass before there is silence.
        (0..=STEPS).for_each(|_| drop(controller.step(hour, &ByOperation::new())));
    }
    assert_eq!((roomy.operations(), full.operations()), (1, 0));
    (0..24).for_each(|_| drop(roomy.step(hour, &ByOperation::new())));
    assert_eq!(roomy.operations(), 0);
}

#[test]
fn what_was_told_before_a_restart_is_told_after_it() {
    let saved = ByOperation::from([("shop".to_owned(), [("GET /".to_owned(), 0.25)].into())]);
    let mut controller = Controller::new(goals());
    controller.restore(&saved);
    assert_eq!(controller.probabilities(), saved);
    assert_eq!(told(&mut controller, "shop", "GET /"), 0.25);
    assert_eq!(rate(&mut controller, &[root("shop", "GET /")]), 4.0);
    // Nothing below the least probability is believed.
    let zero = ByOperation::from([("shop".to_owned(), [("GET /".to_owned(), 0.0)].into())]);
    controller.restore(&zero);
    assert_eq!(told(&mut controller, "shop", "GET /"), goals().least);
}

#[test]
fn what_only_others_have_seen_has_a_probability_too() {
    let mut controller = Controller::new(goals());
    let others = ByOperation::from([("shop".to_owned(), [("GET /".to_owned(), 10_000.0)].into())]);
    let own = controller.step(STEP, &others);
    assert_eq!(own["shop"]["GET /"], 0.0, "what others have seen is not passed on");
    assert_eq!(told(&mut controller, "shop", "GET /"), 1.0 / 10_000.0);
}

#[test]
fn what_others_have_seen_of_too_many_operations_is_shared_too() {
    let mut controller = Controller::new(Goals { max_operations: 1, ..goals() });
    let seen = (0..10).map(|number| (format!("GET /{number}"), 1_000.0)).collect();
    controller.step(STEP, &ByOperation::from([("shop".to_owned(), seen)]));
    assert_eq!(controller.operations(), 2);
    let shared = told(&mut controller, "shop", "GET /7");
    assert!((shared - 1.0 / 9_000.0).abs() < 1e-12, "{shared}");
}
