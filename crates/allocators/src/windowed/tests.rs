use super::*;
use crate::testing::{COUNTS, at, count_all, demand, rates};

const SECOND: Duration = Duration::from_secs(1);

/// Vectors recomputed from the formulas of dynsampler-go 0.6.4.
#[test]
fn rates_are_those_of_dynsampler() {
    let mut total = Windowed::total_throughput(10.0, 30 * SECOND, 500);
    let mut windowed = Windowed::throughput(10.0, SECOND, 30 * SECOND, 500);
    for allocator in [&mut total, &mut windowed] {
        count_all(allocator, 0.0, COUNTS);
        assert_eq!(rates(allocator, 1..=5), [1.0; 5], "what is not known is kept");
    }
    total.count(at(30.0), demand(1, 1));
    windowed.count(at(1.0), demand(1, 1));
    for allocator in [&total, &windowed] {
        assert_eq!(rates(allocator, 1..=5), [1.0, 1.0, 1.0, 16.0, 166.0]);
    }
}

#[test]
fn rates_are_cut_to_whole_numbers() {
    let mut total = Windowed::total_throughput(10.0, 30 * SECOND, 500);
    // Each has 1.9 times its part, which is 6.
    count_all(&mut total, 0.0, (1..=500).map(|key| if key % 10 == 0 { 12 } else { 11 }).take(50));
    total.count(at(30.0), demand(1, 1));
    assert_eq!(rates(&total, 1..=9), [1.0; 9]);
    assert_eq!(rates(&total, [10]), [2.0]);
}

#[test]
fn each_key_can_have_a_budget_of_its_own() {
    let mut per_key = Windowed::per_key_throughput(10.0, 30 * SECOND, 500);
    count_all(&mut per_key, 0.0, COUNTS);
    per_key.count(at(30.0), demand(1, 1));
    assert_eq!(rates(&per_key, 1..=5), [1.0, 1.0, 1.0, 3.0, 33.0]);
}

#[test]
fn the_window_moves_and_forgets() {
    let mut windowed = Windowed::throughput(10.0, SECOND, 10 * SECOND, 500);
    for second in 0..12 {
        windowed.count(at(f64::from(second)), demand(1, 1_000));
    }
    assert_eq!(rates(&windowed, [1]), [100.0]);
    for second in 12..18 {
        windowed.count(at(f64::from(second)), demand(2, 1));
    }
    assert_eq!(rates(&windowed, [1]), [100.0], "half of the window for twice the keys");
    windowed.count(at(100.0), demand(2, 1));
    assert_eq!((rates(&windowed, [1, 2]), windowed.keys()), (vec![1.0, 1.0], 1));
}

#[test]
fn a_flood_of_keys_shares_one_rate() {
    let mut windowed = Windowed::throughput(10.0, SECOND, 10 * SECOND, 3);
    (0..10_000).for_each(|key| windowed.count(at(0.5), demand(key + 1, 1)));
    windowed.count(at(2.0), demand(1, 1));
    assert_eq!(windowed.keys(), 3);
    assert_eq!(rates(&windowed, [1, 4, 9_999]), [1.0, 399.0, 399.0]);
}

#[test]
fn what_was_learned_makes_the_same_rates_elsewhere() {
    let mut old = Windowed::throughput(10.0, SECOND, 10 * SECOND, 500);
    (0..20).for_each(|second| count_all(&mut old, f64::from(second), COUNTS));
    let mut new = Windowed::throughput(10.0, SECOND, 10 * SECOND, 500);
    new.learn(&old.learned());
    assert_eq!(rates(&new, 1..=5), rates(&old, 1..=5));
}
