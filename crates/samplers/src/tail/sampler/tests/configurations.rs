//! Any policies: one or several of all types, within each other as far as that is allowed.

use proptest::collection::vec;
use proptest::sample::select;
use proptest::strategy::Union;

use super::*;

/// What looks at attributes, states and times, at the bounds of what spans of the simulation have.
const PLAIN: &[&str] = &[
    "type: always_sample",
    "type: latency, latency: {threshold_ms: 900}",
    "type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 2500}",
    "type: status_code, status_code: {status_codes: [ERROR]}",
    "type: status_code, status_code: {status_codes: [OK, UNSET]}",
    "type: string_attribute, string_attribute: {key: key, values: [a, xa]}",
    "type: string_attribute, string_attribute: {key: key, values: ['^a'], enabled_regex_matching: true, \
     invert_match: true}",
    "type: numeric_attribute, numeric_attribute: {key: n, min_value: 3}",
    "type: boolean_attribute, boolean_attribute: {key: flag, value: false}",
    "type: trace_state, trace_state: {key: a, values: ['1']}",
    "type: trace_flags",
    "type: span_count, span_count: {min_spans: 4}",
    "type: span_count, span_count: {max_spans: 3}",
    "type: probabilistic, probabilistic: {sampling_percentage: 50}",
    "type: probabilistic, probabilistic: {sampling_percentage: 12.5, hash_salt: salt}",
    "type: ottl_condition, ottl_condition: {span: ['attributes[\"key\"] == \"a\" and IsRootSpan()']}",
    "type: ottl_condition, ottl_condition: {spanevent: ['name == \"exception\"'], error_mode: ignore}",
    "type: ottl_condition, ottl_condition: {error_mode: propagate, \
     span: ['HasPrefix(attributes[\"key\"], \"a\")', 'kind == SPAN_KIND_SERVER']}",
    "type: rate_limiting, rate_limiting: {spans_per_second: 3}",
    "type: rate_limiting, rate_limiting: {spans_per_second: 20, burst_capacity: 5}",
    "type: bytes_limiting, bytes_limiting: {bytes_per_second: 20000}",
];

/// A list of policies, as it stands between the brackets of `policies`.
pub(super) fn policies() -> impl Strategy<Value = String> {
    let plain = || select(PLAIN).prop_map(str::to_owned).boxed();
    let not = || {
        plain().prop_map(|part| format!("type: not, not: {{not_sub_policy: {{name: s, {part}}}}}")).boxed()
    };
    let all = |kind: &'static str| {
        let parts = named(prop_oneof![3 => plain(), 1 => not()].boxed(), 1..4);
        parts.prop_map(move |parts| format!("type: {kind}, {kind}: {{{kind}_sub_policy: [{parts}]}}")).boxed()
    };
    let composite = (named(prop_oneof![3 => plain(), 1 => all("and")].boxed(), 2..4), 5..60_u32, 0..=100_u32);
    let composite = composite.prop_map(|(parts, total, percent)| {
        format!(
            "type: composite, composite: {{max_total_spans_per_second: {total}, policy_order: [p1, p0], \
             rate_allocation: [{{policy: p0, percent: {percent}}}], composite_sub_policy: [{parts}]}}"
        )
    });
    let any = Union::new_weighted(vec![
        (6, plain()),
        (2, all("and")),
        (1, all("drop")),
        (1, not()),
        (2, composite.boxed()),
    ]);
    named(any.boxed(), 1..5)
}

/// So many of them, called `p0`, `p1` and so on.
fn named(policy: BoxedStrategy<String>, count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    vec(policy, count).prop_map(|policies| {
        let named =
            policies.iter().enumerate().map(|(number, policy)| format!("{{name: p{number}, {policy}}}"));
        named.collect::<Vec<_>>().join(", ")
    })
}
