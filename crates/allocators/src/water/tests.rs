use proptest::prelude::*;

use super::*;
use crate::testing::{at, count_all, demand};

fn water(goal: Goal) -> WaterFilling {
    WaterFilling::new(WaterSettings { goal, memory: Duration::from_secs(20), max_keys: 500 })
}

/// What of these demands stays, in expectation.
fn expected(water: &WaterFilling, demands: &[Demand]) -> f64 {
    let of = |demand: &Demand| f64::from(demand.spans) * (water.share(demand.key) / demand.head).min(1.0);
    demands.iter().map(of).sum()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// Those of Datadog's agent (`TestComputeTPSPerSig`): traces per second in all, those seen by signature, and how
/// many each may have at most.
#[test]
fn the_level_is_that_of_datadogs_vectors() {
    let level_of = |budget, seen: &[f64]| {
        let seen = seen.iter().filter(|&&seen| seen > 0.0);
        level(budget, &mut seen.map(|&seen| Vessel { height: seen, volume: seen }).collect::<Vec<_>>())
    };
    assert!(close(level_of(2.0, &[0.0, 10.0, 100.0, 3.0, 0.0]), 2.0 / 3.0));
    assert!(close(level_of(10.0, &[0.0, 10.0, 100.0, 3.0, 0.0]), 3.5));
    assert!(close(level_of(23.5, &[10.0, 0.0, 100.0, 3.0, 0.0]), 10.5));
    assert_eq!(level_of(113.0, &[10.0, 100.0, 3.0]), f64::INFINITY);
    assert_eq!(level_of(0.0, &[10.0, 100.0, 3.0]), 0.0);
    assert_eq!(level_of(-1.0, &[10.0, 100.0, 3.0]), 0.0);
}

#[test]
fn rare_keys_are_kept_whole_and_leave_the_rest_to_the_others() {
    let mut water = water(Goal::SpansPerSecond(150.0));
    let tick = [demand(1, 1), demand(2, 9), demand(3, 100), demand(4, 1_000)];
    for second in 0..60 {
        water.tick(at(f64::from(second)), &tick);
        assert!(close(expected(&water, &tick), 150.0));
    }
    assert_eq!([1, 2].map(|key| water.share(Key::from_bits(key))), [1.0, 1.0]);
    assert!(close(water.share(Key::from_bits(3)), 0.7));
    assert!(close(water.share(Key::from_bits(4)), 0.07));
}

#[test]
fn a_burst_is_met_in_its_first_tick() {
    let mut water = water(Goal::SpansPerSecond(100.0));
    (0..60).for_each(|second| water.tick(at(f64::from(second)), &[demand(1, 500), demand(2, 5)]));
    let burst = [demand(1, 10_000), demand(2, 5), demand(3, 3_000)];
    water.tick(at(60.0), &burst);
    assert!(close(expected(&water, &burst), 100.0));
    assert_eq!(water.share(Key::from_bits(2)), 1.0);
}

#[test]
fn a_share_is_met_tick_by_tick_behind_head_samplers_too() {
    let mut water = water(Goal::Share(0.1));
    // A tenth of a thousand, and half of a thousand.
    let tick = [Demand { head: 0.1, ..demand(1, 100) }, Demand { head: 0.5, ..demand(2, 500) }, demand(3, 5)];
    for second in 0..10 {
        water.tick(at(f64::from(second)), &tick);
        assert!(close(expected(&water, &tick), 200.5), "{}", expected(&water, &tick));
    }
    assert_eq!(water.share(Key::from_bits(3)), 1.0);
}

#[test]
fn a_share_of_a_burst_is_a_share_of_it() {
    let mut water = water(Goal::Share(0.1));
    let mut random = 7_u32;
    for second in 0..300 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let frequent = if second % 60 < 50 { 1_000 } else { 20_000 };
        let tick = [demand(1, frequent + random % 100), demand(2, 10), demand(3, 1 + random % 7)];
        water.tick(at(f64::from(second)), &tick);
        let spans: f64 = tick.iter().map(|demand| f64::from(demand.spans)).sum();
        assert!(close(expected(&water, &tick), 0.1 * spans));
        assert_eq!(water.share(Key::from_bits(2)), 1.0);
    }
}

#[test]
fn single_decisions_that_have_cost_too_much_are_paid_back() {
    let mut water = water(Goal::Share(0.1));
    (0..1_000).for_each(|number| water.count(at(f64::from(number) / 1e3), demand(1, 1)));
    let mut stayed = 0.0;
    for second in 1..100 {
        let tick = [demand(1, 1_000)];
        water.tick(at(f64::from(second)), &tick);
        stayed += expected(&water, &tick);
        assert!(water.share(Key::from_bits(1)) > 0.0);
    }
    // Of the debt, no more is remembered than two seconds are worth.
    assert!((9_600.0..9_900.0).contains(&stayed), "{stayed}");
}

#[test]
fn what_is_decided_trace_by_trace_keeps_to_the_budget() {
    let mut water = water(Goal::SpansPerSecond(100.0));
    let mut spent = 0.0;
    for millisecond in 0..60_000 {
        let demand = demand(millisecond % 7 + 1, 5);
        water.count(at(millisecond as f64 / 1e3), demand);
        spent += expected(&water, &[demand]);
        assert!(water.share(demand.key) > 0.0);
    }
    // Until the first second is over, nothing is known: all of it was kept.
    assert!((5_900.0..6_100.0 + 5_000.0).contains(&spent), "{spent}");
    let tick = [demand(1, 1_000)];
    water.tick(at(61.0), &tick);
    assert!(expected(&water, &tick) <= 200.0);
}

#[test]
fn a_flood_of_keys_gets_the_part_of_one() {
    let mut water =
        WaterFilling::new(WaterSettings { max_keys: 10, ..water(Goal::SpansPerSecond(100.0)).settings });
    let known = || (1..=10).map(|key| demand(key, 20));
    (0..10).for_each(|second| water.tick(at(f64::from(second)), &known().collect::<Vec<_>>()));
    let flood: Vec<_> = known().chain((100..50_100).map(|key| demand(key, 1))).collect();
    water.tick(at(10.0), &flood);
    assert!(close(expected(&water, &flood), 100.0));
    assert_eq!(water.keys(), 10);
    let shares = [1, 2, 100, 101].map(|key| water.share(Key::from_bits(key)));
    assert!(shares[0] > 0.4 && shares[0] == shares[1], "{shares:?}");
    assert!(shares[2] < 0.001 && shares[2] == shares[3], "{shares:?}");
}

#[test]
fn keys_that_stay_away_are_forgotten() {
    let mut water = water(Goal::SpansPerSecond(100.0));
    count_all(&mut water, 0.0, [5; 100]);
    assert_eq!(water.keys(), 100);
    (1..200).for_each(|second| water.tick(at(f64::from(second)), &[demand(1, 5)]));
    assert_eq!(water.keys(), 1);
}

#[test]
fn what_was_learned_survives_as_json() {
    let mut old = water(Goal::SpansPerSecond(100.0));
    (0..60).for_each(|second| old.tick(at(f64::from(second)), &[demand(1, 5), demand(u64::MAX, 900)]));
    let text = serde_json::to_string(&old.learned()).unwrap();
    let learned: Learned = serde_json::from_str(&text).unwrap();
    assert_eq!(learned, old.learned());
    let mut new = water(Goal::SpansPerSecond(100.0));
    new.learn(&learned);
    assert_eq!(new.learned(), learned);
    let nonsense =
        vec![(Key::OTHERS, f64::NAN), (Key::from_bits(3), -1.0), (Key::from_bits(4), f64::INFINITY)];
    new.learn(&Learned { rates: nonsense });
    assert_eq!(new.learned(), learned);
}

fn demands() -> impl Strategy<Value = Vec<Demand>> {
    let head = prop_oneof![Just(1.0), 1e-6..1.0];
    let one = (0_u64..30, prop_oneof![1_u32..50, 1_u32..=u32::MAX], head);
    prop::collection::vec(one.prop_map(|(key, spans, head)| Demand { head, ..demand(key, spans) }), 1..60)
}

fn ticks() -> impl Strategy<Value = Vec<(Duration, Vec<Demand>)>> {
    let pause = prop_oneof![Just(0), 0_u64..2_000, Just(1_000), 0_u64..100_000_000];
    prop::collection::vec((pause.prop_map(Duration::from_millis), demands()), 1..8)
}

fn goal() -> impl Strategy<Value = Goal> {
    prop_oneof![(1e-6..=1.0).prop_map(Goal::Share), (1e-3..1e9).prop_map(Goal::SpansPerSecond)]
}

proptest! {
    #[test]
    fn the_water_is_neither_more_nor_less_than_the_budget(
        vessels in prop::collection::vec((1e-3..1e6, 0.0..1e6), 0..50),
        budget in 0.0..1e6,
    ) {
        let mut vessels: Vec<_> = vessels.iter().map(|&(height, volume)| Vessel { height, volume }).collect();
        let level = level(budget, &mut vessels);
        let water: f64 = vessels.iter().map(|vessel| vessel.volume * (level / vessel.height).min(1.0)).sum();
        let room: f64 = vessels.iter().map(|vessel| vessel.volume).sum();
        prop_assert!((water - budget.min(room)).abs() <= 1e-6 * room.max(1.0), "{water} of {budget}, {room}");
    }

    #[test]
    fn a_tick_spends_its_budget_exactly_unless_it_has_less(ticks in ticks(), rate in 1.0..1e9) {
        let mut water = water(Goal::SpansPerSecond(rate));
        let mut now = Duration::ZERO;
        let mut budget: f64 = 0.0;
        for (index, (pause, demands)) in ticks.iter().enumerate() {
            now += *pause;
            let passed = if index == 0 { 1.0 } else { pause.as_secs_f64() };
            budget = (budget + rate * passed).min(2.0 * rate);
            water.tick(now, demands);
            let stays = expected(&water, demands);
            let asked: f64 = demands.iter().map(|demand| f64::from(demand.spans)).sum();
            let error = (stays - asked.min(budget.max(rate * passed.min(1.0) / 16.0))).abs();
            prop_assert!(error <= 1e-6 * asked.min(budget).max(1.0), "{stays} of {asked} and {budget}");
            budget -= stays;
        }
    }

    #[test]
    fn shares_are_probabilities_and_a_rarer_key_has_no_lower_one(goal in goal(), ticks in ticks()) {
        let mut water = water(goal);
        let mut now = Duration::ZERO;
        for (pause, demands) in &ticks {
            now += *pause;
            water.tick(now, demands);
            let mut shares: Vec<_> =
                demands.iter().map(|demand| (water.heights[&demand.key], water.share(demand.key))).collect();
            prop_assert!(shares.iter().all(|&(_, share)| (0.0..=1.0).contains(&share)), "{shares:?}");
            shares.sort_by(|a, b| a.0.total_cmp(&b.0));
            prop_assert!(shares.is_sorted_by(|a, b| a.1 >= b.1), "{shares:?}");
        }
    }

    #[test]
    fn the_order_within_a_tick_does_not_matter(goal in goal(), ticks in ticks(), keys in 1_usize..40) {
        let settings = WaterSettings { max_keys: keys, ..water(goal).settings };
        let (mut forwards, mut backwards) = (WaterFilling::new(settings), WaterFilling::new(settings));
        let mut now = Duration::ZERO;
        for (pause, demands) in &ticks {
            now += *pause;
            forwards.tick(now, demands);
            let reversed: Vec<_> = demands.iter().rev().copied().collect();
            backwards.tick(now, &reversed);
            for demand in demands {
                prop_assert_eq!(forwards.share(demand.key), backwards.share(demand.key));
            }
        }
    }

    #[test]
    fn single_decisions_in_any_mixture_leave_shares_probabilities(goal in goal(), ticks in ticks()) {
        let mut water = water(goal);
        let mut now = Duration::ZERO;
        for (index, (pause, demands)) in ticks.iter().enumerate() {
            now += *pause;
            if index % 2 == 0 {
                demands.iter().for_each(|&demand| water.count(now, demand));
            } else {
                water.tick(now, demands);
            }
            for demand in demands {
                let share = water.share(demand.key);
                prop_assert!((0.0..=1.0).contains(&share), "{share}");
            }
        }
    }
}
