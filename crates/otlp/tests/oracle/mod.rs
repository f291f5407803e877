//! The judge of the reader: what `prost` makes of a trace request.
//!
//! The oracle tests and the fuzz target `reader` share it.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part")]

use forebay_otlp::attribute::{AnyValue, Attribute, resource_attribute_messages};
use forebay_otlp::{Rejected, Signal, Span, SpanIndex, SpanView, StatusCode, TraceId, admit, count_items};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message;
use prost::bytes::Bytes;

/// Asserts that what `prost` accepts reads the same through the index and its views. Returns what `prost` reads.
///
/// A request that `prost` refuses passes, for an index does not look at what decisions have no use for; but what is
/// let in of it, `prost` reads.
pub fn assert_reads_like_prost(request: &[u8]) -> Option<ExportTraceServiceRequest> {
    let admitted = admit(Bytes::copy_from_slice(request));
    if let Ok(admitted) = &admitted {
        ExportTraceServiceRequest::decode(&*admitted.bytes).expect("what is let in can be read");
    }
    let expected = ExportTraceServiceRequest::decode(request).ok()?;
    let index = SpanIndex::scan(request).expect("prost accepts it");
    let mut rejected = Rejected::default();
    let mut spans = index.spans.iter();
    let mut envelopes = Vec::new();
    let mut items = 0;
    for (number, resource) in expected.resource_spans.iter().enumerate() {
        for scope in &resource.scope_spans {
            let mut envelope = None;
            items += scope.spans.len();
            for span in &scope.spans {
                if let Some(reason) = wrong_id(&mut rejected, span) {
                    *reason += 1;
                    continue;
                }
                let found = spans.next().expect("an index holds every span with valid ids");
                assert_span(request, &index, found, span);
                envelope = Some(found.envelope);
            }
            if let Some(envelope) = envelope {
                assert_envelope(request, &index, envelope, resource, scope);
                envelopes.push((number, envelope));
            }
        }
    }
    assert_eq!(spans.next(), None);
    assert_eq!(index.rejected, rejected);
    assert_eq!(admitted.expect("prost accepts it").rejected, rejected);
    assert_eq!(index.envelopes.len(), envelopes.len());
    assert!(envelopes.is_sorted_by_key(|&(_, envelope)| envelope));
    for pair in envelopes.windows(2) {
        let [resource, next] = [0, 1].map(|side| index.envelopes.resource_number(pair[side].1));
        assert_eq!(resource == next, pair[0].0 == pair[1].0, "envelopes of one resource share its number");
    }
    assert_eq!(count_items(Signal::Traces, request), Ok(items));
    Some(expected)
}

/// The count to which a span belongs that OTLP does not allow.
pub fn wrong_id<'a>(rejected: &'a mut Rejected, span: &proto::Span) -> Option<&'a mut usize> {
    let valid = |id: &[u8], length| id.len() == length && id.iter().any(|&byte| byte != 0);
    if !valid(&span.trace_id, 16) {
        Some(&mut rejected.trace_id)
    } else if !valid(&span.span_id, 8) {
        Some(&mut rejected.span_id)
    } else if !matches!(span.parent_span_id.len(), 0 | 8) {
        Some(&mut rejected.parent_span_id)
    } else {
        None
    }
}

/// A resource as it would be without scopes.
pub fn without_scopes(resource: &proto::ResourceSpans) -> proto::ResourceSpans {
    let proto::ResourceSpans { resource, schema_url, .. } = resource;
    proto::ResourceSpans {
        resource: resource.clone(),
        schema_url: schema_url.clone(),
        scope_spans: Vec::new(),
    }
}

/// A scope as it would be without spans.
pub fn without_spans(scope: &proto::ScopeSpans) -> proto::ScopeSpans {
    let proto::ScopeSpans { scope, schema_url, .. } = scope;
    proto::ScopeSpans { scope: scope.clone(), schema_url: schema_url.clone(), spans: Vec::new() }
}

/// Equality under which NaN equals itself.
pub fn assert_same<M: Message + std::fmt::Debug>(found: &M, expected: &M) {
    assert!(found.encode_to_vec() == expected.encode_to_vec(), "found {found:?}, expected {expected:?}");
}

fn assert_span(request: &[u8], index: &SpanIndex, found: &Span, expected: &proto::Span) {
    let body = index.body(request, found);
    assert_same(&proto::Span::decode(body).unwrap(), expected);
    let status = match expected.status.as_ref().map_or(0, |status| status.code) {
        0 => StatusCode::Unset,
        1 => StatusCode::Ok,
        2 => StatusCode::Error,
        _ => StatusCode::Unknown,
    };
    let read = Span { body: found.body.clone(), trace_state: found.trace_state.clone(), ..*found };
    let wanted = Span {
        trace_id: TraceId(u128::from_be_bytes(expected.trace_id[..].try_into().unwrap())),
        start: expected.start_time_unix_nano,
        end: expected.end_time_unix_nano,
        flags: expected.flags,
        status,
        root: expected.parent_span_id.iter().all(|&byte| byte == 0),
        ..read.clone()
    };
    assert_eq!(read, wanted);
    let trace_state = &request[found.trace_state.start as usize..found.trace_state.end as usize];
    assert_eq!(trace_state, expected.trace_state.as_bytes());
    assert!(
        trace_state.is_empty()
            || found.body.start <= found.trace_state.start && found.trace_state.end <= found.body.end
    );

    let view = SpanView::new(body);
    assert_eq!(view.span_id(), expected.span_id);
    assert_eq!(view.parent_span_id(), expected.parent_span_id);
    assert_eq!(view.trace_state(), expected.trace_state.as_bytes());
    assert_eq!(view.name(), expected.name.as_bytes());
    assert_eq!(view.kind(), expected.kind);
    assert_attributes(view.attributes(), &expected.attributes);
}

fn assert_envelope(
    request: &[u8],
    index: &SpanIndex,
    envelope: u32,
    resource: &proto::ResourceSpans,
    scope: &proto::ScopeSpans,
) {
    let resource_description: Vec<u8> =
        index.envelopes.resource_parts(request, envelope).flatten().copied().collect();
    let scope_description: Vec<u8> =
        index.envelopes.scope_parts(request, envelope).flatten().copied().collect();
    assert_same(&proto::ResourceSpans::decode(&*resource_description).unwrap(), &without_scopes(resource));
    assert_same(&proto::ScopeSpans::decode(&*scope_description).unwrap(), &without_spans(scope));
    let attributes =
        resource_attribute_messages(&resource_description).map(|message| Attribute::parse(message).unwrap());
    assert_attributes(attributes, resource.resource.as_ref().map_or(&[], |resource| &resource.attributes));
}

fn assert_attributes<'a>(found: impl Iterator<Item = Attribute<'a>>, expected: &[KeyValue]) {
    let mut expected = expected.iter();
    for attribute in found {
        let wanted = expected.next().expect("no attribute is invented");
        let value = wanted.value.as_ref().and_then(|value| value.value.as_ref());
        assert_eq!(attribute.key, wanted.key.as_bytes());
        assert!(same_value(attribute.value, value), "found {:?}, expected {value:?}", attribute.value);
    }
    assert_eq!(expected.next(), None);
}

fn same_value(found: AnyValue<'_>, expected: Option<&Value>) -> bool {
    match (found, expected) {
        (AnyValue::Empty, None | Some(Value::StringValueStrindex(_))) => true,
        (AnyValue::String(found), Some(Value::StringValue(expected))) => found == expected.as_bytes(),
        (AnyValue::Bool(found), Some(Value::BoolValue(expected))) => found == *expected,
        (AnyValue::Int(found), Some(Value::IntValue(expected))) => found == *expected,
        (AnyValue::Double(found), Some(Value::DoubleValue(expected))) => {
            found.to_bits() == expected.to_bits()
        }
        (AnyValue::Bytes(found), Some(Value::BytesValue(expected))) => found == expected,
        // Of a value that came in pieces, which `prost` joins, the view gives the last.
        (AnyValue::Array(found), Some(Value::ArrayValue(expected))) => {
            let piece = ArrayValue::decode(found).unwrap();
            let values = expected.values[expected.values.len() - piece.values.len()..].to_vec();
            piece.encode_to_vec() == ArrayValue { values }.encode_to_vec()
        }
        (AnyValue::KeyValueList(found), Some(Value::KvlistValue(expected))) => {
            let piece = KeyValueList::decode(found).unwrap();
            let values = expected.values[expected.values.len() - piece.values.len()..].to_vec();
            piece.encode_to_vec() == KeyValueList { values }.encode_to_vec()
        }
        _ => false,
    }
}
