//! Traces with one property each, by name.

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::span::Link};

use super::generated::{Draft, MILLISECOND, attribute, list, plain, text};

/// The name of a kind of trace, and the spans of each.
type Kind = (&'static str, Vec<Draft>);

/// All kinds.
pub(super) fn all() -> Vec<Kind> {
    [
        numbers(),
        strings(),
        booleans(),
        statuses(),
        latencies(),
        counts_and_sizes(),
        trace_states(),
        flags(),
        priorities(),
        events(),
        shapes(),
        late(),
    ]
    .concat()
}

/// A root of one service and `children` of others.
fn family(children: usize) -> Vec<Draft> {
    let mut spans = vec![plain(); children + 1];
    for (child, service) in spans[1..].iter_mut().zip(["checkout", "payment", "ledger"].into_iter().cycle()) {
        child.service = service;
        child.span.kind = 3;
    }
    spans
}

/// A family with something about its last child.
fn with_child(change: impl FnOnce(Draft) -> Draft) -> Vec<Draft> {
    let mut spans = family(1);
    spans.extend(family(1).pop().map(change));
    spans
}

fn numbers() -> Vec<Kind> {
    const KEY: &str = "app.number";
    let on_span = |value| vec![plain().attribute(KEY, value)];
    let int = |value| on_span(Value::IntValue(value));
    vec![
        ("int-minus-1", int(-1)),
        ("int-0", int(0)),
        ("int-1", int(1)),
        ("int-9", int(9)),
        ("int-10", int(10)),
        ("int-15", int(15)),
        ("int-20", int(20)),
        ("int-21", int(21)),
        ("int-least", int(i64::MIN)),
        ("int-greatest", int(i64::MAX)),
        ("double-15", on_span(Value::DoubleValue(15.0))),
        ("double-15.5", on_span(Value::DoubleValue(15.5))),
        ("double-25.5", on_span(Value::DoubleValue(25.5))),
        ("double-nan", on_span(Value::DoubleValue(f64::NAN))),
        ("number-as-string", on_span(text("15"))),
        ("number-as-bool", on_span(Value::BoolValue(true))),
        ("number-as-bytes", on_span(Value::BytesValue(vec![15]))),
        ("number-in-list", on_span(list(vec![Value::IntValue(15)]))),
        ("int-on-child", with_child(|child| child.attribute(KEY, Value::IntValue(15)))),
        ("int-on-resource", vec![plain().on_resource(KEY, Value::IntValue(15))]),
        ("double-on-resource", vec![plain().on_resource(KEY, Value::DoubleValue(15.0))]),
        ("int-on-scope", vec![plain().on_scope(KEY, Value::IntValue(15))]),
    ]
}

fn strings() -> Vec<Kind> {
    const KEY: &str = "app.tier";
    let on_span = |value| vec![plain().attribute(KEY, value)];
    vec![
        ("string-gold", on_span(text("gold"))),
        ("string-golden", on_span(text("golden"))),
        ("string-upper-case", on_span(text("GOLD"))),
        ("string-with-space", on_span(text("gold "))),
        ("string-silver", on_span(text("silver"))),
        ("string-empty", on_span(text(""))),
        ("string-beyond-ascii", on_span(text("größte"))),
        ("string-of-digits", on_span(text("17"))),
        ("string-as-int", on_span(Value::IntValue(17))),
        ("string-as-bool", on_span(Value::BoolValue(true))),
        ("string-as-double", on_span(Value::DoubleValue(1.5))),
        ("string-in-list", on_span(list(vec![text("gold")]))),
        ("string-on-child", with_child(|child| child.attribute(KEY, text("gold")))),
        ("string-on-resource", vec![plain().on_resource(KEY, text("gold"))]),
        ("string-on-both", vec![plain().on_resource(KEY, text("silver")).attribute(KEY, text("gold"))]),
        ("string-on-scope", vec![plain().on_scope(KEY, text("gold"))]),
        (
            "attribute-twice",
            vec![plain().attribute("app.repeated", text("first")).attribute("app.repeated", text("second"))],
        ),
    ]
}

fn booleans() -> Vec<Kind> {
    const KEY: &str = "app.flag";
    let on_span = |value| vec![plain().attribute(KEY, value)];
    vec![
        ("bool-true", on_span(Value::BoolValue(true))),
        ("bool-false", on_span(Value::BoolValue(false))),
        ("bool-as-string", on_span(text("true"))),
        ("bool-as-int", on_span(Value::IntValue(1))),
        ("bool-on-resource", vec![plain().on_resource(KEY, Value::BoolValue(true))]),
        ("bool-false-on-resource", vec![plain().on_resource(KEY, Value::BoolValue(false))]),
        (
            "bool-both",
            vec![
                plain().attribute(KEY, Value::BoolValue(true)),
                plain().attribute(KEY, Value::BoolValue(false)),
            ],
        ),
        ("bool-on-child", with_child(|child| child.attribute(KEY, Value::BoolValue(true)))),
    ]
}

fn statuses() -> Vec<Kind> {
    vec![
        ("status-unset", vec![plain().status(0)]),
        ("status-ok", vec![plain().status(1)]),
        ("status-error", vec![plain().status(2)]),
        ("status-unknown", vec![plain().status(7)]),
        ("status-error-on-child", with_child(|child| child.status(2))),
        ("status-ok-on-all", family(2).into_iter().map(|span| span.status(1)).collect()),
        ("status-ok-and-error", vec![plain().status(1), plain().status(2)]),
    ]
}

fn latencies() -> Vec<Kind> {
    let lasting = |nanoseconds| vec![plain().lasting(0, nanoseconds)];
    let ms = |count| count * MILLISECOND;
    vec![
        ("latency-0", lasting(0)),
        ("latency-99.9", lasting(ms(100) - 100_000)),
        ("latency-100", lasting(ms(100))),
        ("latency-100.4", lasting(ms(100) + 400_000)),
        ("latency-101", lasting(ms(101))),
        ("latency-499.999999", lasting(ms(500) - 1)),
        ("latency-500", lasting(ms(500))),
        ("latency-500.000001", lasting(ms(500) + 1)),
        ("latency-500.4", lasting(ms(500) + 400_000)),
        ("latency-501", lasting(ms(501))),
        ("latency-5000", lasting(ms(5_000))),
        // No span lasts 500 ms, the trace does.
        ("latency-of-pieces", (0..6).map(|index| plain().lasting(ms(index * 120), ms(100))).collect()),
        // The trace leaves the range of 100 to 500 ms as its spans come.
        ("latency-growing", (1..8).map(|index| plain().lasting(0, ms(index * 100))).collect()),
        ("latency-ends-before-start", vec![plain().with(|span| span.end_time_unix_nano -= ms(500))]),
        ("latency-without-start", vec![plain().with(|span| span.start_time_unix_nano = 0)]),
        ("latency-without-end", vec![plain().with(|span| span.end_time_unix_nano = 0)]),
        (
            "latency-without-times",
            vec![plain().with(|span| {
                span.start_time_unix_nano = 0;
                span.end_time_unix_nano = 0;
            })],
        ),
        ("latency-child-without-end", with_child(|child| child.with(|span| span.end_time_unix_nano = 0))),
    ]
}

fn counts_and_sizes() -> Vec<Kind> {
    let sized = |bytes| vec![plain().attribute("payload", text(&"x".repeat(bytes)))];
    vec![
        ("spans-2", family(1)),
        ("spans-3", family(2)),
        ("spans-4", family(3)),
        ("spans-5", family(4)),
        ("spans-6", family(5)),
        ("spans-50", family(49)),
        ("spans-150", family(149)),
        ("bytes-1000", sized(1_000)),
        ("bytes-10000", sized(10_000)),
        ("bytes-100000", sized(100_000)),
    ]
}

fn trace_states() -> Vec<Kind> {
    let state = |value: &str| vec![plain().state(value)];
    let members = |count| (0..count).map(|index| format!("k{index}=v")).collect::<Vec<_>>().join(",");
    vec![
        ("state-vendor-a", state("vendor=a")),
        ("state-vendor-b", state("vendor=b")),
        ("state-vendor-second", state("other=1,vendor=a")),
        ("state-vendor-first", state("vendor=a,other=1")),
        ("state-spaces", state("other=1 , vendor=a")),
        ("state-vendor-twice", state("vendor=b,vendor=a")),
        ("state-upper-case-key", state("Vendor=a")),
        ("state-value-empty", state("vendor=")),
        ("state-value-longer", state("vendor=ab")),
        ("state-value-with-equals", state("vendor=a=b")),
        ("state-of-another-key", state("other=a")),
        ("state-unreadable", state("=")),
        // With `ot` there are as many as fit.
        ("state-of-31-members", state(&format!("{},vendor=a", members(30)))),
        ("state-of-40-members", state(&format!("vendor=a,{}", members(39)))),
        ("state-on-child", with_child(|child| child.state("vendor=a"))),
        ("rv-high", state("ot=rv:f0000000000000")),
        ("rv-low", state("ot=rv:10000000000000")),
        ("rv-upper-case", state("ot=rv:F0000000000000")),
        ("th-0", state("ot=th:0;rv:90000000000000")),
        ("th-8", state("ot=th:8;rv:90000000000000")),
        ("th-c", state("ot=th:c;rv:d0000000000000")),
        ("th-ff", state("ot=th:ff;rv:ff800000000000")),
        ("th-other-members", state("vendor=a,ot=x:y;th:8;rv:d0000000000000,other=1")),
        ("th-inconsistent", state("ot=th:c;rv:90000000000000")),
        ("th-unreadable", state("ot=th:zz;rv:f0000000000000")),
        (
            "th-differs",
            vec![plain().state("ot=th:8;rv:d0000000000000"), plain().state("ot=th:c;rv:d0000000000000")],
        ),
        ("th-on-child", with_child(|child| child.state("ot=th:c;rv:d0000000000000"))),
    ]
}

fn flags() -> Vec<Kind> {
    let flags = |flags| vec![plain().with(|span| span.flags = flags)];
    vec![
        ("flags-sampled", flags(1)),
        ("flags-random", flags(2)),
        ("flags-sampled-and-random", flags(3)),
        ("flags-remote", flags(0x300)),
        ("flags-remote-sampled", flags(0x301)),
        ("flags-others", flags(0xff00)),
        ("flags-on-child", with_child(|child| child.with(|span| span.flags = 1))),
    ]
}

fn priorities() -> Vec<Kind> {
    const KEY: &str = "sampling.priority";
    let on_span = |value| vec![plain().attribute(KEY, value)];
    vec![
        ("priority-0", on_span(Value::IntValue(0))),
        ("priority-1", on_span(Value::IntValue(1))),
        ("priority-minus-1", on_span(Value::IntValue(-1))),
        ("priority-as-string-0", on_span(text("0"))),
        ("priority-as-string-1", on_span(text("1"))),
        ("priority-as-double-0", on_span(Value::DoubleValue(0.0))),
        ("priority-as-double-0.5", on_span(Value::DoubleValue(0.5))),
        ("priority-as-bool", on_span(Value::BoolValue(true))),
        ("priority-on-resource", vec![plain().on_resource(KEY, Value::IntValue(1))]),
        ("priority-1-on-child", with_child(|child| child.attribute(KEY, Value::IntValue(1)))),
        ("priority-0-on-child", with_child(|child| child.attribute(KEY, Value::IntValue(0)))),
        (
            "priority-1-with-th",
            vec![plain().attribute(KEY, Value::IntValue(1)).state("ot=th:8;rv:90000000000000")],
        ),
    ]
}

fn events() -> Vec<Kind> {
    let number = |value| vec![attribute("app.number", Value::IntValue(value))];
    vec![
        (
            "event-exception",
            vec![plain().event("exception", vec![attribute("exception.type", text("Timeout"))])],
        ),
        ("event-number", vec![plain().event("measured", number(15))]),
        ("events-many", vec![(0..20).fold(plain(), |span, value| span.event("tick", number(value)))]),
        ("event-on-child", with_child(|child| child.event("exception", Vec::new()))),
    ]
}

fn shapes() -> Vec<Kind> {
    let route = |method: &str, code| {
        plain()
            .attribute("http.request.method", text(method))
            .attribute("http.route", text("/api/v1/orders/{id}"))
            .attribute("http.response.status_code", Value::IntValue(code))
    };
    let remote_parent = |draft: Draft| draft.with(|span| span.parent_span_id = vec![7; 8]);
    let link = Link { trace_id: vec![1; 16], span_id: vec![2; 8], ..Link::default() };
    vec![
        ("no-property", vec![plain()]),
        ("no-root", family(2).into_iter().map(remote_parent).collect()),
        ("roots-two", vec![plain(), plain().with(|span| span.parent_span_id = Vec::new())]),
        ("services-many", family(3)),
        ("route-get-200", vec![route("GET", 200)]),
        ("route-post-201", vec![route("POST", 201)]),
        ("route-get-404", vec![route("GET", 404)]),
        ("route-post-503", vec![route("POST", 503).status(2)]),
        ("name-health", vec![plain().with(|span| span.name = "GET /healthz".to_owned())]),
        (
            "name-health-slow",
            vec![plain().lasting(0, 700 * MILLISECOND).with(|span| span.name = "GET /healthz".to_owned())],
        ),
        ("name-health-failed", vec![plain().status(2).with(|span| span.name = "GET /healthz".to_owned())]),
        ("link", vec![plain().with(|span| span.links.push(link))]),
        ("kind-consumer", vec![plain().with(|span| span.kind = 5)]),
        (
            "dropped-counts",
            vec![plain().with(|span| {
                span.dropped_attributes_count = 1;
                span.dropped_events_count = 2;
                span.dropped_links_count = 3;
            })],
        ),
        (
            "attribute-map",
            vec![plain().attribute(
                "http",
                Value::KvlistValue(opentelemetry_proto::tonic::common::v1::KeyValueList {
                    values: vec![
                        attribute("code", Value::IntValue(500)),
                        attribute("codes", list(vec![text("a")])),
                    ],
                }),
            )],
        ),
    ]
}

fn late() -> Vec<Kind> {
    let failed = || plain().status(2);
    vec![
        ("late-to-failed", vec![failed(), plain().late()]),
        ("late-failure", vec![plain(), failed().late()]),
        (
            "late-with-th",
            vec![failed().state("ot=rv:d0000000000000"), plain().late().state("ot=th:c;rv:d0000000000000")],
        ),
        ("late-many", {
            let mut spans = vec![failed(), failed()];
            spans.extend(vec![plain().late(); 5]);
            spans
        }),
        ("late-only", vec![failed().late(), plain().late()]),
    ]
}
