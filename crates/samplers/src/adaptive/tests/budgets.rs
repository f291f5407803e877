//! Budgets hold, and what was kept says how much there was.

use super::*;
use crate::testing::random;

/// Traces of three spans, so many of each kind.
fn traffic(seed: u64, kinds: &[(&str, u64)]) -> Vec<Span> {
    let mut randomness = random(seed);
    let mut spans = Vec::new();
    for (kind, traces) in kinds {
        for _ in 0..*traces {
            let id = trace(randomness.next().unwrap(), randomness.next().unwrap());
            spans.extend((1..=3).map(|number| with(span(id, number), "kind", text(kind))));
        }
    }
    spans
}

const KINDS: &[(&str, u64)] = &[("a", 400), ("b", 20), ("c", 1)];

/// A sampler with one rule, whose traces wait for a second.
fn budget(sampler: &str) -> Tail {
    adaptive(&format!(
        "{{decision_delay: 1s, rules: [{{name: it, sampler: {{{sampler}, \
            fingerprint_attributes: ['span.attributes[\"kind\"]']}}}}]}}"
    ))
}

fn weight(span: &Span) -> f64 {
    let threshold = span.trace_state.strip_prefix("ot=th:").expect("a known probability");
    let threshold = u64::from_str_radix(&format!("{threshold:0<14}"), 16).unwrap();
    (1_u64 << 56) as f64 / ((1_u64 << 56) - threshold) as f64
}

/// How many of these are of a kind.
fn of(kind: &str, spans: &[Span]) -> usize {
    spans.iter().filter(|span| recorded(span, "kind").unwrap().starts_with(kind)).count()
}

/// What is left of each second's traffic.
fn run(tail: &mut Tail, seconds: u64, seed: u64, kinds: &[(&str, u64)]) -> Vec<Vec<Span>> {
    let mut left = Vec::new();
    for second in 0..seconds {
        tail.accept(second * SECOND + MILLISECOND, &request(traffic(seed * 1_000 + second, kinds)));
        left.push(tail.decide_due((second + 1) * SECOND));
    }
    left.push(tail.decide_due((seconds + 1) * SECOND));
    left.remove(0);
    left
}

#[test]
fn water_filling_keeps_to_its_budget_in_every_tick_and_keeps_all_that_is_rare() {
    let mut tail = budget("type: adaptive_throughput, algorithm: water_filling, goal_throughput: 300");
    let left = run(&mut tail, 20, 1, KINDS);
    let all = left.concat();
    assert_eq!(of("c", &all), 20 * 3);
    assert!((5_500..6_500).contains(&all.len()), "{} of 6000", all.len());
    // By chance alone they differ: a tick keeps 79 of 400 traces, give or take 8, and all others.
    let lengths: Vec<_> = left.iter().map(Vec::len).collect();
    assert!(lengths.iter().all(|spans| (150..450).contains(spans)), "{lengths:?}");
}

#[test]
fn a_percentage_of_what_there_was_is_kept_behind_a_head_sampler() {
    let mut tail = budget("type: adaptive_percentage, algorithm: water_filling, goal_percentage: 10");
    let (mut there, mut left) = (0, Vec::new());
    for second in 0..20 {
        let spans = traffic(second, KINDS);
        there += spans.len();
        // A half passes.
        let passed = spans.into_iter().filter(|span| span.trace_id[9] >= 0x80);
        let passed = passed.map(|span| Span { trace_state: "ot=th:8".to_owned(), ..span }).collect();
        tail.accept(second * SECOND + MILLISECOND, &request(passed));
        left.extend(tail.decide_due((second + 1) * SECOND));
    }
    left.extend(tail.decide_due(30 * SECOND));
    let share = left.len() as f64 / there as f64;
    assert!((0.09..0.11).contains(&share), "{share}");
    assert!(left.iter().all(|span| weight(span) >= 1.999), "no threshold is lowered");
}

/// Sums of weights over 200 sets of ids: how many standard errors the mean is off.
fn z(sampler: &str) -> f64 {
    const SETS: u64 = 200;
    let kinds = &[("a", 30), ("b", 6), ("c", 1)];
    let estimates: Vec<f64> = (0..SETS)
        .map(|seed| run(&mut budget(sampler), 3, seed, kinds).iter().flatten().map(weight).sum())
        .collect();
    let mean = estimates.iter().sum::<f64>() / SETS as f64;
    let variance =
        estimates.iter().map(|estimate| (estimate - mean).powi(2)).sum::<f64>() / (SETS - 1) as f64;
    assert!(variance > 0.0, "{sampler} keeps all");
    (mean - (3 * 37 * 3) as f64) / (variance / SETS as f64).sqrt()
}

#[test]
fn weights_of_what_a_budget_keeps_estimate_the_traffic() {
    for sampler in [
        "type: adaptive_throughput, algorithm: water_filling, goal_throughput: 15",
        "type: adaptive_percentage, algorithm: water_filling, goal_percentage: 20",
        "type: adaptive_throughput, algorithm: ema, goal_throughput: 15, adjustment_interval: 1s",
        "type: adaptive_percentage, algorithm: ema, goal_percentage: 20, adjustment_interval: 1s",
        "type: adaptive_throughput, algorithm: windowed, goal_throughput: 15, lookback_frequency: 1s",
    ] {
        let z = z(sampler);
        assert!(z.abs() < 4.0, "{z} for {sampler}");
    }
}

#[test]
fn a_flood_of_keys_gets_the_part_of_one() {
    let mut tail =
        budget("type: adaptive_throughput, algorithm: water_filling, goal_throughput: 300, max_keys: 3");
    run(&mut tail, 10, 1, KINDS);
    let names: Vec<String> = (0..2_000).map(|number| format!("flood {number}")).collect();
    let flood: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).chain(KINDS.iter().copied()).collect();
    tail.accept(20 * SECOND, &request(traffic(5, &flood)));
    let left = tail.decide_due(30 * SECOND);
    let (floods, rare) = (of("flood", &left), of("c", &left));
    assert!(floods < 600 && rare == 3, "{floods} and {rare} of {}", left.len());
    let (rule, learned) = tail.sampler.learned().next().unwrap();
    assert_eq!((rule, learned.rates.len()), ("it", 4));
}

#[test]
fn rules_have_budgets_of_their_own_and_later_ones_are_not_charged() {
    let sampler = |goal| {
        format!(
            "sampler: {{type: adaptive_throughput, algorithm: water_filling, goal_throughput: {goal}, \
                fingerprint_attributes: ['span.attributes[\"kind\"]']}}"
        )
    };
    let mut tail = adaptive(&format!(
        "{{decision_delay: 1s, rules: [\
            {{name: a, conditions: ['span.attributes[\"kind\"] == \"a\"'], {}}}, {{name: others, {}}}]}}",
        sampler(100),
        sampler(1000)
    ));
    let left = run(&mut tail, 10, 1, KINDS).concat();
    assert!((700..1_300).contains(&of("a", &left)), "{}", of("a", &left));
    assert_eq!((of("b", &left), of("c", &left)), (10 * 60, 10 * 3));
}

#[test]
fn what_was_learned_is_handed_on() {
    let sampler = "type: adaptive_throughput, algorithm: ema, goal_throughput: 30, adjustment_interval: 2s";
    let mut old = budget(sampler);
    run(&mut old, 10, 1, KINDS);
    let learned: Vec<_> = old.sampler.learned().map(|(rule, learned)| (rule.to_owned(), learned)).collect();
    let mut new = budget(sampler);
    new.sampler
        .learn(|rule| learned.iter().find(|(owner, _)| owner == rule).map(|(_, learned)| learned.clone()));
    let first_second = |mut tail: Tail| {
        tail.accept(MILLISECOND, &request(traffic(3, KINDS)));
        tail.decide_due(3 * SECOND).len()
    };
    // Who knows nothing keeps a tenth.
    let (fresh, taught) = (first_second(budget(sampler)), first_second(new));
    assert!((90..170).contains(&fresh) && taught < 75, "{fresh} and {taught}");
}

#[test]
fn in_overload_decisions_one_by_one_keep_to_the_budget_and_stay_true() {
    let yaml = "{decision_delay: 10s, rules: [{name: it, sampler: {type: adaptive_throughput, \
        algorithm: water_filling, goal_throughput: 300, \
        fingerprint_attributes: ['span.attributes[\"kind\"]']}}]}";
    let config = configured(yaml, |table| read(table, Compatibility::default()));
    let mut tail = Tail::with(crate::tail::Settings { pending_traces: 10, ..config.settings() });
    let (mut left, mut rare) = (Vec::new(), 0);
    for step in 0..300 {
        let kinds = &[("a", 40), ("b", 2), ("c", u64::from(step % 10 == 0))];
        rare += usize::from(step % 10 == 0) * 3;
        left.extend(tail.accept(step * SECOND / 10, &request(traffic(step, kinds))));
    }
    // What the first second brings is kept, for nothing is known of it.
    assert!((6_000..11_000).contains(&left.len()), "{} of 9000", left.len());
    assert!(of("c", &left) >= rare - 9, "{} of {rare}", of("c", &left));
    let (estimate, there) = (left.iter().map(weight).sum::<f64>(), (30 * 421 * 3) as f64);
    assert!((estimate / there - 1.0).abs() < 0.1, "{estimate} of {there}");
}
