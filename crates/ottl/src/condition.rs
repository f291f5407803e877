//! One condition, compiled.

use crate::compile;
use crate::error::ParseError;
use crate::grammar;
use crate::node::Test;
use crate::paths::Context;
use crate::slots::Place;

/// A condition that has been parsed, checked and compiled. It is asked as part of a
/// [`ConditionSet`](crate::ConditionSet).
#[derive(Clone, Debug)]
pub struct Condition {
    pub(crate) source: Box<str>,
    pub(crate) context: Context,
    pub(crate) test: Test,
    /// What its slots are.
    pub(crate) places: Vec<Place>,
    /// It does not hold while none of the first so many of its slots is found, whatever the others are.
    pub(crate) gate: usize,
    /// Whether it asks for something that is no slot: the time, an event's index.
    pub(crate) volatile: bool,
}

impl Condition {
    /// Compiles a condition.
    ///
    /// # Errors
    /// When the text does not parse; when it names a function, a path or an enum that does not exist; when it
    /// compares or calculates with types that never fit, which the Collector would let through and answer with
    /// `false` or an error for every span; when a literal pattern, time or duration is invalid.
    pub fn parse(source: &str, context: Context) -> Result<Self, ParseError> {
        let parsed = grammar::parse(source).and_then(|expr| compile::condition(&expr, source, context));
        parsed.map_err(|mistake| mistake.locate(source))
    }

    /// The condition's text.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it is asked of.
    #[must_use]
    pub const fn context(&self) -> Context {
        self.context
    }
}
