//! The writer, differential against `prost`: spans that are admitted, edited and cut apart are the
//! same spans.
//!
//! The first two bytes choose what is done; the rest is a request.

#![no_main]

#[path = "../../crates/otlp/tests/oracle/mod.rs"]
mod oracle;

use std::borrow::Cow;

use forebay_otlp::attribute::SPAN_ATTRIBUTES;
use forebay_otlp::{
    Admitted, Envelopes, Signal, SpanPiece, Splicer, admit, count_items, split, trace_state_field,
    with_attribute, without_leading_trace_id,
};
use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost::bytes::Bytes;

const TRACE_STATE: &str = "ot=th:8";
const ATTRIBUTE: &str = "http.status_code";

fuzz_target!(|input: &[u8]| {
    let Some(([choice, bound], request)) = input.split_first_chunk() else { return };
    let request = Bytes::copy_from_slice(request);
    for signal in Signal::ALL {
        check_split(signal, &request, usize::from(choice % 8), usize::from(*bound));
    }
    let Ok(admitted) = admit(request) else { return };
    let again = admit(admitted.bytes.clone()).expect("what was admitted is admitted");
    assert_eq!(again.bytes, admitted.bytes);
    assert!(again.rejected.is_empty());
    assert_eq!(again.index.spans, admitted.index.spans);
    check_edits(&admitted, *choice);
});

/// The parts of a request have its items, in order and in number.
fn check_split(signal: Signal, request: &Bytes, max_items: usize, max_bytes: usize) {
    let Ok(parts) = split(signal, request, max_items, max_bytes) else { return };
    let joined: Vec<_> = parts.iter().flat_map(|(part, _)| items(part)).collect();
    assert_eq!(joined, items(request));
    for (part, count) in &parts {
        assert_eq!(count_items(signal, part), Ok(*count));
    }
}

/// The items of a request, each with the descriptions of its resource and scope.
fn items(request: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, &[u8])> {
    let mut items = Vec::new();
    let envelopes = Envelopes::walk(request, |envelope, body| {
        items.push((envelope, &request[body.start as usize..body.end as usize]));
        Ok(true)
    });
    let envelopes = envelopes.expect("split has read it");
    let described = |(envelope, item)| {
        let resource: Vec<_> = envelopes.resource_parts(request, envelope).collect();
        let scope: Vec<_> = envelopes.scope_parts(request, envelope).collect();
        (resource.concat(), scope.concat(), item)
    };
    items.into_iter().map(described).collect()
}

/// Spans that leave with another trace state and one attribute more are otherwise as they came.
fn check_edits(admitted: &Admitted, choice: u8) {
    let [elide, trace_state, append, replace] = [8, 16, 32, 64].map(|bit| choice & bit != 0);
    let Admitted { bytes, index, .. } = admitted;
    let mut edited = Vec::new();
    for span in &index.spans {
        let body = index.body(bytes, span);
        let body = if replace {
            Cow::Owned(with_attribute(body, SPAN_ATTRIBUTES, ATTRIBUTE, "replaced"))
        } else {
            Cow::Borrowed(body)
        };
        edited.push((span, body));
    }
    let mut suffix = if trace_state { trace_state_field(TRACE_STATE) } else { Vec::new() };
    if append {
        suffix.extend(with_attribute(&[], SPAN_ATTRIBUTES, ATTRIBUTE, "appended"));
    }
    let mut splicer = Splicer::default();
    for (span, body) in &edited {
        let elided = without_leading_trace_id(body).filter(|_| elide);
        let piece = SpanPiece {
            trace_id: elided.map(|_| span.trace_id),
            body: elided.unwrap_or(body),
            without_trace_state: trace_state,
            without_attributes: Vec::from_iter(append.then_some(ATTRIBUTE)),
            suffix: Cow::Borrowed(&suffix),
        };
        splicer.push(index.envelopes.resource_number(span.envelope), span.envelope, piece);
    }
    let written = splicer.finish_indexed(bytes, &index.envelopes);

    let Ok(mut expected) = ExportTraceServiceRequest::decode(&**bytes) else { return };
    expected.resource_spans.iter_mut().for_each(|resource| {
        resource.scope_spans.retain(|scope| !scope.spans.is_empty());
        for span in resource.scope_spans.iter_mut().flat_map(|scope| &mut scope.spans) {
            if replace {
                span.attributes.retain(|attribute| attribute.key != ATTRIBUTE);
                push_attribute(span, "replaced");
            }
            if trace_state {
                span.trace_state = TRACE_STATE.into();
            }
            if append {
                span.attributes.retain(|attribute| attribute.key != ATTRIBUTE);
                push_attribute(span, "appended");
            }
        }
    });
    expected.resource_spans.retain(|resource| !resource.scope_spans.is_empty());
    oracle::assert_same(
        &ExportTraceServiceRequest::decode(&*written).expect("prost has read its parts"),
        &expected,
    );
}

fn push_attribute(span: &mut Span, value: &str) {
    let mut attribute =
        opentelemetry_proto::tonic::common::v1::KeyValue { key: ATTRIBUTE.into(), ..Default::default() };
    attribute.value.get_or_insert_default().value = Some(Value::StringValue(value.into()));
    span.attributes.push(attribute);
}
