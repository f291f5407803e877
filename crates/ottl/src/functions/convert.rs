//! Functions that make a value of one type from a value of another. Of `nil` they make `nil`.

use super::{Function, Parameter, TEXT_LIKE};
use crate::arguments::{Arguments, unexpected};
use crate::error::EvalError;
use crate::json::excerpt;
use crate::types::Types;
use crate::value::{Text, Value};

/// What has a truth and a number.
const SCALAR: Types = Types::NUMBER.or(Types::BOOL).or(Types::STRING).or(Types::NIL);
/// What has bytes.
const BYTES_LIKE: Types = SCALAR.or(Types::BYTES);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::pure("Int", &[Parameter::value("target", SCALAR)], Types::INT.or(Types::NIL), int),
    Function::pure("Double", &[Parameter::value("target", SCALAR)], Types::FLOAT.or(Types::NIL), double),
    Function::pure("Bool", &[Parameter::value("target", SCALAR)], Types::BOOL.or(Types::NIL), bool),
    Function::pure("String", &[Parameter::value("target", TEXT_LIKE)], Types::STRING.or(Types::NIL), |of| {
        Ok(of.string_like(0)?.map_or(Value::Nil, Value::String))
    }),
    Function::pure("Hex", &[Parameter::value("target", BYTES_LIKE)], Types::STRING, |of| {
        Ok(Value::String(Text::Owned(hex::encode(of.bytes_like(0)?).into_bytes())))
    }),
    Function::pure("TraceID", &[Parameter::value("target", BYTES_LIKE)], Types::TRACE_ID, |of| {
        id(&of.bytes_like(0)?).map(Value::TraceId)
    }),
    Function::pure("SpanID", &[Parameter::value("target", BYTES_LIKE)], Types::SPAN_ID, |of| {
        id(&of.bytes_like(0)?).map(Value::SpanId)
    }),
    Function::pure("FNV", &[Parameter::string("target")], Types::INT, |of| {
        Ok(Value::Int(fnv(&of.string(0)?).cast_signed()))
    }),
];

/// Text that is no integer becomes `nil`.
fn int<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    Ok(match arguments.value(0)? {
        Value::String(text) => {
            let number = str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
            number.map_or(Value::Nil, Value::Int)
        }
        #[expect(clippy::cast_possible_truncation, reason = "the fraction is cut off, the rest saturates")]
        Value::Float(number) => Value::Int(number as i64),
        Value::Bool(value) => Value::Int(i64::from(value)),
        value @ (Value::Int(_) | Value::Nil) => value,
        other => return Err(unexpected("int, float, string or bool", &other)),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a float is what is wanted")]
fn double<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    Ok(match arguments.value(0)? {
        Value::String(text) => Value::Float(float(&text)?),
        Value::Int(number) => Value::Float(number as f64),
        Value::Bool(value) => Value::Float(f64::from(u8::from(value))),
        value @ (Value::Float(_) | Value::Nil) => value,
        other => return Err(unexpected("float, int, string or bool", &other)),
    })
}

fn float(text: &[u8]) -> Result<f64, EvalError> {
    let number = str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    // Digits that say more than a float can hold are an error, the word infinity is not.
    let fits = |number: &f64| number.is_finite() || !text.iter().any(u8::is_ascii_digit);
    number.filter(fits).ok_or_else(|| EvalError::Text { text: excerpt(text), wanted: "a float" })
}

fn bool<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    Ok(Value::Bool(match arguments.value(0)? {
        Value::Nil => return Ok(Value::Nil),
        Value::Bool(value) => value,
        Value::Int(number) => number != 0,
        Value::Float(number) => number != 0.0,
        Value::String(text) => match &*text {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => true,
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => false,
            _ => return Err(EvalError::Text { text: excerpt(&text), wanted: "a bool" }),
        },
        other => return Err(unexpected("bool, int, float or string", &other)),
    }))
}

/// An id from its bytes or its digits.
fn id<const N: usize>(bytes: &[u8]) -> Result<[u8; N], EvalError> {
    if let Ok(id) = bytes.try_into() {
        return Ok(id);
    }
    let mut id = [0; N];
    match hex::decode_to_slice(bytes, &mut id) {
        Ok(()) => Ok(id),
        Err(hex::FromHexError::InvalidHexCharacter { .. }) => {
            Err(EvalError::Text { text: excerpt(bytes), wanted: "an id in hexadecimal digits" })
        }
        Err(_) => Err(EvalError::Id { expected: N, found: bytes.len() }),
    }
}

/// FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
