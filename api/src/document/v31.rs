//! The same document in OpenAPI 3.1, whose schemas are JSON Schema 2020-12.

use serde_json::{Map, Value, json};

use super::schemas;

/// Derives the 3.1 form. Webhooks are part of 3.1 only.
pub(super) fn derive(v30: &Value, webhooks: Option<Value>) -> Value {
    let mut document = v30.clone();
    document["openapi"] = "3.1.0".into();
    if let Some(license) = document["info"]["license"].as_object_mut() {
        // The two exclude each other.
        license.remove("url");
        let name = license.get("name").cloned().unwrap_or_default();
        license.insert("identifier".to_owned(), name);
    }
    if let Some(webhooks) = webhooks {
        document["webhooks"] = webhooks;
    }
    schemas::for_each(&mut document, &mut schema);
    document
}

fn schema(schema: &mut Map<String, Value>) {
    if schema.remove("nullable") == Some(true.into()) {
        nullable(schema);
    }
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if schema.get(flag) == Some(&true.into())
            && let Some(limit) = schema.remove(bound)
        {
            schema.insert(flag.to_owned(), limit);
        }
    }
    if let Some(example) = schema.remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
}

fn nullable(schema: &mut Map<String, Value>) {
    if schema.get("enum") == Some(&json!([null])) {
        *schema = Map::from_iter([("type".to_owned(), "null".into())]);
    } else if let Some(kind) = schema.remove("type") {
        schema.insert("type".to_owned(), json!([kind, "null"]));
    }
}
