//! The laws of thresholds, one stage and several.

use proptest::prelude::*;

use super::*;
use crate::testing::random;

const RANGE: u64 = 1 << 56;

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::HashSeed), Just(Mode::Proportional), Just(Mode::Equalizing)]
}

fn rule() -> impl Strategy<Value = Rule> {
    (mode(), percentage(), 1..=14_u32, any::<u32>())
        .prop_map(|(mode, percentage, precision, seed)| Rule::new(mode, percentage, precision, seed).unwrap())
}

fn percentage() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => 0.01_f32..=100.0,
        2 => (-49_i32..7).prop_map(|exponent| 100.0_f32.min(2_f32.powi(exponent))),
        1 => Just(100.0),
        1 => 99.99..100.0_f32,
        1 => 2e-15..0.01_f32,
    ]
}

/// What becomes of a span.
fn choose(rule: &Rule, trace_id: TraceId, incoming: Incoming) -> Option<Stamp> {
    let item = Item { trace_id: Some(trace_id), key: Some(Key::TraceId(trace_id)) };
    let number = rule.number(item, incoming)?;
    let threshold = rule.threshold(number, incoming)?;
    threshold.keeps(number.randomness).then(|| number.stamp(threshold))
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
        choose(rule, trace_id, incoming).map(|stamp| then(incoming, stamp))
    })
}

fn new(mode: Mode, percentage: f32, seed: u32) -> Rule {
    Rule::new(mode, percentage, 4, seed).unwrap()
}

/// Of 2^56, how many a probability of `percentage` of `before` (of 2^56 too) keeps: exactly, as a numerator over
/// 2^`shift`.
fn share(percentage: f32, before: u64) -> (u128, u32) {
    // The Collector takes the nearest 64-bit number to a hundredth; from there on nothing is rounded.
    let bits = (f64::from(percentage) / 100.0).to_bits();
    let (exponent, fraction) = (u32::try_from(bits >> 52).unwrap(), bits & ((1 << 52) - 1));
    (u128::from(fraction | 1 << 52) * u128::from(before), 1_075 - exponent)
}

/// The threshold of the specification, in the digits in which it is written: as many beyond the leading ones that
/// are all `0` or all `f`. Returned with what the last digit is worth.
fn written(kept: (u128, u32), precision: usize) -> u64 {
    let (numerator, shift) = kept;
    let half = if shift == 0 { 0 } else { 1 << (shift - 1) };
    let kept = u64::try_from((numerator + half) >> shift).unwrap().min(RANGE);
    let digits = format!("{:014x}", RANGE - kept);
    let leading = |digit| digits.len() - digits.trim_start_matches(digit).len();
    let count = (precision + leading('0').max(leading('f'))).min(14);
    let unit = 16_u64.pow(u32::try_from(14 - count).unwrap());
    let (head, tail) = digits.split_at(count);
    let head = u64::from_str_radix(head, 16).unwrap();
    let up = tail.chars().next().is_some_and(|digit| digit >= '8');
    (head + u64::from(up)) * unit
}

proptest! {
    #[test]
    fn a_stage_only_raises_the_threshold_and_keeps_what_reaches_it(rule in rule(), (trace_id, incoming) in span()) {
        if let Some(stamp) = choose(&rule, trace_id, incoming) {
            let left = then(incoming, stamp);
            prop_assert!(incoming.threshold.is_none_or(|before| stamp.threshold >= before));
            prop_assert!(stamp.threshold.keeps(actual(trace_id, left.randomness)));
            prop_assert!(incoming.randomness.is_none_or(|before| left.randomness == Some(before)), "rv is not changed");
        }
    }

    #[test]
    fn equalizing_keeps_what_reaches_the_larger_threshold(
        percentage in percentage(),
        precision in 1..=14_u32,
        (trace_id, incoming) in span(),
    ) {
        let rule = Rule::new(Mode::Equalizing, percentage, precision, 0).unwrap();
        let own = written(share(percentage, RANGE), precision as usize);
        let threshold = Threshold::new(own).unwrap().max(incoming.threshold.unwrap_or(Threshold::ALWAYS));
        let kept = threshold.keeps(actual(trace_id, incoming.randomness));
        prop_assert_eq!(choose(&rule, trace_id, incoming), kept.then_some(Stamp { threshold, randomness: None }));
    }

    #[test]
    fn equalizing_twice_is_equalizing_once(rule in rule(), (trace_id, incoming) in span()) {
        let rule = Rule { mode: Mode::Equalizing, ..rule };
        if let Some(stamp) = choose(&rule, trace_id, incoming) {
            prop_assert_eq!(choose(&rule, trace_id, then(incoming, stamp)), Some(stamp));
        }
    }

    #[test]
    fn proportional_multiplies_probabilities(
        percentage in percentage(),
        precision in 1..=14_u32,
        (_, incoming) in span(),
    ) {
        let rule = Rule::new(Mode::Proportional, percentage, precision, 0).unwrap();
        let number = Number {
            randomness: Randomness::from_low_bits(u64::MAX),
            policy: Policy::SamplingRandomness,
            hashed: false,
            unwritten: false,
        };
        let before = incoming.threshold.map_or(0, Threshold::get);
        let (numerator, shift) = share(percentage, RANGE - before);
        match rule.threshold(number, incoming) {
            Some(threshold) => {
                // Two roundings to 53 bits, which may tip the last digit.
                let slack = 32 << shift;
                let expected = [numerator.saturating_sub(slack), numerator, numerator + slack];
                let expected = expected.map(|numerator| written((numerator, shift), precision as usize).max(before));
                let near = expected.iter().any(|expected| threshold.get().abs_diff(*expected) <= if precision > 11 { 32 } else { 0 });
                prop_assert!(near, "{threshold:?} is none of {expected:x?}");
            }
            None => prop_assert!(numerator >> shift == 0, "less than one of 2^56"),
        }
    }

    #[test]
    fn two_tiers_with_one_seed_keep_what_the_stricter_keeps(
        first in 0.1_f32..=100.0,
        second in 0.1_f32..=100.0,
        seed: u32,
        id in 1..=u128::MAX,
    ) {
        let [first, second] = [first, second].map(|percentage| new(Mode::HashSeed, percentage, seed));
        let stricter = if first.threshold > second.threshold { &first } else { &second };
        let alone = choose(stricter, TraceId(id), Incoming::default()).map(|stamp| then(Incoming::default(), stamp));
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
        let stamp = choose(&new(Mode::HashSeed, percentage, seed), TraceId(id), Incoming::default());
        let expected = (bucket < buckets).then(|| Stamp {
            threshold: Threshold::new(u64::from(16_384 - buckets) << 42).unwrap(),
            randomness: Randomness::new(
                u64::from(16_383 - bucket) << 42
                    | (u64::from(hash >> 18) ^ u64::from(hash >> 18) << 10) << 14
                    | u64::from(bucket)
            ),
        });
        prop_assert_eq!(stamp, expected);
    }
}

#[test]
fn rounding_never_lowers_a_threshold() {
    let before = Threshold::new(0xfd_70a3_d70a_3d71).unwrap();
    let incoming = Incoming { threshold: Some(before), randomness: None };
    let stamp = choose(&new(Mode::Proportional, 100.0, 0), TraceId((RANGE - 1).into()), incoming);
    assert_eq!(stamp.unwrap().threshold, before);
}

#[test]
fn a_product_below_one_of_all_numbers_keeps_nothing() {
    let incoming = Incoming { threshold: Threshold::new(RANGE - 1), randomness: None };
    assert_eq!(choose(&new(Mode::Proportional, 40.0, 0), TraceId((RANGE - 1).into()), incoming), None);
}

#[test]
fn a_share_too_small_for_the_hash_keeps_one_of_its_values() {
    assert_eq!(new(Mode::HashSeed, 1e-7, 0).threshold.unwrap().get(), 0x3fff << 42);
}

fn trace_ids(seed: u64) -> impl Iterator<Item = TraceId> {
    let mut numbers = random(seed);
    std::iter::from_fn(move || Some(TraceId(u128::from(numbers.next()?) << 64 | u128::from(numbers.next()?))))
}

#[test]
fn two_tiers_with_different_seeds_keep_the_product_of_their_shares() {
    let rules = [new(Mode::HashSeed, 30.0, 1), new(Mode::HashSeed, 20.0, 2)];
    let traces = 100_000;
    let kept = trace_ids(1).take(traces).filter(|&trace_id| chain(&rules, trace_id).is_some()).count();
    let (expected, count) = (0.06 * traces as f64, kept as f64);
    assert!((count - expected).abs() < 4.0 * (expected * 0.94).sqrt(), "{count} for {expected}");
}

#[test]
fn adjusted_counts_are_unbiased_whatever_the_stages() {
    use Mode::{Equalizing, HashSeed, Proportional};
    let chains: &[&[(Mode, f32, u32)]] = &[
        &[(HashSeed, 10.0, 7)],
        &[(Proportional, 10.0, 0)],
        &[(Equalizing, 10.0, 0)],
        &[(HashSeed, 50.0, 7), (HashSeed, 20.0, 7)],
        &[(HashSeed, 50.0, 7), (HashSeed, 20.0, 8)],
        &[(HashSeed, 50.0, 7), (Proportional, 30.0, 0)],
        &[(HashSeed, 50.0, 7), (Equalizing, 30.0, 0)],
        &[(Proportional, 50.0, 0), (HashSeed, 30.0, 7)],
        &[(Equalizing, 30.0, 0), (Proportional, 50.0, 0)],
        &[(Proportional, 30.0, 0), (Equalizing, 50.0, 0), (HashSeed, 70.0, 7)],
    ];
    let (sets, traces) = (200, 1_000);
    for chain_of in chains {
        let rules: Vec<_> =
            chain_of.iter().map(|&(mode, percentage, seed)| new(mode, percentage, seed)).collect();
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
