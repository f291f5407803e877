use super::*;
use crate::wire::{WireError, put_bytes, put_fixed64, put_varint_field};

fn nested(number: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, number, body);
    out
}

/// A request of spans with these messages.
fn request(spans: &[Vec<u8>]) -> Vec<u8> {
    let spans: Vec<u8> = spans.iter().flat_map(|span| nested(2, span)).collect();
    nested(1, &nested(2, &spans))
}

/// A span's message: its ids, then `rest`.
fn span(trace_id: &[u8], span_id: &[u8], parent: &[u8], rest: &[u8]) -> Vec<u8> {
    [nested(TRACE_ID, trace_id), nested(SPAN_ID, span_id), nested(PARENT_SPAN_ID, parent), rest.to_vec()]
        .concat()
}

fn scan_one(rest: &[u8]) -> Span {
    let mut index = SpanIndex::scan(&request(&[span(&[1; 16], &[2; 8], &[], rest)])).unwrap();
    index.spans.remove(0)
}

#[test]
fn the_first_wrong_id_is_the_reason() {
    let good = span(&[1; 16], &[2; 8], &[3; 8], b"");
    let index = SpanIndex::scan(&request(&[
        span(&[], &[], &[1], b""),
        span(&[0; 16], &[2; 8], &[], b""),
        span(&[1; 15], &[2; 8], &[], b""),
        span(&[1; 16], &[0; 8], &[], b""),
        span(&[1; 16], &[2; 7], &[1], b""),
        good.clone(),
        span(&[1; 16], &[2; 8], &[3; 7], b""),
        span(&[1; 16], &[2; 8], &[], b"\x08\x80"),
    ]));
    let index = index.unwrap();
    let fault = Malformed::Wire { message: "Span", error: WireError::Truncated };
    assert_eq!(
        index.rejected,
        Rejected { trace_id: 3, span_id: 2, parent_span_id: 1, malformed: 1, fault: Some(fault) }
    );
    assert_eq!(index.spans.len(), 1);
    assert_eq!(
        index.rejected.to_string(),
        "7 spans rejected: 3 whose trace_id is not 16 bytes or is all zero, 2 whose span_id is not 8 bytes or is \
         all zero, 1 whose parent_span_id is neither empty nor 8 bytes, 1 malformed (Span is not valid \
         protobuf: message ends inside a field)"
    );
}

#[test]
fn a_parent_of_zeros_is_none() {
    let root = |parent: &[u8]| {
        let index = SpanIndex::scan(&request(&[span(&[1; 16], &[2; 8], parent, b"")])).unwrap();
        index.spans[0].root
    };
    assert_eq!([root(&[]), root(&[0; 8]), root(&[0, 0, 0, 0, 0, 0, 0, 1])], [true, true, false]);
}

#[test]
fn status_merges_and_its_code_has_thirty_two_bits() {
    let status = |codes: &[u64]| {
        let mut rest = Vec::new();
        for &code in codes {
            let mut status = Vec::new();
            put_varint_field(&mut status, STATUS_CODE, code);
            put_bytes(&mut rest, STATUS, &status);
        }
        put_bytes(&mut rest, STATUS, &nested(2, b"a message alone changes no code"));
        scan_one(&rest).status
    };
    assert_eq!(status(&[]), StatusCode::Unset);
    assert_eq!(status(&[1]), StatusCode::Ok);
    assert_eq!(status(&[2, 0]), StatusCode::Unset);
    assert_eq!(status(&[1 << 32 | 2]), StatusCode::Error);
    assert_eq!(status(&[3]), StatusCode::Unknown);
    assert_eq!(status(&[u64::MAX]), StatusCode::Unknown);
}

#[test]
fn times_in_reverse_and_at_the_end_of_time_are_a_duration() {
    let duration = |start, end| {
        let mut rest = Vec::new();
        put_fixed64(&mut rest, START, start);
        put_fixed64(&mut rest, END, end);
        scan_one(&rest).duration()
    };
    assert_eq!([duration(3, 5), duration(5, 3), duration(0, u64::MAX)], [2, 0, u64::MAX]);
}

#[test]
fn fields_of_another_wire_type_are_unknown() {
    let plain = scan_one(b"");
    // trace_id, trace_state, start and flags as varints, status as fixed64.
    let strange = scan_one(b"\x08\x01\x18\x01\x38\x01\x80\x01\x01\x79\0\0\0\0\0\0\0\x02");
    assert_eq!(Span { body: plain.body.clone(), trace_state: plain.trace_state.clone(), ..strange }, plain);
    assert!(strange.trace_state.is_empty());
}

#[test]
fn trace_ids_are_written_in_hex() {
    let id = TraceId(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    assert_eq!(format!("{id} {id:?}"), ["0af7651916cd43dd8448eb211c80319c"; 2].join(" "));
    assert_eq!(id.to_bytes()[..2], [0x0a, 0xf7]);
}
