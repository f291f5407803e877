//! How mistakes in the configuration of policies are reported.

use forebay_config::read_str;

use super::*;
use crate::testing::findings;

/// The findings in the YAML of a processor.
fn mistakes(yaml: &str) -> Vec<String> {
    findings(&read_str(yaml, |table| Policies::read(table, STRICT)).1)
}

#[test]
fn policies_are_required() {
    for yaml in ["{}", "policies:", "policies: []"] {
        assert_eq!(
            mistakes(yaml),
            ["error: policies: tail_sampling needs policies: without them nothing would be kept"]
        );
    }
    assert_eq!(mistakes("policies: all"), ["error: policies: expected a list, found the string \"all\""]);
}

#[test]
fn an_unknown_type_is_one_mistake_that_names_the_nearest_type() {
    let found = mistakes("policies: [{name: slow, type: latncy, latency: {threshold_ms: 1}}]");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .starts_with("error: policies[0]::type: expected one of adaptive_percentage, adaptive_throughput, always_sample, and, "),
        "{found:?}"
    );
    assert!(found[0].contains("did you mean `latency`?"), "{found:?}");
}

#[test]
fn attributes_without_their_settings_are_told_what_is_missing() {
    let missing = |kind: &str, what: &[&str]| {
        let found = mistakes(&one(&format!("type: {kind}")));
        let expected = what.iter().map(|what| format!("error: policies[0]::{kind}{what}"));
        assert_eq!(found, expected.collect::<Vec<_>>());
    };
    missing("string_attribute", &[": `key` is required", ": `values` is required"]);
    missing(
        "numeric_attribute",
        &[": `key` is required", "::min_value: set `min_value`, `max_value` or both; zero counts as not set"],
    );
    missing("always_sample", &[]);
}

#[test]
fn names_are_required_and_distinct() {
    let yaml = "policies: [
        {name: a, type: always_sample}, {type: always_sample}, {name: '', type: always_sample}, {name: a, type: always_sample}]";
    assert_eq!(
        mistakes(yaml),
        [
            "error: policies[1]::name: a policy needs a name",
            "error: policies[2]::name: a policy needs a name",
            "error: policies[3]::name: two policies are named `a`",
        ]
    );
}

#[test]
fn missing_and_senseless_settings_are_mistakes() {
    for (policy, mistake) in [
        ("latency: {threshold_ms: 1}", "error: policies[0]: `type` is required"),
        (
            "type: latency, latency: {threshold_ms: -1}",
            "error: policies[0]::latency::threshold_ms: expected an integer from 0 to 18446744073709, found the number -1",
        ),
        (
            "type: latency, latency: {threshold_ms: 5, upper_threshold_ms: 5}",
            "error: policies[0]::latency::upper_threshold_ms: no latency is above 5 ms and at most 5 ms",
        ),
        ("type: latency", "error: policies[0]::latency: `threshold_ms` is required"),
        ("type: latency, latency:", "error: policies[0]::latency: `threshold_ms` is required"),
        ("type: probabilistic", "error: policies[0]::probabilistic: `sampling_percentage` is required"),
        ("type: status_code", "error: policies[0]::status_code: `status_codes` is required"),
        ("type: and", "error: policies[0]::and::and_sub_policy: name at least one sub-policy"),
        ("type: status_code, status_code: {}", "error: policies[0]::status_code: `status_codes` is required"),
        (
            "type: status_code, status_code: {status_codes: []}",
            "error: policies[0]::status_code::status_codes: name at least one of OK, ERROR and UNSET",
        ),
        (
            "type: status_code, status_code: {status_codes: [ERR]}",
            "error: policies[0]::status_code::status_codes[0]: expected one of OK, ERROR, UNSET, found the string \"ERR\"",
        ),
        (
            "type: string_attribute, string_attribute: {values: [a]}",
            "error: policies[0]::string_attribute: `key` is required",
        ),
        (
            "type: string_attribute, string_attribute: {key: a}",
            "error: policies[0]::string_attribute: `values` is required",
        ),
        (
            "type: string_attribute, string_attribute: {key: a, values: []}",
            "error: policies[0]::string_attribute::values: name at least one value",
        ),
        (
            "type: string_attribute, string_attribute: {key: a, values: ['('], enabled_regex_matching: true}",
            "error: policies[0]::string_attribute::values: invalid regular expression: unclosed group",
        ),
        (
            "type: numeric_attribute, numeric_attribute: {min_value: 1}",
            "error: policies[0]::numeric_attribute: `key` is required",
        ),
        (
            "type: numeric_attribute, numeric_attribute: {key: a, min_value: 0}",
            "error: policies[0]::numeric_attribute::min_value: set `min_value`, `max_value` or both; zero counts as not set",
        ),
        (
            "type: numeric_attribute, numeric_attribute: {key: a, min_value: 9, max_value: 3}",
            "error: policies[0]::numeric_attribute::min_value: no number is at least 9 and at most 3",
        ),
        (
            "type: probabilistic, probabilistic: {sampling_percentage: -1}",
            "error: policies[0]::probabilistic::sampling_percentage: expected a number",
        ),
        (
            "type: probabilistic, probabilistic: {sampling_percentage: 1.0e-20}",
            "error: policies[0]::probabilistic::sampling_percentage: probability 0.0000000000",
        ),
        ("type: and, and: {}", "error: policies[0]::and::and_sub_policy: name at least one sub-policy"),
        (
            "type: and, and: {and_sub_policy: [{name: a, type: and}]}",
            "error: policies[0]::and::and_sub_policy[0]::type: expected one of adaptive_percentage, adaptive_throughput, always_sample, boolean_attribute, ",
        ),
        ("type: drop, drop: {}", "error: policies[0]::drop::drop_sub_policy: name at least one sub-policy"),
        ("type: not, not: {}", "error: policies[0]::not: `not_sub_policy` is required"),
        (
            "type: not, not: {not_sub_policy: {name: a, type: not}}",
            "error: policies[0]::not::not_sub_policy::type: expected one of adaptive_percentage, adaptive_throughput, always_sample, boolean_attribute, ",
        ),
        (
            "type: composite, composite: {max_total_spans_per_second: 9, policy_order: [b], \
                composite_sub_policy: [{name: a, type: always_sample}]}",
            "error: policies[0]::composite::policy_order: there is no sub-policy `b`",
        ),
        (
            "type: rate_limiting, rate_limiting: {}",
            "error: policies[0]::rate_limiting: `spans_per_second` is required",
        ),
        ("type: bytes_limiting", "error: policies[0]::bytes_limiting: `bytes_per_second` is required"),
        (
            "type: span_count, span_count: {min_spans: 3, max_spans: 2}",
            "error: policies[0]::span_count::max_spans: no trace has at least 3 and at most 2 spans",
        ),
        ("type: boolean_attribute", "error: policies[0]::boolean_attribute: `key` is required"),
        (
            "type: trace_state, trace_state: {key: a, values: []}",
            "error: policies[0]::trace_state::values: name at least one value",
        ),
        (
            "type: ottl_condition, ottl_condition: {error_mode: ignore}",
            "error: policies[0]::ottl_condition::span: name at least one condition, in `span` or in `spanevent`",
        ),
        (
            "type: ottl_condition, ottl_condition: {span: ['nam == \"a\"']}",
            "error: policies[0]::ottl_condition::span[0]: column 1 of the condition: ",
        ),
    ] {
        let found = mistakes(&one(policy));
        assert_eq!(found.len(), 1, "{policy}: {found:?}");
        assert!(found[0].starts_with(mistake), "{found:?}");
    }
}

#[test]
fn settings_of_another_type_and_unknown_ones_are_mistakes() {
    let found =
        mistakes(&one("type: latency, latency: {threshold_ms: 1}, probabilistic: {sampling_percentage: 5}"));
    assert_eq!(found, ["error: policies[0]: unknown key `probabilistic` (known: latency, name, type)"]);
    let found = mistakes(&one("type: latency, latency: {treshold_ms: 5}"));
    assert_eq!(
        found,
        [
            "error: policies[0]::latency: `threshold_ms` is required",
            "error: policies[0]::latency: unknown key `treshold_ms` (did you mean `threshold_ms`? known: threshold_ms, upper_threshold_ms)"
        ]
    );
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let yaml = "policies: [
        {name: a, type: nothing},
        {name: a, type: string_attribute, string_attribute: {key: a}},
        {name: b, type: and, and: {and_sub_policy: [{name: c, type: latency, latency: {threshold: 5}}, {name: d, type: or}]}}]";
    assert_eq!(mistakes(yaml).len(), 6, "{:?}", mistakes(yaml));
}

#[test]
fn a_salt_without_effect_is_a_warning() {
    let found = mistakes(&one("type: probabilistic, probabilistic: {sampling_percentage: 5, hash_salt: a}"));
    assert!(
        found[0].starts_with("warning: policies[0]::probabilistic::hash_salt: has no effect"),
        "{found:?}"
    );
}

#[test]
fn there_is_room_for_as_many_conditions_as_a_digest_has_bits() {
    let policies = |count: usize| {
        let policies = (0..count).map(|number| {
            format!("{{name: p{number}, type: string_attribute, string_attribute: {{key: k{number}, values: [a]}}}}")
        });
        format!("policies: [{}]", policies.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(mistakes(&policies(Bits::MAX)), Vec::<String>::new());
    let found = mistakes(&policies(Bits::MAX + 1));
    assert_eq!(
        found,
        [
            "error: policies[128]::string_attribute::values: more than 128 distinct conditions in one tail_sampling processor"
        ]
    );
}

#[test]
fn equal_conditions_share_a_bit() {
    let policies = (0..1_000).map(|number| {
        format!("{{name: p{number}, type: status_code, status_code: {{status_codes: [ERROR]}}}}")
    });
    assert_eq!(
        mistakes(&format!("policies: [{}]", policies.collect::<Vec<_>>().join(", "))),
        Vec::<String>::new()
    );
}
