//! Conditions of rules as OTTL.
//!
//! A condition asks one field of one span. A field can stand in several places, and Refinery asks the first that has
//! it. That matters for negated operators; others are asked of every place, which is easier to read, and another
//! answer only for an attribute that a span and its resource both have. Negated operators hold as soon as *some* span
//! satisfies them, in Refinery as here.

use forebay_config::{Cursor, Table, Value};

use crate::field::{ERROR, Field, text};

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Whether it is on the root span, whichever span is being asked.
    pub(crate) of_root: bool,
    /// OTTL.
    pub(crate) source: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// The operator in OTTL.
    Compare(&'static str),
    StartsWith,
    Contains,
    DoesNotContain,
    Matches,
    In,
    NotIn,
    Exists,
    NotExists,
    HasRootSpan,
}

const OPERATORS: &[(&str, Operator)] = &[
    ("=", Operator::Compare("==")),
    ("!=", Operator::Compare("!=")),
    ("<", Operator::Compare("<")),
    ("<=", Operator::Compare("<=")),
    (">", Operator::Compare(">")),
    (">=", Operator::Compare(">=")),
    ("starts-with", Operator::StartsWith),
    ("contains", Operator::Contains),
    ("does-not-contain", Operator::DoesNotContain),
    ("matches", Operator::Matches),
    ("in", Operator::In),
    ("not-in", Operator::NotIn),
    ("exists", Operator::Exists),
    ("not-exists", Operator::NotExists),
    ("has-root-span", Operator::HasRootSpan),
];

/// What both sides are converted to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Datatype {
    String,
    Int,
    Float,
    Bool,
}

const DATATYPES: &[(&str, Datatype)] = &[
    ("string", Datatype::String),
    ("int", Datatype::Int),
    ("float", Datatype::Float),
    ("bool", Datatype::Bool),
];

const NANOSECONDS: f64 = 1_000_000.0;

/// Reads a condition; `None` if it has no equivalent, which is said.
pub(crate) fn read(table: &Table<'_>) -> Option<Condition> {
    let operator = table.require("Operator", table.choice("Operator", OPERATORS));
    let datatype = table.choice("Datatype", DATATYPES);
    let (one, several) = (table.string("Field"), table.strings("Fields"));
    let value = table.get("Value");
    let operator = operator?;
    if operator == Operator::HasRootSpan {
        if value.as_ref().and_then(Cursor::bool) == Some(false) {
            table.warning("Value", "has no equivalent: no condition on a span says that the root is missing");
            return None;
        }
        return Some(Condition { of_root: true, source: "IsRootSpan()".to_owned() });
    }
    let key = if one.is_some() { "Field" } else { "Fields" };
    let names = table.require(key, one.map(|name| vec![name]).or(several))?;
    let parse = |name: &String| {
        Field::parse(name).map_err(|why| table.warning(key, format!("has no equivalent: {why}"))).ok()
    };
    let fields = names.iter().map(parse).collect::<Option<Vec<_>>>()?;
    let of_root = fields.iter().any(|field| field.of_root);
    if fields.iter().any(|field| field.of_root != of_root) {
        table.warning(key, "has no equivalent: some of the fields are the root's and some are any span's");
        return None;
    }
    let candidates: Vec<_> = fields
        .iter()
        .flat_map(|field| field.candidates.iter().map(|candidate| (candidate.as_str(), field.in_nanoseconds)))
        .collect();
    let source = condition(operator, datatype, &candidates, value.as_ref()).or_else(|| {
        table.warning("Value", "has no equivalent: no value that this operator can have");
        None
    })?;
    let source = if of_root { format!("IsRootSpan() and ({source})") } else { source };
    Some(Condition { of_root, source })
}

/// The condition that the first of `candidates` that is there satisfies the operator.
fn condition(
    operator: Operator,
    datatype: Option<Datatype>,
    candidates: &[(&str, bool)],
    value: Option<&Cursor<'_>>,
) -> Option<String> {
    let holds = candidates
        .iter()
        .map(|&(candidate, in_nanoseconds)| predicate(operator, datatype, candidate, in_nanoseconds, value))
        .collect::<Option<Vec<_>>>()?;
    let holds_absent = match operator {
        Operator::DoesNotContain | Operator::NotIn | Operator::NotExists => true,
        Operator::Compare("!=") => datatype == Some(Datatype::String),
        _ => false,
    };
    let names = candidates.iter().map(|&(candidate, _)| candidate);
    if operator.is_negated() {
        return Some(of_first(names.zip(holds), holds_absent));
    }
    // What is not there satisfies nothing, so they can be asked one by one.
    Some(holds.join(" or "))
}

impl Operator {
    /// Whether it holds of most values.
    fn is_negated(self) -> bool {
        matches!(self, Self::Compare("!=") | Self::DoesNotContain | Self::NotIn | Self::NotExists)
    }
}

/// The condition that what is said of the first candidate that is there holds, or, if none is, `holds_absent`.
fn of_first<'a>(
    candidates: impl DoubleEndedIterator<Item = (&'a str, String)>,
    holds_absent: bool,
) -> String {
    candidates.rev().fold(holds_absent.to_string(), |rest, (candidate, holds)| {
        // What is derived is always there.
        if !candidate.contains("attributes[") {
            return holds;
        }
        let there = (holds != "false").then(|| format!("({candidate} != nil and {holds})"));
        let not_there = match rest.as_str() {
            "false" => None,
            "true" => Some(format!("{candidate} == nil")),
            rest => Some(format!("({candidate} == nil and {rest})")),
        };
        match (there, not_there) {
            (Some(there), Some(rest)) => format!("({there} or {rest})"),
            (there, rest) => there.or(rest).unwrap_or(holds),
        }
    })
}

/// The operator on a value that is there.
fn predicate(
    operator: Operator,
    datatype: Option<Datatype>,
    candidate: &str,
    in_nanoseconds: bool,
    value: Option<&Cursor<'_>>,
) -> Option<String> {
    if candidate == ERROR {
        let is_true = || scalar_text(&value?.node().value).filter(|text| text == "true");
        return match operator {
            Operator::Exists => Some(ERROR.to_owned()),
            Operator::NotExists => Some(format!("not ({ERROR})")),
            Operator::Compare("==") => is_true().map(|_| ERROR.to_owned()),
            _ => None,
        };
    }
    let as_text = || scalar_text(&value?.node().value);
    let matching = |pattern: &str| format!("IsMatch(String({candidate}), {})", text(pattern));
    // Functions fail over what is not there.
    let guarded = |call: String| match candidate.contains("attributes[") {
        true => format!("({candidate} != nil and {call})"),
        false => call,
    };
    Some(match operator {
        Operator::Exists => format!("{candidate} != nil"),
        Operator::NotExists => "false".to_owned(),
        Operator::StartsWith => guarded(format!("HasPrefix(String({candidate}), {})", text(&as_text()?))),
        Operator::Contains => guarded(matching(&regex::escape(&as_text()?))),
        Operator::DoesNotContain => format!("not {}", matching(&regex::escape(&as_text()?))),
        Operator::Matches => guarded(matching(&as_text()?)),
        Operator::In | Operator::NotIn => {
            let values = match &value?.node().value {
                Value::List(items) => items.iter().map(|item| &item.value).collect(),
                one => vec![one],
            };
            let datatype = datatype.unwrap_or(Datatype::String);
            let equal = |value| comparison("==", Some(datatype), candidate, in_nanoseconds, value);
            let any = values.into_iter().map(equal).collect::<Option<Vec<_>>>()?;
            let any = if any.is_empty() { "false".to_owned() } else { any.join(" or ") };
            if operator == Operator::In { any } else { format!("not ({any})") }
        }
        Operator::Compare(operator) => {
            comparison(operator, datatype, candidate, in_nanoseconds, &value?.node().value)?
        }
        Operator::HasRootSpan => return None,
    })
}

/// `candidate operator value`, both converted; what cannot be converted satisfies nothing.
fn comparison(
    operator: &str,
    datatype: Option<Datatype>,
    candidate: &str,
    in_nanoseconds: bool,
    value: &Value,
) -> Option<String> {
    if in_nanoseconds {
        let nanoseconds = number(value)? * NANOSECONDS;
        return Some(format!("{candidate} {operator} {nanoseconds:.0}"));
    }
    let (converted, literal) = match datatype {
        None => (None, literal(value)?),
        Some(Datatype::String) => (Some("String"), text(&scalar_text(value)?)),
        Some(Datatype::Int) => (Some("Int"), format!("{:.0}", number(value)?.trunc())),
        Some(Datatype::Float) => (Some("Double"), float(number(value)?)),
        Some(Datatype::Bool) => (Some("Bool"), (scalar_text(value)? == "true").to_string()),
    };
    let Some(function) = converted else { return Some(format!("{candidate} {operator} {literal}")) };
    let converted = format!("{function}({candidate})");
    Some(match operator {
        // Text is made of everything.
        "!=" if function != "String" => format!("{converted} != nil and {converted} != {literal}"),
        _ => format!("{converted} {operator} {literal}"),
    })
}

/// A scalar as OTTL writes it.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(float(*value)),
        Value::String(value) => Some(text(value)),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// A scalar as text, as Go writes it.
fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "what people compare with is small")]
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::String(value) => value.parse().ok(),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Map(_) => None,
    }
    .filter(|number| number.is_finite())
}

/// A number with a point.
fn float(number: f64) -> String {
    format!("{number:?}")
}
