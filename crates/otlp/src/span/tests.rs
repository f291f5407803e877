use super::*;
use crate::attribute::AnyValue;

#[test]
fn fields_that_are_not_there_are_empty() {
    let view = SpanView::new(b"");
    assert_eq!([view.span_id(), view.parent_span_id(), view.trace_state(), view.name()], [b""; 4]);
    assert_eq!((view.kind(), view.attributes().count()), (0, 0));
}

#[test]
fn of_fields_written_twice_the_last_counts_even_if_it_is_empty() {
    let view = SpanView::new(b"\x2a\x01a\x30\x02\x2a\x01b\x1a\x01x\x30\x83\x80\x80\x80\x10\x1a\x00");
    assert_eq!((view.name(), view.trace_state(), view.kind()), (&b"b"[..], &b""[..], 3));
}

#[test]
fn an_attribute_that_cannot_be_read_hides_no_other() {
    let view = SpanView::new(b"\x4a\x02\x0a\x05\x4a\x07\x0a\x01k\x12\x02\x10\x01");
    let attributes: Vec<_> = view.attributes().collect();
    assert_eq!(attributes, [Attribute { key: b"k", value: AnyValue::Bool(true) }]);
}
