//! A configuration of the OpenTelemetry Collector, read so that mistakes are found and shown.
//!
//! A configuration goes through three hands. The [`Loader`] puts one tree together: files, variables and
//! `--set` are parsed, merged, and their `${…}` expanded. Every [`Node`] of the tree knows the place it
//! was written. A component then reads its part of the tree through a [`Table`], by key and type. Finally
//! [`Diagnostics::render`] shows what was wrong, each finding with its place, the line, and what to do.
//!
//! There is no deserializer in between, because a deserializer stops at the first mistake and no longer
//! knows where it was. A reader here is a few lines that ask for keys; asking is what makes a key known,
//! so a key that nobody asked for is reported with those that were. Whatever is wrong reads as absent,
//! the component falls back to its default, and reading goes on: one run finds all mistakes.
//!
//! ```
//! use std::time::Duration;
//!
//! use forebay_config::{Table, read_str};
//!
//! struct Batch {
//!     timeout: Duration,
//! }
//!
//! impl Batch {
//!     fn read(table: &Table<'_>) -> Self {
//!         Self { timeout: table.duration("timeout").unwrap_or(Duration::from_millis(200)) }
//!     }
//! }
//!
//! let (batch, diagnostics) = read_str("timeuot: 5s", Batch::read);
//! assert_eq!(batch.timeout, Duration::from_millis(200));
//! assert_eq!(
//!     diagnostics.render(false),
//!     "\
//! error: unknown key `timeuot`
//!  --> yaml:1:1
//!   |
//! 1 | timeuot: 5s
//!   | ^^^^^^^
//!   = help: did you mean `timeout`? known: timeout
//!
//! 1 error
//! "
//! );
//! ```
//!
//! Keys, types and merging follow the Collector; where it is known to swallow a mistake, this crate
//! reports it. Nothing read here can exhaust memory or the stack: sources, nesting, aliases and
//! substitutions are bounded.

mod cursor;
mod diagnostics;
mod duration;
mod expand;
mod id;
mod nearest;
mod node;
mod parse;
mod path;
mod print;
mod render;
mod scalar;
mod source;
mod survey;
mod table;
mod template;
mod uri;

pub use cursor::{Cursor, Integer};
pub use diagnostics::{Diagnostic, Diagnostics, Place, Severity};
pub use duration::{DurationError, parse_duration, parse_nanoseconds};
pub use id::{ComponentId, IdError};
pub use nearest::did_you_mean;
pub use node::{Entry, Location, Node, Origin, SourceId, Value};
pub use print::{is_sensitive, print};
pub use source::Loader;
pub use survey::{Literal, Scalar, Setting, survey};
pub use table::{Table, read_document, read_str};
