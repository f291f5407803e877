//! All that a configuration may say, from the readers themselves.
//!
//! A [`survey`](forebay_config::survey) of every component gives one tree of settings. It is printed as a JSON
//! Schema for editors (`json`), as a configuration with every key (`example`), and as tables for the manual
//! (`reference`). Beside the readers there is only what they cannot tell, a line for each key that says what it
//! means (`meanings.txt`), and tests hold the two together.

mod example;
mod json;
mod meanings;
mod reference;
#[cfg(test)]
mod tests;

use clap::ValueEnum;
use forebay_config::{Literal, Scalar, Setting, survey};
use forebay_samplers::Compatibility;

use self::meanings::Meanings;
use crate::components::{ComponentType, EXPORTERS, EXTENSIONS, PROCESSORS, RECEIVERS, Reading};
use crate::gates::Gates;
use crate::settings::{Process, Telemetry};

/// What to print of the settings there are.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Format {
    /// A JSON Schema (draft 2020-12), by which editors complete and check configurations.
    JsonSchema,
    /// A configuration with every key, its default and its meaning.
    Example,
    /// Tables of all keys in Markdown.
    Reference,
}

/// Everything that can be configured.
struct Schema {
    /// `receivers`, `processors`, `exporters` and `extensions`.
    kinds: [Kind; 4],
    /// `service::telemetry`
    telemetry: Setting,
    /// `forebay`
    process: Setting,
    meanings: Meanings,
}

/// The components of one kind.
struct Kind {
    key: &'static str,
    components: Vec<Component>,
}

struct Component {
    /// What it is called; the first is the name to use.
    names: Vec<&'static str>,
    settings: Setting,
}

/// The text in a format.
pub(crate) fn print(format: Format) -> String {
    let schema = Schema::new();
    match format {
        Format::JsonSchema => json::print(&schema),
        Format::Example => example::print(&schema),
        Format::Reference => reference::print(&schema),
    }
}

impl Schema {
    fn new() -> Self {
        Self {
            kinds: [
                Kind::of("receivers", RECEIVERS),
                Kind::of("processors", PROCESSORS),
                Kind::of("exporters", EXPORTERS),
                Kind::of("extensions", EXTENSIONS),
            ],
            telemetry: survey(Telemetry::read),
            process: survey(|table| Process::read(table, Gates::default())),
            meanings: Meanings::new(),
        }
    }
}

impl Kind {
    fn of<S>(key: &'static str, types: &[ComponentType<S>]) -> Self {
        let component = |known: &ComponentType<S>| Component {
            names: known.names().collect(),
            settings: survey(|table| (known.read)(table, &Reading::new(Compatibility::default()))),
        };
        Self { key, components: types.iter().map(component).collect() }
    }
}

impl Component {
    fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// The keys of a mapping that can be used.
fn usable(setting: &Setting) -> impl Iterator<Item = &(String, Setting)> {
    setting.keys.iter().flatten().filter(|(_, child)| is_usable(child))
}

fn is_usable(setting: &Setting) -> bool {
    let nothing_inside =
        setting.keys.as_ref().is_some_and(|keys| !keys.is_empty()) && usable(setting).next().is_none();
    !setting.refused && setting.why_idle().is_none() && (setting.open || !nothing_inside)
}

/// Whether `inner` is of the sort of `outer`, within which it stands: a policy in a policy.
fn recurs(inner: &Setting, outer: &Setting) -> bool {
    let keys = |setting: &Setting| usable(setting).map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let (inner, outer) = (keys(inner), keys(outer));
    inner.len() > 2 && inner.iter().all(|key| outer.contains(key))
}

/// What may be written, in words.
fn words(setting: &Setting) -> String {
    let mut words: Vec<String> = Vec::new();
    for scalar in &setting.scalars {
        words.push(match scalar {
            Scalar::Bool => "true or false".to_owned(),
            Scalar::String => "string".to_owned(),
            Scalar::Integer { min, max } => format!("integer{}", range(*min, *max)),
            Scalar::Number { min: Some(f64::MIN_POSITIVE), max: None } => "number above 0".to_owned(),
            Scalar::Number { min: Some(f64::MIN_POSITIVE), max: Some(max) } => {
                format!("number above 0, at most {max}")
            }
            Scalar::Number { min, max } => format!("number{}", range(*min, *max)),
            Scalar::Duration => "duration".to_owned(),
            Scalar::Choice(words) => {
                let words: Vec<_> = words.iter().filter(|word| !word.is_empty()).cloned().collect();
                words.join(" | ")
            }
            Scalar::Id => "id of a component".to_owned(),
        });
    }
    if let Some(item) = &setting.item
        && !setting.open
    {
        let of = self::words(item);
        words.retain(|word| *word != of);
        words.push(if of.is_empty() { "list".to_owned() } else { format!("list of {of}") });
    }
    if setting.keys.is_some() || setting.open {
        words.push("mapping".to_owned());
    }
    words.join(" or ")
}

fn range<T: std::fmt::Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!(" {min}..{max}"),
        (Some(min), None) => format!(" ≥ {min}"),
        (None, Some(max)) => format!(" ≤ {max}"),
        (None, None) => String::new(),
    }
}

/// As YAML has it, and JSON.
fn literal(literal: &Literal) -> serde_json::Value {
    match literal {
        Literal::Bool(value) => (*value).into(),
        Literal::Int(value) => (*value).into(),
        Literal::Float(value) => (*value).into(),
        Literal::String(value) => value.as_str().into(),
    }
}
