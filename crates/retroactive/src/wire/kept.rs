//! How a trace is kept, as bytes.

use forebay_otlp::threshold::Threshold;
use forebay_otlp::wire::{Fields, Value, put_fixed64, put_varint_field};
use forebay_samplers::tail::decision::Kept;

use super::MessageError;

const POLICY: u32 = 1;
const PART: u32 = 2;
const THRESHOLD: u32 = 3;

/// Appends a `Kept`.
pub(super) fn encode(kept: Kept, message: &mut Vec<u8>) {
    put_varint_field(message, POLICY, kept.policy.into());
    if let Some(part) = kept.part {
        put_varint_field(message, PART, part.into());
    }
    if let Some(threshold) = kept.threshold {
        put_fixed64(message, THRESHOLD, threshold.get());
    }
}

/// Reads a `Kept`.
pub(super) fn decode(message: &[u8]) -> Result<Kept, MessageError> {
    let number = |value| u16::try_from(value).map_err(|_| MessageError::Invalid("number of a policy"));
    let mut kept = Kept { policy: 0, part: None, threshold: None };
    for field in Fields::new(message) {
        let field = field?;
        match (field.number, field.value) {
            (POLICY, Value::Varint(value)) => kept.policy = number(value)?,
            (PART, Value::Varint(value)) => kept.part = Some(number(value)?),
            (THRESHOLD, Value::Fixed64(value)) => {
                kept.threshold = Some(Threshold::new(value).ok_or(MessageError::Invalid("threshold"))?);
            }
            _ => {}
        }
    }
    Ok(kept)
}
