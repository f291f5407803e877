//! OTLP/JSON to OTLP/protobuf and back, for all three signals.
//!
//! Both directions follow tables of the messages and stream: `serde_json` tokenises, nothing is
//! built in between. The mapping is protobuf's (<https://protobuf.dev/programming-guides/json/>) as
//! OTLP changes it (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>): ids are
//! hex, enums are numbers.
//!
//! What SDKs send is wider than what the specifications allow, and one odd value should not cost a
//! batch. So [`decode()`] also takes
//! * `null` for any field, which leaves it unset: `"doubleValue": null` is how several SDKs write
//!   NaN;
//! * integers as numbers, as strings, and with an exponent as long as they are whole;
//! * an `intValue` that is a number but no int64 (Node.js writes every whole double as one), as a
//!   `doubleValue`;
//! * enums by name, ids in any case, base64 in both alphabets and without padding;
//! * ids of any length: it is admission that refuses the span, and that span alone;
//! * a lone surrogate, which JavaScript makes by cutting strings, as U+FFFD;
//! * names it does not know, at any depth. The names of the `.proto` files (`trace_id`) are among
//!   those.
//!
//! A name that occurs twice merges as a field would in protobuf: of scalars the last one stands,
//! messages merge, lists are joined.

use thiserror::Error;

use crate::wire::WireError;
use crate::{Signal, schema};

mod decode;
mod encode;
mod scalar;
mod text;

/// Where and why a document is not OTLP/JSON.
///
/// Displayed as `resourceSpans[0].schemaUrl: invalid type: …, at line 1 column 200`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{path}{}{message}, at line {line} column {column}", if path.is_empty() { "" } else { ": " })]
pub struct JsonError {
    /// The names and indices that lead to the value; empty for the document itself.
    pub path: String,
    /// What is wrong with the value, at most a few hundred bytes.
    pub message: String,
    /// From 1, where reading stopped: at the end of the value or just after it.
    pub line: usize,
    /// In bytes, from 1.
    pub column: usize,
}

/// The protobuf form of an export request in OTLP/JSON.
///
/// # Errors
/// When the bytes are not one JSON document, or a known field holds what it cannot, or messages are
/// nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
pub fn decode(signal: Signal, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    decode::document(schema::request(signal), json)
}

/// Appends the OTLP/JSON form of an export request in protobuf: one object, on one line.
///
/// Fields that are unknown or have the wrong wire type are dropped, as are messages deeper than
/// [`MAX_DEPTH`](crate::MAX_DEPTH). Strings that are not UTF-8 have the wrong bytes replaced by U+FFFD.
///
/// # Errors
/// When a message within the request is not protobuf; nothing is appended then.
pub fn encode(signal: Signal, request: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    encode::document(schema::request(signal), request, out)
}

/// Like [`decode()`] for an export response.
pub(crate) fn decode_response(signal: Signal, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    decode::document(schema::response(signal), json)
}

/// Like [`encode()`] for an export response.
pub(crate) fn encode_response(signal: Signal, response: &[u8], out: &mut Vec<u8>) -> Result<(), WireError> {
    encode::document(schema::response(signal), response, out)
}

#[cfg(test)]
mod tests;
