use super::*;
use crate::wire::put_bytes;

/// `body` as a field of a field of a field, outermost number first.
fn nested(numbers: &[u32], body: &[u8]) -> Vec<u8> {
    numbers.iter().rev().fold(body.to_vec(), |inner, &number| {
        let mut outer = Vec::new();
        put_bytes(&mut outer, number, &inner);
        outer
    })
}

fn check_span(body: &[u8]) -> Result<(), Malformed> {
    check(Signal::Traces, &nested(&[1, 2, 2], body))
}

#[test]
fn every_fault_says_where_it_is() {
    let message = |body: &[u8]| check_span(body).unwrap_err().to_string();
    assert_eq!(message(b"\x4a\x02\xff\xff"), "KeyValue is not valid protobuf: message ends inside a field");
    assert_eq!(message(b"\x2a\x02\xc3\x28"), "Span.name is not UTF-8");
    assert_eq!(message(b"\x28\x01"), "Span.name has a wire type that is not its own");
    assert_eq!(
        message(&nested(&[11, 3, 2], b"\x18")),
        "AnyValue is not valid protobuf: message ends inside a field"
    );
    assert_eq!(message(&nested(&[9, 2, 1], b"\xff")), "AnyValue.stringValue is not UTF-8");
    assert_eq!(check_span(&nested(&[9, 2, 7], b"\xff")), Ok(()), "bytes are bytes");
    assert_eq!(check_span(&nested(&[1000], b"\xff")), Ok(()), "nobody knows that this is no message");
}

#[test]
fn a_hundred_levels_are_the_most() {
    // A span is three below the request, its attribute's value five; a value in an array is two more.
    let value = |arrays: usize| nested(&[&[9, 2][..], &[5, 1].repeat(arrays)].concat(), b"");
    assert_eq!(check_span(&value(47)), Ok(()));
    assert_eq!(check_span(&value(48)), Err(Malformed::TooDeep));
    let groups = |depth| [[0xfb, 0x01].repeat(depth), [0xfc, 0x01].repeat(depth)].concat();
    assert_eq!(check_span(&groups(97)), Ok(()));
    assert_eq!(check_span(&groups(98)), Err(Malformed::TooDeep));
    assert_eq!(check_span(&value(10_000)), Err(Malformed::TooDeep));
}

#[test]
fn packed_numbers_are_whole() {
    // Histogram data points: bucket_counts, explicit_bounds, and an exponential one's bucket_counts.
    let point = |body: &[u8]| check(Signal::Metrics, &nested(&[1, 2, 2, 9, 1], body)).is_ok();
    assert!(point(&nested(&[6], &[0; 16])) && point(&[0x31, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(!point(&nested(&[6], &[0; 15])));
    let buckets = |body: &[u8]| check(Signal::Metrics, &nested(&[1, 2, 2, 10, 1, 8, 2], body)).is_ok();
    assert!(buckets(b"\x80\x01\x05") && !buckets(b"\x80\x01\x85"));
}
