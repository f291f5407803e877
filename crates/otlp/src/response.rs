//! What a receiver answers, as bytes in both encodings: export responses and `google.rpc.Status`.
//!
//! See <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response> and
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>.

use std::time::Duration;

use serde::Serialize;

use crate::wire::{Field, Fields, Value, WireError, put_bytes, put_varint_field};
use crate::{Signal, json};

/// What an export response says beyond that the request was taken.
///
/// Nothing rejected and no message is full success; with only a message the server warns or
/// advises.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Spans, data points or log records that were not taken and must not be sent again.
    pub rejected: u64,
    /// Why, for humans.
    pub message: String,
}

/// A `google.rpc.Status`: the details of a gRPC error, and the body of every OTLP/HTTP error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// A `google.rpc.Code`, such as 3 for `INVALID_ARGUMENT`.
    pub code: i32,
    /// What went wrong, for humans.
    pub message: String,
    /// How long to wait before trying again, from the detail `google.rpc.RetryInfo`.
    pub retry_delay: Option<Duration>,
}

// google/rpc/error_details.proto, and the prefix that the libraries of protobuf put before a name
// in an `Any`.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl PartialSuccess {
    /// The `Export…ServiceResponse`. The messages of the three signals are the same but for names.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut partial_success = Vec::new();
        if self.rejected > 0 {
            put_varint_field(&mut partial_success, 1, self.rejected.min(i64::MAX.cast_unsigned()));
        }
        if !self.message.is_empty() {
            put_bytes(&mut partial_success, 2, self.message.as_bytes());
        }
        let mut response = Vec::new();
        if !partial_success.is_empty() {
            put_bytes(&mut response, 1, &partial_success);
        }
        response
    }

    /// Reads an `Export…ServiceResponse`; `None` is full success without any remark.
    ///
    /// # Errors
    /// When the response is not protobuf.
    pub fn decode(response: &[u8]) -> Result<Option<Self>, WireError> {
        let mut read = Self::default();
        for part in messages(response, 1) {
            for field in Fields::new(part?) {
                match field? {
                    Field { number: 1, value: Value::Varint(count), .. } => {
                        read.rejected = count.cast_signed().max(0).cast_unsigned();
                    }
                    Field { number: 2, value: Value::Bytes(text), .. } => read.message = text_of(text),
                    _ => {}
                }
            }
        }
        Ok((read != Self::default()).then_some(read))
    }

    /// The `Export…ServiceResponse` in JSON.
    #[must_use]
    pub fn encode_json(&self, signal: Signal) -> Vec<u8> {
        let mut out = Vec::new();
        #[expect(clippy::expect_used, reason = "the response has just been encoded")]
        json::encode_response(signal, &self.encode(), &mut out).expect("a response is protobuf");
        out
    }

    /// Reads an `Export…ServiceResponse` in JSON; `None` is full success without any remark, and
    /// what is no response.
    #[must_use]
    pub fn decode_json(signal: Signal, response: &[u8]) -> Option<Self> {
        let response = json::decode_response(signal, response).ok()?;
        Self::decode(&response).ok()?
    }
}

impl Status {
    /// The message in protobuf.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut status = Vec::new();
        if self.code != 0 {
            put_varint_field(&mut status, 1, i64::from(self.code).cast_unsigned());
        }
        if !self.message.is_empty() {
            put_bytes(&mut status, 2, self.message.as_bytes());
        }
        if let Some(delay) = self.retry_delay {
            let mut duration = Vec::new();
            let seconds = delay.as_secs().min(i64::MAX.cast_unsigned());
            for (number, value) in [(1, seconds), (2, delay.subsec_nanos().into())] {
                if value > 0 {
                    put_varint_field(&mut duration, number, value);
                }
            }
            let mut retry_info = Vec::new();
            put_bytes(&mut retry_info, 1, &duration);
            let mut any = Vec::new();
            put_bytes(&mut any, 1, RETRY_INFO.as_bytes());
            put_bytes(&mut any, 2, &retry_info);
            put_bytes(&mut status, 3, &any);
        }
        status
    }

    /// Reads the message in protobuf. Details other than `RetryInfo` are passed over, and a delay
    /// below zero is none.
    ///
    /// # Errors
    /// When the message, or a detail in it, is not protobuf.
    pub fn decode(status: &[u8]) -> Result<Self, WireError> {
        let mut read = Self::default();
        for field in Fields::new(status) {
            match field? {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "protobuf reads 32 bits off a longer varint"
                )]
                Field { number: 1, value: Value::Varint(code), .. } => read.code = code as i32,
                Field { number: 2, value: Value::Bytes(text), .. } => read.message = text_of(text),
                Field { number: 3, value: Value::Bytes(any), .. } => {
                    if let Some(delay) = retry_delay(any)? {
                        read.retry_delay = Some(delay);
                    }
                }
                _ => {}
            }
        }
        Ok(read)
    }

    /// The message in JSON.
    #[must_use]
    pub fn encode_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Json<'a> {
            code: i32,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            details: Option<[Detail; 1]>,
        }
        #[derive(Serialize)]
        struct Detail {
            #[serde(rename = "@type")]
            type_url: &'static str,
            #[serde(rename = "retryDelay")]
            retry_delay: String,
        }
        let details = self.retry_delay.map(|delay| {
            let retry_delay = match delay.subsec_nanos() {
                0 => format!("{}s", delay.as_secs()),
                nanos => format!("{}.{nanos:09}s", delay.as_secs()),
            };
            [Detail { type_url: RETRY_INFO, retry_delay }]
        });
        #[expect(clippy::expect_used, reason = "names, strings and numbers only")]
        serde_json::to_vec(&Json { code: self.code, message: &self.message, details })
            .expect("a status is JSON")
    }
}

/// The delay in an `Any`, if that is a `RetryInfo`. Without a delay of its own that one asks for
/// none.
fn retry_delay(any: &[u8]) -> Result<Option<Duration>, WireError> {
    let (mut is_retry_info, mut seconds, mut nanos) = (false, 0, 0);
    for field in Fields::new(any) {
        match field? {
            Field { number: 1, value: Value::Bytes(url), .. } => is_retry_info = url == RETRY_INFO.as_bytes(),
            Field { number: 2, value: Value::Bytes(retry_info), .. } if is_retry_info => {
                for duration in messages(retry_info, 1) {
                    for field in Fields::new(duration?) {
                        match field? {
                            Field { number: 1, value: Value::Varint(value), .. } => {
                                seconds = value.cast_signed()
                            }
                            Field { number: 2, value: Value::Varint(value), .. } => {
                                nanos = value.cast_signed()
                            }
                            _ => {}
                        }
                    }
                }
            }
            _ => {}
        }
    }
    let valid =
        u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000));
    Ok(valid.filter(|_| is_retry_info).map(|(seconds, nanos)| Duration::new(seconds, nanos)))
}

/// The sub-messages under one field number.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], WireError>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok(Field { number: found, value: Value::Bytes(bytes), .. }) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    })
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
