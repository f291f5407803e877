//! The writer against `prost`: what is written decodes to exactly the spans that were put in, under their
//! resources and scopes, and holds every field that nobody here knows.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod common;
mod mutate;
mod oracle;

use std::borrow::Cow;

use bytes::Bytes;
use forebay_otlp::attribute::SPAN_ATTRIBUTES;
use forebay_otlp::wire::{Fields, header_len, put_bytes};
use forebay_otlp::{
    Envelopes, Rejected, Signal, SpanIndex, SpanPiece, Splicer, admit, count_items, split, trace_state_field,
    with_attribute, without_leading_trace_id,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1 as proto;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

use common::{logs_request, metrics_request, span, text, trace_request};
use mutate::{SPAN, TRACE_REQUEST, UNKNOWN, varied};
use oracle::{assert_reads_like_prost, assert_same, without_scopes, without_spans, wrong_id};

/// What is done to a span on its way.
#[derive(Clone, Debug)]
struct Edit {
    kept: bool,
    elide_trace_id: bool,
    trace_state: Option<String>,
    attribute: Option<(String, String)>,
}

fn edit() -> impl Strategy<Value = Edit> {
    let key = prop_oneof![Just("service.name".to_owned()), text()];
    (any::<bool>(), any::<bool>(), option::of(text()), option::of((key, text()))).prop_map(
        |(kept, elide_trace_id, trace_state, attribute)| Edit {
            kept,
            elide_trace_id,
            trace_state,
            attribute,
        },
    )
}

impl Edit {
    fn piece<'a>(&'a self, body: &'a [u8], found: &forebay_otlp::Span) -> SpanPiece<'a> {
        let mut suffix = Vec::new();
        if let Some(value) = &self.trace_state {
            suffix.extend(trace_state_field(value));
        }
        if let Some((key, value)) = &self.attribute {
            suffix.extend(with_attribute(&[], SPAN_ATTRIBUTES, key, value));
        }
        let elided = without_leading_trace_id(body).filter(|_| self.elide_trace_id);
        SpanPiece {
            trace_id: elided.is_some().then_some(found.trace_id),
            body: elided.unwrap_or(body),
            without_trace_state: self.trace_state.is_some(),
            without_attributes: self.attribute.iter().map(|(key, _)| key.as_str()).collect(),
            suffix: Cow::Owned(suffix),
        }
    }

    fn apply(&self, span: &mut proto::Span) {
        if let Some(value) = &self.trace_state {
            span.trace_state.clone_from(value);
        }
        if let Some((key, value)) = &self.attribute {
            span.attributes.retain(|attribute| attribute.key != *key);
            span.attributes.push(string_attribute(key, value));
        }
    }
}

fn string_attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }
}

/// The fields of a message that `prost` does not know, as they were written.
fn unknown_fields(message: &[u8]) -> Vec<&[u8]> {
    let fields = Fields::new(message).map(Result::unwrap);
    fields
        .filter(|field| UNKNOWN.contains(&field.number))
        .map(|field| &message[field.start..field.end])
        .collect()
}

fn descriptions(request: &[u8], envelopes: &Envelopes, envelope: u32) -> (Vec<u8>, Vec<u8>) {
    let resource: Vec<_> = envelopes.resource_parts(request, envelope).collect();
    let scope: Vec<_> = envelopes.scope_parts(request, envelope).collect();
    (resource.concat(), scope.concat())
}

/// The spans of a request with valid ids, with the resource and scope they are under, in order.
fn valid_spans(
    request: &ExportTraceServiceRequest,
) -> Vec<(&proto::ResourceSpans, &proto::ScopeSpans, &proto::Span)> {
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|resource| resource.scope_spans.iter().map(move |scope| (resource, scope)));
    let spans =
        scopes.flat_map(|(resource, scope)| scope.spans.iter().map(move |span| (resource, scope, span)));
    spans.filter(|(.., span)| wrong_id(&mut Rejected::default(), span).is_none()).collect()
}

/// A span that is kept: what is written of it, and what that means.
struct Kept<'a> {
    resource: u32,
    envelope: u32,
    piece: SpanPiece<'a>,
    body: &'a [u8],
    descriptions: (Vec<u8>, Vec<u8>),
    expected: (&'a proto::ResourceSpans, &'a proto::ScopeSpans, proto::Span),
}

/// The spans of several requests that `edits` keep, in the order that they say.
fn kept<'a>(
    requests: &'a [(Vec<u8>, SpanIndex, ExportTraceServiceRequest)],
    edits: &'a [(Edit, u32)],
) -> Vec<Kept<'a>> {
    let mut edits = edits.iter().cycle();
    let mut kept = Vec::new();
    for ((request, index, decoded), base) in requests.iter().zip((0..).step_by(1_000)) {
        for (span, (resource, scope, expected)) in index.spans.iter().zip(valid_spans(decoded)) {
            let (edit, order) = edits.next().unwrap();
            let body = index.body(request, span);
            let mut expected = (resource, scope, expected.clone());
            edit.apply(&mut expected.2);
            let span = Kept {
                resource: base + index.envelopes.resource_number(span.envelope),
                envelope: base + span.envelope,
                piece: edit.piece(body, span),
                body,
                descriptions: descriptions(request, &index.envelopes, span.envelope),
                expected,
            };
            kept.extend(edit.kept.then_some((order, span)));
        }
    }
    kept.sort_by_key(|(order, _)| *order);
    kept.into_iter().map(|(_, span)| span).collect()
}

proptest! {
    #[test]
    fn spans_leave_regrouped_and_edited_with_everything_else_as_it_was(
        requests in vec(varied(trace_request(), &TRACE_REQUEST), 1..4),
        edits in vec((edit(), any::<u32>()), 50),
    ) {
        let read = |request: Vec<u8>| {
            let index = SpanIndex::scan(&request).unwrap();
            let decoded = ExportTraceServiceRequest::decode(&*request).unwrap();
            (request, index, decoded)
        };
        let requests: Vec<_> = requests.into_iter().map(read).collect();
        let mut kept = kept(&requests, &edits);

        let mut splicer = Splicer::default();
        for span in &kept {
            splicer.push(span.resource, span.envelope, span.piece.clone());
        }
        prop_assert_eq!(splicer.items(), kept.len());
        let lengths = kept.iter().map(|span| span.piece.len());
        prop_assert_eq!(splicer.bytes(), lengths.map(|length| header_len(2, length) + length).sum::<usize>());
        let written = splicer.finish(|envelope| {
            let (resource, scope) = &kept.iter().find(|span| span.envelope == envelope).unwrap().descriptions;
            (std::iter::once(&**resource), std::iter::once(&**scope))
        });
        prop_assert_eq!(written.len(), written.capacity(), "sizes are exact");

        kept.sort_by_key(|span| (span.resource, span.envelope));
        let mut expected = ExportTraceServiceRequest::default();
        for of_resource in kept.chunk_by(|a, b| a.resource == b.resource) {
            let mut resource_spans = without_scopes(of_resource[0].expected.0);
            for of_scope in of_resource.chunk_by(|a, b| a.envelope == b.envelope) {
                let spans = of_scope.iter().map(|span| span.expected.2.clone()).collect();
                resource_spans.scope_spans.push(proto::ScopeSpans { spans, ..without_spans(of_scope[0].expected.1) });
            }
            expected.resource_spans.push(resource_spans);
        }
        assert_same(&assert_reads_like_prost(&written).unwrap(), &expected);

        let index = SpanIndex::scan(&written).unwrap();
        for (found, span) in index.spans.iter().zip(&kept) {
            prop_assert_eq!(unknown_fields(index.body(&written, found)), unknown_fields(span.body));
            prop_assert_eq!(&descriptions(&written, &index.envelopes, found.envelope), &span.descriptions);
        }
    }

    #[test]
    fn admission_cuts_out_the_spans_with_wrong_ids_and_nothing_else(
        request in varied(trace_request(), &TRACE_REQUEST),
    ) {
        let request = Bytes::from(request);
        let admitted = admit(request.clone()).unwrap();
        let mut expected = ExportTraceServiceRequest::decode(&*request).unwrap();
        let mut rejected = Rejected::default();
        for scope in expected.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
            scope.spans.retain(|span| wrong_id(&mut rejected, span).map(|count| *count += 1).is_none());
        }
        prop_assert_eq!(admitted.rejected, rejected);
        if rejected.is_empty() {
            prop_assert_eq!(admitted.bytes.as_ptr(), request.as_ptr(), "nothing is copied without need");
        } else {
            for resource in &mut expected.resource_spans {
                resource.scope_spans.retain(|scope| !scope.spans.is_empty());
            }
            expected.resource_spans.retain(|resource| !resource.scope_spans.is_empty());
        }
        assert_same(&assert_reads_like_prost(&admitted.bytes).unwrap(), &expected);
        let index = SpanIndex::scan(&admitted.bytes).unwrap();
        prop_assert!(index.rejected.is_empty());
        prop_assert_eq!(index.spans, admitted.index.spans);
    }

    #[test]
    fn an_attribute_that_is_set_is_there_once_and_all_else_stays(
        message in varied(span(), &SPAN),
        key in prop_oneof![Just("service.name".to_owned()), text()],
        value in text(),
    ) {
        let mut expected = proto::Span::decode(&*message).unwrap();
        expected.attributes.retain(|attribute| attribute.key != key);
        expected.attributes.push(string_attribute(&key, &value));
        let set = with_attribute(&message, SPAN_ATTRIBUTES, &key, &value);
        assert_same(&proto::Span::decode(&*set).unwrap(), &expected);
        prop_assert_eq!(unknown_fields(&set), unknown_fields(&message));
    }

    #[test]
    fn trace_requests_are_cut_within_bounds(
        request in varied(trace_request(), &TRACE_REQUEST),
        max_items in 0..6_usize,
        max_bytes in 0..2_000_usize,
    ) {
        assert_split(Signal::Traces, request, max_items, max_bytes, traces);
    }

    #[test]
    fn metrics_requests_are_cut_within_bounds(
        request in metrics_request(),
        max_items in 0..6_usize,
        max_bytes in 0..2_000_usize,
    ) {
        assert_split(Signal::Metrics, request.encode_to_vec(), max_items, max_bytes, metrics);
    }

    #[test]
    fn logs_requests_are_cut_within_bounds(
        request in logs_request(),
        max_items in 0..6_usize,
        max_bytes in 0..2_000_usize,
    ) {
        assert_split(Signal::Logs, request.encode_to_vec(), max_items, max_bytes, logs);
    }
}

/// One span, metric or log record of a request, encoded.
#[derive(Debug, PartialEq)]
struct Item {
    resource: Vec<u8>,
    scope: Vec<u8>,
    item: Vec<u8>,
}

/// Decodes a request and lists its items. The three signals have one shape under different names.
macro_rules! items_of {
    ($name:ident, $request:ident, $resources:ident, $resource:ident, $scopes:ident, $scope:ident, $items:ident) => {
        fn $name(request: &[u8]) -> Vec<Item> {
            let mut found = Vec::new();
            for $resource { resource, $scopes, schema_url } in $request::decode(request).unwrap().$resources {
                let described = $resource { resource, $scopes: Vec::new(), schema_url }.encode_to_vec();
                for $scope { scope, $items, schema_url } in $scopes {
                    let scope = $scope { scope, $items: Vec::new(), schema_url }.encode_to_vec();
                    found.extend($items.iter().map(|item| Item {
                        resource: described.clone(),
                        scope: scope.clone(),
                        item: item.encode_to_vec(),
                    }));
                }
            }
            found
        }
    };
}

use proto::{ResourceSpans, ScopeSpans};
items_of!(traces, ExportTraceServiceRequest, resource_spans, ResourceSpans, scope_spans, ScopeSpans, spans);
items_of!(
    metrics,
    ExportMetricsServiceRequest,
    resource_metrics,
    ResourceMetrics,
    scope_metrics,
    ScopeMetrics,
    metrics
);
items_of!(logs, ExportLogsServiceRequest, resource_logs, ResourceLogs, scope_logs, ScopeLogs, log_records);

/// Cuts a request and asserts that every part respects the bounds as far as it can, and that nothing is lost.
fn assert_split(
    signal: Signal,
    request: Vec<u8>,
    max_items: usize,
    max_bytes: usize,
    items_of: fn(&[u8]) -> Vec<Item>,
) {
    let request = Bytes::from(request);
    let parts = split(signal, &request, max_items, max_bytes).unwrap();
    let items: Vec<Vec<Item>> = parts.iter().map(|(part, _)| items_of(part)).collect();
    assert_eq!(items.iter().flatten().collect::<Vec<_>>(), items_of(&request).iter().collect::<Vec<_>>());
    for ((part, count), items) in parts.iter().zip(&items) {
        assert_eq!(count_items(signal, part), Ok(*count));
        let envelopes = Envelopes::walk(part, |_, _| Ok(true)).unwrap();
        let envelope = (0..u32::try_from(envelopes.len()).unwrap())
            .map(|envelope| descriptions(part, &envelopes, envelope))
            .map(|(resource, scope)| resource.len() + scope.len() + 12)
            .max();
        let most_bytes = max_bytes.max(envelope.unwrap_or(0) + max_bytes / 2);
        assert!(max_items == 0 || *count <= max_items || items.len() == 1, "{count} items");
        assert!(max_bytes == 0 || part.len() <= most_bytes || items.len() == 1, "{} bytes", part.len());
    }
    for (this, next) in parts.iter().zip(items.iter().skip(1)).filter(|_| max_bytes == 0) {
        // As an item of its own, to be weighed.
        let mut first = next[0].item.clone();
        for number in [2, 2, 1] {
            let mut outer = Vec::new();
            put_bytes(&mut outer, number, &first);
            first = outer;
        }
        let weight = count_items(signal, &first).unwrap();
        assert!(this.1 + weight > max_items, "no part ends before it is full");
    }
}

#[test]
fn a_request_within_the_bounds_is_not_copied() {
    let request = Bytes::from_static(b"\x0a\x06\x12\x04\x12\x00\x12\x00");
    for (max_items, max_bytes) in [(0, 0), (2, 0), (0, 8), (2, 8)] {
        let parts = split(Signal::Logs, &request, max_items, max_bytes).unwrap();
        assert_eq!(parts, [(request.clone(), 2)]);
        assert_eq!(parts[0].0.as_ptr(), request.as_ptr());
    }
    assert_eq!(split(Signal::Logs, &request, 1, 0).unwrap().len(), 2);
    assert!(split(Signal::Logs, &request.slice(..7), 0, 0).is_err());
}

#[test]
fn a_resource_in_many_pieces_with_many_scopes_is_cut_without_measuring_it_for_each() {
    // An unknown field and a scope with one item, over and over: a hundred thousand of each.
    let pieces = b"\x18\x01\x12\x02\x12\x00".repeat(100_000);
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &pieces);
    let parts = split(Signal::Logs, &Bytes::from(request), 10_000, 0).unwrap();
    assert_eq!(parts.iter().map(|(_, items)| items).collect::<Vec<_>>(), [&10_000; 10]);
}

#[test]
fn a_resource_larger_than_the_bound_is_not_repeated_for_every_item() {
    let mut resource = Vec::new();
    put_bytes(&mut resource, 1, &vec![0; 100_000]);
    put_bytes(&mut resource, 2, &b"\x12\x00".repeat(10_000));
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &resource);
    let parts = split(Signal::Logs, &Bytes::from(request), 0, 50_000).unwrap();
    assert_eq!(parts.len(), 1, "twenty kilobytes of items are less than half of the bound");
}
