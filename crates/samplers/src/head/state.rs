//! A span's trace state, read and written for sampling.

use std::borrow::Cow;

use forebay_otlp::tracestate::{TraceState, TraceStateError};
use forebay_otlp::{SpanPiece, trace_state_field};

use super::rule::{Incoming, Stamp};
use super::verdict::{Fault, Leaving};

/// The trace state that most kept spans leave with, encoded.
#[derive(Debug)]
pub(super) struct Usual {
    stamp: Stamp,
    field: Vec<u8>,
}

impl Usual {
    pub(super) fn new(stamp: Stamp) -> Self {
        Self { field: trace_state_field(&stamp.ot()), stamp }
    }
}

impl Leaving {
    /// The span as it leaves; `text` is the trace state it came with.
    pub(super) fn piece<'a>(self, usual: Option<&'a Usual>, body: &'a [u8], text: &[u8]) -> SpanPiece<'a> {
        match self {
            Self::Stamped(stamp) if text.is_empty() => {
                let suffix = match usual {
                    Some(usual) if usual.stamp == stamp => Cow::Borrowed(usual.field.as_slice()),
                    _ => Cow::Owned(trace_state_field(&stamp.ot())),
                };
                SpanPiece { suffix, ..SpanPiece::verbatim(body) }
            }
            Self::Stamped(stamp) => restated(body, text, |state| stamp.write(state)),
            Self::WithoutThreshold => restated(body, text, |state| state.with_threshold(None)),
            Self::AsItCame => SpanPiece::verbatim(body),
        }
    }
}

impl Stamp {
    /// The trace state of a span that had none.
    fn ot(self) -> String {
        match self.randomness {
            None => format!("ot=th:{}", self.threshold),
            Some(randomness) => format!("ot=th:{};rv:{randomness}", self.threshold),
        }
    }

    fn write(self, state: &TraceState<'_>) -> Result<String, TraceStateError> {
        match self.randomness {
            None => state.with_threshold(Some(self.threshold)),
            Some(randomness) => state.with_threshold_and_randomness(Some(self.threshold), randomness),
        }
    }
}

/// A span with another trace state; one that has no room for it, or cannot be read, stays as it is.
fn restated<'a>(
    body: &'a [u8],
    text: &[u8],
    write: impl FnOnce(&TraceState<'_>) -> Result<String, TraceStateError>,
) -> SpanPiece<'a> {
    match TraceState::parse(text).and_then(|state| write(&state)) {
        Ok(value) => {
            let suffix = if value.is_empty() { Vec::new() } else { trace_state_field(&value) };
            SpanPiece { without_trace_state: true, suffix: Cow::Owned(suffix), ..SpanPiece::verbatim(body) }
        }
        Err(_) => SpanPiece::verbatim(body),
    }
}

/// What a trace state says of sampling.
pub(super) fn incoming(text: &[u8]) -> Result<Incoming, Fault> {
    if text.is_empty() {
        return Ok(Incoming::default());
    }
    let ot = TraceState::parse(text).map_err(|_| Fault::Malformed)?.ot();
    let (Ok(threshold), Ok(randomness)) = (ot.th, ot.rv) else {
        return Err(Fault::Malformed);
    };
    Ok(Incoming { threshold, randomness })
}
