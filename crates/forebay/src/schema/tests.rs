//! The lists that are kept beside the readers say what the readers say.

use std::fs;
use std::path::{Path, PathBuf};

use forebay_config::Loader;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::*;

/// The paths of all keys that can be used.
fn paths<'a>(setting: &'a Setting, path: &[&'a str], found: &mut Vec<Vec<&'a str>>) {
    for (key, child) in usable(setting) {
        let path = [path, &[key.as_str()]].concat();
        if !found.contains(&path) {
            found.push(path.clone());
        }
        paths(child, &path, found);
        if let Some(item) = child.item.as_deref().filter(|_| !child.open) {
            paths(item, &path, found);
        }
    }
}

fn all_paths(schema: &Schema) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    for kind in &schema.kinds {
        for component in &kind.components {
            paths(&component.settings, &[kind.key, component.name()], &mut found);
        }
    }
    paths(&schema.telemetry, &["service", "telemetry"], &mut found);
    paths(&schema.process, &["forebay"], &mut found);
    found
}

#[test]
fn every_key_has_a_meaning_and_no_meaning_is_left_over() {
    let schema = Schema::new();
    let paths = all_paths(&schema);
    let without: Vec<_> = paths.iter().filter(|path| schema.meanings.of(path).is_none()).collect();
    let without: Vec<_> = without.iter().map(|path| path.join("::")).collect();
    assert!(without.is_empty(), "to describe in meanings.txt:\n{}", without.join("\n"));
    assert_eq!(schema.meanings.unused(&paths), [""; 0], "in meanings.txt, but no reader asks for it");
}

/// A file of the repository that is printed from the code; `UPDATE_SCHEMA=1` writes it.
fn assert_current(file: &str, format: Format) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let printed = print(format);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == printed, "{file} is not what the code says: run this test with UPDATE_SCHEMA=1");
}

#[test]
fn the_printed_files_are_current() {
    assert_current("config/everything.yaml", Format::Example);
    assert_current("docs/reference.md", Format::Reference);
}

/// A configuration as JSON, its substitutions made.
fn configuration(path: &Path) -> Value {
    let (node, diagnostics) = Loader::new(|_| None).config(path.to_str().unwrap()).load();
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    example::flow(&node.unwrap())
}

fn validator() -> Validator {
    let schema = serde_json::from_str(&print(Format::JsonSchema)).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// All configurations that the repository has.
fn samples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect()
}

#[test]
fn the_schema_takes_every_sample_configuration() {
    let validator = validator();
    for sample in samples() {
        let found: Vec<_> = validator
            .iter_errors(&configuration(&sample))
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert_eq!(found, [""; 0], "{}", sample.display());
    }
}

#[test]
fn the_schema_refuses_every_misspelt_key() {
    /// All copies of `value` in which one key is wrong.
    fn misspelt(value: &Value) -> Vec<Value> {
        let Value::Object(entries) = value else {
            let Value::Array(items) = value else { return Vec::new() };
            let with = |place: usize, item| {
                let mut items = items.clone();
                items[place] = item;
                Value::Array(items)
            };
            return (0..items.len())
                .flat_map(|place| misspelt(&items[place]).into_iter().map(move |item| (place, item)))
                .map(|(place, item)| with(place, item))
                .collect();
        };
        let mut copies = Vec::new();
        for (key, child) in entries {
            let mut renamed = entries.clone();
            renamed.remove(key);
            renamed.insert(format!("{key}x"), child.clone());
            copies.push(Value::Object(renamed));
            for child in misspelt(child) {
                let mut changed = entries.clone();
                changed.insert(key.clone(), child);
                copies.push(Value::Object(changed));
            }
        }
        copies
    }
    let validator = validator();
    for sample in samples() {
        let wrong = misspelt(&configuration(&sample));
        assert!(wrong.len() > 10);
        for wrong in wrong {
            assert!(!validator.is_valid(&wrong), "{}: {wrong}", sample.display());
        }
    }
}

#[test]
fn the_schema_knows_types_ranges_and_substitutions() {
    let validator = validator();
    let with = |key: &str, value: Value| {
        let batch = serde_json::Map::from_iter([(key.to_owned(), value)]);
        validator.is_valid(&json!({ "processors": { "batch/large": batch } }))
    };
    for (key, value, valid) in [
        ("timeout", json!("1m30s"), true),
        ("timeout", json!("${env:TIMEOUT}"), true),
        ("timeout", json!("90"), false),
        ("timeout", json!(null), true),
        ("send_batch_size", json!(100), true),
        ("send_batch_size", json!("${env:SIZE:-100}"), true),
        ("send_batch_size", json!(-1), false),
        ("send_batch_size", json!("100"), false),
    ] {
        assert_eq!(with(key, value.clone()), valid, "{key}: {value}");
    }
}
