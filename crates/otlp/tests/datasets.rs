//! Recorded requests: read as `prost` reads them, and cut and put together again without loss.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a failed assumption is a failed test")]

mod common;
mod oracle;

use bytes::Bytes;
use forebay_otlp::{Signal, SpanIndex, SpanPiece, Splicer, TraceId, admit, count_items, split};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
use prost::Message;

use oracle::{assert_reads_like_prost, assert_same, without_scopes};

/// The recorded requests, each as `prost` writes it.
fn requests() -> impl Iterator<Item = Bytes> {
    common::recorded_requests().map(|line| {
        let request: ExportTraceServiceRequest = serde_json::from_str(&line).unwrap();
        request.encode_to_vec().into()
    })
}

#[test]
fn recorded_requests_read_like_prost_and_are_admitted_as_they_are() {
    for request in requests() {
        assert_reads_like_prost(&request).expect("prost reads what it wrote");
        let admitted = admit(request.clone()).unwrap();
        assert!(admitted.rejected.is_empty(), "{}", admitted.rejected);
        assert_eq!(admitted.bytes, request);
        assert_eq!(Ok(admitted.index.spans.len()), count_items(Signal::Traces, &request));
    }
}

#[test]
fn recorded_requests_put_together_again_are_the_same_bytes() {
    for request in requests() {
        assert_eq!(&splice(&request, |_| true), &request);
    }
}

#[test]
fn of_recorded_requests_the_traces_that_are_kept_leave() {
    let keep = |trace_id: TraceId| trace_id.0.is_multiple_of(8);
    for request in requests() {
        let mut expected = ExportTraceServiceRequest::decode(&*request).unwrap();
        for scope in expected.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans) {
            scope
                .spans
                .retain(|span| keep(TraceId(u128::from_be_bytes(span.trace_id[..].try_into().unwrap()))));
        }
        for resource in &mut expected.resource_spans {
            resource.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        expected.resource_spans.retain(|resource| !resource.scope_spans.is_empty());
        assert_same(&ExportTraceServiceRequest::decode(&*splice(&request, keep)).unwrap(), &expected);
    }
}

#[test]
fn recorded_requests_that_are_cut_lose_nothing() {
    for request in requests() {
        let mut joined = ExportTraceServiceRequest::default();
        for (part, spans) in split(Signal::Traces, &request, 10, 8_192).unwrap() {
            assert!(spans == 1 || spans <= 10 && part.len() <= 8_192, "{spans} spans, {} bytes", part.len());
            let part = ExportTraceServiceRequest::decode(&*part).unwrap();
            part.resource_spans.into_iter().for_each(|resource| join(&mut joined, resource));
        }
        assert_same(&joined, &ExportTraceServiceRequest::decode(&*request).unwrap());
    }
}

/// The request with the spans of the traces that `keep` likes.
fn splice(request: &[u8], keep: impl Fn(TraceId) -> bool) -> Vec<u8> {
    let index = SpanIndex::scan(request).unwrap();
    let mut splicer = Splicer::default();
    for span in index.spans.iter().filter(|span| keep(span.trace_id)) {
        let resource = index.envelopes.resource_number(span.envelope);
        splicer.push(resource, span.envelope, SpanPiece::verbatim(index.body(request, span)));
    }
    splicer.finish_indexed(request, &index.envelopes)
}

/// Adds a resource to a request. If the request ends in the same resource, that goes on; likewise the scope.
fn join(request: &mut ExportTraceServiceRequest, resource: ResourceSpans) {
    match request.resource_spans.last_mut() {
        Some(last) if without_scopes(last) == without_scopes(&resource) => {
            for scope in resource.scope_spans {
                match last.scope_spans.last_mut() {
                    Some(ScopeSpans { scope: same, spans, .. }) if *same == scope.scope => {
                        spans.extend(scope.spans)
                    }
                    _ => last.scope_spans.push(scope),
                }
            }
        }
        _ => request.resource_spans.push(resource),
    }
}
