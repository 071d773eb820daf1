//! Schemas in the form that client generators understand.

use std::collections::BTreeSet;

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::component;

type Schema = Map<String, Value>;

/// Formats that OpenAPI 3.0, its registry of formats or JSON Schema define. A generator that meets another one falls back to
/// a plain string at best.
const FORMATS: &[&str] = &[
    "int32",
    "int64",
    "float",
    "double",
    "byte",
    "binary",
    "date",
    "date-time",
    "date-time-local",
    "password",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "uuid",
    "json-pointer",
    "regex",
];

/// Brings every schema into a standard form; what it says stays the same.
///
/// # Errors
/// Where a union maps two names to one schema.
pub(super) fn standardise(document: &mut Value) -> anyhow::Result<()> {
    let components = document["components"]["schemas"].clone();
    for_each(document, &mut |schema| flatten(schema, &components));
    let mut ambiguous = None;
    for_each(document, &mut |schema| {
        numbers(schema);
        elements(schema);
        format(schema);
        all_of(schema);
        if schema.get("nullable") == Some(&Value::Bool(true)) {
            make_nullable(schema);
        }
        schema.retain(|key, value| !(key == "deprecated" && *value == false));
        ambiguous = ambiguous.take().or_else(|| ambiguous_union(schema));
    });
    match ambiguous {
        Some(name) => {
            bail!("two variants of a union share the schema {name}: give each its own type")
        }
        None => Ok(()),
    }
}

/// Calls `visit` for every schema below `value`, children first. Examples and defaults are data and
/// left alone, whatever their keys are called.
pub(super) fn for_each(value: &mut Value, visit: &mut dyn FnMut(&mut Schema)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| for_each(item, visit)),
        Value::Object(members) => {
            for (key, member) in members {
                match key.as_str() {
                    "schema" => within(member, visit),
                    "schemas" => values(member, visit),
                    "example" | "examples" => {}
                    _ => for_each(member, visit),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The same for a value that is a schema itself.
pub(super) fn within(schema: &mut Value, visit: &mut dyn FnMut(&mut Schema)) {
    let Value::Object(members) = schema else {
        return;
    };
    for (key, member) in members.iter_mut() {
        match (key.as_str(), member) {
            ("items" | "additionalProperties" | "not", member) => within(member, visit),
            ("properties", member) => values(member, visit),
            ("allOf" | "anyOf" | "oneOf", Value::Array(branches)) => {
                branches.iter_mut().for_each(|branch| within(branch, visit));
            }
            _ => {}
        }
    }
    visit(members);
}

fn values(schemas: &mut Value, visit: &mut dyn FnMut(&mut Schema)) {
    let schemas = schemas.as_object_mut().into_iter().flatten();
    schemas.for_each(|(_, schema)| within(schema, visit));
}

/// Lets a schema be null, in the one form that all generators tried could read.
pub(super) fn make_nullable(schema: &mut Schema) {
    schema.remove("nullable");
    if schema.contains_key("type") {
        schema.insert("nullable".to_owned(), true.into());
        if let Some(Value::Array(values)) = schema.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
        return;
    }
    // What stands beside a reference, such as a description, is about the field and stays there.
    let branches = ["allOf", "anyOf", "oneOf"]
        .iter()
        .find_map(|key| schema.remove(*key));
    let reference = schema
        .remove("$ref")
        .map(|reference| json!([{ "$ref": reference }]));
    let Some(Value::Array(mut branches)) = reference.or(branches) else {
        // No type at all: null is a value like any other.
        return;
    };
    if !branches.iter().any(is_null) {
        branches.push(null_schema());
    }
    schema.insert("oneOf".to_owned(), branches.into());
}

pub(super) fn is_nullable(schema: &Value) -> bool {
    let branches = schema["oneOf"].as_array().into_iter().flatten();
    schema["nullable"] == true || branches.into_iter().any(is_null)
}

pub(super) fn is_null(schema: &Value) -> bool {
    *schema == null_schema()
}

/// `null` and nothing else. OpenAPI 3.0 has no type for it.
fn null_schema() -> Value {
    json!({ "type": "string", "nullable": true, "enum": [null] })
}

/// Bounds come as floating-point numbers, also where the type is `integer`.
fn numbers(schema: &mut Schema) {
    for key in ["minimum", "maximum", "multipleOf", "default", "example"] {
        if let Some(value) = schema.get_mut(key)
            && let Some(number) = value.as_f64()
            && number.fract() == 0.0
            && number.abs() < 9e15
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and small enough"
            )]
            let whole = number as i64;
            *value = whole.into();
        }
    }
}

/// What the elements of a list must be is written beside `items`, where it means nothing.
fn elements(schema: &mut Schema) {
    if schema.get("type") != Some(&"array".into()) {
        return;
    }
    for bound in ["minLength", "maxLength", "pattern"] {
        if let Some(value) = schema.remove(bound)
            && let Some(Value::Object(items)) = schema.get_mut("items")
        {
            items.insert(bound.to_owned(), value);
        }
    }
}

fn format(schema: &mut Schema) {
    let Some(format) = schema
        .get("format")
        .and_then(Value::as_str)
        .map(str::to_owned)
    else {
        return;
    };
    let standard = match format.as_str() {
        "naive-date" => Some("date"),
        "int8" | "int16" | "uint8" | "uint16" => Some("int32"),
        "uint32" | "uint64" => Some("int64"),
        known if FORMATS.contains(&known) => return,
        _ => None,
    };
    if format.starts_with("uint") {
        schema.entry("minimum").or_insert_with(|| 0.into());
    }
    match standard {
        Some(standard) => schema.insert("format".to_owned(), standard.into()),
        None => schema.remove("format"),
    };
}

/// A field of a named type that has a description of its own is written as
/// `allOf: [{$ref}, {description}]` with the description beside it once more. The second branch is
/// no schema of anything, and generators drop the field's whole object over it.
fn all_of(schema: &mut Schema) {
    let Some(Value::Array(branches)) = schema.get("allOf") else {
        return;
    };
    let beside = |branch: &Value| {
        component(branch).is_none()
            && branch.as_object().is_some_and(|keywords| {
                keywords
                    .iter()
                    .all(|(key, value)| schema.get(key) == Some(value))
            })
    };
    let kept: Vec<_> = branches
        .iter()
        .filter(|branch| !beside(branch))
        .cloned()
        .collect();
    schema.insert("allOf".to_owned(), kept.into());
}

/// A variant of a union is written as the discriminator's object and the variant's, which cannot
/// both be closed. One object says the same.
fn flatten(schema: &mut Schema, components: &Value) {
    let Some(Value::Array(branches)) = schema.get("allOf") else {
        return;
    };
    let branches: Vec<_> = branches
        .iter()
        .map(|branch| component(branch).map_or(branch, |name| &components[name]))
        .filter_map(|branch| {
            Some((
                branch["properties"].as_object()?,
                branch["required"].as_array(),
            ))
        })
        .collect();
    if branches.len() < 2 {
        return;
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (fields, needed) in branches {
        properties.extend(fields.clone());
        required.extend(needed.into_iter().flatten().cloned());
    }
    schema.remove("allOf");
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("required".to_owned(), required.into());
}

/// Variants of the same inner type collapse into one schema, whose discriminator is the last one's.
fn ambiguous_union(schema: &Schema) -> Option<String> {
    let mapping = schema.get("discriminator")?.get("mapping")?.as_object()?;
    let mut seen = BTreeSet::new();
    mapping
        .values()
        .find(|target| !seen.insert(target.to_string()))
        .map(ToString::to_string)
}
