//! Mistakes in settings.

use forebay_config::read_str;

use super::*;
use crate::testing::findings;

fn found(yaml: &str) -> Vec<String> {
    findings(&read_str(yaml, |table| read(table, Compatibility::default())).1)
}

const KEYS: &str = "fingerprint_attributes: ['any.attributes[\"a\"]']";

#[test]
fn everything_of_the_collector_is_known() {
    let yaml = format!(
        "{{trace_timeout: 30s, decision_delay: 2s, num_traces: 50000, span_limit: 0, \
            decision_cache: {{sampled_cache_size: 10000, non_sampled_cache_size: 10000}}, \
            root_span_condition: 'IsRootSpan() or span.kind == SPAN_KIND_SERVER', record_fingerprint: hash, \
            eviction: {{policy: probabilistic, sampling_percentage: 10}}, rules: [\
            {{name: a, match: same_span, conditions: ['IsRootSpan()', 'span.name == \"x\"'], sampler: {{\
                type: adaptive_throughput, algorithm: windowed, goal_throughput: 100, {KEYS}, \
                update_frequency: 1s, lookback_frequency: 30s, max_keys: 0}}}}, \
            {{name: b, conditions: ['span.name == \"x\"'], sampler: {{type: adaptive_throughput, \
                goal_throughput: 100, {KEYS}, initial_sampling_percentage: 10}}}}, \
            {{name: c, sampler: {{type: adaptive_percentage, goal_percentage: 5, algorithm: ema, {KEYS}, \
                adjustment_interval: 15s, weight: 0.5, max_keys: 500}}}}]}}"
    );
    assert_eq!(found(&yaml), [""; 0]);
}

#[test]
fn mistakes_are_named() {
    let one = "rules: [{name: it, sampler: {type: always_sample}}]";
    for (yaml, expected) in [
        ("{}", "error: rules: adaptive_tail_sampling needs rules: without them nothing would be kept"),
        ("rules: []", "error: rules: adaptive_tail_sampling needs rules: without them nothing would be kept"),
        ("rules: [{name: it}]", "error: rules[0]: `sampler` is required"),
        (
            "rules: [{name: _it, sampler: {type: drop}}]",
            "error: rules[0]::name: names that begin with `_` are for what is no rule",
        ),
        ("rules: [{sampler: {type: drop}}]", "error: rules[0]::name: a rule needs a name"),
        (
            "rules: [{name: it, match: any_span, sampler: {type: drop}}]",
            "error: rules[0]::match: a rule without conditions is for all traces",
        ),
        (
            "rules: [{name: a, sampler: {type: drop}}, {name: b, sampler: {type: drop}}]",
            "warning: rules[1]::name: is never asked: the rule `a` is for all traces",
        ),
        (&format!("{{trace_timeout: 0s, {one}}}"), "error: trace_timeout: expected a time above 0"),
        (&format!("{{decision_delay: 0s, {one}}}"), "error: decision_delay: expected a time above 0"),
        (
            &format!("{{eviction: {{sampling_percentage: 5}}, {one}}}"),
            "error: eviction::sampling_percentage: is only used by `policy: probabilistic`",
        ),
        (
            &format!("{{eviction: {{policy: probabilistic}}, {one}}}"),
            "error: eviction: `sampling_percentage` is required",
        ),
    ] {
        assert_eq!(found(yaml), [expected], "{yaml}");
    }
    let twice = "{name: a, conditions: ['name == \"x\"'], sampler: {type: drop}}";
    assert_eq!(
        found(&format!("rules: [{twice}, {twice}]")),
        ["error: rules[1]::name: two rules are named `a`"]
    );
    let broken = found(
        "{root_span_condition: 'span.', rules: [{name: a, conditions: ['IsRoot()'], sampler: {type: drop}}]}",
    );
    assert_eq!(broken.len(), 2, "{broken:?}");
}

#[test]
fn samplers_take_no_settings_that_mean_nothing_to_them() {
    let throughput = format!("type: adaptive_throughput, {KEYS}, ");
    let percentage = format!("type: adaptive_percentage, {KEYS}, ");
    let keyless = "type: adaptive_percentage, goal_percentage: 5, ".to_owned();
    let probabilistic = "type: probabilistic, ".to_owned();
    for (kind, settings, key, message) in [
        ("type: always_sample, ", "max_keys: 5", "max_keys", "unknown"),
        (&probabilistic, "", "sampling_percentage", "is required"),
        (&probabilistic, "sampling_percentage: 0", "sampling_percentage", "nothing would be kept"),
        (&probabilistic, "sampling_percentage: .nan", "sampling_percentage", "expected a number"),
        (&probabilistic, "sampling_percentage: -5", "sampling_percentage", "expected a number"),
        (&probabilistic, "sampling_percentage: 101", "sampling_percentage", "expected a number"),
        (&probabilistic, "sampling_percentage: 1.0e-20", "sampling_percentage", "is not between"),
        (&throughput, "", "goal_throughput", "is required"),
        (&throughput, "goal_throughput: 0", "goal_throughput", "nothing would be kept"),
        (&throughput, "goal_throughput: -1", "goal_throughput", "expected a number"),
        (&throughput, "goal_throughput: .nan", "goal_throughput", "expected a number"),
        (&throughput, "goal_throughput: .inf", "goal_throughput", "expected a number"),
        (&throughput, "goal_throughput: 1, weight: 1", "weight", "1 would forget everything"),
        (&throughput, "goal_throughput: 1, weight: -0.5", "weight", "expected a number"),
        (&throughput, "goal_throughput: 1, max_keys: -1", "max_keys", "expected an integer"),
        (&throughput, "goal_throughput: 1, update_frequency: 1s", "update_frequency", "unknown"),
        (
            &throughput,
            "goal_throughput: 1, algorithm: windowed, lookback_frequency: 1ms",
            "lookback_frequency",
            "expected a time of at least `update_frequency`",
        ),
        (
            &throughput,
            "goal_throughput: 1, algorithm: windowed, lookback_frequency: 1000h",
            "lookback_frequency",
            "and at most 300 times it",
        ),
        (&percentage, "goal_percentage: 5, algorithm: windowed", "algorithm", "expected one of"),
        (&percentage, "goal_percentage: 0", "goal_percentage", "nothing would be kept"),
        (&keyless, "", "fingerprint_attributes", "is required"),
        (&keyless, "fingerprint_attributes: []", "fingerprint_attributes", "name at least one attribute"),
        (
            &keyless,
            "fingerprint_attributes: [http.route]",
            "fingerprint_attributes",
            "`http.route` does not select an attribute",
        ),
        ("", "type: ema_dynamic", "type", "expected one of"),
    ] {
        let found = found(&format!("rules: [{{name: it, sampler: {{{kind}{settings}}}}}]"));
        let about = |found: &str| found.starts_with("error: rules[0]::sampler") && found.contains(key);
        assert!(
            found.len() == 1 && about(&found[0]) && found[0].contains(message),
            "{kind}{settings}: {found:?}"
        );
    }
}
