//! Sharing out a request among members.

use std::collections::BTreeMap;

use bytes::Bytes;
use forebay_otlp::attribute::{AnyValue, Attribute, resource_attribute_messages};
use forebay_otlp::wire::{Fields, Value};
use forebay_otlp::{Envelopes, ScanError, SpanPiece, Splicer};
use forebay_pipeline::hash::fnv1a_64;

use super::RoutingKey;

/// What one member gets of a request.
#[derive(Debug, Default)]
pub(super) struct Share {
    /// Encoded requests.
    pub(super) pieces: Vec<Bytes>,
    /// The spans in them.
    pub(super) items: usize,
}

/// The spans of `requests` by their owners. A request of which all spans have one owner stays as it is.
///
/// # Errors
/// When a request does not parse.
pub(super) fn share_out(
    routing_key: RoutingKey,
    requests: &[Bytes],
    owner: impl Fn(u64) -> usize,
) -> Result<BTreeMap<usize, Share>, ScanError> {
    let mut shares = BTreeMap::<usize, Share>::new();
    for request in requests {
        let mut spans = Vec::new();
        let envelopes = Envelopes::walk(request, |envelope, body| {
            spans.push((envelope, &request[body.start as usize..body.end as usize]));
            Ok(true)
        })?;
        let mut splicers = BTreeMap::<usize, Splicer<'_>>::new();
        let mut service = None;
        for (envelope, span) in spans {
            let resource = envelopes.resource_number(envelope);
            let key = match (routing_key, service) {
                (RoutingKey::TraceId, _) => fnv1a_64(&[trace_id(span)]),
                (RoutingKey::Service, Some((known, key))) if known == resource => key,
                (RoutingKey::Service, _) => fnv1a_64(&[service_name(request, &envelopes, envelope)]),
            };
            service = Some((resource, key));
            splicers.entry(owner(key)).or_default().push(resource, envelope, SpanPiece::verbatim(span));
        }
        let whole = splicers.len() == 1;
        for (owner, splicer) in splicers {
            let share = shares.entry(owner).or_default();
            share.items += splicer.items();
            share.pieces.push(if whole {
                request.clone()
            } else {
                Bytes::from(splicer.finish_indexed(request, &envelopes))
            });
        }
    }
    Ok(shares)
}

/// `trace_id`; of several the last counts.
fn trace_id(span: &[u8]) -> &[u8] {
    const TRACE_ID: u32 = 1;
    let ids = Fields::new(span).map_while(Result::ok).filter_map(|field| match field.value {
        Value::Bytes(id) if field.number == TRACE_ID => Some(id),
        _ => None,
    });
    ids.last().unwrap_or_default()
}

/// The resource attribute `service.name`; empty without one.
fn service_name<'a>(request: &'a [u8], envelopes: &Envelopes, envelope: u32) -> &'a [u8] {
    let attributes = envelopes.resource_parts(request, envelope).flat_map(resource_attribute_messages);
    let names = attributes.filter_map(|attribute| match Attribute::parse(attribute).ok()? {
        Attribute { key: b"service.name", value: AnyValue::String(name) } => Some(name),
        _ => None,
    });
    names.last().unwrap_or_default()
}
