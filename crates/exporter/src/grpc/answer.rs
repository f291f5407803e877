//! What the answer to a unary call means.
//!
//! Codes and their HTTP counterparts are those of <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>
//! and <https://grpc.github.io/grpc/core/md_doc_http-grpc-status-mapping.html>; which of them are worth a
//! retry is the OTLP specification's table.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use forebay_otlp::response::{PartialSuccess, Status};
use http::{HeaderMap, StatusCode, header, response};
use percent_encoding::percent_decode;

use crate::transport::Outcome;

use super::PREFIX;

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

const OK: i32 = 0;
const CANCELLED: i32 = 1;
const UNKNOWN: i32 = 2;
const DEADLINE_EXCEEDED: i32 = 4;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const ABORTED: i32 = 10;
const OUT_OF_RANGE: i32 = 11;
const UNIMPLEMENTED: i32 = 12;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;
const DATA_LOSS: i32 = 15;
const UNAUTHENTICATED: i32 = 16;

/// Binary metadata is base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A status other than OK.
pub(super) struct Failure {
    code: i32,
    message: String,
    retry_delay: Option<Duration>,
}

/// The outcome of an export that an answer's head, trailers and body stand for.
pub(super) fn outcome(head: &response::Parts, trailers: Option<&HeaderMap>, body: &[u8]) -> Outcome {
    match check(head, trailers) {
        Ok(()) => delivered(body),
        Err(failure) => failure.outcome(),
    }
}

/// Whether an answer's status is OK.
pub(super) fn check(head: &response::Parts, trailers: Option<&HeaderMap>) -> Result<(), Failure> {
    // An answer without a body has its status among the headers.
    let status = trailers
        .filter(|trailers| trailers.contains_key("grpc-status"))
        .or_else(|| head.headers.contains_key("grpc-status").then_some(&head.headers));
    match status {
        Some(fields) => by_status(fields),
        None => Err(without_status(head)),
    }
}

/// The message in the body of a unary answer; none if it is compressed, which nobody has asked for.
pub(super) fn message(body: &[u8]) -> Option<&[u8]> {
    match body.split_at_checked(PREFIX) {
        Some(([0, ..], message)) => Some(message),
        _ => None,
    }
}

fn by_status(fields: &HeaderMap) -> Result<(), Failure> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status").and_then(|code| code.parse().ok()).unwrap_or(UNKNOWN);
    if code == OK {
        return Ok(());
    }
    let message = fields
        .get("grpc-message")
        .map(|message| percent_decode(message.as_bytes()).decode_utf8_lossy().into_owned());
    let retry_delay = fields
        .get("grpc-status-details-bin")
        .and_then(|details| BASE64.decode(details).ok())
        .and_then(|details| Status::decode(&details).ok())
        .and_then(|status| status.retry_delay);
    Err(Failure { code, message: message.unwrap_or_default(), retry_delay })
}

/// What answers without `grpc-status` is not a gRPC server, or a proxy in front of one.
fn without_status(head: &response::Parts) -> Failure {
    let code = match head.status {
        StatusCode::OK => {
            let what = match head.headers.get(header::CONTENT_TYPE) {
                Some(kind) if !kind.as_bytes().starts_with(b"application/grpc") => {
                    "the answer is not gRPC; is the endpoint an OTLP/gRPC one?"
                }
                _ => "the answer ended without a status",
            };
            return Failure { code: INTERNAL, message: what.to_owned(), retry_delay: None };
        }
        StatusCode::BAD_REQUEST => INTERNAL,
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND => UNIMPLEMENTED,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => UNAVAILABLE,
        _ => UNKNOWN,
    };
    Failure { code, message: format!("HTTP status {}", head.status), retry_delay: None }
}

impl Failure {
    fn outcome(self) -> Outcome {
        let (message, after) = (self.to_string(), self.retry_delay);
        match self.code {
            CANCELLED | DEADLINE_EXCEEDED | ABORTED | OUT_OF_RANGE | UNAVAILABLE | DATA_LOSS => {
                Outcome::Failed { message, after }
            }
            // Only a server that says when considers this one temporary.
            RESOURCE_EXHAUSTED if after.is_some() => Outcome::Failed { message, after },
            _ => Outcome::Rejected(message),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message, .. } = self;
        let name = usize::try_from(*code).ok().and_then(|code| NAMES.get(code)).unwrap_or(&"unknown code");
        write!(f, "{name} ({code}): {message}")
    }
}

/// The status is the verdict: a message that does not parse has nothing to add to it.
fn delivered(body: &[u8]) -> Outcome {
    match message(body).map(PartialSuccess::decode) {
        Some(Ok(Some(partial))) => {
            Outcome::Delivered { rejected: partial.rejected, message: partial.message }
        }
        _ => Outcome::DELIVERED,
    }
}
