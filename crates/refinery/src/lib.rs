//! Sampling rules of Honeycomb's Refinery as a configuration of Forebay.
//!
//! Refinery's rules become rules of the processor `adaptive_tail_sampling`, whose samplers descend from Refinery's;
//! its conditions become OTTL. Much has an equivalent, some only nearly, some none: whatever is not the same is told,
//! with the line where it stands, so that nobody has to compare two files to find out. A rule of which a condition
//! cannot be expressed is left out rather than widened.
//!
//! What is read are rules of version 2 and the matching configuration, in YAML or TOML
//! (<https://docs.honeycomb.io/manage-data-volume/sample/honeycomb-refinery/>). Fields of Honeycomb's events are
//! attributes of spans, of their resource or their scope here, or one of the fields that Honeycomb derives from a
//! span.

mod condition;
mod document;
mod field;
mod output;
mod rules;
mod samplers;
mod settings;

use forebay_config::{Diagnostics, print};

pub use document::{Document, Format};

/// A configuration of Forebay, and what is to know about it.
#[derive(Debug)]
pub struct Conversion {
    /// The configuration, as YAML.
    pub yaml: String,
    /// What has no equivalent, as warnings at its place; mistakes in the documents, as errors.
    pub notes: Diagnostics,
}

impl Conversion {
    /// Converts a rules file and, if there is one, the configuration of the Refinery that uses it.
    #[must_use]
    pub fn of(rules: &Document, config: Option<&Document>) -> Self {
        let notes = Diagnostics::new();
        let settings = config.map_or_else(settings::Settings::default, |config| {
            config.read(&notes, settings::Settings::read).unwrap_or_default()
        });
        let processors = rules.read(&notes, rules::read).unwrap_or_default();
        let yaml = print(&output::configuration(&settings, processors), &|_| false);
        Self { yaml, notes }
    }

    /// The notes, a line each: `file:line:column: key: why`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |note: &forebay_config::Diagnostic| {
            let place = self.notes.position(&note.place()).map_or_else(String::new, |place| place + ": ");
            format!("{place}{note}")
        };
        self.notes.sorted().iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests;
