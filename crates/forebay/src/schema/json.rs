//! The settings as a JSON Schema, draft 2020-12.
//!
//! Wherever something else than a string may stand, a substitution may: `${env:PORT}`. Null stands for
//! what is absent. A mapping that many components have, such as `tls`, is written once, under `$defs`.

use forebay_config::{Scalar, Setting};
use serde_json::{Map, Value, json};

use super::{Schema, literal};

/// A mapping as long as this is worth a definition of its own, in bytes.
const LONG: usize = 400;
const DURATION: &str = r"^[+]?([0-9]+(\.[0-9]*)?(ns|us|µs|μs|ms|s|m|h)|\.[0-9]+(ns|us|µs|μs|ms|s|m|h))+$";

struct Printer<'a> {
    schema: &'a Schema,
    definitions: Map<String, Value>,
}

pub(super) fn print(schema: &Schema) -> String {
    let mut printer = Printer { schema, definitions: Map::new() };
    printer.define("substitution", json!({ "type": "string", "pattern": r"\$\{" }));
    let mut properties = Map::new();
    for kind in &schema.kinds {
        let mut components = Map::new();
        for component in &kind.components {
            let settings = printer.setting(&[kind.key, component.name()], &component.settings);
            for name in &component.names {
                components.insert(format!("^{name}(/.+)?$"), settings.clone());
            }
        }
        properties.insert(kind.key.to_owned(), named(components));
    }
    let telemetry = printer.setting(&["service", "telemetry"], &schema.telemetry);
    properties.insert("service".to_owned(), service(telemetry));
    properties.insert("forebay".to_owned(), printer.setting(&["forebay"], &schema.process));
    let root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Forebay",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": printer.definitions,
    });
    format!("{root:#}\n")
}

/// A mapping in which names match patterns.
fn named(patterns: Map<String, Value>) -> Value {
    json!({ "type": ["object", "null"], "patternProperties": patterns, "additionalProperties": false })
}

fn service(telemetry: Value) -> Value {
    let ids = json!({ "type": ["array", "null"], "items": { "type": "string" } });
    let pipeline = json!({
        "type": "object",
        "properties": { "receivers": ids, "processors": ids, "exporters": ids },
        "additionalProperties": false,
    });
    let pipelines = Map::from_iter([("^(traces|metrics|logs)(/.+)?$".to_owned(), pipeline)]);
    json!({
        "type": "object",
        "properties": { "extensions": ids, "pipelines": named(pipelines), "telemetry": telemetry },
        "additionalProperties": false,
    })
}

impl Printer<'_> {
    fn setting(&mut self, path: &[&str], setting: &Setting) -> Value {
        let mut alternatives: Vec<Value> = setting.scalars.iter().map(scalar).collect();
        if let Some(item) = &setting.item {
            alternatives.push(json!({ "type": "array", "items": self.setting(path, item) }));
        }
        if setting.open {
            alternatives.push(json!({ "type": "object" }));
        } else if let Some(keys) = &setting.keys {
            alternatives.push(self.table(path, keys));
        }
        let mut value = Map::new();
        // Nobody has said what it is, or it is one thing.
        if !alternatives.is_empty() {
            if !alternatives.iter().any(|known| known["type"] == "string" && known["pattern"].is_null()) {
                alternatives.push(json!({ "$ref": "#/$defs/substitution" }));
            }
            alternatives.push(json!({ "type": "null" }));
            value.insert("anyOf".to_owned(), alternatives.into());
        }
        if let Some(default) = &setting.default {
            value.insert("default".to_owned(), literal(default));
        }
        let meaning = setting.why_idle().map(|note| format!("has no effect here: {note}"));
        if let Some(text) = meaning.or_else(|| self.schema.meanings.of(path).map(str::to_owned)) {
            value.insert("description".to_owned(), text.into());
        }
        value.into()
    }

    fn table(&mut self, path: &[&str], keys: &[(String, Setting)]) -> Value {
        let mut properties = Map::new();
        for (key, child) in keys.iter().filter(|(_, child)| !child.refused) {
            properties.insert(key.clone(), self.setting(&[path, &[key]].concat(), child));
        }
        let table = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if table.to_string().len() < LONG {
            return table;
        }
        let name = self.define(path.last().copied().unwrap_or_default(), table);
        json!({ "$ref": format!("#/$defs/{name}") })
    }

    /// The name of a definition, which is `name` unless that is another one's.
    fn define(&mut self, name: &str, definition: Value) -> String {
        let numbered =
            (1..).map(|number| if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        for name in numbered {
            match self.definitions.get(&name) {
                Some(known) if *known == definition => return name,
                Some(_) => {}
                None => {
                    self.definitions.insert(name.clone(), definition);
                    return name;
                }
            }
        }
        name.to_owned()
    }
}

fn scalar(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Bool => json!({ "type": "boolean" }),
        Scalar::String | Scalar::Id => json!({ "type": "string" }),
        Scalar::Integer { min, max } => bounded("integer", min.map(Value::from), max.map(Value::from)),
        Scalar::Number { min, max } => bounded("number", min.map(Value::from), max.map(Value::from)),
        Scalar::Duration => json!({ "type": ["string", "integer"], "pattern": DURATION, "minimum": 0 }),
        Scalar::Choice(words) => json!({ "enum": words }),
    }
}

fn bounded(kind: &str, min: Option<Value>, max: Option<Value>) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), kind.into())]);
    schema.extend(min.map(|min| ("minimum".to_owned(), min)));
    schema.extend(max.map(|max| ("maximum".to_owned(), max)));
    schema.into()
}
