//! Functions on lists and maps.

use super::strings::find;
use super::{Function, Parameter};
use crate::arguments::{Arguments, string, unexpected};
use crate::collection::List;
use crate::compare::Comparison;
use crate::error::EvalError;
use crate::types::Types;
use crate::value::Value;

/// What has a length.
const SIZED: Types = Types::STRING.or(Types::BYTES).or(Types::LIST).or(Types::MAP).or(Types::RECORDS);

pub(super) const FUNCTIONS: &[Function] = &[
    Function::pure("Len", &[Parameter::value("target", SIZED)], Types::INT, len),
    Function::pure(
        "ContainsValue",
        &[Parameter::value("target", Types::LIST), Parameter::value("item", Types::ANY)],
        Types::BOOL,
        |of| Ok(Value::Bool(position(&of.list(0)?, &of.value(1)?).is_some())),
    ),
    Function::pure(
        "Index",
        &[Parameter::value("target", Types::STRING.or(Types::LIST)), Parameter::value("value", Types::ANY)],
        Types::INT,
        index,
    ),
    Function::pure("Keys", &[Parameter::value("target", Types::MAP)], Types::LIST, |of| {
        let entries = of.map(0)?.into_entries();
        Ok(Value::List(List::Owned(entries.into_iter().map(|(key, _)| Value::String(key)).collect())))
    }),
    Function::pure("Values", &[Parameter::value("target", Types::MAP)], Types::LIST, |of| {
        let entries = of.map(0)?.into_entries();
        Ok(Value::List(List::Owned(entries.into_iter().map(|(_, value)| value).collect())))
    }),
    Function::pure("Coalesce", &[Parameter::list_of("values", Types::ANY)], Types::ANY, |of| {
        for value in of.values(0) {
            let value = value?;
            if !matches!(value, Value::Nil) {
                return Ok(value);
            }
        }
        Ok(Value::Nil)
    }),
];

fn len<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let length = match arguments.value(0)? {
        Value::String(bytes) | Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Records(count) => return Ok(Value::Int(count.cast_signed())),
        other => return Err(unexpected("string, bytes, list or map", &other)),
    };
    Ok(number(length))
}

/// Where a string is in a string, or a value in a list; -1 if it is not.
fn index<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let (target, value) = (arguments.value(0)?, arguments.value(1)?);
    let found = match target {
        Value::String(target) => find(&target, &string(value)?),
        Value::List(list) => position(&list, &value),
        other => return Err(unexpected("string or list", &other)),
    };
    Ok(found.map_or(Value::Int(-1), number))
}

fn position(list: &List<'_>, wanted: &Value<'_>) -> Option<usize> {
    list.iter().position(|item| Comparison::Equal.holds(&item, wanted))
}

fn number(length: usize) -> Value<'static> {
    Value::Int(i64::try_from(length).unwrap_or(i64::MAX))
}
