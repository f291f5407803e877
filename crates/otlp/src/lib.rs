//! OTLP as bytes.
//!
//! An OTLP request is looked at where it lies. [`admit`] lets a trace request in without what others could not
//! read, and remembers where its spans are and what decisions need of each ([`SpanIndex`]); [`attribute`] finds the attributes that
//! somebody names; [`Splicer`] writes the spans that are kept into new requests, regrouped under their
//! resources and scopes. Nothing in between is decoded, so what this crate does not understand survives.
//!
//! Around that: the W3C `tracestate` with OpenTelemetry's `ot` member, the thresholds of consistent
//! probability sampling, and OTLP/JSON in both directions.

mod admit;
pub mod attribute;
mod check;
mod count;
mod envelope;
pub mod json;
mod record;
pub mod response;
mod scan;
mod schema;
mod signal;
mod span;
mod splice;
mod split;
pub mod threshold;
pub mod tracestate;
pub mod wire;

pub use admit::{Admitted, admit};
pub use check::{Malformed, check};
pub use count::count_items;
pub use envelope::{Envelopes, ScanError};
pub use record::{LogIndex, LogRecord};
pub use scan::{Rejected, Span, SpanIndex, StatusCode, TraceId};
pub use schema::{MAX_DEPTH, SPAN_KINDS, STATUS_CODES};
pub use signal::Signal;
pub use span::SpanView;
pub use splice::{
    SpanPiece, Splicer, bool_attribute_field, trace_state_field, with_attribute, without_attribute,
    without_leading_trace_id,
};
pub use split::split;
