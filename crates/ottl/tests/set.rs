//! Conditions asked together.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a failed assumption is a failed test")]

#[expect(dead_code, reason = "another test has other questions")]
mod spans;

use forebay_ottl::{Condition, ConditionMask, ConditionSet, Context, Scratch, Subject, TooManyConditions};

use spans::{NOW, Span, spans};

const SPANS: &str = include_str!("../testdata/spans.json");

fn set(conditions: &[(Context, &str)]) -> ConditionSet {
    let mut set = ConditionSet::default();
    for (context, source) in conditions {
        set.add(Condition::parse(source, *context).expect(source)).unwrap();
    }
    set
}

fn ask(set: &ConditionSet, span: &Span, asked: ConditionMask) -> Vec<(usize, bool)> {
    let envelope = set.envelope(&span.resource, &span.scope);
    let subject = Subject { span: &span.body, envelope: &envelope, now_unix_nano: NOW };
    let mut told = Vec::new();
    set.evaluate(&subject, asked, &mut Scratch::default(), |index, answer| {
        told.push((index, answer.is_ok()))
    });
    told
}

#[test]
fn what_holds_or_fails_is_told_in_the_order_of_the_collector() {
    let set = set(&[
        (Context::SpanEvent, r#"name == "retry""#),
        (Context::Span, "kind == SPAN_KIND_SERVER"),
        (Context::SpanEvent, r#"HasPrefix(attributes["exception.type"], "Timeout")"#),
        (Context::Span, r#"HasPrefix(attributes["http.status_code"], "5")"#),
        (Context::Span, "false"),
        (Context::SpanEvent, "event_index >= 0"),
    ]);
    let told: Vec<_> = spans(SPANS).iter().map(|span| ask(&set, span, ConditionMask::ALL)).collect();
    let first = vec![(1, true), (3, false), (2, true), (5, true), (0, true)];
    assert_eq!(told, [first, vec![(2, false), (5, true)], vec![(3, false)], vec![(3, false)]]);
}

#[test]
fn what_an_and_starts_with_may_lie_elsewhere_than_the_rest() {
    let set = set(&[
        (Context::SpanEvent, r#"span.kind == SPAN_KIND_SERVER and name == "retry""#),
        (Context::SpanEvent, r#"name == "retry" and span.kind == SPAN_KIND_SERVER"#),
        (Context::SpanEvent, r#"span.attributes["nobody"] == "x" and name == "retry""#),
        (Context::SpanEvent, r#"span.attributes["nobody"] == nil and name == "retry""#),
    ]);
    let told = ask(&set, &spans(SPANS)[0], ConditionMask::ALL);
    assert_eq!(told, [(0, true), (1, true), (3, true)]);
}

#[test]
fn conditions_that_nobody_asks_for_are_not_evaluated() {
    let set = set(&[
        (Context::Span, "true"),
        (Context::Span, "kind == SPAN_KIND_SERVER"),
        (Context::SpanEvent, r#"name == "retry""#),
    ]);
    let span = &spans(SPANS)[0];
    for bits in 0..8 {
        let told = ask(&set, span, ConditionMask::from_bits(bits));
        assert_eq!(told.iter().fold(0, |told, (index, _)| told | 1 << index), bits);
    }
}

#[test]
fn a_condition_none_of_whose_attributes_is_there_is_still_answered() {
    let set = set(&[
        (Context::Span, r#"attributes["a"] == nil"#),
        (Context::Span, r#"attributes["a"] != "x""#),
        (Context::Span, r#"attributes["a"] == resource.attributes["b"]"#),
        (Context::Span, r#"HasPrefix(attributes["a"], "x")"#),
        (Context::Span, r#"attributes["a"] == "x""#),
        (Context::Span, r#"Len(attributes) == 0 and parent_span_id == SpanID(0x0000000000000000)"#),
    ]);
    let told = ask(&set, &Span::default(), ConditionMask::ALL);
    assert_eq!(told, [(0, true), (1, true), (2, true), (3, false), (5, true)]);
}

#[test]
fn memory_of_one_span_does_not_show_in_the_next() {
    let set =
        set(&[(Context::Span, "kind == SPAN_KIND_SERVER"), (Context::SpanEvent, r#"name == "exception""#)]);
    let mut scratch = Scratch::default();
    for span in spans(SPANS).iter().chain(&[Span::default()]) {
        let envelope = set.envelope(&span.resource, &span.scope);
        let subject = Subject { span: &span.body, envelope: &envelope, now_unix_nano: NOW };
        let mut told = Vec::new();
        set.evaluate(&subject, ConditionMask::ALL, &mut scratch, |index, answer| {
            told.push((index, answer.is_ok()))
        });
        assert_eq!(told, ask(&set, span, ConditionMask::ALL));
    }
}

#[test]
fn the_time_is_that_of_whoever_asks() {
    let set = set(&[(Context::Span, "UnixNano(Now()) == 1800000000000000000")]);
    assert_eq!(ask(&set, &Span::default(), ConditionMask::ALL), [(0, true)]);
}

#[test]
fn a_resource_in_pieces_is_one() {
    let set = set(&[
        (Context::Span, r#"resource.attributes["a"] == "x" and resource.attributes["b"] == 1"#),
        (Context::Span, "Len(resource.attributes) == 2"),
        (Context::Span, r#"resource.schema_url == "later""#),
    ]);
    let piece = |attribute: &[u8]| field(1, &field(1, attribute));
    let resource = [
        piece(&[0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'x']),
        b"\x1a\x07earlier".to_vec(),
        piece(&[0x0a, 1, b'b', 0x12, 2, 0x18, 1]),
        b"\x1a\x05later".to_vec(),
    ];
    let span = Span { resource: resource.concat(), ..Span::default() };
    assert_eq!(ask(&set, &span, ConditionMask::ALL), [(0, true), (1, true), (2, true)]);
}

#[test]
fn what_an_envelope_settles_is_told_of_every_span_of_it() {
    let set = set(&[
        (Context::Span, r#"resource.attributes["service.name"] == "checkout""#),
        (Context::Span, r#"resource.attributes["service.name"] == nil"#),
        (Context::Span, r#"HasPrefix(resource.attributes["replicas"], "3")"#),
        (Context::Span, r#"resource.attributes["replicas"] == 3 and attributes["db.system"] != nil"#),
        (Context::Span, r#"resource.attributes["replicas"] == 3 and attributes["db.system"] == nil"#),
        (Context::Span, r#"scope.version == "1.2.3" and Now() > start_time"#),
        (Context::SpanEvent, r#"resource.attributes["replicas"] == 3"#),
    ]);
    let told: Vec<_> = spans(SPANS).iter().map(|span| ask(&set, span, ConditionMask::ALL)).collect();
    let first = vec![(0, true), (2, false), (4, true), (5, true), (6, true)];
    let second = vec![(0, true), (2, false), (3, true), (5, true), (6, true)];
    let third = vec![(1, true), (2, false)];
    assert_eq!(told, [first, second, third.clone(), third]);
}

#[test]
fn what_an_envelope_leaves_open_is_answered_for_every_span_of_it() {
    let in_production = r#"resource.attributes["service.name"] == "checkout""#;
    let set = set(&[
        (Context::Span, &format!("{in_production} and kind == SPAN_KIND_SERVER")),
        (Context::Span, &format!("kind == SPAN_KIND_SERVER and {in_production}")),
        (Context::Span, &format!("{in_production} or kind == SPAN_KIND_SERVER")),
        (Context::Span, &format!("not ({in_production} or IsRootSpan())")),
        // What fails before the envelope settles it fails.
        (Context::Span, &format!(r#"HasPrefix(attributes["nobody"], "a") and not ({in_production})"#)),
        (Context::Span, &format!(r#"not ({in_production}) and HasPrefix(attributes["nobody"], "a")"#)),
        (Context::SpanEvent, &format!("{in_production} and event_index == 1")),
        (Context::SpanEvent, &format!("not ({in_production}) and event_index >= 0")),
    ]);
    let told: Vec<_> = spans(SPANS).iter().map(|span| ask(&set, span, ConditionMask::ALL)).collect();
    let first = vec![(0, true), (1, true), (2, true), (4, false), (6, true)];
    let third = vec![(4, false), (5, false)];
    assert_eq!(told, [first, vec![(2, true), (4, false)], third.clone(), third]);
}

#[test]
fn hostile_nesting_in_values_is_survived() {
    // Lists of lists, and maps of maps, far beyond what a stack holds.
    let mut list = Vec::new();
    let mut map = Vec::new();
    for _ in 0..20_000 {
        list = field(5, &field(1, &list));
        map = field(6, &field(1, &field(2, &map)));
    }
    let attribute = |key: &[u8], value: &[u8]| field(9, &[field(1, key), field(2, value)].concat());
    let body = [attribute(b"list", &list), attribute(b"map", &map)].concat();
    let set = set(&[
        (Context::Span, r#"attributes["list"] == attributes["list"]"#),
        (Context::Span, r#"attributes == attributes"#),
        (Context::Span, r#"IsMatch(attributes["list"], "a")"#),
        (Context::Span, r#"String(attributes) == """#),
        (Context::Span, r#"Len(Values(attributes)) == 2"#),
        (Context::Span, r#"attributes["list"][0][0][0] != nil"#),
    ]);
    let told = ask(&set, &Span { body, ..Span::default() }, ConditionMask::ALL);
    assert_eq!(told, [(2, false), (3, false), (4, true), (5, true)]);
}

#[test]
fn conditions_nested_as_deeply_as_can_be_are_evaluated() {
    let nested = |open: &str, inner: &str, close: &str, depth| {
        format!("{}{inner}{}", open.repeat(depth), close.repeat(depth))
    };
    let set = set(&[
        (Context::Span, &nested("not (", "kind == 2", ")", 64)),
        (Context::Span, &nested("true and (", "kind == 2", ")", 64)),
        (Context::Span, &format!("{} == 2", nested("-(", "kind", ")", 64))),
        (Context::Span, &format!("{} == 66", nested("1 + (", "kind", ")", 64))),
        (Context::Span, &format!("{} != nil", nested("[", "kind", "]", 64))),
        (Context::Span, &format!("{} != nil", nested("{\"a\": ", "kind", "}", 64))),
        (Context::Span, &format!("{} == name", nested("Concat([", "name", "], \"\")", 32))),
        (Context::Span, &format!("{} == nil", nested("attributes[String(", "name", ")]", 32))),
        (Context::Span, &format!("{0} == {0}", nested("[", "kind", "]", 64))),
    ]);
    let told = ask(&set, &spans(SPANS)[0], ConditionMask::ALL);
    let wanted: Vec<_> = (0..8).map(|index| (index, index != 7)).collect();
    // The innermost key is no string, and so is the next: `nil` is no key.
    assert_eq!(told, [&wanted[..], &[(8, true)]].concat());
}

fn field(number: u32, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    forebay_otlp::wire::put_bytes(&mut out, number, bytes);
    out
}

#[test]
fn a_set_has_its_limit() {
    let condition = Condition::parse("kind == 2", Context::Span).unwrap();
    let mut set = ConditionSet::default();
    for index in 0..ConditionMask::MAX {
        assert_eq!(set.add(condition.clone()), Ok(index));
    }
    assert_eq!(set.add(condition), Err(TooManyConditions));
    assert_eq!(set.len(), ConditionMask::MAX);
    assert_eq!(ask(&set, &spans(SPANS)[0], ConditionMask::ALL).len(), ConditionMask::MAX);
}
