//! The reference as a JSON Schema, for editors.
//!
//! Any value may be a text with placeholders, so a number or a truth value may be one too where the file is read: what the
//! schema says of texts is therefore only what always holds.

use serde_json::{Map, Value, json};

use super::{Key, SECTIONS, Section, Shape};
use crate::config::bus_limits;

/// The schema (draft 2020-12).
#[must_use]
pub fn schema() -> Value {
    let mut definitions: Map<String, Value> = SECTIONS
        .iter()
        .filter(|section| section.name != "file")
        .map(|section| {
            (
                section.name.to_owned(),
                object(section.keys, required(section)),
            )
        })
        .collect();
    definitions.insert(
        "duration".into(),
        json!({
            "type": "string",
            "pattern": "^\\s*(0|([0-9.]+(ms|s|m|h|d))+)\\s*$|\\$\\{",
            "description": "a number with a unit: 500ms, 30s, 5m, 1h",
        }),
    );
    definitions.insert("size".into(), json!({
        "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^\\s*[0-9]+\\s*(B|kB|KiB|MB|MiB|GB|GiB)?\\s*$|\\$\\{" },
        ],
        "description": "bytes, or text with a unit: 64KiB, 1MiB",
    }));
    definitions.insert("limits".into(), limits());
    let file = SECTIONS.iter().find(|section| section.name == "file");
    let mut schema = file.map_or(json!({}), |file| object(file.keys, &[]));
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Ostler process file");
    schema["properties"]["$schema"] = json!({ "type": "string" });
    schema["$defs"] = Value::Object(definitions);
    schema
}

/// What must be there. An app's command may come from what it extends.
fn required(section: &Section) -> &'static [&'static str] {
    match section.name {
        "listen" => &["address"],
        "tls" => &["cert", "key"],
        "history" => &["pattern", "messages"],
        _ => &[],
    }
}

fn object(keys: &[Key], required: &[&str]) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|key| {
            let mut of = shape(&key.shape);
            of["description"] = json!(key.doc);
            if !key.default.is_empty() {
                let words = key.default.trim_matches(['(', ')']);
                of["description"] = json!(format!("{} Default: {words}", key.doc));
            }
            (key.name.to_owned(), of)
        })
        .collect();
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Whole(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Number(least, most) => {
            json!({ "type": "number", "minimum": least, "maximum": most })
        }
        Shape::Duration => json!({ "$ref": "#/$defs/duration" }),
        Shape::Size => json!({ "$ref": "#/$defs/size" }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::List(of) => json!({ "type": "array", "items": self::shape(of) }),
        Shape::Either(shapes) => {
            let shapes: Vec<Value> = shapes.iter().map(self::shape).collect();
            json!({ "anyOf": shapes })
        }
        Shape::Map(of) => json!({ "type": "object", "additionalProperties": self::shape(of) }),
        Shape::Any => json!({}),
        Shape::Section(name) => json!({ "$ref": format!("#/$defs/{name}") }),
    }
}

fn limits() -> Value {
    let properties: Map<String, Value> = bus_limits::shapes()
        .map(|(name, of)| (name.to_owned(), shape(&of)))
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}
