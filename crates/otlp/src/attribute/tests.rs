use proptest::prelude::*;

use super::*;
use crate::wire::{put_bytes, put_fixed64, put_varint_field};

/// Appends a field.
type Put<'a> = &'a dyn Fn(&mut Vec<u8>);

/// A message of `fields`, each written by one call.
fn message(fields: &[Put<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    fields.iter().for_each(|write| write(&mut out));
    out
}

#[test]
fn each_kind_of_value_is_told_apart() {
    for (encoded, value) in [
        (message(&[]), AnyValue::Empty),
        (message(&[&|out| put_bytes(out, 1, b"text")]), AnyValue::String(b"text")),
        (message(&[&|out| put_varint_field(out, 2, 2)]), AnyValue::Bool(true)),
        (message(&[&|out| put_varint_field(out, 3, u64::MAX)]), AnyValue::Int(-1)),
        (message(&[&|out| put_fixed64(out, 4, 1.5_f64.to_bits())]), AnyValue::Double(1.5)),
        (message(&[&|out| put_bytes(out, 5, b"\x0a\x00")]), AnyValue::Array(b"\x0a\x00")),
        (message(&[&|out| put_bytes(out, 6, b"")]), AnyValue::KeyValueList(b"")),
        (message(&[&|out| put_bytes(out, 7, b"\xff")]), AnyValue::Bytes(b"\xff")),
        (message(&[&|out| put_bytes(out, 9, b"of a later version")]), AnyValue::Empty),
    ] {
        assert_eq!(AnyValue::parse(&encoded), Ok(value));
    }
}

#[test]
fn the_last_of_several_values_stands_across_pieces() {
    let first = message(&[&|out| put_varint_field(out, 3, 1), &|out| put_bytes(out, 1, b"text")]);
    let pieces = message(&[
        &|out| put_bytes(out, 2, &first),
        &|out| put_bytes(out, 1, b"key"),
        // Nothing in the second piece, or only what is unknown, changes nothing.
        &|out| put_bytes(out, 2, b""),
        &|out| put_bytes(out, 2, b"\x78\x01"),
    ]);
    let text = Attribute { key: b"key", value: AnyValue::String(b"text") };
    assert_eq!(Attribute::parse(&pieces), Ok(text));
    let index = message(&[&|out| out.extend(&pieces), &|out| put_bytes(out, 2, b"\x40\x05")]);
    assert_eq!(Attribute::parse(&index), Ok(Attribute { value: AnyValue::Empty, ..text }));
}

#[test]
fn a_value_nobody_wants_is_not_looked_at() {
    let broken = b"\x0a\x03key\x12\x01\x0a";
    assert_eq!(Attribute::parse_if(broken, |key| key != b"key"), Ok(None));
    assert_eq!(Attribute::parse_if(broken, |key| key == b"key"), Err(WireError::Truncated));
}

#[test]
fn attributes_end_where_protobuf_does() {
    let spoilt = b"\x4a\x01a\x08\x01\x49\0\0\0\0\0\0\0\0\x4a\x01b\x0f\x4a\x01c";
    assert_eq!(attribute_messages(spoilt, SPAN_ATTRIBUTES).collect::<Vec<_>>(), [b"a", b"b"]);
}

#[test]
fn attributes_of_a_resource_in_pieces_come_in_order() {
    let mut description = Vec::new();
    put_bytes(&mut description, 1, b"\x0a\x01a\x0a\x01b");
    put_bytes(&mut description, 3, b"https://schema");
    put_bytes(&mut description, 1, b"\x0a\x01c");
    assert_eq!(resource_attribute_messages(&description).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
}

/// Messages that begin like a `KeyValue`, and often are one.
fn nearly_attributes() -> impl Strategy<Value = Vec<u8>> {
    let short = prop::collection::vec(any::<u8>(), 0..4);
    let value = prop_oneof![short.clone(), Just(b"\x18\x07".to_vec()), Just(b"\x0a\x01x".to_vec())];
    (short.clone(), value, short, 0..3_u8).prop_map(|(key, value, rest, error)| {
        let mut out = vec![KEY_TAG];
        out.push(u8::try_from(key.len()).unwrap());
        out.extend(key);
        out.push(VALUE_TAG);
        out.push(u8::try_from(value.len()).unwrap() + error % 2);
        out.extend(value);
        out.extend(rest.iter().filter(|_| error == 2));
        out
    })
}

proptest! {
    #[test]
    fn the_short_way_reads_what_the_long_way_reads(message in nearly_attributes()) {
        match (Attribute::parse_if(&message, |_| true), Attribute::parse(&message)) {
            (Ok(Some(short)), Ok(long)) => prop_assert_eq!(format!("{short:?}"), format!("{long:?}")),
            (short, long) => prop_assert_eq!(short.err(), long.err()),
        }
    }
}
