//! What each policy type asks for, and how verdicts combine.

mod adaptive;
mod kinds;
mod limiting;
mod mistakes;

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use proptest::prelude::*;

use super::*;
use crate::tail::Settings;
use crate::tail::decision::Policies;
use crate::testing::model::trace_of;
use crate::testing::{
    Located, MILLISECOND, SECOND, Span, Status, Tail, Value, attribute, encode, request, settings, span,
    span_with_state, text, trace, under,
};

const STRICT: Compatibility =
    Compatibility { attribute_coercion: false, latency_milliseconds: false, probabilistic_hash: false };

/// The YAML of a processor with one policy.
fn one(policy: &str) -> String {
    format!("policies: [{{name: it, {policy}}}]")
}

/// The spans that are left of one trace, with one policy.
fn sampled(
    compatibility: Compatibility,
    policy: &str,
    resource: Vec<KeyValue>,
    spans: Vec<Span>,
) -> Vec<Span> {
    let mut tail = Tail::with(settings(&one(policy), compatibility));
    tail.accept(0, &encode(vec![under(resource, spans)]));
    tail.decide_all()
}

fn keeps(policy: &str, resource: Vec<KeyValue>, spans: Vec<Span>) -> bool {
    let count = spans.len();
    let left = sampled(STRICT, policy, resource, spans).len();
    assert!(left == 0 || left == count, "a trace is kept whole or not at all");
    left > 0
}

/// Whether a trace is kept whose second span alone has the attribute `key`, and whether one is whose resource has.
fn keeps_with(policy: &str, value: &Value) -> (bool, bool) {
    let wanted = vec![attribute("other", text("x")), attribute("key", value.clone())];
    let plain = || span(trace(1, 0), 1);
    let second = Span { attributes: wanted.clone(), ..span(trace(1, 0), 2) };
    (keeps(policy, Vec::new(), vec![plain(), second]), keeps(policy, wanted, vec![plain()]))
}

fn lasting(start: u64, end: u64) -> Span {
    Span { start_time_unix_nano: start, end_time_unix_nano: end, ..span(trace(1, 0), 1) }
}

fn with_status(code: i32) -> Span {
    Span { status: Some(Status { code, message: "ignored".to_owned() }), ..span(trace(1, 0), 2) }
}

/// The `tracestate` that a trace of this randomness leaves with, if it is kept.
fn stamp(yaml: &str, randomness: u64, trace_state: &str) -> Option<String> {
    let mut tail = Tail::new(yaml);
    tail.accept(0, &request(vec![span_with_state(trace(1, randomness), 1, trace_state)]));
    tail.decide_all().pop().map(|span| span.trace_state)
}

#[test]
fn always_sample_keeps_every_trace_at_threshold_zero() {
    let kept = sampled(STRICT, "type: always_sample", Vec::new(), vec![span(trace(1, 0), 1)]);
    assert_eq!(kept, [span_with_state(trace(1, 0), 1, "ot=th:0")]);
}

#[test]
fn latency_lasts_from_the_earliest_start_to_the_latest_end_whatever_the_order() {
    let policy = "type: latency, latency: {threshold_ms: 100}";
    let (early, late) = (lasting(SECOND, SECOND + 10), lasting(SECOND + 50, SECOND + 100 * MILLISECOND + 1));
    assert!(keeps(policy, Vec::new(), vec![early.clone(), late.clone()]));
    assert!(keeps(policy, Vec::new(), vec![late.clone(), early.clone()]));
    assert!(!keeps(policy, Vec::new(), vec![late]));
    assert!(!keeps(policy, Vec::new(), vec![early]));
}

#[test]
fn latency_is_above_the_lower_and_at_most_the_upper_bound_to_the_nanosecond() {
    let policy = "type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 200}";
    let keeps = |duration| keeps(policy, Vec::new(), vec![lasting(SECOND, SECOND + duration)]);
    assert!(!keeps(100 * MILLISECOND));
    assert!(keeps(100 * MILLISECOND + 1));
    assert!(keeps(200 * MILLISECOND));
    assert!(!keeps(200 * MILLISECOND + 1));
}

#[test]
fn latency_compares_whole_milliseconds_as_the_collector_if_asked_to() {
    let compatibility = Compatibility { latency_milliseconds: true, ..STRICT };
    let policy = "type: latency, latency: {threshold_ms: 100, upper_threshold_ms: 200}";
    let keeps = |micros: u64| {
        !sampled(compatibility, policy, Vec::new(), vec![lasting(SECOND, SECOND + micros * 1_000)]).is_empty()
    };
    assert!(!keeps(100_999));
    assert!(keeps(101_000));
    assert!(keeps(200_999));
    assert!(!keeps(201_000));
}

#[test]
fn a_trace_that_ends_before_it_starts_has_no_latency() {
    let policy = "type: latency, latency: {threshold_ms: 0}";
    for (start, end) in [(SECOND, 0), (u64::MAX, 0), (u64::MAX, u64::MAX), (0, 0)] {
        assert!(!keeps(policy, Vec::new(), vec![lasting(start, end)]), "{start}..{end}");
    }
    assert!(keeps(policy, Vec::new(), vec![lasting(0, u64::MAX)]));
}

#[test]
fn status_code_asks_for_traces_in_which_some_span_has_one_of_the_codes() {
    let keeps = |codes: &str, span: Span| {
        let ok = Span { span_id: vec![9; 8], ..with_status(1) };
        keeps(
            &format!("type: status_code, status_code: {{status_codes: [{codes}]}}"),
            Vec::new(),
            vec![ok, span],
        )
    };
    assert!(keeps("ERROR", with_status(2)));
    assert!(keeps("ERROR, UNSET", with_status(2)));
    assert!(keeps("UNSET", with_status(0)));
    assert!(keeps("UNSET", span(trace(1, 0), 2)));
    assert!(keeps("OK", with_status(2)));
    assert!(!keeps("ERROR", with_status(0)));
    assert!(!keeps("UNSET", with_status(2)));
    assert!(!keeps("ERROR, UNSET", with_status(3)));
}

#[test]
fn string_attribute_asks_for_one_of_the_values_in_a_span_or_its_resource() {
    let policy = "type: string_attribute, string_attribute: {key: key, values: [a, bc]}";
    for (value, keeps) in [("a", true), ("bc", true), ("b", false), ("abc", false), ("A", false), ("", false)]
    {
        assert_eq!(keeps_with(policy, &text(value)), (keeps, keeps), "{value}");
    }
}

#[test]
fn regular_expressions_match_anywhere_unless_they_are_anchored() {
    let policy = |values: &str| {
        format!(
            "type: string_attribute, string_attribute: {{key: key, values: [{values}], enabled_regex_matching: true}}"
        )
    };
    assert_eq!(keeps_with(&policy("'v[0-9]+'"), &text("/api/v12/pay")), (true, true));
    assert_eq!(keeps_with(&policy("'^v[0-9]+'"), &text("/api/v12/pay")), (false, false));
    assert_eq!(keeps_with(&policy("nope, '(?i)PAY$'"), &text("/api/v12/pay")), (true, true));
    assert_eq!(keeps_with(&policy("'^/api/v12/pay$'"), &text("/api/v12/pay")), (true, true));
}

#[test]
fn the_empty_string_never_matches() {
    for regex in [false, true] {
        let policy = format!(
            "type: string_attribute, string_attribute: {{key: key, values: ['', '.*'], enabled_regex_matching: {regex}}}"
        );
        assert_eq!(keeps_with(&policy, &text("")), (false, false));
    }
}

#[test]
fn numbers_are_within_bounds_that_are_included() {
    let policy = "type: numeric_attribute, numeric_attribute: {key: key, min_value: -5, max_value: 10}";
    for (value, keeps) in [(-6, false), (-5, true), (0, true), (10, true), (11, false), (i64::MIN, false)] {
        assert_eq!(keeps_with(policy, &Value::IntValue(value)), (keeps, keeps), "{value}");
    }
}

#[test]
fn doubles_are_numbers() {
    let policy = "type: numeric_attribute, numeric_attribute: {key: key, min_value: 1, max_value: 10}";
    for (value, keeps) in
        [(0.999, false), (1.0, true), (9.999, true), (10.0, true), (10.001, false), (f64::NAN, false)]
    {
        assert_eq!(keeps_with(policy, &Value::DoubleValue(value)), (keeps, keeps), "{value}");
    }
}

#[test]
fn a_bound_of_zero_is_no_bound() {
    let at_least = "type: numeric_attribute, numeric_attribute: {key: key, min_value: 10, max_value: 0}";
    let at_most = "type: numeric_attribute, numeric_attribute: {key: key, min_value: 0, max_value: 10}";
    for (value, least) in [
        (Value::IntValue(i64::MAX), true),
        (Value::DoubleValue(1e300), true),
        (Value::DoubleValue(f64::INFINITY), true),
        (Value::IntValue(i64::MIN), false),
        (Value::DoubleValue(-1e300), false),
        (Value::DoubleValue(f64::NEG_INFINITY), false),
    ] {
        assert_eq!(keeps_with(at_least, &value), (least, least), "{value:?}");
        assert_eq!(keeps_with(at_most, &value), (!least, !least), "{value:?}");
    }
}

#[test]
fn values_of_another_type_fail() {
    let nested = Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(text("5")) }] });
    let string = "type: string_attribute, string_attribute: {key: key, values: ['5', 'true', '.'], enabled_regex_matching: true}";
    for value in [Value::IntValue(5), Value::DoubleValue(5.0), Value::BoolValue(true), nested.clone()] {
        assert_eq!(keeps_with(string, &value), (false, false), "{value:?}");
    }
    let number = "type: numeric_attribute, numeric_attribute: {key: key, min_value: -10, max_value: 10}";
    for value in [text("5"), Value::BoolValue(true), Value::BytesValue(vec![5]), nested] {
        assert_eq!(keeps_with(number, &value), (false, false), "{value:?}");
    }
    let unset = Span {
        attributes: vec![KeyValue { key: "key".to_owned(), ..KeyValue::default() }],
        ..span(trace(1, 0), 1)
    };
    assert!(!keeps(number, Vec::new(), vec![unset]));
}

#[test]
fn an_inverted_match_asks_for_traces_in_which_neither_resource_nor_span_matches() {
    for (policy, matching) in [
        ("type: string_attribute, string_attribute: {key: key, values: [a], invert_match: true}", text("a")),
        (
            "type: numeric_attribute, numeric_attribute: {key: key, min_value: 5, invert_match: true}",
            Value::IntValue(7),
        ),
    ] {
        assert_eq!(keeps_with(policy, &matching), (false, false));
        assert_eq!(keeps_with(policy, &text("b")), (true, true));
        assert!(keeps(policy, Vec::new(), vec![span(trace(1, 0), 1)]), "the attribute need not be there");
    }
}

#[test]
fn probabilistic_keeps_what_reaches_the_threshold_and_stamps_it() {
    for (percentage, threshold, digits) in [
        ("10", 0xe6_6600_0000_0000, "e666"),
        ("1", 0xfd_70a0_0000_0000, "fd70a"),
        ("0.1", 0xff_be77_0000_0000, "ffbe77"),
        ("25", 0xc0_0000_0000_0000, "c"),
        ("50", 0x80_0000_0000_0000, "8"),
        ("40", 0x99_9a00_0000_0000, "999a"),
        ("100", 0, "0"),
        ("250", 0, "0"),
    ] {
        let yaml = one(&format!("type: probabilistic, probabilistic: {{sampling_percentage: {percentage}}}"));
        assert_eq!(stamp(&yaml, threshold, ""), Some(format!("ot=th:{digits}")), "{percentage} %");
        if threshold > 0 {
            assert_eq!(stamp(&yaml, threshold - 1, ""), None, "{percentage} %");
        }
    }
}

#[test]
fn probabilistic_of_zero_percent_keeps_nothing() {
    let yaml = one("type: probabilistic, probabilistic: {sampling_percentage: 0}");
    assert_eq!(stamp(&yaml, (1 << 56) - 1, ""), None);
}

#[test]
fn probabilistic_honours_explicit_randomness() {
    let yaml = one("type: probabilistic, probabilistic: {sampling_percentage: 50}");
    let (high, low) = ("ot=rv:ffffffffffffff", "ot=rv:00000000000001");
    assert_eq!(stamp(&yaml, 0, high), Some("ot=th:8;rv:ffffffffffffff".to_owned()));
    assert_eq!(stamp(&yaml, (1 << 56) - 1, low), None);
}

#[test]
fn the_collectors_hash_chooses_if_asked_to_and_leaves_no_threshold() {
    // FNV-1a of 64 bits, spelt out.
    fn hash(salt: &str, id: TraceId) -> u64 {
        let mut hash = 14_695_981_039_346_656_037_u64;
        for byte in salt.bytes().chain(id.to_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
        }
        hash
    }
    let compatibility = Compatibility { probabilistic_hash: true, ..STRICT };
    for (salted, salt) in
        [("", "default-hash-seed"), (", hash_salt: ''", "default-hash-seed"), (", hash_salt: s", "s")]
    {
        let yaml = one(&format!("type: probabilistic, probabilistic: {{sampling_percentage: 30{salted}}}"));
        let mut tail = Tail::with(settings(&yaml, compatibility));
        let spans: Vec<_> = (1..1_000).map(|number| span(trace(number, number), number)).collect();
        tail.accept(0, &request(spans.clone()));
        let chosen = |span: &Span| hash(salt, trace_of(span)) as f64 <= 0.3 * u64::MAX as f64;
        let expected: Vec<_> = spans.into_iter().filter(chosen).collect();
        assert!((250..350).contains(&expected.len()), "{}", expected.len());
        assert_eq!(tail.decide_all(), expected);
    }
}

#[test]
fn and_asks_for_what_all_its_parts_ask_for() {
    let policy = "type: and, and: {and_sub_policy: [
        {name: slow, type: latency, latency: {threshold_ms: 100}},
        {name: bad, type: status_code, status_code: {status_codes: [ERROR]}}]}";
    let (slow, bad) = (lasting(SECOND, 2 * SECOND), with_status(2));
    assert!(keeps(policy, Vec::new(), vec![slow.clone(), bad.clone()]));
    assert!(!keeps(policy, Vec::new(), vec![slow]));
    assert!(!keeps(policy, Vec::new(), vec![bad]));
}

#[test]
fn and_has_the_threshold_of_its_strictest_part() {
    let yaml = one("type: and, and: {and_sub_policy: [
        {name: all, type: always_sample},
        {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}},
        {name: quarter, type: probabilistic, probabilistic: {sampling_percentage: 25}}]}");
    assert_eq!(stamp(&yaml, 0xc0_0000_0000_0000, ""), Some("ot=th:c".to_owned()));
    assert_eq!(stamp(&yaml, 0xbf_ffff_ffff_ffff, ""), None);
}

/// How many traces each policy has asked for, and for how many it has not.
fn traces_by_policy(tail: &Tail) -> Vec<(u64, u64)> {
    let policies = tail.sampler.stats().policies.iter();
    policies.map(|count| (count.sampled.traces, count.not_sampled.traces)).collect()
}

#[test]
fn the_first_policy_that_asks_is_recorded_and_every_policy_is_counted() {
    let yaml = "policies: [
        {name: bad, type: status_code, status_code: {status_codes: [ERROR]}},
        {name: slow, type: latency, latency: {threshold_ms: 100}},
        {name: all, type: always_sample}]";
    let mut tail = Tail::with(Settings { record_policy: true, ..settings(yaml, STRICT) });
    let slow = Span { end_time_unix_nano: 2 * SECOND, ..span(trace(2, 0), 2) };
    tail.accept(0, &request(vec![span(trace(1, 0), 1), slow]));
    let recorded: Vec<_> = tail.decide_all().into_iter().map(|span| span.attributes).collect();
    let policy = |name| vec![attribute("tailsampling.policy", text(name))];
    assert_eq!(recorded, [policy("all"), policy("slow")]);
    assert_eq!(traces_by_policy(&tail), [(0, 2), (1, 1), (2, 0)]);
}

#[test]
fn a_policy_recorded_by_a_sampler_before_is_replaced_in_time_and_late_but_not_on_the_resource() {
    let yaml = &one("type: always_sample");
    let mut tail = Tail::with(Settings { record_policy: true, ..settings(yaml, STRICT) });
    let recorded = |name| attribute("tailsampling.policy", text(name));
    let span = Span { attributes: vec![recorded("edge")], ..span(trace(1, 0), 1) };
    let request = encode(vec![under(vec![recorded("edge")], vec![span])]);
    let assert_replaced = |tail: &Tail, by: &[KeyValue]| {
        let [Located { resource, span, .. }] = &tail.located()[..] else { panic!("one span") };
        assert_eq!(span.attributes, by);
        assert_eq!(resource.resource.as_ref().unwrap().attributes, [recorded("edge")]);
    };
    tail.accept(0, &request);
    tail.decide_all();
    assert_replaced(&tail, &[recorded("it")]);
    tail.accept(0, &request);
    assert_replaced(
        &tail,
        &[recorded("it"), attribute("tailsampling.cached_decision", Value::BoolValue(true))],
    );
}

#[test]
fn the_part_of_a_composite_that_asked_is_recorded_in_time_and_late_if_the_composite_is() {
    let composite = "{name: mix, type: composite, composite: {max_total_spans_per_second: 100,
        policy_order: [slow, rest], composite_sub_policy: [
            {name: rest, type: always_sample},
            {name: slow, type: latency, latency: {threshold_ms: 100}}]}}";
    let errors = "{name: bad, type: status_code, status_code: {status_codes: [ERROR]}}";
    let slow = Span { end_time_unix_nano: 2 * SECOND, ..span(trace(2, 0), 2) };
    let recorded = |policies: &str| {
        let yaml = format!("decision_wait: 1s\npolicies: [{policies}]");
        let mut tail = Tail::with(Settings { record_policy: true, ..settings(&yaml, STRICT) });
        let bad = Span { status: Some(Status { code: 2, ..Status::default() }), ..slow.clone() };
        tail.accept(0, &request(vec![span(trace(1, 0), 1), bad]));
        let mut left = tail.decide_due(2 * SECOND);
        left.extend(tail.accept(3 * SECOND, &request(vec![slow.clone()])));
        let texts = |span: Span| {
            let texts = span.attributes.into_iter().filter_map(|attribute| attribute.value?.value);
            texts
                .filter_map(|value| if let Value::StringValue(text) = value { Some(text) } else { None })
                .collect()
        };
        left.into_iter().map(texts).collect::<Vec<Vec<_>>>()
    };
    assert_eq!(recorded(composite), [["mix", "rest"], ["mix", "slow"], ["mix", "slow"]]);
    let mixed = recorded(&format!("{errors}, {composite}"));
    assert_eq!(mixed, [&["mix", "rest"][..], &["bad"], &["bad"]]);
}

#[test]
fn the_threshold_is_the_least_of_the_policies_that_ask() {
    let yaml = "policies: [
        {name: quarter, type: probabilistic, probabilistic: {sampling_percentage: 25}},
        {name: half, type: probabilistic, probabilistic: {sampling_percentage: 50}}]";
    assert_eq!(stamp(yaml, 0xff_ffff_ffff_ffff, ""), Some("ot=th:8".to_owned()));
    assert_eq!(stamp(yaml, 0x80_0000_0000_0000, ""), Some("ot=th:8".to_owned()));
    assert_eq!(stamp(yaml, 0x7f_ffff_ffff_ffff, ""), None);
}

#[test]
fn with_an_unknown_probability_there_is_no_threshold_unless_another_policy_is_certain() {
    let compatibility = Compatibility { probabilistic_hash: true, ..STRICT };
    let hashed = "{name: hashed, type: probabilistic, probabilistic: {sampling_percentage: 100}}";
    let certain = "{name: all, type: always_sample}";
    let stamp = |yaml: &str, trace_state| {
        let mut tail = Tail::with(settings(yaml, compatibility));
        tail.accept(0, &request(vec![span_with_state(trace(1, u64::MAX >> 8), 1, trace_state)]));
        let left = tail.decide_all().pop().unwrap();
        let expected = span_with_state(trace(1, u64::MAX >> 8), 1, &left.trace_state);
        assert_eq!(tail.outputs[0].request.len(), request(vec![expected]).len(), "an empty one is left out");
        left.trace_state
    };
    assert_eq!(stamp(&format!("policies: [{hashed}]"), ""), "");
    assert_eq!(stamp(&format!("policies: [{hashed}, {certain}]"), ""), "ot=th:0");
    assert_eq!(stamp(&format!("policies: [{certain}, {hashed}]"), "ot=th:c"), "ot=th:c");
    // What was true of the span before is not the whole truth any more.
    assert_eq!(stamp(&format!("policies: [{hashed}]"), "ot=th:c"), "");
    assert_eq!(
        stamp(&format!("policies: [{hashed}]"), "a=b,ot=th:c;rv:ffffffffffffff"),
        "ot=rv:ffffffffffffff,a=b"
    );
    let and = format!("policies: [{{name: and, type: and, and: {{and_sub_policy: [{hashed}, {certain}]}}}}]");
    assert_eq!(stamp(&and, ""), "");
}

proptest! {
    #[test]
    fn the_threshold_of_all_policies_is_their_least_raised_to_the_incoming_one(
        percentages in prop::collection::vec(0.01_f64..=100.0, 1..5),
        randomness in 0_u64..1 << 56,
        incoming in prop::option::of(0_u64..1 << 56),
    ) {
        let policies = percentages.iter().enumerate().map(|(index, percentage)| {
            format!("{{name: p{index}, type: probabilistic, probabilistic: {{sampling_percentage: {percentage:?}}}}}")
        });
        let yaml = format!("policies: [{}]", policies.collect::<Vec<_>>().join(", "));
        let incoming = incoming.and_then(Threshold::new);
        let trace_state = incoming.map_or_else(String::new, |threshold| format!("ot=th:{threshold}"));
        let least = percentages.iter().map(|percentage| Threshold::from_probability(percentage / 100.0, 4).unwrap()).min().unwrap();
        let expected = least.keeps(Randomness::new(randomness).unwrap()).then(|| {
            // An incoming threshold that the trace cannot have passed is no evidence.
            let consistent = incoming.filter(|incoming| incoming.get() <= randomness);
            format!("ot=th:{}", least.max(consistent.unwrap_or(Threshold::ALWAYS)))
        });
        prop_assert_eq!(stamp(&yaml, randomness, &trace_state), expected);
    }
}
