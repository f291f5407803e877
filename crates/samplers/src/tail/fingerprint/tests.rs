use forebay_otlp::attribute::AnyValue;
use proptest::prelude::*;

use super::*;

fn selector(text: &str) -> Selector {
    text.parse().unwrap()
}

/// A set of these values.
fn values(of: &[(u8, &str)]) -> Values<'static> {
    Values::default().union(of.iter().map(|(selector, value)| (*selector, Some(value.as_bytes()))))
}

/// The fingerprint of selectors 0 and 1.
fn text(values: &Values<'_>) -> String {
    let mut fingerprints = Fingerprints::default();
    let both = vec![selector("resource.attributes[\"service.name\"]"), selector("any.attributes[\"route\"]")];
    let number = fingerprints.add(both).unwrap();
    fingerprints.text(number, values)
}

#[test]
fn selectors_name_a_scope_and_an_attribute() {
    for (scope, places) in [
        ("resource", Places::RESOURCE),
        ("scope", Places::SCOPE),
        ("span", Places::SPAN),
        ("root", Places::ROOT),
        ("any", Places::ANY),
    ] {
        let expected = Selector { places, key: "http.route".to_owned() };
        assert_eq!(selector(&format!("{scope}.attributes[\"http.route\"]")), expected);
    }
    for wrong in [
        "",
        "http.route",
        "attributes[\"a\"]",
        "event.attributes[\"a\"]",
        "span.attributes[\"\"]",
        "span.attributes[\"a\"][\"b\"]",
        "span.attributes[a]",
        "span.name",
    ] {
        assert!(wrong.parse::<Selector>().is_err(), "{wrong}");
    }
}

/// As the Collector's README has them.
#[test]
fn distinct_values_are_sorted_and_what_is_missing_is_named() {
    assert_eq!(
        text(&values(&[(1, "/api"), (0, "checkout"), (0, "billing"), (0, "checkout")])),
        "billing,checkout•/api"
    );
    assert_eq!(text(&values(&[(0, "checkout")])), "checkout•<missing>");
    assert_eq!(text(&values(&[(1, "")])), "<missing>•");
    assert_eq!(text(&Values::default()), "<missing>•<missing>");
}

/// As `AsString` of the Collector's pdata.
#[test]
fn values_of_other_types_are_text() {
    let mut collected = Collected::default();
    let others = [
        AnyValue::Int(-5),
        AnyValue::Bool(true),
        AnyValue::Double(0.5),
        AnyValue::Bytes(b"abc"),
        AnyValue::Empty,
    ];
    others.into_iter().for_each(|value| collected.push(0, value));
    let texts: Vec<_> = collected.iter().map(|(_, value)| String::from_utf8_lossy(value)).collect();
    assert_eq!(texts, ["-5", "true", "0.5", "YWJj", ""]);
}

#[test]
fn a_value_without_end_is_cut_at_a_character() {
    let mut collected = Collected::default();
    collected.push(0, AnyValue::String("ä".repeat(1_000).as_bytes()));
    collected.push(0, AnyValue::String(format!("a{}", "ä".repeat(1_000)).as_bytes()));
    let lengths: Vec<_> =
        collected.iter().map(|(_, value)| std::str::from_utf8(value).unwrap().len()).collect();
    assert_eq!(lengths, [256, 255]);
}

#[test]
fn of_too_many_values_the_first_stay_and_that_there_were_more() {
    let many: Vec<String> = (0..500).map(|number| format!("{number:03}")).collect();
    let set = values(&many.iter().rev().map(|value| (0, value.as_str())).collect::<Vec<_>>());
    assert_eq!(set.iter().count(), VALUES_MAX + 1);
    assert!(text(&set).starts_with("000,001,") && text(&set).ends_with(",099,…•<missing>"), "{}", text(&set));
    assert_eq!(set.union(values(&[(0, "400")]).iter()), set);
    assert_ne!(set.union(values(&[(0, "0")]).iter()), set, "what comes before the others displaces the last");
}

#[test]
fn equal_fingerprints_share_a_number_and_there_are_no_more_selectors_than_numbers() {
    let mut fingerprints = Fingerprints::default();
    let list = |key: usize| vec![selector(&format!("any.attributes[\"{key}\"]"))];
    let numbers: Vec<_> = (0..256).map(|key| fingerprints.add(list(key)).unwrap()).collect();
    assert_eq!(fingerprints.add(list(7)), Some(numbers[7]));
    assert_eq!(fingerprints.add(list(256)), None);
    assert_eq!(fingerprints.missing().len(), 256);
    assert_eq!(numbers[7].key(fingerprints.missing()), Key::of("<missing>"));
}

fn sets() -> impl Strategy<Value = Values<'static>> {
    let value = (0_u8..3, prop_oneof!["[a-c]{0,2}", "[0-9]{3}"]);
    prop::collection::vec(value, 0..150).prop_map(|found| {
        let found: Vec<_> = found.iter().map(|(selector, value)| (*selector, value.as_str())).collect();
        values(&found)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sets_are_an_idempotent_commutative_monoid(a in sets(), b in sets(), c in sets()) {
        let merged = |a: &Values<'static>, b: &Values<'static>| a.union(b.iter());
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&a, &a), a.clone());
        prop_assert_eq!(merged(&a, &Values::default()), a.clone());
        let own: Vec<_> = a.iter().filter_map(|(selector, value)| Some((selector, value?))).collect();
        prop_assert!(!a.lacks(own));
    }

    #[test]
    fn bytes_that_are_no_set_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
        let values = Values::from_bytes(&bytes);
        text(&values.union([]));
    }
}
