//! Converters: the functions of conditions.
//!
//! A family of functions is one file with a table; a new function is a row in it. Functions that the Collector
//! has and Forebay does not are known by name, so that a configuration which uses one learns why it fails.

mod collections;
mod convert;
mod predicates;
mod strings;
mod times;

use crate::arguments::Arguments;
use crate::error::{EvalError, Mistake};
use crate::node::Node;
use crate::types::Types;
use crate::value::Value;

/// Evaluates a call.
pub(crate) type Apply = for<'a> fn(&Arguments<'a>) -> Result<Value<'a>, EvalError>;

/// A function.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Parameter],
    pub(crate) returns: Types,
    pub(crate) body: Body,
    /// What is wrong with arguments of the right types that were written out.
    pub(crate) check: fn(&[Option<Node>]) -> Result<(), String>,
}

/// How a function's call is compiled.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// Depends on its arguments alone.
    Pure(Apply),
    /// `IsMatch`, whose pattern is compiled beforehand if it is written out.
    Match(Apply),
    /// `IsRootSpan`, which looks at a field of the span.
    RootSpan,
    /// `Now`, which looks at the clock.
    Now,
}

/// What a function is given.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    /// Its name, where arguments are given by name.
    pub(crate) name: &'static str,
    pub(crate) accepts: Accepts,
    pub(crate) required: bool,
}

/// What can be given.
#[derive(Clone, Copy)]
pub(crate) enum Accepts {
    /// A value of one of these types.
    Value(Types),
    /// One that is written out.
    Literal(Types),
    /// A list that is written out, of such values.
    ListOf(Types),
}

/// Whatever can be text: all but a status and a list of events.
const TEXT_LIKE: Types = Types::ANY.without(Types::STATUS.or(Types::RECORDS));

const FAMILIES: [&[Function]; 5] =
    [predicates::FUNCTIONS, strings::FUNCTIONS, convert::FUNCTIONS, collections::FUNCTIONS, times::FUNCTIONS];

/// Converters of the Collector that are not here.
const ELSEWHERE: [&str; 52] = [
    "All",
    "Any",
    "Append",
    "Base64Decode",
    "Base64Encode",
    "CommunityID",
    "ConvertAttributesToElementsXML",
    "ConvertCase",
    "ConvertTextToElementsXML",
    "Decode",
    "DeleteIndex",
    "ExtractGrokPatterns",
    "ExtractPatterns",
    "Filter",
    "Find",
    "Format",
    "FormatTime",
    "GetXML",
    "InsertXML",
    "IsValidLuhn",
    "Log",
    "MD5",
    "MapEach",
    "MapKeys",
    "Murmur3Hash",
    "Murmur3Hash128",
    "ParseCSV",
    "ParseInt",
    "ParseJSON",
    "ParseKeyValue",
    "ParseSeverity",
    "ParseSimplifiedXML",
    "ParseXML",
    "ProfileID",
    "Reduce",
    "RemoveXML",
    "SHA1",
    "SHA256",
    "SHA512",
    "SliceToMap",
    "Sort",
    "ToCamelCase",
    "ToKeyValueString",
    "ToSnakeCase",
    "TruncateTime",
    "URL",
    "UserAgent",
    "UUID",
    "UUIDv7",
    "When",
    "XXH128",
    "XXH3",
];

impl Function {
    /// A function that always returns the same for the same arguments.
    const fn pure(
        name: &'static str,
        parameters: &'static [Parameter],
        returns: Types,
        apply: Apply,
    ) -> Self {
        Self::new(name, parameters, returns, Body::Pure(apply))
    }

    const fn new(name: &'static str, parameters: &'static [Parameter], returns: Types, body: Body) -> Self {
        Self { name, parameters, returns, body, check: |_| Ok(()) }
    }

    /// The same with a check of what is written out.
    const fn checked(self, check: fn(&[Option<Node>]) -> Result<(), String>) -> Self {
        Self { check, ..self }
    }

    /// How it is called: `Trim(target, replacement?)`.
    pub(crate) fn signature(&self) -> String {
        let parameters = self.parameters.iter();
        let parameters =
            parameters.map(|given| format!("{}{}", given.name, if given.required { "" } else { "?" }));
        format!("{}({})", self.name, parameters.collect::<Vec<_>>().join(", "))
    }
}

impl Parameter {
    const fn value(name: &'static str, types: Types) -> Self {
        Self { name, accepts: Accepts::Value(types), required: true }
    }

    const fn string(name: &'static str) -> Self {
        Self::value(name, Types::STRING)
    }

    const fn literal(name: &'static str, types: Types) -> Self {
        Self { name, accepts: Accepts::Literal(types), required: true }
    }

    const fn list_of(name: &'static str, types: Types) -> Self {
        Self { name, accepts: Accepts::ListOf(types), required: true }
    }

    const fn optional(self) -> Self {
        Self { required: false, ..self }
    }
}

/// The function of that name, called at `at`.
pub(crate) fn find(name: &str, at: usize) -> Result<&'static Function, Mistake> {
    let functions = || FAMILIES.iter().copied().flatten();
    if let Some(function) = functions().find(|function| function.name == name) {
        return Ok(function);
    }
    let mut known: Vec<_> = functions().map(|function| function.name).collect();
    known.sort_unstable();
    if ELSEWHERE.contains(&name) {
        let message = format!("function `{name}` exists in the Collector, not here");
        return Err(Mistake::new(at, message).with_help(format!("known are {}", known.join(", "))));
    }
    if name.starts_with(|first: char| first.is_ascii_lowercase()) {
        let message = format!("`{name}` is an editor: a condition cannot change data");
        return Err(
            Mistake::new(at, message).with_help("functions in conditions start with a capital letter")
        );
    }
    Err(Mistake::unknown(at, "function", name, &known))
}
