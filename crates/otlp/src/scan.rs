//! Finding the spans of a request and what decisions need of each.
//!
//! One walk over the bytes, nothing decoded that no decision reads: per span the trace id, times, status,
//! whether it is a root, and where it lies. Attributes are looked up later, and only those that some policy
//! names (see [`crate::attribute`]).

use std::fmt;
use std::ops::Range;

use crate::attribute::SPAN_ATTRIBUTES;
use crate::check::{Malformed, check_field, is_plain_attribute};
use crate::envelope::{Envelopes, ScanError};
use crate::schema::SPAN;
use crate::wire::{Fields, Value, enum_number};

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
    /// Whether its `kind` is `SPAN_KIND_SERVER`.
    pub server: bool,
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
    /// It, its resource or its scope cannot be read to the bottom.
    pub malformed: usize,
    /// Why, of the first malformed one.
    pub fault: Option<Malformed>,
}

const TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const TRACE_STATE: u32 = 3;
const PARENT_SPAN_ID: u32 = 4;
const NAME: u32 = 5;
const KIND: u32 = 6;
const START: u32 = 7;
const END: u32 = 8;
const STATUS: u32 = 15;
const STATUS_CODE: u32 = 3;
const FLAGS: u32 = 16;
/// `SPAN_KIND_SERVER`
const SERVER: i32 = 2;

/// How deep a span lies below the request.
pub(crate) const SPAN_DEPTH: usize = 3;

impl SpanIndex {
    /// Finds the spans of an encoded `ExportTraceServiceRequest`.
    ///
    /// Follows protobuf's rules: fields in any order, the last of a repeated scalar wins, sub-messages merge,
    /// unknown fields and known ones of another wire type are skipped.
    ///
    /// # Errors
    /// When the levels around the spans do not parse.
    pub fn scan(request: &[u8]) -> Result<Self, ScanError> {
        Self::walk::<false>(request)
    }

    /// The same, and checks each span to the bottom.
    pub(crate) fn scan_checked(request: &[u8]) -> Result<Self, ScanError> {
        Self::walk::<true>(request)
    }

    fn walk<const CHECK: bool>(request: &[u8]) -> Result<Self, ScanError> {
        let mut spans = Vec::new();
        let mut rejected = Rejected::default();
        let envelopes = Envelopes::walk(request, |envelope, body| {
            let found = Span::scan::<CHECK>(request, envelope, body);
            Ok(found.map(|span| spans.push(span)).map_err(|reason| rejected.count(reason)).is_ok())
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

/// What is wrong with a span.
pub(crate) enum Reason {
    TraceId,
    SpanId,
    ParentSpanId,
    Malformed(Malformed),
}

impl From<Malformed> for Reason {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

impl Span {
    #[inline]
    fn scan<const CHECK: bool>(request: &[u8], envelope: u32, range: Range<u32>) -> Result<Self, Reason> {
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
            server: false,
        };
        for field in Fields::new(body) {
            let field = field.map_err(|error| Malformed::Wire { message: SPAN.name, error })?;
            let (number, value) = (field.number, field.value);
            match (number, value) {
                (TRACE_ID, Value::Bytes(bytes)) => trace_id = bytes,
                (SPAN_ID, Value::Bytes(bytes)) => span_id = bytes,
                (PARENT_SPAN_ID, Value::Bytes(bytes)) => parent = bytes,
                (START, Value::Fixed64(time)) => span.start = time,
                (END, Value::Fixed64(time)) => span.end = time,
                (FLAGS, Value::Fixed32(flags)) => span.flags = flags,
                // Most of a span, and most of that is well formed at a glance.
                (SPAN_ATTRIBUTES, Value::Bytes(attribute)) if !CHECK || is_plain_attribute(attribute) => {}
                (NAME, Value::Bytes(name)) if !CHECK || name.is_ascii() => {}
                (KIND, Value::Varint(_)) => {}
                _ if CHECK => check_field(&SPAN, number, value, SPAN_DEPTH)?,
                _ => {}
            }
            match (number, value) {
                (STATUS, Value::Bytes(status)) => span.status = StatusCode::scan(status, span.status)?,
                (TRACE_STATE, Value::Bytes(bytes)) => {
                    #[expect(clippy::cast_possible_truncation, reason = "offsets lie within `range`")]
                    let end = range.start + field.end as u32;
                    #[expect(clippy::cast_possible_truncation, reason = "offsets lie within `range`")]
                    let length = bytes.len() as u32;
                    span.trace_state = end - length..end;
                }
                (KIND, Value::Varint(kind)) => span.server = enum_number(kind) == SERVER,
                _ => {}
            }
        }
        span.root = parent.iter().all(|&byte| byte == 0);
        span.trace_id = TraceId(trace_id.try_into().map_or(0, u128::from_be_bytes));
        if span.trace_id.0 == 0 {
            Err(Reason::TraceId)
        } else if span_id.len() != 8 || span_id.iter().all(|&byte| byte == 0) {
            Err(Reason::SpanId)
        } else if !matches!(parent.len(), 0 | 8) {
            Err(Reason::ParentSpanId)
        } else {
            Ok(span)
        }
    }

    /// The span's duration in nanoseconds; zero when it ends before it starts.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

impl StatusCode {
    /// Reads a `Status` message that merges into one whose code was `before`.
    fn scan(message: &[u8], before: Self) -> Result<Self, Malformed> {
        Fields::new(message).try_fold(before, |code, field| {
            let field = field.map_err(|error| Malformed::Wire { message: "Status", error })?;
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
    pub(crate) fn count(&mut self, reason: Reason) {
        match reason {
            Reason::TraceId => self.trace_id += 1,
            Reason::SpanId => self.span_id += 1,
            Reason::ParentSpanId => self.parent_span_id += 1,
            Reason::Malformed(fault) => {
                self.malformed += 1;
                self.fault.get_or_insert(fault);
            }
        }
    }

    /// How many spans were rejected.
    #[must_use]
    pub const fn spans(&self) -> usize {
        self.trace_id + self.span_id + self.parent_span_id + self.malformed
    }

    /// Whether every span was fine.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.spans() == 0
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spans = self.spans();
        write!(f, "{spans} {} rejected", if spans == 1 { "span" } else { "spans" })?;
        let reasons = [
            (self.trace_id, "whose trace_id is not 16 bytes or is all zero"),
            (self.span_id, "whose span_id is not 8 bytes or is all zero"),
            (self.parent_span_id, "whose parent_span_id is neither empty nor 8 bytes"),
            (self.malformed, "malformed"),
        ];
        let mut separator = ": ";
        for (count, reason) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{separator}{count} {reason}")?;
            separator = ", ";
        }
        self.fault.iter().try_for_each(|fault| write!(f, " ({fault})"))
    }
}

#[cfg(test)]
mod tests;
