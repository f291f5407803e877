use super::*;
use crate::compare::Kept;

fn measurement(system: &'static str, scenario: Scenario, round: u32, cpu: f64) -> Measurement {
    Measurement {
        system,
        scenario,
        load: Load::Paced,
        round,
        cpu_us_per_span: cpu,
        peak_rss_mib: cpu * 10.0,
        idle_rss_mib: cpu,
        spans_per_second: 1000.0 / cpu,
        sent: 1000,
        refused: 1,
        received: 170,
        received_requests: 1,
        disturbance: f64::from(round) / 10.0,
        refusals: Default::default(),
        kept: Some(Kept::new([(1, 8), (u128::from(round) + 2, 8)].into_iter())),
    }
}

#[test]
fn ratios_are_taken_within_a_round() {
    // The machine is half as fast in the second round, and the order of the systems alternates.
    let all = [
        measurement("a", Scenario::Tail, 0, 1.0),
        measurement("b", Scenario::Tail, 0, 10.0),
        measurement("b", Scenario::Tail, 1, 20.0),
        measurement("a", Scenario::Tail, 1, 2.0),
        measurement("a", Scenario::Tail, 2, 1.0),
        measurement("b", Scenario::Tail, 2, 11.0),
    ];
    let group = Group::new(&all, Scenario::Tail, Load::Paced).unwrap();
    let ratios = group.ratios.unwrap();
    assert_eq!(ratios.cpu, Spread { least: 10.0, median: 10.0, most: 11.0 });
    assert_eq!(ratios.spans_per_second.median, 10.0);
    assert_eq!((group.systems[0].system, group.systems[0].cpu_us_per_span), ("a", 1.0));
    assert_eq!((group.systems[0].refused, group.systems[0].disturbance), (3, 0.2));
    assert!(group.sound());
    assert!(Group::new(&all, Scenario::Pass, Load::Paced).is_none());
}

#[test]
fn different_and_torn_traces_are_not_sound() {
    let first = measurement("a", Scenario::Tail, 0, 1.0);
    let mut second = measurement("b", Scenario::Tail, 0, 1.0);
    second.kept = Some(Kept::new([(1, 8)].into_iter()));
    let group = Group::new(&[first.clone(), second], Scenario::Tail, Load::Paced).unwrap();
    assert!(!group.sound());
    assert!(group.to_string().contains("traces kept by both 1, by a alone 1, by b alone 0"), "{group}");

    let mut torn = first;
    torn.kept = Some(Kept::new([(1, 7)].into_iter()));
    assert!(!Group::new(&[torn], Scenario::Tail, Load::Paced).unwrap().sound());
}

#[test]
fn systems_are_held_against_the_floor_of_the_same_round() {
    let all = [measurement("bare", Scenario::Floor, 0, 0.5), measurement("a", Scenario::Tail, 0, 1.0)];
    let of_floor = |scenario| Group::new(&all, scenario, Load::Paced).unwrap().systems[0].of_floor;
    assert_eq!(of_floor(Scenario::Tail), Some(0.5));
    assert_eq!(of_floor(Scenario::Floor), None);
}

#[test]
fn the_median_of_an_even_number_of_values_lies_between_the_middle_two() {
    let spread = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).unwrap();
    assert_eq!(spread, Spread { least: 1.0, median: 2.5, most: 4.0 });
}
