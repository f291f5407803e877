//! How conditions become bits; what they mean is in the tests of the policies.

use forebay_otlp::SpanIndex;
use forebay_otlp::wire::{put_bytes, put_varint_field};
use prost::Message;

use super::*;
use crate::testing::raw::{around, message};
use crate::testing::{Span, attribute, request, span, text, trace};

fn one_of(key: &str, value: &str) -> Predicate {
    Predicate::Attribute { key: key.to_owned(), test: AttributeTest::OneOf(vec![value.to_owned()]) }
}

fn matches(pattern: &str) -> Predicate {
    Predicate::Attribute { key: "key".to_owned(), test: AttributeTest::Matches(vec![pattern.to_owned()]) }
}

/// What the first span of a request satisfies, `known` being so already.
fn of_first(predicates: &Predicates, request: &[u8], known: Bits) -> Bits {
    let index = SpanIndex::scan(request).unwrap();
    let asked = Asked {
        span: &index.spans[0],
        body: index.body(request, &index.spans[0]),
        trace_state: &[],
        envelope: None,
        now_unix_nano: 0,
    };
    predicates.of_span(&asked, known, &mut Workspace::default())
}

#[test]
fn each_distinct_condition_has_a_bit_and_equal_ones_share_it() {
    let mut predicates = Predicates::default();
    let all =
        [one_of("key", "a"), one_of("key", "b"), one_of("yek", "a"), matches("a"), Predicate::Status(vec![])];
    let bits: Vec<_> = all.iter().map(|predicate| predicates.add(predicate.clone()).unwrap()).collect();
    for (index, bit) in bits.iter().enumerate() {
        assert!(bits[..index].iter().all(|other| !other.contains(*bit)));
    }
    let again: Vec<_> = all.into_iter().map(|predicate| predicates.add(predicate).unwrap()).collect();
    assert_eq!(again, bits);
}

#[test]
fn a_condition_that_does_not_compile_takes_no_bit() {
    let mut predicates = Predicates::default();
    assert!(matches!(predicates.add(matches("(")), Err(PredicateError::Regex(_))));
    for number in 0..Bits::MAX {
        predicates.add(one_of("key", &number.to_string())).unwrap();
    }
    assert!(matches!(predicates.add(one_of("key", "x")), Err(PredicateError::TooMany)));
    predicates.add(one_of("key", "0")).unwrap();
}

#[test]
fn attributes_in_any_encoding_are_found() {
    let mut predicates = Predicates::default();
    let bit = predicates.add(one_of("key", "a")).unwrap();
    let value = |text: &[u8]| message(|out| put_bytes(out, 1, text));
    let attributes = [
        message(|out| {
            put_bytes(out, 2, &value(b"a"));
            put_bytes(out, 1, b"key");
        }),
        message(|out| {
            put_bytes(out, 1, b"other");
            put_bytes(out, 2, &value(b"b"));
            put_varint_field(out, 9, 9);
            put_bytes(out, 2, &value(b"a"));
            put_bytes(out, 1, b"key");
        }),
    ];
    for encoded in attributes {
        let mut span = span(trace(1, 0), 1).encode_to_vec();
        put_bytes(&mut span, 9, b"\x0a\x05other");
        put_bytes(&mut span, 9, &encoded);
        assert!(of_first(&predicates, &around(&[span]), Bits::NONE).contains(bit));
    }
}

#[test]
fn keys_are_whole_keys_of_any_length() {
    let long = "k".repeat(100);
    let mut predicates = Predicates::default();
    let bits = [long.as_str(), &long[1..], "k", ""].map(|key| predicates.add(one_of(key, "a")).unwrap());
    for (key, bit) in [long.as_str(), &long[1..], "k", ""].into_iter().zip(bits) {
        let attributes = vec![attribute(key, text("a"))];
        let span = Span { attributes, ..span(trace(1, 0), 1) };
        assert_eq!(of_first(&predicates, &request(vec![span]), Bits::NONE), bit);
    }
}

#[test]
fn what_is_known_stays_known() {
    let mut predicates = Predicates::default();
    let (a, b) = (predicates.add(one_of("key", "a")).unwrap(), predicates.add(one_of("key", "b")).unwrap());
    let attributes = vec![attribute("key", text("b"))];
    let request = request(vec![Span { attributes, ..span(trace(1, 0), 1) }]);
    assert_eq!(of_first(&predicates, &request, a) | a, a | b);
    assert_eq!(of_first(&predicates, &request, a | b) | a | b, a | b);
}
