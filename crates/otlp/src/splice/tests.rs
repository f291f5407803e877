use proptest::prelude::*;

use super::*;
use crate::wire::put_varint_field;

fn nested(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, body);
    out
}

fn finish(splicer: Splicer<'_>) -> Vec<u8> {
    splicer.finish(|_| (std::iter::empty(), std::iter::empty()))
}

#[test]
fn nothing_is_written_as_nothing() {
    assert_eq!(finish(Splicer::default()), b"");
}

#[test]
fn an_empty_item_is_an_item() {
    let mut splicer = Splicer::default();
    splicer.push(0, 0, SpanPiece::default());
    assert_eq!(finish(splicer), b"\x0a\x04\x12\x02\x12\x00");
}

#[test]
fn items_are_grouped_and_keep_their_order_within_a_group() {
    let mut splicer = Splicer::default();
    for (resource, envelope, body) in [(7, 3, b"c"), (2, 5, b"a"), (7, 1, b"b"), (7, 3, b"d")] {
        splicer.push(resource, envelope, SpanPiece::verbatim(body));
    }
    let scope =
        |items: &[&[u8]]| nested(2, &items.iter().flat_map(|item| nested(2, item)).collect::<Vec<_>>());
    let expected = [nested(1, &scope(&[b"a"])), nested(1, &[scope(&[b"b"]), scope(&[b"c", b"d"])].concat())];
    assert_eq!(finish(splicer), expected.concat());
}

#[test]
fn a_leading_trace_id_is_recognised_in_canonical_form_only() {
    let id = [7; 16];
    let canonical = [&nested(1, &id)[..], b"rest"].concat();
    assert_eq!(without_leading_trace_id(&canonical), Some(&b"rest"[..]));
    assert_eq!(without_leading_trace_id(&canonical[..17]), None);
    assert_eq!(without_leading_trace_id(&[&[0x0a, 0x90, 0x00][..], &id].concat()), None);
    assert_eq!(without_leading_trace_id(&nested(1, &id[..15])), None);
    assert_eq!(without_leading_trace_id(&[nested(2, b"x"), nested(1, &id)].concat()), None);
}

#[test]
fn an_elided_id_yields_to_a_later_one_as_the_leading_one_did() {
    let body = [nested(1, &[1; 16]), nested(5, b"name"), nested(1, &[2; 16])].concat();
    let piece = SpanPiece {
        trace_id: Some(TraceId(u128::from_be_bytes([2; 16]))),
        body: without_leading_trace_id(&body).unwrap(),
        ..SpanPiece::default()
    };
    let mut written = Vec::new();
    piece.write(&mut written);
    assert_eq!(written, [nested(1, &[2; 16]), nested(5, b"name"), nested(1, &[2; 16])].concat());
}

#[test]
fn every_trace_state_is_cut_out_and_what_follows_a_fault_is_kept() {
    let body =
        [&nested(3, b"a=b")[..], b"\x28\x01", &nested(3, b"c=d"), b"\x18\x05", &nested(5, b"name"), b"\x0f"]
            .concat();
    let piece = SpanPiece { without_trace_state: true, ..SpanPiece::verbatim(&body) };
    let mut written = Vec::new();
    piece.write(&mut written);
    assert_eq!(written, [b"\x28\x01", &nested(5, b"name")[..], b"\x0f"].concat());
}

#[test]
fn an_attribute_takes_the_place_of_all_of_its_key() {
    let attribute =
        |key: &[u8], value: &[u8]| nested(9, &[nested(1, key), nested(2, &nested(1, value))].concat());
    let span = [attribute(b"k", b"1"), nested(5, b"name"), attribute(b"other", b"2"), attribute(b"k", b"3")]
        .concat();
    let expected = [nested(5, b"name"), attribute(b"other", b"2"), attribute(b"k", b"new")].concat();
    assert_eq!(with_attribute(&span, 9, "k", "new"), expected);
    assert_eq!(with_attribute(&expected, 9, "k", "new"), expected);
}

proptest! {
    #[test]
    fn a_piece_is_as_long_as_it_says(
        fields in prop::collection::vec((1..6_u32, prop::collection::vec(any::<u8>(), 0..200), any::<bool>()), 0..6),
        keys in prop::collection::vec(0..3_u32, 0..4),
        trace_id: Option<u128>,
        without_trace_state: bool,
        without_attributes in prop::sample::subsequence(vec!["k0", "k1", "k3"], 0..=3),
        suffix: Vec<u8>,
    ) {
        let mut body = Vec::new();
        for (number, bytes, varint) in fields {
            if varint { put_varint_field(&mut body, number, 300) } else { put_bytes(&mut body, number, &bytes) }
        }
        for key in keys {
            body.extend(with_attribute(&[], SPAN_ATTRIBUTES, &format!("k{key}"), "value"));
        }
        let piece = SpanPiece {
            trace_id: trace_id.map(TraceId),
            body: &body,
            without_trace_state,
            without_attributes,
            suffix: suffix.into(),
        };
        let mut written = Vec::new();
        piece.write(&mut written);
        prop_assert_eq!((piece.len(), piece.is_empty()), (written.len(), written.is_empty()));
    }
}
