//! The keys as people read them, and their limits as the loader checks them: both from one schema.

use schemars::schema_for;
use serde_json::{Map, Value};

use super::Keys;

/// One key of the file.
pub(super) struct Key {
    /// `section.name`.
    pub(super) path: String,
    pub(super) schema: Value,
    pub(super) required: bool,
    pub(super) meaning: String,
}

impl Key {
    /// `text`, `true or false`, `2 to 3`, or the words that are allowed.
    pub(super) fn allowed(&self) -> String {
        let words: Vec<String> = words(&self.schema);
        if !words.is_empty() {
            return words.join(", ");
        }
        match (
            number(&self.schema, "minimum"),
            number(&self.schema, "maximum"),
        ) {
            (Some(least), Some(most)) if most > 0 => format!("{least} to {most}"),
            (Some(least), _) if least > 0 => format!("{least} or more"),
            _ => match kind(&self.schema) {
                "boolean" => "`true`, `false`".to_owned(),
                "integer" => "a number".to_owned(),
                "object" => "a table of texts".to_owned(),
                _ => "a text".to_owned(),
            },
        }
    }
}

/// Every key there is, in the order of the schema.
pub(super) fn keys() -> Vec<Key> {
    let root = schema_for!(Keys).to_value();
    let definitions = object(&root, "$defs");
    let mut keys = Vec::new();
    collect("", &root, &definitions, &mut keys);
    keys
}

/// The keys as a Markdown table.
pub(crate) fn reference() -> String {
    let mut text = String::from("| key | allowed | meaning |\n|---|---|---|\n");
    for key in keys() {
        let optional = if key.required { "" } else { " (optional)" };
        text.push_str(&format!(
            "| `{}`{optional} | {} | {} |\n",
            key.path,
            key.allowed(),
            key.meaning
        ));
    }
    text
}

fn collect(prefix: &str, table: &Value, definitions: &Map<String, Value>, keys: &mut Vec<Key>) {
    let required = table.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|n| n == name));
    for (name, schema) in object(table, "properties") {
        let path = format!("{prefix}{name}");
        let target = definition(&schema, definitions);
        if target.get("properties").is_some() {
            collect(&format!("{path}."), &target, definitions, keys);
            continue;
        }
        let said = schema
            .get("description")
            .or_else(|| target.get("description"));
        keys.push(Key {
            path,
            required: is_required(&name),
            meaning: said
                .and_then(Value::as_str)
                .unwrap_or_default()
                .replace('\n', " "),
            schema: if target.is_null() { schema } else { target },
        });
    }
}

/// What `$ref` leads to, also in a choice with null; the schema itself where it leads nowhere.
fn definition(schema: &Value, definitions: &Map<String, Value>) -> Value {
    let choices = schema.get("anyOf").and_then(Value::as_array);
    let reference = std::iter::once(schema)
        .chain(choices.into_iter().flatten())
        .find_map(|schema| schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/"));
    let found = reference.and_then(|name| definitions.get(name));
    found.unwrap_or(schema).clone()
}

fn object(value: &Value, key: &str) -> Map<String, Value> {
    value
        .get(key)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

fn words(schema: &Value) -> Vec<String> {
    let words = schema.get("enum").and_then(Value::as_array);
    let named = |value: &Value| Some(format!("`{}`", value.as_str()?));
    words.into_iter().flatten().filter_map(named).collect()
}

pub(super) fn number(schema: &Value, key: &str) -> Option<i64> {
    schema.get(key)?.as_i64()
}

fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    }
}
