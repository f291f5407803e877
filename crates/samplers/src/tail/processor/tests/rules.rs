//! What the metrics tell of rules.

use super::*;
use crate::testing::{Value, attribute, span_with_state, text};

impl Setup {
    /// One of `adaptive_tail_sampling`.
    fn of_rules(yaml: &str) -> Self {
        let config = configured(yaml, |table| crate::adaptive::read(table, Compatibility::default()));
        Self::of(LearnedRates::default(), config, 1, 64 << 20)
    }

    /// What the metrics page says.
    fn metrics(&self) -> String {
        prometheus::TextEncoder::new().encode_to_string(&self.telemetry.registry().gather()).unwrap()
    }

    /// Looks for lines of the metrics of rules.
    fn assert_of_rules(&self, lines: &[&str]) {
        let metrics = self.metrics();
        for line in lines {
            let line = format!("otelcol_processor_adaptive_tail_sampling_{line}");
            assert!(metrics.lines().any(|other| other == line), "{line}\n{metrics}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn rules_are_counted_by_name_and_by_what_has_triggered_their_decisions() {
    let setup = Setup::of_rules(
        "{decision_delay: 1s, rules: [{name: errors, conditions: ['status.code == STATUS_CODE_ERROR'], \
            sampler: {type: always_sample}}]}",
    );
    let error = Span { status: Some(Status { code: 2, ..Status::default() }), ..span(trace(1, 0), 1) };
    setup.consume(request(vec![error, span(trace(2, 0), 1)])).await;
    millis(500).await;
    setup.assert_of_rules(&["traces_active{processor=\"tail_sampling\"} 2"]);
    millis(1_000).await;
    setup.consume(request(vec![span(trace(3, 0), 1)])).await;
    setup.shut_down().await;
    setup.assert_of_rules(&[
        "traces_sampled{processor=\"tail_sampling\",rule=\"errors\"} 1",
        "traces_dropped{processor=\"tail_sampling\",rule=\"_unmatched\"} 2",
        "decision_triggers{processor=\"tail_sampling\",trigger=\"root_span\"} 2",
        "decision_triggers{processor=\"tail_sampling\",trigger=\"shutdown\"} 1",
        "traces_evicted{processor=\"tail_sampling\"} 0",
        "traces_active{processor=\"tail_sampling\"} 0",
    ]);
}

#[tokio::test(start_paused = true)]
async fn the_rates_and_the_sizes_of_traces_are_counted_by_the_rule_that_has_decided_them_kept_or_not() {
    let setup = Setup::of_rules(
        "{decision_delay: 1s, num_traces: 5, eviction: {policy: probabilistic, sampling_percentage: 50}, rules: [\
            {name: none, conditions: ['attributes[\"a\"] == 1'], sampler: {type: drop}}, \
            {name: quarter, conditions: ['name != \"other\"'], \
                sampler: {type: probabilistic, sampling_percentage: 25}}]}",
    );
    let high = |number| trace(number, u64::MAX >> 8);
    let head = |trace, state: &str| span_with_state(trace, 1, state);
    let marked = Span { attributes: vec![attribute("a", Value::IntValue(1))], ..span(high(4), 1) };
    let other = Span { name: "other".to_owned(), ..span(high(5), 1) };
    // Not kept, kept with three spans, kept with what it had passed before, dropped, not asked for.
    let first = [span(trace(1, 0), 1), span(high(2), 1), span(high(2), 2), span(high(2), 3)];
    setup
        .consume(request(first.into_iter().chain([head(high(3), "ot=th:e"), marked, other]).collect()))
        .await;
    millis(1_500).await;
    // There is no room for the first two of these.
    setup.consume(request((11..=17).map(|number| span(high(number), 1)).collect())).await;
    setup.shut_down().await;
    setup.assert_of_rules(&[
        "decision_sample_rate_count{processor=\"tail_sampling\",rule=\"quarter\"} 8",
        // Seven times four, and once eight.
        "decision_sample_rate_sum{processor=\"tail_sampling\",rule=\"quarter\"} 36",
        "decision_sample_rate_bucket{processor=\"tail_sampling\",rule=\"quarter\",le=\"5\"} 7",
        "trace_span_count_count{processor=\"tail_sampling\",rule=\"quarter\"} 8",
        "trace_span_count_sum{processor=\"tail_sampling\",rule=\"quarter\"} 10",
        "decision_sample_rate_count{processor=\"tail_sampling\",rule=\"none\"} 0",
        "trace_span_count_count{processor=\"tail_sampling\",rule=\"none\"} 1",
        "decision_sample_rate_sum{processor=\"tail_sampling\",rule=\"_eviction\"} 4",
        "trace_span_count_count{processor=\"tail_sampling\",rule=\"_eviction\"} 2",
        "trace_span_count_count{processor=\"tail_sampling\",rule=\"_unmatched\"} 0",
        "traces_evicted{processor=\"tail_sampling\"} 2",
    ]);
}

#[tokio::test(start_paused = true)]
async fn conditions_that_fail_are_counted_by_rule() {
    let setup = Setup::of_rules(
        "{root_span_condition: 'HasPrefix(attributes[\"b\"], \"x\")', rules: [\
            {name: xs, conditions: ['HasPrefix(attributes[\"a\"], \"x\")'], sampler: {type: always_sample}}, \
            {name: ys, conditions: ['HasPrefix(attributes[\"a\"], \"y\")'], sampler: {type: always_sample}}, \
            {name: sound, conditions: ['name == \"m\"'], sampler: {type: always_sample}}]}",
    );
    let with = |number, a: Value, b: Value| Span {
        attributes: vec![attribute("a", a), attribute("b", b)],
        ..span(trace(1, 0), number)
    };
    let number = || Value::IntValue(1);
    // Once `xs` holds it is not asked any more.
    let spans = [with(1, number(), text("x")), with(2, text("x"), text("y")), with(3, number(), number())];
    setup.consume(request(spans.to_vec())).await;
    setup.shut_down().await;
    setup.assert_of_rules(&[
        "ottl_eval_errors{processor=\"tail_sampling\",rule=\"xs\"} 1",
        "ottl_eval_errors{processor=\"tail_sampling\",rule=\"ys\"} 2",
        "ottl_eval_errors{processor=\"tail_sampling\",rule=\"_root_span_condition\"} 1",
    ]);
    assert!(!setup.metrics().contains("ottl_eval_errors{processor=\"tail_sampling\",rule=\"sound\""));
}

#[tokio::test(start_paused = true)]
async fn without_rules_there_is_nothing_to_tell_of_them() {
    let setup = Setup::new(MIXED, 1);
    setup.consume(request(vec![span(trace(1, 0), 1)])).await;
    setup.shut_down().await;
    assert!(!setup.metrics().contains("adaptive_tail_sampling"), "{}", setup.metrics());
}
