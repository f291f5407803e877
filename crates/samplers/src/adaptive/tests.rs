//! What rules select, what their samplers keep of it, and which mistakes are found.

mod budgets;
mod mistakes;

use super::*;
use crate::testing::{
    MILLISECOND, SECOND, Span, Status, Tail, Value, attribute, configured, encode, request, span,
    span_with_state, text, trace, under,
};

const RULE: &str = "otelcol.processor.adaptive_tail_sampling.rule";
const TRIGGER: &str = "otelcol.processor.adaptive_tail_sampling.trigger";
const FINGERPRINT: &str = "otelcol.processor.adaptive_tail_sampling.fingerprint";

/// A sampler of these settings, without bounds.
fn adaptive(yaml: &str) -> Tail {
    Tail::with(configured(yaml, |table| read(table, Compatibility::default())).settings())
}

/// A span that is no root.
fn child(number: u64, span_id: u64) -> Span {
    Span { parent_span_id: vec![7; 8], ..span(trace(number, 0), span_id) }
}

fn failed(span: Span) -> Span {
    Span { status: Some(Status { code: 2, ..Status::default() }), ..span }
}

fn with(span: Span, key: &str, value: Value) -> Span {
    Span { attributes: vec![attribute(key, value)], ..span }
}

/// What a span has recorded under a key.
fn recorded(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        other => panic!("{other:?}"),
    }
}

/// The rule and the trigger of what is left.
fn decided(spans: &[Span]) -> Vec<(String, String)> {
    spans.iter().map(|span| (recorded(span, RULE).unwrap(), recorded(span, TRIGGER).unwrap())).collect()
}

fn pair(rule: &str, trigger: &str) -> (String, String) {
    (rule.to_owned(), trigger.to_owned())
}

#[test]
fn the_first_rule_that_applies_decides() {
    let mut tail = adaptive(
        "rules: [\
            {name: noise, conditions: ['span.attributes[\"noise\"] == true'], sampler: {type: drop}}, \
            {name: errors, conditions: ['span.status.code == STATUS_CODE_ERROR'], sampler: {type: always_sample}}, \
            {name: half, conditions: ['span.attributes[\"half\"] == true'], \
                sampler: {type: probabilistic, sampling_percentage: 50}}]",
    );
    let noise = with(failed(span(trace(1, u64::MAX >> 8), 1)), "noise", Value::BoolValue(true));
    let error = with(failed(span(trace(2, 0), 1)), "half", Value::BoolValue(true));
    let unlucky = with(span(trace(3, 1), 1), "half", Value::BoolValue(true));
    let lucky = with(span(trace(4, 1 << 55), 1), "half", Value::BoolValue(true));
    let unmatched = span(trace(5, u64::MAX >> 8), 1);
    tail.accept(0, &request(vec![noise, error, unlucky, lucky, unmatched]));
    let kept = tail.decide_due(3 * SECOND);
    assert_eq!(decided(&kept), [pair("errors", "root_span"), pair("half", "root_span")]);
    let states: Vec<_> = kept.iter().map(|span| span.trace_state.as_str()).collect();
    assert_eq!(states, ["ot=th:0", "ot=th:8"]);

    let counts = &tail.sampler.stats().policies;
    let by_rule: Vec<_> =
        counts.iter().map(|count| (count.sampled.traces, count.not_sampled.traces)).collect();
    // What no rule is for, and what goes for want of room, is counted at the end.
    assert_eq!(by_rule, [(0, 1), (1, 0), (1, 1), (0, 1), (0, 0)]);
}

#[test]
fn conditions_hold_for_some_span_each_or_for_one_span_all() {
    let yaml = |matching: &str| {
        format!(
            "rules: [{{name: it, {matching} conditions: ['span.attributes[\"a\"] == 1', \
                'span.attributes[\"a\"] == 2 or span.status.code == STATUS_CODE_ERROR'], \
                sampler: {{type: always_sample}}}}]"
        )
    };
    let one = || with(span(trace(1, 0), 1), "a", Value::IntValue(1));
    let two = || with(span(trace(1, 0), 2), "a", Value::IntValue(2));
    let keeps = |matching: &str, spans: Vec<Span>| {
        let mut tail = adaptive(&yaml(matching));
        tail.accept(0, &request(spans));
        !tail.decide_all().is_empty()
    };
    for (spans, any, same) in [
        (vec![one(), two()], true, false),
        (vec![one()], false, false),
        (vec![two(), failed(one())], true, true),
    ] {
        assert_eq!(keeps("", spans.clone()), any);
        assert_eq!(keeps("match: any_span,", spans.clone()), any);
        assert_eq!(keeps("match: same_span,", spans), same);
    }
}

const ALL: &str = "rules: [{name: all, sampler: {type: always_sample}}]";

#[test]
fn a_root_a_timeout_and_the_number_of_spans_trigger_the_decision() {
    let mut tail = adaptive(&format!("{{trace_timeout: 10s, decision_delay: 1s, span_limit: 3, {ALL}}}"));
    assert_eq!(tail.accept(0, &request(vec![child(1, 1), child(2, 1)])), []);
    assert_eq!(tail.accept(SECOND, &request(vec![span(trace(1, 0), 2)])), []);
    assert_eq!(tail.decide_due(2 * SECOND - MILLISECOND), []);
    assert_eq!(decided(&tail.decide_due(2 * SECOND)), vec![pair("all", "root_span"); 2]);
    assert_eq!(tail.decide_due(11 * SECOND - MILLISECOND), []);
    assert_eq!(decided(&tail.decide_due(11 * SECOND)), [pair("all", "trace_timeout")]);
    let limited = tail.accept(20 * SECOND, &request((1..=3).map(|number| child(3, number)).collect()));
    assert_eq!(decided(&limited), vec![pair("all", "span_limit"); 3]);
    // A late span is recorded as its trace was.
    let late = tail.accept(21 * SECOND, &request(vec![child(3, 4)]));
    assert_eq!(decided(&late), [pair("all", "span_limit")]);
    tail.accept(22 * SECOND, &request(vec![child(4, 1)]));
    assert_eq!(decided(&tail.decide_all()), [pair("all", "shutdown")]);
}

#[test]
fn a_condition_tells_what_a_root_is() {
    let yaml = format!(
        "{{trace_timeout: 10s, decision_delay: 1s, root_span_condition: 'span.attributes[\"entry\"] == true', {ALL}}}"
    );
    let mut tail = adaptive(&yaml);
    tail.accept(0, &request(vec![span(trace(1, 0), 1), child(2, 1)]));
    let entry = |span_id| with(child(2, span_id), "entry", Value::BoolValue(true));
    tail.accept(SECOND, &request(vec![entry(2)]));
    let kept = tail.decide_due(3 * SECOND);
    assert_eq!(decided(&kept), vec![pair("all", "root_span"); 2]);
    assert!(kept.iter().all(|span| span.trace_id == trace(2, 0).to_bytes()));
    assert_eq!(decided(&tail.decide_due(11 * SECOND)), [pair("all", "trace_timeout")]);
}

#[test]
fn what_there_is_no_room_for_is_decided_by_the_rules_or_by_chance() {
    let errors = "rules: [{name: errors, conditions: ['span.status.code == STATUS_CODE_ERROR'], \
        sampler: {type: always_sample}}]";
    let run = |eviction: &str| {
        let config = configured(&format!("{{num_traces: 1, {eviction} {errors}}}"), |table| {
            read(table, Compatibility::default())
        });
        let mut tail = Tail::with(crate::tail::Settings { pending_traces: 1, ..config.settings() });
        let lucky = |number| span(trace(number, 1 << 55), 1);
        let spans = vec![failed(span(trace(1, 0), 1)), lucky(2), failed(lucky(3)), lucky(4)];
        (decided(&tail.accept(0, &request(spans))), tail)
    };
    let (kept, _) = run("");
    assert_eq!(kept, [pair("errors", "eviction"), pair("errors", "eviction")]);
    let (kept, tail) = run("eviction: {policy: probabilistic, sampling_percentage: 50},");
    assert_eq!(kept, [pair("_eviction", "eviction"), pair("_eviction", "eviction")]);
    let counts = &tail.sampler.stats().policies;
    assert_eq!((counts[0].executions(), counts[2].sampled.traces, counts[2].not_sampled.traces), (0, 2, 1));
}

#[test]
fn fingerprints_are_of_the_whole_trace_and_recorded_as_asked_for() {
    let yaml = |record: &str| {
        format!(
            "{{trace_timeout: 1s, decision_delay: 1s, {record} rules: [{{name: it, sampler: {{\
                type: adaptive_throughput, goal_throughput: 1000, algorithm: water_filling, \
                fingerprint_attributes: ['resource.attributes[\"service.name\"]', 'scope.attributes[\"lib\"]', \
                'span.attributes[\"route\"]', 'root.attributes[\"route\"]', 'any.attributes[\"service.name\"]']}}}}]}}"
        )
    };
    let run = |record: &str| {
        let mut tail = adaptive(&yaml(record));
        let route = |span: Span, route: &str| with(span, "route", text(route));
        let mut shop = under(vec![attribute("service.name", text("shop"))], vec![route(child(1, 1), "/b")]);
        shop.scope_spans[0].scope.as_mut().unwrap().attributes = vec![attribute("lib", text("http"))];
        let cart = under(
            vec![attribute("service.name", text("cart"))],
            vec![route(span(trace(1, 0), 2), "/a"), with(child(1, 3), "service.name", text("x"))],
        );
        tail.accept(0, &encode(vec![shop, cart]));
        let mut kept = tail.decide_due(3 * SECOND);
        kept.extend(tail.accept(4 * SECOND, &request(vec![child(1, 4)])));
        assert_eq!(kept.len(), 4);
        let mut recorded: Vec<_> = kept.iter().map(|span| recorded(span, FINGERPRINT)).collect();
        recorded.dedup();
        assert_eq!(recorded.len(), 1, "late spans included");
        recorded.remove(0)
    };
    let value = "cart,shop•http•/a,/b•/a•cart,shop,x";
    assert_eq!(run(""), None);
    assert_eq!(run("record_fingerprint: none,"), None);
    assert_eq!(run("record_fingerprint: value,").as_deref(), Some(value));
    // echo -n 'cart,shop•http•/a,/b•/a•cart,shop,x' | sha256sum | cut -c1-16
    assert_eq!(run("record_fingerprint: hash,").as_deref(), Some("61bac21da4eff8c2"));
}

#[test]
fn what_another_sampler_has_recorded_is_replaced() {
    let mut tail = adaptive(ALL);
    tail.accept(0, &request(vec![with(span_with_state(trace(1, 0), 1, "ot=th:c"), RULE, text("old"))]));
    let kept = tail.decide_all();
    assert_eq!(decided(&kept), [pair("all", "shutdown")]);
    assert_eq!(kept[0].attributes.iter().filter(|attribute| attribute.key == RULE).count(), 1);
}
