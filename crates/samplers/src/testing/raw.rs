//! Messages as bytes, for what `prost` does not write.

use forebay_otlp::wire::{put_bytes, put_fixed32, put_fixed64, put_varint_field};
use forebay_otlp::{SpanIndex, TraceId};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::{Span, attribute, span, text};

/// A message made by `write`.
pub(crate) fn message(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out
}

/// A request of one resource and scope, each with fields that nobody knows, around these span messages.
pub(crate) fn around(spans: &[Vec<u8>]) -> Vec<u8> {
    let scope = message(|out| {
        put_bytes(out, 3, b"https://scope");
        spans.iter().for_each(|span| put_bytes(out, 2, span));
        put_bytes(
            out,
            1,
            &InstrumentationScope { name: "s".to_owned(), ..InstrumentationScope::default() }.encode_to_vec(),
        );
        put_varint_field(out, 77, 7);
    });
    let resource = message(|out| {
        put_fixed64(out, 99, 9);
        put_bytes(out, 2, &scope);
        put_bytes(out, 1, &Resource { dropped_attributes_count: 5, ..Resource::default() }.encode_to_vec());
        put_bytes(out, 3, b"https://resource");
    });
    message(|out| put_bytes(out, 1, &resource))
}

/// The span messages of a request, and for each what describes its resource and scope.
pub(crate) fn messages(request: &[u8]) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let index = SpanIndex::scan(request).unwrap();
    let spans = index.spans.iter().map(|span| {
        let resource: Vec<_> = index.envelopes.resource_parts(request, span.envelope).collect();
        let scope: Vec<_> = index.envelopes.scope_parts(request, span.envelope).collect();
        (index.body(request, span).to_vec(), resource.concat(), scope.concat())
    });
    spans.collect()
}

/// A span with everything that decides nothing, and a group and other fields that nobody knows.
pub(crate) fn elaborate(trace: TraceId, number: u64) -> Vec<u8> {
    let mut span = Span { attributes: vec![attribute("k", text("v"))], flags: 0x101, ..span(trace, number) }
        .encode_to_vec();
    put_varint_field(&mut span, 1_000, u64::MAX);
    put_fixed32(&mut span, 1_001, 3);
    // Field 1002: a group that holds a group.
    span.extend_from_slice(b"\xd3\x3e\xdb\x3e\x08\x01\xdc\x3e\xd4\x3e");
    span
}
