//! Functions on times and durations.

use super::{Body, Function, Parameter};
use crate::arguments::Arguments;
use crate::calendar::{self, Civil, SECOND};
use crate::duration;
use crate::error::EvalError;
use crate::node::Node;
use crate::strptime;
use crate::types::Types;
use crate::value::Value;

const TIME: &[Parameter] = &[Parameter::value("time", Types::TIME)];
const DURATION: &[Parameter] = &[Parameter::value("duration", Types::DURATION)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("Now", &[], Types::TIME, Body::Now),
    Function::pure(
        "Time",
        &[
            Parameter::string("time"),
            Parameter::literal("format", Types::STRING),
            Parameter::literal("location", Types::STRING).optional(),
            Parameter::literal("locale", Types::STRING).optional(),
        ],
        Types::TIME,
        |of| strptime::parse(&of.string(0)?, &of.string(1)?).map(Value::Time),
    )
    .checked(check_time),
    Function::pure(
        "Unix",
        &[Parameter::value("seconds", Types::INT), Parameter::value("nanoseconds", Types::INT).optional()],
        Types::TIME,
        unix,
    ),
    of_time("UnixSeconds", |of| ticks(of, SECOND)),
    of_time("UnixMilli", |of| ticks(of, 1_000_000)),
    of_time("UnixMicro", |of| ticks(of, 1_000)),
    of_time("UnixNano", |of| ticks(of, 1)),
    of_time("Year", |of| civil(of, |civil| civil.year)),
    of_time("Month", |of| civil(of, |civil| civil.month)),
    of_time("Day", |of| civil(of, |civil| civil.day)),
    of_time("Hour", |of| civil(of, |civil| civil.hour)),
    of_time("Minute", |of| civil(of, |civil| civil.minute)),
    of_time("Second", |of| civil(of, |civil| civil.second)),
    of_time("Nanosecond", |of| civil(of, |civil| civil.nanosecond)),
    of_time("Weekday", |of| Ok(int(calendar::weekday(of.time(0)?)))),
    Function::pure("Duration", &[Parameter::string("duration")], Types::DURATION, |of| {
        duration::parse(&of.string(0)?).map(Value::Duration)
    }),
    Function::pure("Hours", DURATION, Types::FLOAT, |of| units(of, 3_600_000_000_000)),
    Function::pure("Minutes", DURATION, Types::FLOAT, |of| units(of, 60_000_000_000)),
    Function::pure("Seconds", DURATION, Types::FLOAT, |of| units(of, 1_000_000_000)),
    Function::pure("Milliseconds", DURATION, Types::INT, |of| Ok(Value::Int(of.duration(0)? / 1_000_000))),
    Function::pure("Microseconds", DURATION, Types::INT, |of| Ok(Value::Int(of.duration(0)? / 1_000))),
    Function::pure("Nanoseconds", DURATION, Types::INT, |of| Ok(Value::Int(of.duration(0)?))),
];

const fn of_time(name: &'static str, apply: super::Apply) -> Function {
    Function::pure(name, TIME, Types::INT, apply)
}

fn check_time(nodes: &[Option<Node>]) -> Result<(), String> {
    let written = |index: usize| match nodes.get(index) {
        Some(Some(Node::Literal(Value::String(text)))) => Some(&**text),
        _ => None,
    };
    if written(2).is_some_and(|location| !matches!(location, b"" | b"UTC")) {
        return Err("a time's location other than UTC exists in the Collector, not here".to_owned());
    }
    if written(3).is_some_and(|locale| !locale.starts_with(b"en")) {
        return Err("a time's locale other than English exists in the Collector, not here".to_owned());
    }
    written(1).map_or(Ok(()), strptime::check)
}

fn unix<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let seconds = arguments.int(0)?;
    let nanoseconds = match arguments.value(1)? {
        Value::Nil => 0,
        _ => arguments.int(1)?,
    };
    Ok(Value::Time(i128::from(seconds) * SECOND + i128::from(nanoseconds)))
}

fn ticks<'a>(arguments: &Arguments<'a>, nanoseconds: i128) -> Result<Value<'a>, EvalError> {
    Ok(int(arguments.time(0)?.div_euclid(nanoseconds)))
}

fn civil<'a>(arguments: &Arguments<'a>, part: fn(Civil) -> i128) -> Result<Value<'a>, EvalError> {
    Ok(int(part(Civil::of(arguments.time(0)?))))
}

/// A duration in a unit, with its fraction, calculated as Go does.
#[expect(clippy::cast_precision_loss, reason = "a float is what is wanted")]
fn units<'a>(arguments: &Arguments<'a>, unit: i64) -> Result<Value<'a>, EvalError> {
    let duration = arguments.duration(0)?;
    Ok(Value::Float((duration / unit) as f64 + (duration % unit) as f64 / unit as f64))
}

fn int(number: i128) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX }))
}
