//! A Collector configuration as YAML with positions, and its typed reading.

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
mod table;
mod template;
mod uri;

pub use cursor::{Cursor, Integer};
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use duration::{DurationError, parse_duration};
pub use id::{ComponentId, IdError};
pub use nearest::did_you_mean;
pub use node::{Entry, Location, Node, Origin, SourceId, Value};
pub use print::{is_sensitive, print};
pub use source::Loader;
pub use table::{Table, read_str};
