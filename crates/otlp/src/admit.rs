//! The door: what of a trace request is let in.

use bytes::Bytes;

use crate::check::{Malformed, check_around_spans, check_message};
use crate::envelope::ScanError;
use crate::scan::{Reason, Rejected, SpanIndex};
use crate::schema::{RESOURCE_SPANS, SCOPE_SPANS};
use crate::splice::{SpanPiece, Splicer};

/// A request that was let in.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The request, without the rejected spans.
    pub bytes: Bytes,
    /// Its spans.
    pub index: SpanIndex,
    /// What was cut out.
    pub rejected: Rejected,
}

/// How deep the levels around spans lie below the request.
const RESOURCE_DEPTH: usize = 1;
const SCOPE_DEPTH: usize = 2;

/// Checks a trace request at the door. Spans with ids that OTLP does not allow are cut out and counted, and so are
/// those that are malformed ([`Malformed`]) or under a malformed resource or scope. The rest is let in.
///
/// # Errors
/// When the levels around the spans do not parse.
pub fn admit(request: Bytes) -> Result<Admitted, ScanError> {
    let index = SpanIndex::scan_checked(&request)?;
    let rejected = index.rejected;
    if rejected.is_empty() && check_around_spans(&request).is_ok() {
        return Ok(Admitted { bytes: request, index, rejected });
    }
    without_rejected(&request, &index)
}

#[cold]
fn without_rejected(request: &[u8], index: &SpanIndex) -> Result<Admitted, ScanError> {
    let mut rejected = index.rejected;
    let mut splicer = Splicer::default();
    let envelopes =
        (0..).take(index.envelopes.len()).map(|envelope| check_envelope(request, index, envelope));
    let envelopes: Vec<_> = envelopes.collect();
    for span in &index.spans {
        match envelopes[span.envelope as usize] {
            Ok(()) => {
                let resource = index.envelopes.resource_number(span.envelope);
                splicer.push(resource, span.envelope, SpanPiece::verbatim(index.body(request, span)));
            }
            Err(fault) => rejected.count(Reason::Malformed(fault)),
        }
    }
    let bytes = Bytes::from(splicer.finish_indexed(request, &index.envelopes));
    let index = SpanIndex::scan(&bytes)?;
    Ok(Admitted { bytes, index, rejected })
}

fn check_envelope(request: &[u8], index: &SpanIndex, envelope: u32) -> Result<(), Malformed> {
    let mut resource = index.envelopes.resource_parts(request, envelope);
    let mut scope = index.envelopes.scope_parts(request, envelope);
    resource.try_for_each(|part| check_message(&RESOURCE_SPANS, part, RESOURCE_DEPTH))?;
    scope.try_for_each(|part| check_message(&SCOPE_SPANS, part, SCOPE_DEPTH))
}
