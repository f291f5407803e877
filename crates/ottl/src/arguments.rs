//! What a function sees of its call: arguments by place, evaluated when they are asked for, as the type that
//! is asked for.
//!
//! The Collector has strict getters, which take their type and nothing else, and likes, which convert, and
//! let `nil` through.

use crate::collection::{List, Map};
use crate::error::EvalError;
use crate::json;
use crate::node::{Frame, Node};
use crate::value::{Text, Value};

/// The arguments of one call.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a> {
    pub(crate) nodes: &'a [Option<Node>],
    pub(crate) frame: &'a Frame<'a>,
}

impl<'a> Arguments<'a> {
    /// Whatever it is; `nil` if it was left out.
    pub(crate) fn value(&self, index: usize) -> Result<Value<'a>, EvalError> {
        match self.nodes.get(index) {
            Some(Some(node)) => node.value(self.frame),
            _ => Ok(Value::Nil),
        }
    }

    /// The values of a list that was written out.
    pub(crate) fn values(&self, index: usize) -> impl Iterator<Item = Result<Value<'a>, EvalError>> {
        let nodes: &'a [Node] = match self.nodes.get(index) {
            Some(Some(Node::List(nodes))) => nodes,
            _ => &[],
        };
        let frame = self.frame;
        nodes.iter().map(move |node| node.value(frame))
    }

    pub(crate) fn string(&self, index: usize) -> Result<Text<'a>, EvalError> {
        string(self.value(index)?)
    }

    pub(crate) fn string_like(&self, index: usize) -> Result<Option<Text<'a>>, EvalError> {
        json::string_like(self.value(index)?)
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64, EvalError> {
        match self.value(index)? {
            Value::Int(value) => Ok(value),
            other => Err(unexpected("int", &other)),
        }
    }

    /// A boolean that may be left out.
    pub(crate) fn flag(&self, index: usize) -> Result<bool, EvalError> {
        match self.value(index)? {
            Value::Bool(value) => Ok(value),
            Value::Nil => Ok(false),
            other => Err(unexpected("bool", &other)),
        }
    }

    pub(crate) fn time(&self, index: usize) -> Result<i128, EvalError> {
        match self.value(index)? {
            Value::Time(time) => Ok(time),
            other => Err(unexpected("time", &other)),
        }
    }

    pub(crate) fn duration(&self, index: usize) -> Result<i64, EvalError> {
        match self.value(index)? {
            Value::Duration(duration) => Ok(duration),
            other => Err(unexpected("duration", &other)),
        }
    }

    pub(crate) fn list(&self, index: usize) -> Result<List<'a>, EvalError> {
        match self.value(index)? {
            Value::List(list) => Ok(list),
            other => Err(unexpected("list", &other)),
        }
    }

    pub(crate) fn map(&self, index: usize) -> Result<Map<'a>, EvalError> {
        match self.value(index)? {
            Value::Map(map) => Ok(map),
            other => Err(unexpected("map", &other)),
        }
    }

    /// A value's bytes: of a number, big-endian; of `nil`, none.
    pub(crate) fn bytes_like(&self, index: usize) -> Result<Text<'a>, EvalError> {
        Ok(match self.value(index)? {
            Value::Nil => Text::Borrowed(&[]),
            Value::Bytes(bytes) | Value::String(bytes) => bytes,
            Value::Int(value) => Text::Owned(value.to_be_bytes().to_vec()),
            Value::Float(value) => Text::Owned(value.to_bits().to_be_bytes().to_vec()),
            Value::Bool(value) => Text::Owned(vec![u8::from(value)]),
            other => return Err(unexpected("bytes", &other)),
        })
    }
}

pub(crate) fn string<'a>(value: Value<'a>) -> Result<Text<'a>, EvalError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(unexpected("string", &other)),
    }
}

pub(crate) fn unexpected(expected: &'static str, found: &Value<'_>) -> EvalError {
    EvalError::Type { expected, found: found.kind() }
}
