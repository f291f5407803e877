//! The policy types beside those that `policy/tests.rs` has, each by what it asks for.

use super::*;

/// Whether a trace of these spans is kept by one policy.
fn keeps(policy: &str, spans: Vec<Span>) -> bool {
    !sampled(STRICT, policy, Vec::new(), spans).is_empty()
}

fn with(attributes: Vec<KeyValue>) -> Vec<Span> {
    vec![span(trace(1, 0), 1), Span { attributes, ..span(trace(1, 0), 2) }]
}

#[test]
fn boolean_attribute_takes_booleans_only() {
    let policy =
        |value| format!("type: boolean_attribute, boolean_attribute: {{key: retry, value: {value}}}");
    let spans = |value| with(vec![attribute("retry", value)]);
    assert!(
        keeps(&policy(true), spans(Value::BoolValue(true)))
            && keeps(&policy(false), spans(Value::BoolValue(false)))
    );
    assert!(
        !keeps(&policy(true), spans(Value::BoolValue(false)))
            && !keeps(&policy(false), spans(Value::BoolValue(true)))
    );
    // The Collector takes every other value for false.
    assert!(!keeps(&policy(false), spans(text("true"))) && !keeps(&policy(false), with(vec![])));
    let inverted =
        "type: boolean_attribute, boolean_attribute: {key: retry, value: true, invert_match: true}";
    assert!(keeps(inverted, with(vec![])) && !keeps(inverted, spans(Value::BoolValue(true))));
    let resource = vec![attribute("retry", Value::BoolValue(true))];
    assert_eq!(sampled(STRICT, &policy(true), resource, with(vec![])).len(), 2);
}

#[test]
fn attributes_of_another_type_count_as_zero_or_false_if_that_is_wanted() {
    let compatibility = Compatibility { attribute_coercion: true, ..STRICT };
    let keeps_coerced = |policy: &str, value| {
        !sampled(compatibility, policy, Vec::new(), with(vec![attribute("k", value)])).is_empty()
    };
    let others = [text("7"), Value::BoolValue(true), Value::DoubleValue(7.0), Value::BytesValue(vec![7])];
    let number = |bounds| format!("type: numeric_attribute, numeric_attribute: {{key: k, {bounds}}}");
    for value in others {
        assert!(!keeps_coerced(&number("min_value: 5"), value.clone()));
        assert!(keeps_coerced(&number("max_value: 10"), value));
    }
    assert!(keeps_coerced(&number("min_value: 5"), Value::IntValue(7)));
    let boolean = |value| format!("type: boolean_attribute, boolean_attribute: {{key: k, value: {value}}}");
    assert!(keeps_coerced(&boolean(false), text("true")) && !keeps_coerced(&boolean(true), text("true")));
    assert!(!keeps_coerced(&boolean(false), Value::BoolValue(true)));
    let anything = "type: string_attribute, string_attribute: \
                    {key: k, values: ['.*'], enabled_regex_matching: true}";
    assert!(keeps_coerced(anything, text("7")) && !keeps_coerced(anything, Value::IntValue(7)));
    let on_resource = |compatibility, value| {
        !sampled(compatibility, anything, vec![attribute("k", value)], with(vec![])).is_empty()
    };
    for value in [Value::IntValue(7), text("")] {
        assert!(on_resource(compatibility, value.clone()) && !on_resource(STRICT, value));
    }
}

#[test]
fn of_attributes_with_one_key_the_first_counts() {
    let policy = "type: string_attribute, string_attribute: {key: k, values: [b]}";
    let values = |values: [&str; 2]| with(values.map(|value| attribute("k", text(value))).to_vec());
    assert!(keeps(policy, values(["b", "a"])) && !keeps(policy, values(["a", "b"])));
    // Another span, or the resource, is another matter.
    assert_eq!(sampled(STRICT, policy, vec![attribute("k", text("b"))], values(["a", "a"])).len(), 2);
}

#[test]
fn trace_flags_takes_traces_with_a_sampled_span() {
    let flags = |flags| vec![span(trace(1, 0), 1), Span { flags, ..span(trace(1, 0), 2) }];
    assert!(keeps("type: trace_flags", flags(1)) && keeps("type: trace_flags", flags(0x301)));
    assert!(!keeps("type: trace_flags", flags(0)) && !keeps("type: trace_flags", flags(0x302)));
}

#[test]
fn trace_state_compares_the_value_of_a_member() {
    let policy = "type: trace_state, trace_state: {key: vendor, values: [a, b]}";
    let state = |text: &str| vec![span(trace(1, 0), 1), span_with_state(trace(1, 0), 2, text)];
    assert!(keeps(policy, state("vendor=b")) && keeps(policy, state("x=y, vendor=a")));
    for text in ["vendor=c", "x=a", "vendor=ab", "", "vendor", "=,vendor=a", "vendor=a,vendor=b"] {
        assert!(!keeps(policy, state(text)), "{text}");
    }
}

#[test]
fn span_count_has_two_bounds() {
    let spans = |count| (1..=count).map(|id| span(trace(1, 0), id)).collect::<Vec<_>>();
    let count =
        |settings: &str, spans| keeps(&format!("type: span_count, span_count: {{{settings}}}"), spans);
    assert!(!count("min_spans: 3", spans(2)) && count("min_spans: 3", spans(3)));
    assert!(count("min_spans: 2, max_spans: 3", spans(3)) && !count("min_spans: 2, max_spans: 3", spans(4)));
    assert!(count("", spans(1)));
}

#[test]
fn not_inverts_and_composes() {
    let errors = "type: status_code, status_code: {status_codes: [ERROR]}";
    let failed = || {
        let status = Some(Status { code: 2, ..Status::default() });
        vec![Span { status, ..span(trace(1, 0), 1) }]
    };
    let not = format!("type: not, not: {{not_sub_policy: {{name: errors, {errors}}}}}");
    assert!(!keeps(&not, failed()) && keeps(&not, with(vec![])));
    let quick = format!(
        "type: and, and: {{and_sub_policy: [{{name: n, {not}}}, \
            {{name: tiny, type: span_count, span_count: {{max_spans: 1}}}}]}}"
    );
    assert!(!keeps(&quick, failed()) && !keeps(&quick, with(vec![])));
    assert!(keeps(&quick, vec![span(trace(1, 0), 1)]));
}

#[test]
fn drop_goes_first_wherever_it_stands() {
    let yaml = "policies: [
        {name: all, type: always_sample},
        {name: health, type: drop, drop: {drop_sub_policy: [
            {name: path, type: string_attribute, string_attribute: {key: route, values: [/health]}},
            {name: fine, type: not, not: {not_sub_policy:
                {name: bad, type: status_code, status_code: {status_codes: [ERROR]}}}}]}}]";
    let mut tail = Tail::new(yaml);
    let health = |number, code| Span {
        attributes: vec![attribute("route", text("/health"))],
        status: Some(Status { code, ..Status::default() }),
        ..span(trace(number, 0), number)
    };
    tail.accept(0, &request(vec![health(1, 0), health(2, 2), span(trace(3, 0), 3)]));
    let mut left: Vec<_> = tail.decide_all().iter().map(|span| span.span_id[7]).collect();
    left.sort_unstable();
    assert_eq!(left, [2, 3]);
    let stats = tail.sampler.stats();
    assert_eq!((stats.dropped_traces, stats.not_sampled_traces, stats.kept_traces), (1, 0, 2));
    assert_eq!((stats.policies[1].dropped.traces, traces_by_policy(&tail)[1]), (1, (0, 2)));
    // A late span of what was dropped goes with it.
    assert!(tail.accept(1, &request(vec![health(1, 2)])).is_empty());
}

#[test]
fn what_chance_has_spared_has_no_known_probability() {
    let half = "type: probabilistic, probabilistic: {sampling_percentage: 50}";
    for policy in [
        format!("type: not, not: {{not_sub_policy: {{name: half, {half}}}}}"),
        format!(
            "type: drop, drop: {{drop_sub_policy: [{{name: half, {half}}}]}}}}, {{name: all, type: always_sample"
        ),
    ] {
        let spared = sampled(STRICT, &policy, Vec::new(), vec![span(trace(1, 0), 1)]);
        assert_eq!(spared.len(), 1, "{policy}");
        assert_eq!(spared[0].trace_state, "", "{policy}");
        assert!(!keeps(&policy, vec![span(trace(1, 1 << 55), 1)]), "{policy}");
    }
}

#[test]
fn conditions_look_at_spans_events_resources_and_scopes() {
    let condition = |conditions: &str, spans| {
        keeps(&format!("type: ottl_condition, ottl_condition: {{{conditions}}}"), spans)
    };
    let spans = || with(vec![attribute("http.status_code", Value::IntValue(503))]);
    assert!(condition(r#"span: ['attributes["http.status_code"] >= 500']"#, spans()));
    assert!(!condition(r#"span: ['attributes["http.status_code"] >= 504']"#, spans()));
    assert!(condition(r#"span: ['attributes["x"] == 1', 'IsRootSpan()']"#, spans()));
    let named = |name: &str| {
        let events = vec![opentelemetry_proto::tonic::trace::v1::span::Event {
            name: name.into(),
            ..Default::default()
        }];
        vec![Span { events, ..span(trace(1, 0), 1) }]
    };
    assert!(condition(r#"spanevent: ['name == "exception"']"#, named("exception")));
    assert!(!condition(r#"spanevent: ['name == "exception"']"#, named("message")));
    let policy = r#"type: ottl_condition, ottl_condition: {span: ['resource.attributes["tier"] == "gold"']}"#;
    let tier = |tier| sampled(STRICT, policy, vec![attribute("tier", text(tier))], with(vec![])).len();
    assert_eq!((tier("gold"), tier("iron")), (2, 0));
}

#[test]
fn a_condition_that_fails_is_ignored_or_costs_the_policys_vote() {
    let failing = |mode: &str| {
        format!(
            "type: ottl_condition, ottl_condition: {{error_mode: {mode}, \
        span: ['HasPrefix(attributes[\"it\"], \"a\")', 'name == \"match\"']}}"
        )
    };
    let it = |value, span| Span { attributes: vec![attribute("it", value)], ..span };
    let bad = it(Value::IntValue(1), span(trace(1, 0), 1));
    let good = it(text("b"), Span { name: "match".into(), ..span(trace(1, 0), 2) });
    let both = |mode: &str, spans: [&Span; 2]| keeps(&failing(mode), spans.map(Clone::clone).to_vec());
    assert!(!both("propagate", [&bad, &good]));
    assert!(both("propagate", [&good, &bad]), "a match before the error stands");
    for mode in ["ignore", "silent"] {
        assert!(both(mode, [&bad, &good]) && both(mode, [&good, &bad]), "{mode}");
    }
}

#[test]
fn the_first_match_ends_the_matter_but_not_the_threshold() {
    let yaml = "sample_on_first_match: true
policies: [
    {name: floor, type: probabilistic, probabilistic: {sampling_percentage: 50}},
    {name: all, type: always_sample}]";
    let mut tail = Tail::new(yaml);
    tail.accept(0, &request(vec![span(trace(1, 1 << 55), 1), span(trace(2, 0), 2)]));
    let states: Vec<_> = tail.decide_all().into_iter().map(|span| span.trace_state).collect();
    assert_eq!(states, ["ot=th:0"; 2]);
    assert_eq!(traces_by_policy(&tail), [(1, 1), (1, 0)]);
}
