//! OTTL conditions over OTLP bytes.
//!
//! The OpenTelemetry Transformation Language asks `attributes["http.status_code"] >= 500 and IsRootSpan()` of
//! a span. The Collector answers by walking a decoded span through a tree of closures, for every condition
//! anew. A tail sampler asks fifty conditions of every span, most of which name attributes that the span does
//! not have. Therefore a [`Condition`] is parsed, type-checked and compiled once, and conditions are joined in
//! a [`ConditionSet`]: each distinct thing that any of them names (a field, an attribute's key) is a *slot*,
//! one walk over the span's message finds the slots, and only the conditions one of whose slots was found are
//! evaluated; of conditions joined by `and`, those whose first one can hold. What the others answer was worked
//! out before: when they were added, or, if they look at the resource or the scope, once for all spans of these.
//! Conditions that a resource and a scope settle are not asked of their spans at all.
//!
//! The way from text to answer, a module each: `lexer` and `grammar` make a tree of the text, `compile` checks
//! it against `paths` and `functions` and makes nodes of it, `slots` finds what they name in a message, `node`
//! evaluates, and `partial` does so before there is a span. The language is that of `pkg/ottl` of the Collector, version 0.158, with the paths and
//! converters that conditions on spans and span events use; `testdata` holds what the Collector answers.
//!
//! ```
//! use forebay_ottl::{Condition, ConditionMask, ConditionSet, Context, Scratch, Subject};
//!
//! let mut set = ConditionSet::default();
//! set.add(Condition::parse(r#"IsRootSpan() and name != "GET /health""#, Context::Span)?)?;
//! let span = b"\x2a\x09GET /cart"; // field 5: the name
//! let envelope = set.envelope(b"", b"");
//! let subject = Subject { span, envelope: &envelope, now_unix_nano: 0 };
//! let mut held = ConditionMask::NONE;
//! set.evaluate(&subject, ConditionMask::ALL, &mut Scratch::default(), |index, answer| {
//!     if answer.is_ok() {
//!         held.insert(index);
//!     }
//! });
//! assert!(held.contains(0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arguments;
mod arithmetic;
mod ast;
mod calendar;
mod collection;
mod compare;
mod compile;
mod condition;
mod duration;
mod error;
mod functions;
mod grammar;
mod json;
mod layer;
mod lexer;
mod literal;
mod mask;
mod node;
mod partial;
mod paths;
mod pattern;
mod reading;
mod set;
mod slots;
mod strptime;
mod types;
mod value;

pub use condition::Condition;
pub use error::{EvalError, ParseError};
pub use json::as_string;
pub use mask::ConditionMask;
pub use paths::Context;
pub use set::{ConditionSet, EnvelopeSlots, Scratch, Subject, TooManyConditions};
