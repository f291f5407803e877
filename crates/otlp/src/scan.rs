//! Finding the spans of a request and what decisions need of each.
//!
//! One walk over the bytes, nothing decoded that no decision reads: per span the trace id, times, status,
//! whether it is a root, and where it lies. Attributes are looked up later, and only those that some policy
//! names (see [`crate::attribute`]).

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::envelope::{Envelopes, ScanError};
use crate::splice::{SpanPiece, Splicer};
use crate::wire::{Fields, Value, WireError, enum_number};

/// A trace id, as the big-endian number of its 16 bytes. Never zero in a [`SpanIndex`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// `opentelemetry.proto.trace.v1.Status.StatusCode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatusCode {
    /// 0
    #[default]
    Unset,
    /// 1
    Ok,
    /// 2
    Error,
    /// A value that the protocol does not define.
    Unknown,
}

/// One span of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// `start_time_unix_nano`
    pub start: u64,
    /// `end_time_unix_nano`
    pub end: u64,
    /// Where the span's message lies in the request, without tag and length.
    pub body: Range<u32>,
    /// Where its `trace_state` lies in the request; empty if it has none.
    pub trace_state: Range<u32>,
    /// Index of its resource and scope in [`SpanIndex::envelopes`].
    pub envelope: u32,
    /// `flags`: the W3C trace flags in the low byte.
    pub flags: u32,
    /// `status.code`
    pub status: StatusCode,
    /// Whether it has no parent.
    pub root: bool,
}

/// Where the spans of a request lie, and what decisions need of each.
#[derive(Clone, Debug, Default)]
pub struct SpanIndex {
    /// The spans with valid ids, in wire order.
    pub spans: Vec<Span>,
    /// Their resources and scopes.
    pub envelopes: Envelopes,
    /// The spans that are not in `spans`.
    pub rejected: Rejected,
}

/// Spans that OTLP does not allow, by what is wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// `trace_id` is not 16 bytes or all zero.
    pub trace_id: usize,
    /// `span_id` is not 8 bytes or all zero.
    pub span_id: usize,
    /// `parent_span_id` is neither empty nor 8 bytes.
    pub parent_span_id: usize,
}

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

const TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const TRACE_STATE: u32 = 3;
const PARENT_SPAN_ID: u32 = 4;
const START: u32 = 7;
const END: u32 = 8;
const STATUS: u32 = 15;
const STATUS_CODE: u32 = 3;
const FLAGS: u32 = 16;

/// Checks a trace request at the door: a request that does not parse is refused whole, spans with ids that
/// OTLP does not allow are cut out and counted, and the rest is let in.
///
/// # Errors
/// When the request does not parse.
pub fn admit(request: Bytes) -> Result<Admitted, ScanError> {
    let index = SpanIndex::scan(&request)?;
    let rejected = index.rejected;
    if rejected.is_empty() {
        return Ok(Admitted { bytes: request, index, rejected });
    }
    let mut splicer = Splicer::default();
    for span in &index.spans {
        let resource = index.envelopes.resource_number(span.envelope);
        splicer.push(resource, span.envelope, SpanPiece::verbatim(index.body(&request, span)));
    }
    let bytes = Bytes::from(splicer.finish_indexed(&request, &index.envelopes));
    let index = SpanIndex::scan(&bytes)?;
    Ok(Admitted { bytes, index, rejected })
}

impl SpanIndex {
    /// Finds the spans of an encoded `ExportTraceServiceRequest`.
    ///
    /// Follows protobuf's rules: fields in any order, the last of a repeated scalar wins, sub-messages merge,
    /// unknown fields and known ones of another wire type are skipped.
    ///
    /// # Errors
    /// When the request, or a span in it, does not parse.
    pub fn scan(request: &[u8]) -> Result<Self, ScanError> {
        let mut spans = Vec::new();
        let mut rejected = Rejected::default();
        let envelopes = Envelopes::walk(request, |envelope, body| {
            let offset = body.start as usize;
            let found = Span::scan(request, envelope, body).map_err(|error| ScanError::Wire {
                level: "span",
                error,
                offset,
            })?;
            let wanted = found.map_err(|reason| rejected.count(reason)).map(|span| spans.push(span));
            Ok(wanted.is_ok())
        })?;
        Ok(Self { spans, envelopes, rejected })
    }

    /// The message of `span`, which is one of this index over `request`.
    #[must_use]
    #[inline]
    pub fn body<'a>(&self, request: &'a [u8], span: &Span) -> &'a [u8] {
        &request[span.body.start as usize..span.body.end as usize]
    }
}

/// Which id of a span is wrong.
enum WrongId {
    Trace,
    Span,
    Parent,
}

impl Span {
    /// `Ok(Err(..))` is a span that parses but that OTLP does not allow.
    #[inline]
    fn scan(request: &[u8], envelope: u32, range: Range<u32>) -> Result<Result<Self, WrongId>, WireError> {
        let body = &request[range.start as usize..range.end as usize];
        let (mut trace_id, mut span_id, mut parent): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
        let mut span = Self {
            trace_id: TraceId(0),
            start: 0,
            end: 0,
            body: range.clone(),
            trace_state: range.start..range.start,
            envelope,
            flags: 0,
            status: StatusCode::Unset,
            root: true,
        };
        for field in Fields::new(body) {
            let field = field?;
            match (field.number, field.value) {
                (TRACE_ID, Value::Bytes(bytes)) => trace_id = bytes,
                (SPAN_ID, Value::Bytes(bytes)) => span_id = bytes,
                (PARENT_SPAN_ID, Value::Bytes(bytes)) => parent = bytes,
                (START, Value::Fixed64(time)) => span.start = time,
                (END, Value::Fixed64(time)) => span.end = time,
                (STATUS, Value::Bytes(status)) => span.status = StatusCode::scan(status, span.status)?,
                (FLAGS, Value::Fixed32(flags)) => span.flags = flags,
                (TRACE_STATE, Value::Bytes(bytes)) => {
                    #[expect(clippy::cast_possible_truncation, reason = "offsets lie within `range`")]
                    let end = range.start + field.end as u32;
                    #[expect(clippy::cast_possible_truncation, reason = "offsets lie within `range`")]
                    let length = bytes.len() as u32;
                    span.trace_state = end - length..end;
                }
                _ => {}
            }
        }
        span.root = parent.iter().all(|&byte| byte == 0);
        span.trace_id = TraceId(trace_id.try_into().map_or(0, u128::from_be_bytes));
        Ok(if span.trace_id.0 == 0 {
            Err(WrongId::Trace)
        } else if span_id.len() != 8 || span_id.iter().all(|&byte| byte == 0) {
            Err(WrongId::Span)
        } else if !matches!(parent.len(), 0 | 8) {
            Err(WrongId::Parent)
        } else {
            Ok(span)
        })
    }

    /// The span's duration in nanoseconds; zero when it ends before it starts.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl StatusCode {
    /// Reads a `Status` message that merges into one whose code was `before`.
    fn scan(message: &[u8], before: Self) -> Result<Self, WireError> {
        Fields::new(message).try_fold(before, |code, field| {
            let field = field?;
            Ok(match (field.number, field.value) {
                (STATUS_CODE, Value::Varint(number)) => match enum_number(number) {
                    0 => Self::Unset,
                    1 => Self::Ok,
                    2 => Self::Error,
                    _ => Self::Unknown,
                },
                _ => code,
            })
        })
    }
}

impl TraceId {
    /// The 16 bytes of the id.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Rejected {
    fn count(&mut self, reason: WrongId) {
        match reason {
            WrongId::Trace => self.trace_id += 1,
            WrongId::Span => self.span_id += 1,
            WrongId::Parent => self.parent_span_id += 1,
        }
    }

    /// How many spans were rejected.
    #[must_use]
    pub const fn spans(&self) -> usize {
        self.trace_id + self.span_id + self.parent_span_id
    }

    /// Whether every span was fine.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans() == 0
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans rejected", self.spans())?;
        let reasons = [
            (self.trace_id, "whose trace_id is not 16 bytes or is all zero"),
            (self.span_id, "whose span_id is not 8 bytes or is all zero"),
            (self.parent_span_id, "whose parent_span_id is neither empty nor 8 bytes"),
        ];
        let mut separator = ": ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
