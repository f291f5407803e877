//! The laws of thresholds, one stage and several.

use proptest::prelude::*;

use super::*;
use crate::testing::random;

const RANGE: u64 = 1 << 56;

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::HashSeed), Just(Mode::Proportional), Just(Mode::Equalizing)]
}

fn rule() -> impl Strategy<Value = Rule> {
    let probability = prop_oneof![4 => 0.0001_f64..=1.0, 1 => Just(1.0), 1 => 0.9999..1.0_f64];
    (mode(), probability, 1..=14_u32, any::<u32>()).prop_map(|(mode, probability, precision, seed)| {
        Rule::new(mode, probability, precision, seed).unwrap()
    })
}

/// A trace and what a span of it can have come with.
fn span() -> impl Strategy<Value = (TraceId, Incoming)> {
    let randomness = prop::option::of(0..RANGE).prop_map(|value| value.and_then(Randomness::new));
    let place = prop::option::of(any::<prop::sample::Index>());
    (1..=u128::MAX, randomness, place).prop_map(|(id, randomness, place)| {
        let trace_id = TraceId(id);
        let actual = actual(trace_id, randomness).get();
        // Up to what the trace reaches, and with all of its digits.
        let reached = usize::try_from(actual).unwrap() + 1;
        let threshold = place.and_then(|place| Threshold::new(place.index(reached) as u64));
        (trace_id, Incoming { threshold, randomness })
    })
}

fn actual(trace_id: TraceId, explicit: Option<Randomness>) -> Randomness {
    explicit.unwrap_or(Randomness::from_trace_id(trace_id.to_bytes()))
}

/// What a span that left with `stamp` comes to the next stage with.
fn then(before: Incoming, stamp: Stamp) -> Incoming {
    Incoming { threshold: Some(stamp.threshold), randomness: stamp.randomness.or(before.randomness) }
}

/// What a span leaves a chain of stages with.
fn chain(rules: &[Rule], trace_id: TraceId) -> Option<Incoming> {
    rules.iter().try_fold(Incoming::default(), |incoming, rule| {
        rule.choose(trace_id, incoming).map(|stamp| then(incoming, stamp))
    })
}

fn new(mode: Mode, probability: f64, seed: u32) -> Rule {
    Rule::new(mode, probability, 4, seed).unwrap()
}

proptest! {
    #[test]
    fn a_stage_only_raises_the_threshold_and_keeps_what_reaches_it(rule in rule(), (trace_id, incoming) in span()) {
        if let Some(stamp) = rule.choose(trace_id, incoming) {
            let left = then(incoming, stamp);
            prop_assert!(incoming.threshold.is_none_or(|before| stamp.threshold >= before));
            prop_assert!(stamp.threshold.keeps(actual(trace_id, left.randomness)));
            prop_assert!(incoming.randomness.is_none_or(|before| left.randomness == Some(before)), "rv is not changed");
        }
    }

    #[test]
    fn equalizing_keeps_what_reaches_the_larger_threshold(probability in 0.0001_f64..=1.0, (trace_id, incoming) in span()) {
        let rule = new(Mode::Equalizing, probability, 0);
        let threshold = rule.threshold.max(incoming.threshold.unwrap_or(Threshold::ALWAYS));
        let kept = threshold.keeps(actual(trace_id, incoming.randomness));
        prop_assert_eq!(rule.choose(trace_id, incoming), kept.then_some(Stamp { threshold, randomness: None }));
    }

    #[test]
    fn equalizing_twice_is_equalizing_once(rule in rule(), (trace_id, incoming) in span()) {
        let rule = Rule { mode: Mode::Equalizing, ..rule };
        if let Some(stamp) = rule.choose(trace_id, incoming) {
            prop_assert_eq!(rule.choose(trace_id, then(incoming, stamp)), Some(stamp));
        }
    }

    #[test]
    fn proportional_multiplies_probabilities_up_to_its_precision(
        probability in 0.0001_f64..=1.0,
        precision in 2..=14_u32,
        (trace_id, incoming) in span(),
    ) {
        let rule = Rule::new(Mode::Proportional, probability, precision, 0).unwrap();
        if let Some(stamp) = rule.choose(trace_id, incoming) {
            let expected = probability * incoming.threshold.map_or(1.0, Threshold::probability);
            let error = (stamp.threshold.probability() / expected - 1.0).abs();
            // Half of the last digit, relative to a probability that starts one digit earlier; one of 2^56 at least.
            let digits = i32::try_from(precision).unwrap() - 1;
            let bound = 0.5 * 16_f64.powi(-digits) + 1.0 / (expected * RANGE as f64) + 1e-9;
            prop_assert!(error <= bound, "{error} above {bound}");
        }
    }

    #[test]
    fn two_tiers_with_one_seed_keep_what_the_stricter_keeps(
        first in 0.001_f64..=1.0,
        second in 0.001_f64..=1.0,
        seed: u32,
        id in 1..=u128::MAX,
    ) {
        let [first, second] = [first, second].map(|probability| new(Mode::HashSeed, probability, seed));
        let stricter = if first.threshold > second.threshold { &first } else { &second };
        let alone = stricter.choose(TraceId(id), Incoming::default()).map(|stamp| then(Incoming::default(), stamp));
        prop_assert_eq!(chain(&[first.clone(), second.clone()], TraceId(id)), alone);
        prop_assert_eq!(chain(&[second.clone(), first.clone()], TraceId(id)), alone);
    }

    #[test]
    fn the_collectors_hash_decides(seed: u32, id in 1..=u128::MAX, hundredths in 1..=10_000_u16) {
        // FNV-1a of 32 bits over the seed, little-endian, and the id, spelt out.
        let hash = seed.to_le_bytes().into_iter().chain(id.to_be_bytes()).fold(2_166_136_261_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(16_777_619)
        });
        let bucket = hash & 0x3fff;
        // As the Collector computes it, in 32 bits.
        let percentage = f32::from(hundredths) / 100.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as the Collector does")]
        let buckets = (percentage * 163.84) as u32;
        let stamp = new(Mode::HashSeed, f64::from(hundredths) / 10_000.0, seed).choose(TraceId(id), Incoming::default());
        let expected = (bucket < buckets).then(|| Stamp {
            threshold: Threshold::new(u64::from(16_384 - buckets) << 42).unwrap(),
            randomness: Randomness::new(
                u64::from(16_383 - bucket) << 42 | u64::from(hash & 0x0fff_ffff) << 14 | u64::from(bucket)
            ),
        });
        prop_assert_eq!(stamp, expected);
    }
}

#[test]
fn rounding_never_lowers_a_threshold() {
    let before = Threshold::new(0xfd_70a3_d70a_3d71).unwrap();
    let incoming = Incoming { threshold: Some(before), randomness: None };
    let stamp = new(Mode::Proportional, 1.0, 0).choose(TraceId((RANGE - 1).into()), incoming);
    assert_eq!(stamp.unwrap().threshold, before);
}

#[test]
fn a_product_below_one_of_all_numbers_keeps_nothing() {
    let incoming = Incoming { threshold: Threshold::new(RANGE - 1), randomness: None };
    assert_eq!(new(Mode::Proportional, 0.4, 0).choose(TraceId((RANGE - 1).into()), incoming), None);
}

#[test]
fn a_share_too_small_for_the_hash_keeps_one_of_its_values() {
    assert_eq!(new(Mode::HashSeed, 1e-9, 0).threshold.get(), 0x3fff << 42);
}

fn trace_ids(seed: u64) -> impl Iterator<Item = TraceId> {
    let mut numbers = random(seed);
    std::iter::from_fn(move || Some(TraceId(u128::from(numbers.next()?) << 64 | u128::from(numbers.next()?))))
}

#[test]
fn two_tiers_with_different_seeds_keep_the_product_of_their_shares() {
    let rules = [new(Mode::HashSeed, 0.3, 1), new(Mode::HashSeed, 0.2, 2)];
    let traces = 100_000;
    let kept = trace_ids(1).take(traces).filter(|&trace_id| chain(&rules, trace_id).is_some()).count();
    let (expected, count) = (0.06 * traces as f64, kept as f64);
    assert!((count - expected).abs() < 4.0 * (expected * 0.94).sqrt(), "{count} for {expected}");
}

#[test]
fn adjusted_counts_are_unbiased_whatever_the_stages() {
    use Mode::{Equalizing, HashSeed, Proportional};
    let chains: &[&[(Mode, f64, u32)]] = &[
        &[(HashSeed, 0.1, 7)],
        &[(Proportional, 0.1, 0)],
        &[(Equalizing, 0.1, 0)],
        &[(HashSeed, 0.5, 7), (HashSeed, 0.2, 7)],
        &[(HashSeed, 0.5, 7), (HashSeed, 0.2, 8)],
        &[(HashSeed, 0.5, 7), (Proportional, 0.3, 0)],
        &[(HashSeed, 0.5, 7), (Equalizing, 0.3, 0)],
        &[(Proportional, 0.5, 0), (HashSeed, 0.3, 7)],
        &[(Equalizing, 0.3, 0), (Proportional, 0.5, 0)],
        &[(Proportional, 0.3, 0), (Equalizing, 0.5, 0), (HashSeed, 0.7, 7)],
    ];
    let (sets, traces) = (200, 1_000);
    for chain_of in chains {
        let rules: Vec<_> =
            chain_of.iter().map(|&(mode, probability, seed)| new(mode, probability, seed)).collect();
        let estimates: Vec<f64> = (0..sets)
            .map(|set| {
                let kept = trace_ids(set).take(traces).filter_map(|trace_id| chain(&rules, trace_id));
                kept.map(|left| left.threshold.unwrap().adjusted_count()).sum()
            })
            .collect();
        let mean = estimates.iter().sum::<f64>() / sets as f64;
        let variance =
            estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>() / (sets - 1) as f64;
        let z = (mean - traces as f64) / (variance / sets as f64).sqrt();
        assert!(variance > 0.0 && z.abs() < 4.0, "{chain_of:?}: {mean} for {traces}, z = {z}");
    }
}
