//! The settings as tables in Markdown: the manual's list of all keys.

use std::fmt::Write;

use forebay_config::Setting;

use super::{Schema, literal, recurs, usable, words};

const HEAD: &str = "\
# All keys

<!-- Written by `forebay schema --format reference`; a test compares. -->

Every key of every component, as the readers take them. *Default* is what holds where a key is not written; where it is
empty, the key is off, required, or derived from others, as its meaning says. Durations are written `200ms`, `1h30m`.
";

/// A mapping with at least so many keys stands in a table of its own, if it occurs more than once.
const LONG: usize = 5;

struct Printer<'a> {
    schema: &'a Schema,
    /// Mappings that occur more than once, each with its name.
    shared: Vec<(String, &'a Setting)>,
    text: String,
}

pub(super) fn print(schema: &Schema) -> String {
    let mut printer = Printer { schema, shared: shared(schema), text: HEAD.to_owned() };
    for kind in &schema.kinds {
        printer.line(&format!("\n## {}", kind.key));
        for component in &kind.components {
            let (name, aliases) = component.names.split_first().unwrap_or((&"", &[]));
            printer.line(&format!("\n### {name}"));
            if !aliases.is_empty() {
                printer.line(&format!("\nAlso called `{}`.", aliases.join("`, `")));
            }
            printer.table(&[kind.key, name], &component.settings);
        }
    }
    printer.line("\n## service");
    printer.line("\n### telemetry");
    printer.table(&["service", "telemetry"], &schema.telemetry);
    printer.line("\n## forebay");
    printer.table(&["forebay"], &schema.process);
    printer.line("\n## Mappings of several components");
    for (name, setting) in printer.shared.clone() {
        printer.line(&format!("\n### {name}"));
        let key = name.split(' ').next().unwrap_or_default();
        printer.table(&[key], setting);
    }
    printer.text
}

/// The mappings that stand in more than one place, by name.
fn shared(schema: &Schema) -> Vec<(String, &Setting)> {
    fn collect<'a>(key: &'a str, setting: &'a Setting, found: &mut Vec<(&'a str, &'a Setting)>) {
        for (key, child) in usable(setting) {
            collect(key, child, found);
        }
        if let Some(item) = setting.item.as_deref().filter(|item| item.get("type").is_none()) {
            collect(key, item, found);
        }
        if setting.get("type").is_none() && usable(setting).count() >= LONG {
            found.push((key, setting));
        }
    }
    let mut found = Vec::new();
    for component in schema.kinds.iter().flat_map(|kind| &kind.components) {
        collect("", &component.settings, &mut found);
    }
    let mut shared: Vec<(String, &Setting)> = Vec::new();
    for (key, setting) in &found {
        let alike = |other: &&(&str, &Setting)| other == &&(*key, *setting);
        if key.is_empty()
            || found.iter().filter(alike).count() < 2
            || shared.iter().any(|(_, known)| known == setting)
        {
            continue;
        }
        let namesakes = shared.iter().filter(|(name, _)| name.split(' ').next() == Some(key)).count();
        let name = if namesakes == 0 { (*key).to_owned() } else { format!("{key} ({})", namesakes + 1) };
        shared.push((name, setting));
    }
    shared
}

impl<'a> Printer<'a> {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn table(&mut self, path: &[&str], setting: &'a Setting) {
        if usable(setting).next().is_some() {
            self.line("\n| key | takes | default | |\n|---|---|---|---|");
            self.rows(path, "", setting, &[]);
        }
        let idle: Vec<_> =
            setting.keys.iter().flatten().filter(|(_, child)| child.why_idle().is_some()).collect();
        if !idle.is_empty() {
            let names: Vec<_> = idle.iter().map(|(key, _)| format!("`{key}`")).collect();
            self.line(&format!("\nAccepted, without effect: {}.", names.join(", ")));
        }
    }

    /// The rows of a mapping's keys, each after `prefix`.
    fn rows(&mut self, path: &[&str], prefix: &str, setting: &'a Setting, above: &[&'a Setting]) {
        for (key, child) in usable(setting) {
            let (path, name) = ([path, &[key]].concat(), format!("{prefix}{key}"));
            let inner = child.item.as_deref().filter(|item| item.keys.is_some()).unwrap_or(child);
            let again = above.iter().chain([&setting]).any(|outer| recurs(inner, outer));
            let elsewhere =
                self.shared.iter().find(|(_, known)| *known == inner).map(|(name, _)| name.clone());
            let mut meaning = self.schema.meanings.of(&path).unwrap_or_default().to_owned();
            if let Some(name) = &elsewhere {
                let anchor = name.replace(' ', "-").replace(['(', ')'], "");
                let _ = write!(meaning, " ([keys](#{anchor}))");
            }
            let takes = words(child).replace('|', "\\|");
            let default = child.default.as_ref().map(|default| format!("`{}`", literal(default)));
            let default = default.unwrap_or_default().replace('"', "");
            self.line(&format!("| `{name}` | {takes} | {default} | {} |", meaning.trim()));
            if elsewhere.is_none() && !again {
                let marker = if child.item.is_some() { "[]." } else { "." };
                self.rows(&path, &format!("{name}{marker}"), inner, &[above, &[setting]].concat());
            }
        }
    }
}
