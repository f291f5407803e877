use forebay_config::read_str;

use super::*;
use crate::testing::findings;

const POLICIES: &str = "policies: [{name: all, type: always_sample}]";

fn read(yaml: &str) -> (TailConfig, Vec<String>) {
    let (config, diagnostics) = read_str(yaml, |table| TailConfig::read(table, Compatibility::default()));
    (config, findings(&diagnostics))
}

#[test]
fn settings_and_their_defaults_are_the_collectors_but_for_counts_which_bytes_replace() {
    let (config, found) = read(POLICIES);
    assert_eq!(found, Vec::<String>::new());
    assert_eq!((config.decision_wait, config.num_traces), (Duration::from_secs(30), None));
    assert!(!config.drop_pending_traces_on_shutdown);
    assert_eq!((config.remember_kept, config.remember_dropped), (None, None));

    let (config, found) = read(&format!(
        "{{decision_wait: 1m0.5s, num_traces: 100, drop_pending_traces_on_shutdown: true,
          decision_cache: {{sampled_cache_size: 10, non_sampled_cache_size: 20}}, {POLICIES}}}"
    ));
    assert_eq!(found, Vec::<String>::new());
    assert_eq!((config.decision_wait, config.num_traces), (Duration::from_millis(60_500), Some(100)));
    assert!(config.drop_pending_traces_on_shutdown);
    assert_eq!(
        (config.remember_kept, config.remember_dropped),
        (Some(Remember::Decisions(10)), Some(Remember::Decisions(20)))
    );
    assert_eq!(config.policies.names(), ["all"]);
}

#[test]
fn a_cache_of_size_zero_is_one_of_the_default_size() {
    let (config, found) = read(&format!("{{decision_cache: {{sampled_cache_size: 0}}, {POLICIES}}}"));
    assert_eq!((config.remember_kept, found), (None, Vec::new()));
    let (config, _) = read(&format!("{{decision_cache: {{non_sampled_cache_bytes: 4096}}, {POLICIES}}}"));
    assert_eq!(config.remember_dropped, Some(Remember::Bytes(4_096)));
}

#[test]
fn what_the_collector_needs_and_this_does_not_is_a_warning() {
    let (_, found) = read(&format!("{{expected_new_traces_per_sec: 10, num_shards: 4, {POLICIES}}}"));
    assert!(
        found.len() == 2 && found.iter().all(|finding| finding.contains("has no effect here")),
        "{found:?}"
    );
}

#[test]
fn traces_may_leave_early_where_the_policies_allow_it() {
    let (config, found) = read(&format!(
        "{{decision_wait_after_root_received: 2s, maximum_trace_size_bytes: 1000, block_on_overflow: true,
          early_decision: true, {POLICIES}}}"
    ));
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(config.decision_wait_after_root, Some(Duration::from_secs(2)));
    assert_eq!((config.strategy, config.maximum_trace_bytes), (SamplingStrategy::Certain, Some(1_000)));
    assert!(config.block_on_overflow);
    let (config, _) = read(&format!("{{sampling_strategy: span-ingest, {POLICIES}}}"));
    assert_eq!(config.strategy, SamplingStrategy::Ingest);
    for policy in [
        "type: latency, latency: {threshold_ms: 1, upper_threshold_ms: 2}",
        "type: rate_limiting, rate_limiting: {spans_per_second: 1}",
        "type: and, and: {and_sub_policy: [{name: a, type: span_count, span_count: {max_spans: 2}}]}",
    ] {
        let (_, found) =
            read(&format!("{{sampling_strategy: span-ingest, policies: [{{name: it, {policy}}}]}}"));
        assert_eq!(
            found,
            [
                "error: sampling_strategy: policy `it` needs whole traces: it cannot be asked of spans as they come"
            ]
        );
    }
}

#[test]
fn evidence_without_a_coordinator_is_pointed_out() {
    let (_, found) = read(&format!("{{evidence: auto, {POLICIES}}}"));
    assert_eq!(
        found,
        ["warning: evidence: has no effect: without `coordinator` there are no agents to send evidence"]
    );
    assert_eq!(read(&format!("{{evidence: exact, {POLICIES}}}")).1, [""; 0]);
}

#[test]
fn mistakes_are_reported_at_their_keys() {
    let (_, found) = read(&format!(
        "{{decision_wait: -1s, num_traces: 0, decision_cache: {{sampled: 1}}, decision_wiat: 1s, {POLICIES}}}"
    ));
    let keys: Vec<_> = found.iter().map(|finding| finding.split([':', '`']).nth(1).unwrap().trim()).collect();
    assert_eq!(found.len(), 4, "{found:?}");
    assert_eq!(keys, ["decision_wait", "num_traces", "decision_cache", "unknown key"]);
}
