//! Compiled conditions, and how they are evaluated.

use regex::bytes::Regex;

use crate::arguments::Arguments;
use crate::arithmetic::{self, Operator};
use crate::collection::{List, Map};
use crate::compare::Comparison;
use crate::error::EvalError;
use crate::functions::Apply;
use crate::json;
use crate::reading::Reading;
use crate::slots::{Content, Found};
use crate::value::{Text, Value};

/// Something that is true or false.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Constant(bool),
    Compare(Node, Comparison, Node),
    /// A function that returns a boolean.
    Holds(Node),
    Not(Box<Test>),
    All(Box<[Test]>),
    Any(Box<[Test]>),
}

/// Something that has a value.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Literal(Value<'static>),
    /// One of the condition's slots.
    Slot(usize, Reading),
    EventIndex,
    Now,
    List(Box<[Node]>),
    Map(Box<[(Text<'static>, Node)]>),
    Index(Box<Node>, Box<[Key]>, Missing),
    Call(Apply, Box<[Option<Node>]>),
    /// `IsMatch` with a pattern that was compiled once.
    Matches(Box<Node>, Regex),
    Negate(Box<Node>),
    /// Operators of one precedence, from left to right.
    Arithmetic(Box<Node>, Box<[(Operator, Node)]>),
}

/// A key into a map or a list.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Name(Box<str>),
    Position(i64),
    Computed(Node),
}

/// What a key means that a map does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing, in a path.
    Nil,
    /// A mistake, in what a function returned.
    Error,
}

/// Where one of a condition's slots lies in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) origin: Origin,
    pub(crate) index: usize,
}

/// What a slot's bytes are part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Span,
    Event,
    Envelope,
}

/// A message, and where the slots lie in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    pub(crate) message: &'a [u8],
    pub(crate) found: &'a [Found],
}

/// What conditions are evaluated on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) span: Part<'a>,
    pub(crate) event: Part<'a>,
    pub(crate) envelope: Part<'a>,
    /// Index of the event in its span.
    pub(crate) event_index: i64,
    /// Nanoseconds since 1970.
    pub(crate) now: i128,
}

/// What one condition is evaluated on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) view: &'a View<'a>,
    /// The condition's slots.
    pub(crate) slots: &'a [Slot],
}

impl Part<'_> {
    const EMPTY: Self = Self { message: &[], found: &[] };
}

impl View<'_> {
    /// Nothing is found.
    pub(crate) const EMPTY: Self =
        Self { span: Part::EMPTY, event: Part::EMPTY, envelope: Part::EMPTY, event_index: 0, now: 0 };
}

impl<'a> Frame<'a> {
    /// What a slot's bytes are part of.
    pub(crate) fn origin(&self, slot: usize) -> Option<Origin> {
        self.slots.get(slot).map(|slot| slot.origin)
    }

    #[inline]
    fn content(&self, slot: usize) -> Content<'a> {
        let Some(slot) = self.slots.get(slot) else {
            return Content::Absent;
        };
        let part = match slot.origin {
            Origin::Span => self.view.span,
            Origin::Event => self.view.event,
            Origin::Envelope => self.view.envelope,
        };
        let found = part.found.get(slot.index).copied().unwrap_or_default();
        found.content(part.message)
    }
}

impl Test {
    /// Whether it holds. What stands to the right of what settles the answer is not evaluated.
    pub(crate) fn holds(&self, frame: &Frame<'_>) -> Result<bool, EvalError> {
        match self {
            Self::Constant(answer) => Ok(*answer),
            Self::Compare(left, comparison, right) => {
                let left = left.value(frame)?;
                Ok(match right {
                    Node::Literal(right) => comparison.holds(&left, right),
                    _ => comparison.holds(&left, &right.value(frame)?),
                })
            }
            Self::Holds(node) => match node.value(frame)? {
                Value::Bool(answer) => Ok(answer),
                other => Err(EvalError::Type { expected: "bool", found: other.kind() }),
            },
            Self::Not(test) => test.holds(frame).map(|answer| !answer),
            Self::All(tests) => {
                for test in tests {
                    if !test.holds(frame)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(tests) => {
                for test in tests {
                    if test.holds(frame)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

impl Node {
    /// What it is worth.
    #[inline]
    pub(crate) fn value<'a>(&'a self, frame: &'a Frame<'a>) -> Result<Value<'a>, EvalError> {
        match self {
            // What most conditions are made of needs no call.
            Self::Slot(slot, Reading::Attribute) => Ok(Reading::attribute(frame.content(*slot))),
            _ => self.evaluate(frame),
        }
    }

    fn evaluate<'a>(&'a self, frame: &'a Frame<'a>) -> Result<Value<'a>, EvalError> {
        match self {
            Self::Literal(value) => Ok(value.borrow()),
            Self::Slot(slot, reading) => Ok(reading.value(frame.content(*slot))),
            Self::EventIndex => Ok(Value::Int(frame.view.event_index)),
            Self::Now => Ok(Value::Time(frame.view.now)),
            Self::List(nodes) => {
                let values = nodes.iter().map(|node| node.value(frame)).collect::<Result<_, _>>()?;
                Ok(Value::List(List::Owned(values)))
            }
            Self::Map(entries) => {
                let entry = |(key, node): &'a (Text<'static>, Node)| {
                    Ok::<_, EvalError>((Text::Borrowed(&**key), node.value(frame)?))
                };
                Ok(Value::Map(Map::Owned(entries.iter().map(entry).collect::<Result<_, _>>()?)))
            }
            // An attribute that is missing has nothing at any key; one without a value cannot be indexed.
            Self::Index(node, _, Missing::Nil) if node.is_absent(frame) => Ok(Value::Nil),
            Self::Index(node, keys, missing) => index(node.value(frame)?, keys, *missing, frame),
            Self::Call(apply, nodes) => apply(&Arguments { nodes, frame }),
            Self::Matches(target, pattern) => {
                let target = json::string_like(target.value(frame)?)?;
                Ok(Value::Bool(target.is_some_and(|target| pattern.is_match(&target))))
            }
            Self::Negate(node) => arithmetic::negate(&node.value(frame)?),
            Self::Arithmetic(first, rest) => {
                let mut value = first.value(frame)?;
                for (operator, operand) in rest {
                    value = operator.apply(&value, &operand.value(frame)?)?;
                }
                Ok(value)
            }
        }
    }

    fn is_absent(&self, frame: &Frame<'_>) -> bool {
        matches!(self, Self::Slot(slot, _) if frame.content(*slot) == Content::Absent)
    }
}

fn index<'a>(
    mut value: Value<'a>,
    keys: &'a [Key],
    missing: Missing,
    frame: &'a Frame<'a>,
) -> Result<Value<'a>, EvalError> {
    for key in keys {
        let key = match key {
            Key::Name(name) => Value::text(name),
            Key::Position(position) => Value::Int(*position),
            Key::Computed(node) => node.value(frame)?,
        };
        value = match (value, key) {
            (Value::Map(map), Value::String(name)) => match (map.take(&name), missing) {
                (Some(value), _) => value,
                (None, Missing::Nil) => return Ok(Value::Nil),
                (None, Missing::Error) => return Err(EvalError::KeyNotFound),
            },
            (Value::List(list), Value::Int(position)) => {
                let value = usize::try_from(position).ok().and_then(|position| list.take(position));
                value.ok_or(EvalError::OutOfBounds(position))?
            }
            (Value::Map(_), key) => {
                return Err(EvalError::Type { expected: "string key", found: key.kind() });
            }
            (Value::List(_), key) => return Err(EvalError::Type { expected: "int key", found: key.kind() }),
            (other, _) => return Err(EvalError::NotIndexable(other.kind())),
        };
    }
    Ok(value)
}
