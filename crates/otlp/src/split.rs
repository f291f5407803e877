//! Cutting requests that are too large for their destination.
//!
//! Items stay whole and in order; each part repeats the resources and scopes of its items.

use bytes::Bytes;

use crate::count::item_weight;
use crate::envelope::{Envelopes, ScanError};
use crate::signal::Signal;
use crate::splice::{SpanPiece, Splicer};

/// A request in the making.
#[derive(Default)]
struct Part<'a> {
    splicer: Splicer<'a>,
    items: usize,
    /// What the descriptions of its resources and scopes take.
    described_bytes: usize,
    /// Resource and scope of its last item.
    last: (Described, Described),
}

/// A resource or a scope.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Described {
    number: Option<u32>,
    /// What its description takes, header included, at most.
    bytes: usize,
}

/// One byte of tag and five of length.
const HEADER_BYTES_MAX: usize = 6;

/// Cuts a request into requests of at most `max_items` items and `max_bytes` bytes each (0: no bound), with
/// the number of items in each.
///
/// An item is never cut, so one that is larger than the bounds leaves alone. A resource and scope that take
/// more than half of `max_bytes` are not repeated for a few items each: their items get half of `max_bytes`
/// beside them, and requests are larger rather than many.
///
/// # Errors
/// When the request does not parse.
pub fn split(
    signal: Signal,
    request: &Bytes,
    max_items: usize,
    max_bytes: usize,
) -> Result<Vec<(Bytes, usize)>, ScanError> {
    let bound = |max: usize| if max == 0 { usize::MAX } else { max };
    let (max_items, max_bytes) = (bound(max_items), bound(max_bytes));
    let mut items = Vec::new();
    let envelopes = Envelopes::walk(request, |envelope, body| {
        let item = &request[body.start as usize..body.end as usize];
        let weight = item_weight(signal, item).map_err(|error| ScanError::Wire {
            level: "item",
            error,
            offset: body.start as usize,
        })?;
        items.push((envelope, body, weight));
        Ok(true)
    })?;
    let total = items.iter().map(|(.., weight)| weight).sum();
    if total <= max_items && request.len() <= max_bytes {
        return Ok(vec![(request.clone(), total)]);
    }

    let mut requests = Vec::new();
    let mut part = Part::default();
    let (mut resource, mut scope) = (Described::default(), Described::default());
    for (envelope, body, weight) in items {
        let item = &request[body.start as usize..body.end as usize];
        let resource_number = envelopes.resource_number(envelope);
        resource.become_number(resource_number, || envelopes.resource_parts(request, envelope));
        scope.become_number(envelope, || envelopes.scope_parts(request, envelope));
        let max_bytes = max_bytes.max(resource.bytes + scope.bytes + max_bytes / 2);
        let full = part.items + weight > max_items || part.bytes_with(item, resource, scope) > max_bytes;
        if full && part.splicer.items() > 0 {
            requests.push(std::mem::take(&mut part).finish(request, &envelopes));
        }
        part.described_bytes += part.lacks(resource, scope);
        part.last = (resource, scope);
        part.items += weight;
        part.splicer.push(resource_number, envelope, SpanPiece::verbatim(item));
    }
    if part.splicer.items() > 0 {
        requests.push(part.finish(request, &envelopes));
    }
    Ok(requests)
}

impl Part<'_> {
    /// What is to be written besides an item of this resource and scope.
    fn lacks(&self, resource: Described, scope: Described) -> usize {
        let unless = |there: bool, bytes: usize| if there { 0 } else { bytes };
        unless(self.last.0 == resource, resource.bytes) + unless(self.last.1 == scope, scope.bytes)
    }

    /// What the request would take with one more item.
    fn bytes_with(&self, item: &[u8], resource: Described, scope: Described) -> usize {
        self.splicer.bytes()
            + self.described_bytes
            + self.lacks(resource, scope)
            + HEADER_BYTES_MAX
            + item.len()
    }

    fn finish(self, request: &[u8], envelopes: &Envelopes) -> (Bytes, usize) {
        (Bytes::from(self.splicer.finish_indexed(request, envelopes)), self.items)
    }
}

impl Described {
    /// Measures the description with this `number`, unless it is the one already measured.
    fn become_number<'a, P: Iterator<Item = &'a [u8]>>(&mut self, number: u32, parts: impl FnOnce() -> P) {
        if self.number != Some(number) {
            let length: usize = parts().map(<[u8]>::len).sum();
            *self = Self { number: Some(number), bytes: HEADER_BYTES_MAX + length };
        }
    }
}
