//! A condition as the grammar sees it, before anything in it has a meaning.

use crate::arithmetic::Operator;
use crate::compare::Comparison;

/// Something with a value, and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expr<'s> {
    pub(crate) at: usize,
    pub(crate) kind: Kind<'s>,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'s> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    Bytes(Vec<u8>),
    Enum(&'s str),
    List(Vec<Expr<'s>>),
    Map(Vec<(String, Expr<'s>)>),
    Path(Vec<Segment<'s>>),
    Call(Call<'s>),
    Negate(Box<Expr<'s>>),
    /// Operators of one precedence, from left to right.
    Arithmetic(Box<Expr<'s>>, Vec<(Operator, Expr<'s>)>),
    Compare(Box<Expr<'s>>, Comparison, Box<Expr<'s>>),
    Not(Box<Expr<'s>>),
    And(Vec<Expr<'s>>),
    Or(Vec<Expr<'s>>),
}

/// One name of a dotted path, with its keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment<'s> {
    pub(crate) at: usize,
    pub(crate) name: &'s str,
    pub(crate) keys: Vec<Expr<'s>>,
}

/// A function's call, with the keys into what it returns.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call<'s> {
    pub(crate) name: &'s str,
    pub(crate) arguments: Vec<Argument<'s>>,
    pub(crate) keys: Vec<Expr<'s>>,
}

/// One argument, by place or by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Argument<'s> {
    pub(crate) name: Option<&'s str>,
    pub(crate) value: Expr<'s>,
}
