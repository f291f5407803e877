//! What can be wrong with a condition: its text, or what it meets in a span.

use forebay_config::did_you_mean;
use thiserror::Error;
use winnow::error::ParserError;
use winnow::stream::{LocatingSlice, Location};

use crate::grammar::{self, Tokens};
use crate::lexer;

/// A condition that cannot be compiled.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{message} (at column {column})")]
pub struct ParseError {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// A condition that has no answer for a span. The Collector's `error_mode` says what follows.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    /// A value of a type that the function or operator does not take.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What is taken.
        expected: &'static str,
        /// What was met.
        found: &'static str,
    },
    /// A list has no such element.
    #[error("index {0} is out of bounds")]
    OutOfBounds(i64),
    /// What a function returned has no such key.
    #[error("key not found in the map")]
    KeyNotFound,
    /// Neither a map nor a list.
    #[error("{0} cannot be indexed")]
    NotIndexable(&'static str),
    /// Integers and floats alike.
    #[error("division by zero")]
    DivisionByZero,
    /// Two values that an operator does not take.
    #[error("cannot calculate {left} {operator} {right}")]
    Operands {
        /// Type of the left one.
        left: &'static str,
        /// The operator.
        operator: &'static str,
        /// Type of the right one.
        right: &'static str,
    },
    /// A text that a conversion does not take.
    #[error("`{text}` is not {wanted}")]
    Text {
        /// The text.
        text: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// `Substring` beyond the text's end, or of nothing.
    #[error("no substring of {length} bytes from {start} in a string of {available}")]
    Substring {
        /// First byte.
        start: i64,
        /// Bytes.
        length: i64,
        /// Bytes there are.
        available: usize,
    },
    /// Neither an id's bytes nor its hexadecimal digits.
    #[error("an id of {expected} bytes, or as many pairs of hexadecimal digits, not {found} bytes")]
    Id {
        /// Length of the id.
        expected: usize,
        /// Length of what was given.
        found: usize,
    },
    /// A pattern taken from the span does not compile.
    #[error("invalid regular expression: {0}")]
    Pattern(String),
    /// Values nested deeper than anybody nests them.
    #[error("value is nested too deeply")]
    TooDeep,
}

/// What is wrong, at a byte of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    at: usize,
    /// Nothing where something stands that the grammar does not expect: parsers try, and most of their
    /// mistakes are never told.
    message: Option<String>,
    help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: Some(message.into()), help: None }
    }

    pub(crate) const fn unexpected(at: usize) -> Self {
        Self { at, message: None, help: None }
    }

    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// More help after what there is.
    pub(crate) fn and_help(self, more: &str) -> Self {
        Self { help: self.help.map(|help| help + more), ..self }
    }

    /// An unknown word: which one was meant, and which ones there are.
    pub(crate) fn unknown(at: usize, what: &str, word: &str, known: &[&str]) -> Self {
        let guess = did_you_mean(word, known).map(|guess| guess + " ").unwrap_or_default();
        Self::new(at, format!("unknown {what} `{word}`"))
            .with_help(format!("{guess}known are {}", known.join(", ")))
    }

    pub(crate) fn locate(self, source: &str) -> ParseError {
        let (before, after) = source.split_at_checked(self.at).unwrap_or((source, ""));
        let message = self.message.unwrap_or_else(|| match lexer::first(after) {
            "" => "unexpected end of the condition".to_owned(),
            text => format!("unexpected `{text}`"),
        });
        ParseError { column: before.chars().count() + 1, message, help: self.help }
    }
}

impl ParserError<LocatingSlice<&str>> for Mistake {
    type Inner = Self;

    fn from_input(input: &LocatingSlice<&str>) -> Self {
        Self::unexpected(input.current_token_start())
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

impl ParserError<Tokens<'_, '_>> for Mistake {
    type Inner = Self;

    fn from_input(input: &Tokens<'_, '_>) -> Self {
        Self::unexpected(grammar::position(input))
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}
