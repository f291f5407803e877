use proptest::prelude::*;

use super::*;

fn fields(message: &[u8]) -> Result<Vec<Field<'_>>, WireError> {
    Fields::new(message).collect()
}

#[test]
fn each_wire_type_is_read() {
    let mut message = Vec::new();
    put_varint_field(&mut message, 1, 300);
    put_fixed64(&mut message, 2, 7);
    put_bytes(&mut message, 3, b"abc");
    put_fixed32(&mut message, 4, 9);
    let values: Vec<_> = fields(&message).unwrap().iter().map(|field| (field.number, field.value)).collect();
    assert_eq!(
        values,
        [(1, Value::Varint(300)), (2, Value::Fixed64(7)), (3, Value::Bytes(b"abc")), (4, Value::Fixed32(9))]
    );
}

#[test]
fn a_group_with_nested_groups_is_one_field() {
    // Field 20 start, field 1 varint, field 2 start, field 2 end, field 20 end, then field 1.
    let message = [0xa3, 0x01, 0x08, 0x05, 0x13, 0x14, 0xa4, 0x01, 0x08, 0x07];
    let fields = fields(&message).unwrap();
    assert_eq!((fields[0].number, fields[0].value, fields[0].end), (20, Value::Group(2), 8));
    assert_eq!((fields[1].number, fields[1].value), (1, Value::Varint(7)));
}

#[test]
fn a_million_nested_groups_neither_overflow_nor_parse() {
    assert_eq!(fields(&vec![0x0b; 1_000_000]), Err(WireError::Truncated));
}

#[test]
fn malformed_messages_are_named() {
    for (message, error) in [
        (&[0x08][..], WireError::Truncated),
        (&[0x0a, 0x05, 0x01], WireError::Truncated),
        (&[0x09, 0x01], WireError::Truncated),
        (&[0x0d, 0x01], WireError::Truncated),
        (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], WireError::Truncated),
        (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], WireError::Varint),
        (&[0x00], WireError::FieldNumber),
        (&[0x0e], WireError::WireType(6)),
        (&[0x0c], WireError::Group),
        (&[0x0b, 0x14], WireError::Group),
        (&[0x13, 0x0c], WireError::Group),
    ] {
        assert_eq!(fields(message), Err(error), "{message:x?}");
    }
}

proptest! {
    #[test]
    fn varints_survive_the_round_trip_at_their_stated_length(value: u64) {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, value);
        prop_assert_eq!(bytes.len(), varint_len(value));
        let mut message = vec![0x08];
        message.extend(&bytes);
        prop_assert_eq!(fields(&message).unwrap()[0].value, Value::Varint(value));
    }

    #[test]
    fn any_bytes_end_in_fields_or_an_error(message: Vec<u8>) {
        let mut position = 0;
        for field in Fields::new(&message) {
            let Ok(field) = field else { break };
            prop_assert_eq!(field.start, position);
            prop_assert!(field.end > field.start && field.end <= message.len());
            position = field.end;
        }
    }
}
