//! Any policies: one or several of all types, within each other as far as that is allowed; and any rules.

use proptest::collection::vec;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;

use super::*;
use crate::testing::configured;

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

/// What divides a budget among kinds of traces: all algorithms, for goals that are met and that are not.
const ADAPTIVE: &[(&str, &str)] = &[
    ("adaptive_percentage", "goal_percentage: 30"),
    ("adaptive_percentage", "goal_percentage: 100, weight: 0.9, max_keys: 2"),
    ("adaptive_percentage", "goal_percentage: 10, algorithm: water_filling, max_keys: 1"),
    ("adaptive_percentage", "goal_percentage: 60, algorithm: water_filling, adjustment_interval: 1s"),
    ("adaptive_throughput", "goal_throughput: 2, adjustment_interval: 1s"),
    ("adaptive_throughput", "goal_throughput: 2, initial_sampling_percentage: 100, max_keys: 0"),
    ("adaptive_throughput", "goal_throughput: 3, algorithm: windowed, lookback_frequency: 3s"),
    ("adaptive_throughput", "goal_throughput: 1, algorithm: windowed, update_frequency: 5s, max_keys: 1"),
    ("adaptive_throughput", "goal_throughput: 3, algorithm: total, adjustment_interval: 1s"),
    ("adaptive_throughput", "goal_throughput: 3, algorithm: per_key, adjustment_interval: 1s, max_keys: 2"),
    ("adaptive_throughput", "goal_throughput: 3, algorithm: water_filling"),
    ("adaptive_throughput", "goal_throughput: 0.01, algorithm: water_filling, max_keys: 1"),
    ("adaptive_throughput", "goal_throughput: 1000000, algorithm: water_filling, weight: 0.01"),
];

/// Attributes of what the simulation has, and of what it has not.
const FINGERPRINTS: &[&str] = &[
    "resource.attributes[\"service.name\"]",
    "span.attributes[\"key\"]",
    "root.attributes[\"n\"]",
    "any.attributes[\"key\"]",
    "scope.attributes[\"key\"]",
];

/// What rules ask of spans; the last fails where `n` is a boolean or there is none.
const CONDITIONS: &[&str] = &[
    "span.attributes[\"key\"] == \"a\"",
    "span.status.code == STATUS_CODE_ERROR",
    "span.attributes[\"flag\"] == true or IsRootSpan()",
    "resource.attributes[\"service.name\"] == \"shop\"",
    "HasPrefix(span.attributes[\"n\"], \"a\")",
];

/// What is read as settings, and how.
#[derive(Clone, Debug)]
pub(super) enum Configuration {
    /// Of `tail_sampling`.
    Policies(String),
    /// Of `adaptive_tail_sampling`.
    Rules(String),
}

/// Any configuration.
pub(super) fn configurations() -> impl Strategy<Value = Configuration> {
    prop_oneof![
        2 => policies().prop_map(Configuration::Policies),
        1 => rules().prop_map(Configuration::Rules),
    ]
}

impl Configuration {
    pub(super) fn settings(&self, compatibility: Compatibility) -> Settings {
        match self {
            Self::Policies(yaml) => settings(yaml, compatibility),
            Self::Rules(yaml) => {
                configured(yaml, |table| crate::adaptive::read(table, compatibility)).settings()
            }
        }
    }
}

/// Some rules, and what there is to them.
fn rules() -> impl Strategy<Value = String> {
    let share = || select(vec!["0.1", "50", "100"]);
    let sampler = prop_oneof![
        2 => Just("type: always_sample".to_owned()),
        1 => Just("type: drop".to_owned()),
        2 => share().prop_map(|share| format!("type: probabilistic, sampling_percentage: {share}")),
        6 => adaptive().prop_map(|(kind, settings)| format!("type: {kind}, {settings}")),
    ];
    let matching = select(vec!["", "match: any_span, ", "match: same_span, "]);
    let conditions = (matching, subsequence(CONDITIONS, 1..3));
    let conditions =
        conditions.prop_map(|(matching, of)| format!("{matching}conditions: ['{}'], ", of.join("', '")));
    let rule = (prop_oneof![1 => Just(String::new()), 2 => conditions], sampler)
        .prop_map(|(conditions, sampler)| format!("{conditions}sampler: {{{sampler}}}"));
    let root = select(vec!["", "root_span_condition: 'span.attributes[\"flag\"] == true', "]);
    let record = select(vec!["none", "value", "hash"]);
    let eviction = prop_oneof![
        Just("policy: evaluate".to_owned()),
        share().prop_map(|share| format!("policy: probabilistic, sampling_percentage: {share}")),
    ];
    (named(rule.boxed(), 1..5), root, record, eviction).prop_map(|(rules, root, record, eviction)| {
        format!("{{{root}record_fingerprint: {record}, eviction: {{{eviction}}}, rules: [{rules}]}}")
    })
}

/// The type and the settings of a policy that divides a budget.
fn adaptive() -> impl Strategy<Value = (&'static str, String)> {
    let attributes = subsequence(FINGERPRINTS, 1..4);
    (select(ADAPTIVE), attributes).prop_map(|((kind, settings), attributes)| {
        (kind, format!("{settings}, fingerprint_attributes: ['{}']", attributes.join("', '")))
    })
}

/// The settings of `tail_sampling` that are about policies.
fn policies() -> impl Strategy<Value = String> {
    let adaptive = || adaptive().prop_map(|(kind, settings)| format!("type: {kind}, {kind}: {{{settings}}}"));
    let plain = || prop_oneof![6 => select(PLAIN).prop_map(str::to_owned), 1 => adaptive()].boxed();
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
        (2, adaptive().boxed()),
        (2, all("and")),
        (1, all("drop")),
        (1, not()),
        (2, composite.boxed()),
    ]);
    (named(any.boxed(), 1..5), prop::bool::ANY).prop_map(|(policies, first_match)| {
        format!("{{sample_on_first_match: {first_match}, policies: [{policies}]}}")
    })
}

/// So many of them, called `p0`, `p1` and so on.
fn named(policy: BoxedStrategy<String>, count: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    vec(policy, count).prop_map(|policies| {
        let named =
            policies.iter().enumerate().map(|(number, policy)| format!("{{name: p{number}, {policy}}}"));
        named.collect::<Vec<_>>().join(", ")
    })
}
