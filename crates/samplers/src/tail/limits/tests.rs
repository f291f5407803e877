use super::*;

fn rate(per_second: f64, burst: f64) -> (Limits, LimitNumber) {
    let mut rates = Rates::default();
    let number = rates.add(Rate { unit: Unit::Spans, per_second, burst });
    (Limits::new(&rates), number)
}

/// Traces with this randomness and so many spans.
fn traces(of: &[(u64, u32)]) -> Vec<(Randomness, Digest)> {
    let digest = |spans| {
        let mut digest = Digest::EMPTY;
        digest.spans = spans;
        digest
    };
    of.iter().map(|&(randomness, spans)| (Randomness::new(randomness).unwrap(), digest(spans))).collect()
}

/// The randomness of those that are kept.
fn kept(limits: &mut Limits, number: LimitNumber, of: &[(u64, u32)]) -> Vec<u64> {
    let traces = traces(of);
    limits.choose(number, traces.iter().map(|(randomness, digest)| (*randomness, digest)));
    let keeps = |(randomness, digest): &(Randomness, Digest)| {
        limits.threshold(number, digest).is_some_and(|threshold| threshold.keeps(*randomness))
    };
    traces.iter().filter(|trace| keeps(trace)).map(|(randomness, _)| randomness.get()).collect()
}

#[test]
fn the_most_random_fit_whatever_their_order() {
    let (mut limits, number) = rate(1.0, 10.0);
    assert_eq!(kept(&mut limits, number, &[(1, 4), (9, 4), (5, 4), (7, 4)]), [9, 7]);
    // Two are left of the budget, and one comes each second.
    limits.begin_tick(3_000_000_000);
    assert_eq!(kept(&mut limits, number, &[(1, 4), (9, 4), (2, 2)]), [9]);
}

#[test]
fn what_does_not_fit_lets_nothing_below_it_pass() {
    let (mut limits, number) = rate(1.0, 10.0);
    assert_eq!(kept(&mut limits, number, &[(9, 6), (8, 6), (7, 1)]), [9]);
    let (mut limits, number) = rate(1.0, 10.0);
    // What is larger than any budget stands in nobody's way.
    assert_eq!(kept(&mut limits, number, &[(9, 6), (8, 11), (7, 1)]), [9, 7]);
    // The same number for two traces is one choice.
    let (mut limits, number) = rate(1.0, 10.0);
    assert_eq!(kept(&mut limits, number, &[(9, 2), (8, 6), (8, 6)]), [9]);
}

#[test]
fn early_decisions_go_by_the_last_tick_and_are_charged_to_the_next() {
    let (mut limits, number) = rate(1.0, 10.0);
    assert_eq!(kept(&mut limits, number, &[(9, 5), (8, 5), (7, 5)]), [9, 8]);
    limits.begin_early(0);
    assert_eq!(kept(&mut limits, number, &[(7, 5)]), [0; 0]);
    assert_eq!(kept(&mut limits, number, &[(8, 5)]), [8]);
    limits.begin_tick(9_000_000_000);
    assert_eq!(kept(&mut limits, number, &[(9, 5)]), [0; 0]);
    limits.begin_tick(10_000_000_000);
    assert_eq!(kept(&mut limits, number, &[(9, 5)]), [9]);
}

#[test]
fn budgets_are_saved_up_to_the_burst() {
    let (mut limits, number) = rate(100.0, 10.0);
    limits.begin_tick(1_000_000_000_000);
    assert_eq!(kept(&mut limits, number, &[(9, 5), (8, 5), (7, 5)]), [9, 8]);
}

#[test]
fn in_overload_early_decisions_keep_to_the_rate_and_the_probability_is_never_zero() {
    let (mut limits, number) = rate(100.0, 200.0);
    let mut random = crate::testing::random(5).map(|random| random >> 8);
    let mut spent = 0;
    // Ten thousand spans a second in traces of five, each decided by itself, and never a tick.
    for trace in 0..60 * 2_000 {
        limits.begin_early(trace * 500_000);
        spent += 5 * kept(&mut limits, number, &[(random.next().unwrap(), 5)]).len();
        assert!(limits.limits[0].threshold.is_some());
    }
    assert!((3_000..9_000).contains(&spent), "{spent} of 6000 that are due");
}
