//! Budgets that are divided among kinds of traces, as policies among others.

use super::*;
use crate::testing::random;

/// So many traces of a kind, each of one span.
fn traffic(kind: &str, traces: u64) -> Vec<Span> {
    let ids = random(traces).zip(random(traces + 1)).take(usize::try_from(traces).unwrap());
    let kind = |span| Span { attributes: vec![attribute("kind", text(kind))], ..span };
    ids.map(|(number, randomness)| kind(span(trace(number, randomness), 1))).collect()
}

fn adaptive(goal: u64) -> String {
    format!(
        "type: adaptive_throughput, adaptive_throughput: {{algorithm: water_filling, goal_throughput: {goal}, \
            fingerprint_attributes: ['span.attributes[\"kind\"]']}}"
    )
}

/// How many of each kind are left of a second's traffic, with the distinct thresholds that they have.
fn kept(policies: &str, spans: Vec<Span>) -> Vec<(String, usize, Vec<String>)> {
    let mut tail = Tail::new(&format!("decision_wait: 1s\npolicies: [{policies}]"));
    tail.accept(0, &request(spans));
    let mut kinds: Vec<(String, usize, Vec<String>)> = Vec::new();
    for span in tail.decide_due(3 * SECOND) {
        let Some(Value::StringValue(kind)) = span.attributes[0].value.clone().unwrap().value else {
            panic!()
        };
        let place = kinds.iter().position(|(other, ..)| *other == kind).unwrap_or_else(|| {
            kinds.push((kind, 0, Vec::new()));
            kinds.len() - 1
        });
        kinds[place].1 += 1;
        if !kinds[place].2.contains(&span.trace_state) {
            kinds[place].2.push(span.trace_state);
        }
    }
    kinds.sort();
    kinds
}

#[test]
fn each_kind_has_its_own_threshold() {
    let spans = [traffic("a", 9_000), traffic("b", 100)].concat();
    let kept = kept(&format!("{{name: budget, {}}}", adaptive(1_000)), spans);
    let [(_, a, a_thresholds), (_, b, b_thresholds)] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((*b, &b_thresholds[..]), (100, &["ot=th:0".to_owned()][..]));
    // A tenth of 9000, give or take three times 28.
    assert!((815..985).contains(a), "{a}");
    // A tenth, in four digits.
    assert_eq!(a_thresholds[..], ["ot=th:e666"]);
}

#[test]
fn the_least_threshold_of_all_policies_that_ask_is_the_traces() {
    let half = "{name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}";
    let kept = kept(&format!("{{name: budget, {}}}, {half}", adaptive(1_000)), traffic("a", 10_000));
    assert!((4_800..5_200).contains(&kept[0].1), "{kept:?}");
    assert_eq!(kept[0].2, ["ot=th:8"]);
}

#[test]
fn within_and_a_budget_is_for_what_the_others_ask_for() {
    let only_b = "{name: b, type: string_attribute, string_attribute: {key: kind, values: [b]}}";
    let and = format!(
        "{{name: both, type: and, and: {{and_sub_policy: [{{name: budget, {}}}, {only_b}]}}}}",
        adaptive(50)
    );
    let kept = kept(&and, [traffic("a", 9_000), traffic("b", 100)].concat());
    let [(kind, b, thresholds)] = &kept[..] else { panic!("{kept:?}") };
    assert!(kind == "b" && (30..70).contains(b) && thresholds[..] == ["ot=th:8"], "{kept:?}");
}

#[test]
fn budgets_of_one_policy_are_told_apart() {
    let policies = format!(
        "policies: [{{name: a, {0}}}, {{name: b, type: and, and: {{and_sub_policy: [{{name: x, {0}}}, {{name: y, {0}}}]}}}}]",
        adaptive(5)
    );
    let tail = Tail::new(&policies);
    let owners: Vec<_> = tail.sampler.learned().map(|(owner, _)| owner.to_owned()).collect();
    assert_eq!(owners, ["a", "b", "b#2"]);
}
