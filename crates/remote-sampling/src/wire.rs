//! The messages of `jaeger.api_v2.SamplingManager` (`sampling.proto` of Jaeger's API), read and written as
//! bytes, with unknown fields skipped.

use forebay_otlp::wire::{Fields, Value, WireError, put_bytes, put_fixed64, put_varint_field};
use thiserror::Error;

use crate::strategy::{Operations, Sampling, Strategy};

/// The one method of the service.
pub(crate) const METHOD: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

/// Why a message cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MessageError {
    /// It is not protobuf.
    #[error("the message is not protobuf: {0}")]
    Wire(#[from] WireError),
    /// A name is not UTF-8.
    #[error("a name is not UTF-8")]
    NotUtf8,
    /// The request names no service.
    #[error("`serviceName` is empty")]
    NoService,
    /// A probability is not one.
    #[error("{0} is not a probability from 0 to 1")]
    Probability(f64),
    /// A rate limit or bound is negative or not a number.
    #[error("{0} is not a rate of traces a second")]
    Rate(f64),
    /// The answer has no strategy of the type that it names.
    #[error("the answer has no strategy of its type {0}")]
    NoStrategy(u64),
}

const SERVICE_NAME: u32 = 1;
const STRATEGY_TYPE: u32 = 1;
const PROBABILISTIC_SAMPLING: u32 = 2;
const RATE_LIMITING_SAMPLING: u32 = 3;
const OPERATION_SAMPLING: u32 = 4;
const SAMPLING_RATE: u32 = 1;
const MAX_TRACES_PER_SECOND: u32 = 1;
const DEFAULT_PROBABILITY: u32 = 1;
const LOWER_BOUND: u32 = 2;
const PER_OPERATION: u32 = 3;
const UPPER_BOUND: u32 = 4;
const OPERATION: u32 = 1;
const OPERATION_PROBABILISTIC: u32 = 2;

const PROBABILISTIC: u64 = 0;
const RATE_LIMITING: u64 = 1;

/// The service that a `SamplingStrategyParameters` asks for.
///
/// # Errors
/// When the message does not parse or names no service.
pub fn decode_request(request: &[u8]) -> Result<&str, MessageError> {
    let mut service = "";
    for field in Fields::new(request) {
        let field = field?;
        if let (SERVICE_NAME, Value::Bytes(name)) = (field.number, field.value) {
            service = utf8(name)?;
        }
    }
    if service.is_empty() { Err(MessageError::NoService) } else { Ok(service) }
}

/// A `SamplingStrategyParameters`.
#[must_use]
pub fn encode_request(service: &str) -> Vec<u8> {
    let mut request = Vec::new();
    put_bytes(&mut request, SERVICE_NAME, service.as_bytes());
    request
}

/// A `SamplingStrategyResponse`.
#[must_use]
pub fn encode(strategy: &Strategy) -> Vec<u8> {
    let mut response = Vec::new();
    match strategy.sampling {
        Sampling::Probabilistic(probability) => {
            put_varint_field(&mut response, STRATEGY_TYPE, PROBABILISTIC);
            put_bytes(&mut response, PROBABILISTIC_SAMPLING, &double(SAMPLING_RATE, probability));
        }
        Sampling::RateLimiting(limit) => {
            let mut message = Vec::new();
            put_varint_field(&mut message, MAX_TRACES_PER_SECOND, i64::from(limit).cast_unsigned());
            put_varint_field(&mut response, STRATEGY_TYPE, RATE_LIMITING);
            put_bytes(&mut response, RATE_LIMITING_SAMPLING, &message);
        }
    }
    if let Some(operations) = &strategy.operations {
        put_bytes(&mut response, OPERATION_SAMPLING, &encode_operations(operations));
    }
    response
}

fn encode_operations(operations: &Operations) -> Vec<u8> {
    let mut message = double(DEFAULT_PROBABILITY, operations.default);
    put_fixed64(&mut message, LOWER_BOUND, operations.lower_bound.to_bits());
    for (name, probability) in &operations.probabilities {
        let mut operation = Vec::new();
        put_bytes(&mut operation, OPERATION, name.as_bytes());
        put_bytes(&mut operation, OPERATION_PROBABILISTIC, &double(SAMPLING_RATE, *probability));
        put_bytes(&mut message, PER_OPERATION, &operation);
    }
    put_fixed64(&mut message, UPPER_BOUND, operations.upper_bound.to_bits());
    message
}

/// A message that has one double.
fn double(number: u32, value: f64) -> Vec<u8> {
    let mut message = Vec::new();
    put_fixed64(&mut message, number, value.to_bits());
    message
}

/// Reads a `SamplingStrategyResponse`. One with operations alone, as Jaeger's adaptive sampling answers, has
/// their default for all others.
///
/// # Errors
/// When it does not parse, or holds something that is not a probability or a rate.
pub fn decode(response: &[u8]) -> Result<Strategy, MessageError> {
    let (mut kind, mut probability, mut limit, mut operations) = (PROBABILISTIC, None, None, None);
    for field in Fields::new(response) {
        let field = field?;
        match (field.number, field.value) {
            (STRATEGY_TYPE, Value::Varint(number)) => kind = number,
            (PROBABILISTIC_SAMPLING, Value::Bytes(message)) => probability = Some(decode_rate(message)?),
            (RATE_LIMITING_SAMPLING, Value::Bytes(message)) => limit = Some(decode_limit(message)?),
            (OPERATION_SAMPLING, Value::Bytes(message)) => operations = Some(decode_operations(message)?),
            _ => {}
        }
    }
    let default = operations.as_ref().map(|operations| operations.default);
    let sampling = match kind {
        PROBABILISTIC => probability.or(default).map(Sampling::Probabilistic),
        RATE_LIMITING => limit.map(Sampling::RateLimiting),
        _ => None,
    };
    let operations = operations.filter(|operations| !operations.probabilities.is_empty());
    Ok(Strategy { sampling: sampling.ok_or(MessageError::NoStrategy(kind))?, operations })
}

fn decode_operations(message: &[u8]) -> Result<Operations, MessageError> {
    let mut operations = Operations::default();
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (DEFAULT_PROBABILITY, Value::Fixed64(bits)) => operations.default = probability(bits)?,
            (LOWER_BOUND, Value::Fixed64(bits)) => operations.lower_bound = rate(bits)?,
            (UPPER_BOUND, Value::Fixed64(bits)) => operations.upper_bound = rate(bits)?,
            (PER_OPERATION, Value::Bytes(message)) => {
                operations.probabilities.push(decode_operation(message)?);
            }
            _ => {}
        }
    }
    Ok(operations)
}

fn decode_operation(message: &[u8]) -> Result<(String, f64), MessageError> {
    let (mut name, mut probability) = ("", 0.0);
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (OPERATION, Value::Bytes(bytes)) => name = utf8(bytes)?,
            (OPERATION_PROBABILISTIC, Value::Bytes(message)) => probability = decode_rate(message)?,
            _ => {}
        }
    }
    Ok((name.to_owned(), probability))
}

/// Of a `ProbabilisticSamplingStrategy`.
fn decode_rate(message: &[u8]) -> Result<f64, MessageError> {
    let mut found = 0.0;
    for field in Fields::new(message) {
        let field = field?;
        if let (SAMPLING_RATE, Value::Fixed64(bits)) = (field.number, field.value) {
            found = probability(bits)?;
        }
    }
    Ok(found)
}

/// Of a `RateLimitingSamplingStrategy`.
fn decode_limit(message: &[u8]) -> Result<i32, MessageError> {
    let mut limit = 0;
    for field in Fields::new(message) {
        let field = field?;
        if let (MAX_TRACES_PER_SECOND, Value::Varint(number)) = (field.number, field.value) {
            // As any reader of protobuf: the low 32 bits, with their sign.
            #[expect(clippy::cast_possible_truncation, reason = "an int32 is sent as 64 bits")]
            let number = number as u32;
            limit = number.cast_signed();
        }
    }
    if limit < 0 { Err(MessageError::Rate(f64::from(limit))) } else { Ok(limit) }
}

fn probability(bits: u64) -> Result<f64, MessageError> {
    let value = f64::from_bits(bits);
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err(MessageError::Probability(value)) }
}

fn rate(bits: u64) -> Result<f64, MessageError> {
    let value = f64::from_bits(bits);
    if (0.0..=f64::MAX).contains(&value) { Ok(value) } else { Err(MessageError::Rate(value)) }
}

fn utf8(bytes: &[u8]) -> Result<&str, MessageError> {
    str::from_utf8(bytes).map_err(|_| MessageError::NotUtf8)
}

#[cfg(test)]
mod tests;
