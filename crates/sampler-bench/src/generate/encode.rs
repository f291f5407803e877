//! Writing spans and requests.

use forebay_otlp::wire::{put_bytes, put_varint_field};

/// Appends a string attribute to a message whose attributes are field `field`.
pub(crate) fn string_attribute(message: &mut Vec<u8>, field: u32, key: &str, value: &str) {
    let mut any = Vec::with_capacity(value.len() + 4);
    put_bytes(&mut any, 1, value.as_bytes());
    attribute(message, field, key, &any);
}

/// Appends an integer attribute to a message whose attributes are field `field`.
pub(crate) fn int_attribute(message: &mut Vec<u8>, field: u32, key: &str, value: i64) {
    let mut any = Vec::new();
    put_varint_field(&mut any, 3, value.cast_unsigned());
    attribute(message, field, key, &any);
}

fn attribute(message: &mut Vec<u8>, field: u32, key: &str, any: &[u8]) {
    let mut attribute = Vec::with_capacity(key.len() + any.len() + 8);
    put_bytes(&mut attribute, 1, key.as_bytes());
    put_bytes(&mut attribute, 2, any);
    put_bytes(message, field, &attribute);
}

/// Appends `status: {code: STATUS_CODE_ERROR}` to a span.
pub(crate) fn status_error(span: &mut Vec<u8>) {
    const ERROR: u64 = 2;
    let mut status = Vec::new();
    put_varint_field(&mut status, 3, ERROR);
    put_bytes(span, 15, &status);
}

/// A request of spans under one resource and one scope.
pub(crate) fn request(resource: &[u8], scope: &str, spans: &[Vec<u8>]) -> Vec<u8> {
    let mut named = Vec::new();
    put_bytes(&mut named, 1, scope.as_bytes());
    let mut scope_spans = Vec::new();
    put_bytes(&mut scope_spans, 1, &named);
    spans.iter().for_each(|span| put_bytes(&mut scope_spans, 2, span));
    let mut resource_spans = Vec::new();
    put_bytes(&mut resource_spans, 1, resource);
    put_bytes(&mut resource_spans, 2, &scope_spans);
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &resource_spans);
    request
}
