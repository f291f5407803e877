use super::*;
use crate::testing::{COUNTS, at, count_all, demand, rates};

fn ema(goal: Goal, weight: f64) -> Ema {
    let interval = Duration::from_secs(15);
    Ema::new(EmaSettings { goal, interval, weight, initial: 0.1, max_keys: 500 })
}

/// The rates of keys with these counts, of which the first interval's have the whole weight.
fn learned(goal: Goal, counts: &[u32]) -> Vec<f64> {
    let mut ema = ema(goal, 1.0);
    count_all(&mut ema, 0.0, counts.iter().copied());
    ema.count(at(15.0), demand(1, 1));
    rates(&ema, 1..=counts.len() as u64)
}

/// Vectors recomputed from the formulas of dynsampler-go 0.6.4.
#[test]
fn rates_are_those_of_dynsampler() {
    let dynamic = |goal| learned(Goal::Share(1.0 / goal), &COUNTS);
    assert_eq!(dynamic(2.0), [1.0, 1.0, 1.0, 1.0, 3.0]);
    assert_eq!(dynamic(10.0), [1.0, 1.0, 1.0, 3.0, 15.0]);
    assert_eq!(dynamic(50.0), [1.0, 1.0, 3.0, 13.0, 99.0]);
    assert_eq!(dynamic(100.0), [1.0, 1.0, 5.0, 29.0, 215.0]);
    assert_eq!(learned(Goal::SpansPerSecond(10.0), &COUNTS), [1.0, 1.0, 4.0, 20.0, 154.0]);
}

#[test]
fn many_equal_keys_have_at_least_one_trace_each() {
    assert_eq!(learned(Goal::Share(0.1), &[20; 500]), [10.0; 500]);
    assert_eq!(learned(Goal::Share(0.01), &[12; 500]), [12.0; 500]);
    assert_eq!(learned(Goal::Share(0.01), &[1; 10]), [1.0; 10]);
}

#[test]
fn before_the_first_interval_is_over_the_initial_share_is_kept() {
    let mut ema = ema(Goal::SpansPerSecond(10.0), 0.5);
    ema.count(at(0.0), demand(1, 1000));
    ema.count(at(14.9), demand(2, 1000));
    assert_eq!([1, 2, 3].map(|key| ema.share(Key::from_bits(key))), [0.1; 3]);
    ema.count(at(15.0), demand(1, 1));
    assert!(rates(&ema, [1])[0] > 1.0);
    assert_eq!(rates(&ema, [3]), [1.0], "what is new then is kept");
}

#[test]
fn averages_follow_by_their_weight_and_forget_what_stays_away() {
    let mut ema = ema(Goal::Share(0.5), 0.25);
    ema.count(at(0.0), demand(1, 800));
    ema.count(at(0.0), demand(2, 8));
    ema.count(at(15.0), demand(1, 400));
    assert_eq!(ema.averages.values().copied().collect::<Vec<_>>(), [200.0, 2.0]);
    ema.count(at(30.0), demand(1, 400));
    assert_eq!(ema.averages.values().copied().collect::<Vec<_>>(), [250.0, 1.5]);
    (3..12).for_each(|interval| ema.count(at(f64::from(interval) * 15.0), demand(1, 400)));
    assert_eq!((ema.averages.len(), ema.keys()), (1, 1));
}

#[test]
fn an_outage_is_not_taken_for_a_change() {
    let mut ema = ema(Goal::Share(0.5), 0.5);
    count_all(&mut ema, 0.0, COUNTS);
    ema.count(at(15.0), demand(5, 10_000));
    let before = ema.averages.clone();
    ema.count(at(30_000.0), demand(5, 10_000));
    // One interval has passed in which there was traffic.
    assert_eq!(ema.averages[&Key::from_bits(4)], before[&Key::from_bits(4)] / 2.0);
}

#[test]
fn a_burst_brings_new_rates_at_once_after_three_intervals() {
    let mut ema = ema(Goal::SpansPerSecond(10.0), 0.5);
    (0..3).for_each(|interval| ema.count(at(f64::from(interval) * 15.0), demand(1, 300)));
    ema.count(at(31.0), demand(1, 100_000));
    let early = rates(&ema, [1])[0];
    assert!(early < 10.0, "{early}: too soon to tell a burst");
    ema.count(at(45.0), demand(1, 300));
    let before = rates(&ema, [1])[0];
    ema.count(at(46.0), demand(1, 1_000_000));
    assert!(rates(&ema, [1])[0] > 3.0 * before, "{:?} after {before}", rates(&ema, [1]));
}

#[test]
fn a_flood_of_keys_shares_one_rate() {
    let settings = EmaSettings { max_keys: 10, ..ema(Goal::SpansPerSecond(10.0), 1.0).settings };
    let mut ema = Ema::new(settings);
    count_all(&mut ema, 0.0, [5; 10]);
    (100..10_000).for_each(|key| ema.count(at(1.0), demand(key, 5)));
    count_all(&mut ema, 15.0, [5; 10]);
    assert_eq!((ema.keys(), rates(&ema, 1..=10)), (10, vec![1.0; 10]));
    let flood = rates(&ema, [100, 9_999, 77_777]);
    assert!(flood[0] > 100.0 && flood.iter().all(|&rate| rate == flood[0]), "{flood:?}");
}

#[test]
fn what_was_learned_makes_the_same_rates_elsewhere() {
    let mut old = ema(Goal::Share(0.01), 1.0);
    count_all(&mut old, 0.0, COUNTS);
    old.count(at(15.0), demand(1, 1));
    let mut new = ema(Goal::Share(0.01), 1.0);
    new.learn(&old.learned());
    assert_eq!(rates(&new, 1..=5), rates(&old, 1..=5));
}
