//! Functions that are true or false.

use std::net::IpAddr;

use super::{Body, Function, Parameter, TEXT_LIKE};
use crate::arguments::{Arguments, string};
use crate::error::EvalError;
use crate::json::excerpt;
use crate::node::Node;
use crate::pattern;
use crate::types::Types;
use crate::value::Value;

const TARGET: &[Parameter] = &[Parameter::value("target", Types::ANY)];

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new("IsRootSpan", &[], Types::BOOL, Body::RootSpan),
    Function::new(
        "IsMatch",
        &[Parameter::value("target", TEXT_LIKE), Parameter::string("pattern")],
        Types::BOOL,
        Body::Match(is_match),
    ),
    is_type("IsString", |arguments| is(arguments, |value| matches!(value, Value::String(_)))),
    is_type("IsInt", |arguments| is(arguments, |value| matches!(value, Value::Int(_)))),
    is_type("IsDouble", |arguments| is(arguments, |value| matches!(value, Value::Float(_)))),
    is_type("IsBool", |arguments| is(arguments, |value| matches!(value, Value::Bool(_)))),
    is_type("IsMap", |arguments| is(arguments, |value| matches!(value, Value::Map(_)))),
    is_type("IsList", |arguments| is(arguments, |value| matches!(value, Value::List(_) | Value::Records(_)))),
    is_type("IsEmpty", |arguments| is(arguments, Value::is_empty)),
    Function::pure(
        "HasPrefix",
        &[Parameter::string("target"), Parameter::string("prefix")],
        Types::BOOL,
        |of| Ok(Value::Bool(of.string(0)?.starts_with(&of.string(1)?))),
    ),
    Function::pure(
        "HasSuffix",
        &[Parameter::string("target"), Parameter::string("suffix")],
        Types::BOOL,
        |of| Ok(Value::Bool(of.string(0)?.ends_with(&of.string(1)?))),
    ),
    Function::pure(
        "IsInCIDR",
        &[Parameter::string("target"), Parameter::list_of("networks", Types::STRING)],
        Types::BOOL,
        is_in_cidr,
    )
    .checked(check_networks),
];

const fn is_type(name: &'static str, apply: super::Apply) -> Function {
    Function::pure(name, TARGET, Types::BOOL, apply)
}

fn is<'a>(arguments: &Arguments<'a>, holds: impl Fn(&Value<'a>) -> bool) -> Result<Value<'a>, EvalError> {
    Ok(Value::Bool(holds(&arguments.value(0)?)))
}

/// With a pattern from the span itself, compiled each time.
fn is_match<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let pattern = arguments.string(1)?;
    let pattern = pattern::compile(&String::from_utf8_lossy(&pattern))?;
    let target = arguments.string_like(0)?;
    Ok(Value::Bool(target.is_some_and(|target| pattern.is_match(&target))))
}

fn is_in_cidr<'a>(arguments: &Arguments<'a>) -> Result<Value<'a>, EvalError> {
    let target = arguments.string(0)?;
    let Some(address) = parse::<IpAddr>(&target) else {
        return Ok(Value::Bool(false));
    };
    for network in arguments.values(1) {
        if contains(&string(network?)?, address)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn check_networks(nodes: &[Option<Node>]) -> Result<(), String> {
    let Some(Some(Node::List(networks))) = nodes.get(1) else {
        return Ok(());
    };
    for network in networks {
        if let Node::Literal(Value::String(network)) = network {
            split_network(network).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn contains(network: &[u8], address: IpAddr) -> Result<bool, EvalError> {
    let (base, length) = split_network(network)?;
    Ok(match (base.to_canonical(), address.to_canonical()) {
        (IpAddr::V4(base), IpAddr::V4(address)) => same_start(base.to_bits(), address.to_bits(), 32, length),
        (IpAddr::V6(base), IpAddr::V6(address)) => same_start(base.to_bits(), address.to_bits(), 128, length),
        _ => false,
    })
}

fn same_start<T: Into<u128>>(left: T, right: T, width: u32, length: u32) -> bool {
    let differing = left.into() ^ right.into();
    differing.checked_shr(width - length).unwrap_or(0) == 0
}

fn split_network(network: &[u8]) -> Result<(IpAddr, u32), EvalError> {
    let parts = str::from_utf8(network).ok().and_then(|network| network.split_once('/'));
    let parsed = parts.and_then(|(base, length)| Some((base.parse::<IpAddr>().ok()?, length.parse().ok()?)));
    let fits = |&(base, length): &(IpAddr, u32)| length <= if base.is_ipv4() { 32 } else { 128 };
    parsed
        .filter(fits)
        .ok_or_else(|| EvalError::Text { text: excerpt(network), wanted: "a network such as `10.0.0.0/8`" })
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    str::from_utf8(text).ok()?.parse().ok()
}
