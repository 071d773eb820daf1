//! What a schema promises depends on who sends it.
//!
//! - A **request** may leave fields out and may not have others than those named. It may send `null`
//!   where the same operation can answer `null` in the field of that name. What a missing field counts
//!   as is said in its description: of a field with a `default`, generators of types make a required one.
//! - An **answer** has every field; one that may be absent in Rust is `null`. Its enumerations are
//!   open (`x-extensible-enum`), because a client must not break when a value is added.

use std::collections::BTreeSet;

use anyhow::bail;
use serde_json::{Map, Value};

use super::{component, each_operation, object, request_schema, resolve, schemas, success_schema};

/// Gives every schema the strictness of its role.
///
/// # Errors
/// Where one object is both sent and received and has fields that may be absent: the two roles
/// need two types then.
pub(super) fn apply(document: &mut Value) -> anyhow::Result<()> {
    let sent = reach(document, REQUEST);
    let received = reach(document, ANSWER);
    if let Some(name) = sent
        .intersection(&received)
        .find(|name| has_optional_field(document, name))
    {
        bail!(
            "{name} is both sent and received and has optional fields: give each direction its type"
        );
    }
    let received_only = received.difference(&sent).cloned().collect();
    open_enumerations(document, &received, &sent)?;
    each_answer(document, &received_only, &mut complete);
    allow_null_where_it_is_answered(document);
    allow_null_inside_changes(document, &sent);
    each_request(document, &sent, &mut close);
    each_request(document, &sent, &mut tell_defaults);
    each_request(document, &sent, &mut name_addresses);
    each_request(document, &sent, &mut forbid_nul);
    Ok(())
}

/// The parts of an operation that clients send.
const REQUEST: &[&str] = &["parameters", "requestBody"];
/// The parts of an operation that clients receive.
const ANSWER: &[&str] = &["responses"];

/// The names of all components that these parts of any operation lead to.
fn reach(document: &mut Value, parts: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, _, operation) in each_operation(document) {
        parts
            .iter()
            .for_each(|part| references(&operation[part], &mut found));
    }
    let mut open: Vec<_> = found.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let mut further = BTreeSet::new();
        references(&document["components"]["schemas"][&name], &mut further);
        open.extend(further.difference(&found).cloned());
        found.extend(further);
    }
    found
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(members) => {
            found.extend(component(value).map(str::to_owned));
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

type Visit<'v> = &'v mut dyn FnMut(&mut Map<String, Value>);

fn each_answer(document: &mut Value, names: &BTreeSet<String>, visit: Visit<'_>) {
    each_schema(document, ANSWER, names, visit);
}

fn each_request(document: &mut Value, names: &BTreeSet<String>, visit: Visit<'_>) {
    each_schema(document, REQUEST, names, visit);
}

/// Visits the schemas written in place in these parts of every operation, and the named components.
fn each_schema(document: &mut Value, parts: &[&str], names: &BTreeSet<String>, visit: Visit<'_>) {
    for (_, _, operation) in each_operation(document) {
        for part in parts {
            if let Some(part) = operation.get_mut(*part) {
                schemas::for_each(part, visit);
            }
        }
    }
    for name in names {
        if let Some(schema) = document["components"]["schemas"].get_mut(name) {
            schemas::within(schema, visit);
        }
    }
}

/// Writes an answer's enumerations in place, as strings with the values known so far. The closed
/// ones stay for the requests that use them.
fn open_enumerations(
    document: &mut Value,
    received: &BTreeSet<String>,
    sent: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let components = object(&mut document["components"]["schemas"])?;
    let open: Map<String, Value> = components
        .iter()
        .filter(|(name, _)| received.contains(*name))
        .filter_map(|(name, schema)| Some((name.clone(), opened(schema)?)))
        .collect();
    components.retain(|name, _| !open.contains_key(name) || sent.contains(name));
    let received_only = received.difference(sent).cloned().collect();
    each_answer(document, &received_only, &mut |schema| {
        if let Some(Value::Object(open)) = named(schema).and_then(|name| open.get(name)) {
            schema.remove("$ref");
            schema.extend(open.clone());
        }
        unwrap(schema);
    });
    Ok(())
}

/// The open form of a closed enumeration. One value alone is a constant and stays one.
fn opened(schema: &Value) -> Option<Value> {
    let mut open = schema.as_object()?.clone();
    let values = open
        .remove("enum")
        .filter(|values| values.as_array().is_some_and(|values| values.len() > 1))?;
    open.insert("x-extensible-enum".to_owned(), values);
    Some(open.into())
}

fn named(schema: &Map<String, Value>) -> Option<&str> {
    schema.get("$ref")?.as_str()?.rsplit('/').next()
}

/// Only a reference needs a wrapping to have a description or null beside it.
fn unwrap(schema: &mut Map<String, Value>) {
    for key in ["allOf", "oneOf"] {
        let Some(Value::Array(branches)) = schema.get(key) else {
            continue;
        };
        let mut inner = branches.iter().filter(|branch| !schemas::is_null(branch));
        let (Some(Value::Object(only)), None) = (inner.next(), inner.next()) else {
            continue;
        };
        if only.contains_key("$ref") {
            continue;
        }
        let (only, nullable) = (only.clone(), branches.len() > 1);
        schema.remove(key);
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
        if nullable {
            schemas::make_nullable(schema);
        }
    }
}

/// All fields are there; the optional ones may be null.
fn complete(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    for (name, property) in properties.iter_mut() {
        if !lists(&required, name)
            && let Value::Object(property) = property
        {
            schemas::make_nullable(property);
        }
    }
    let all: Vec<_> = properties.keys().cloned().collect();
    schema.insert("required".to_owned(), all.into());
}

fn lists(required: &Value, name: &str) -> bool {
    required
        .as_array()
        .is_some_and(|required| required.iter().any(|item| item == name))
}

/// `null` clears a field, so a field can be cleared if it can be empty.
fn allow_null_where_it_is_answered(document: &mut Value) {
    let whole = document.clone();
    let mut clearable = Vec::new();
    for (_, _, operation) in each_operation(document) {
        let name = request_schema(operation).and_then(component);
        let answer = success_schema(operation).map(|schema| resolve(&whole, schema));
        let (Some(name), Some(answer)) = (name, answer) else {
            continue;
        };
        let fields = answer["properties"].as_object().into_iter().flatten();
        let fields = fields.filter(|(_, schema)| schemas::is_nullable(schema));
        clearable.extend(fields.map(|(field, _)| (name.to_owned(), field.clone())));
    }
    for (name, field) in clearable {
        let fields = &mut document["components"]["schemas"][name]["properties"];
        if let Some(Value::Object(schema)) = fields.get_mut(&field) {
            schemas::make_nullable(schema);
        }
    }
}

/// A merge patch goes on inside a field (RFC 7396): there, `null` removes any member.
fn allow_null_inside_changes(document: &mut Value, sent: &BTreeSet<String>) {
    let mut bodies = BTreeSet::new();
    for (_, _, operation) in each_operation(document) {
        bodies.extend(
            request_schema(operation)
                .and_then(component)
                .map(str::to_owned),
        );
    }
    for name in sent
        .difference(&bodies)
        .filter(|name| name.ends_with("Changes"))
    {
        let fields = document["components"]["schemas"][name]["properties"].as_object_mut();
        for (_, schema) in fields.into_iter().flatten() {
            if let Value::Object(schema) = schema {
                schemas::make_nullable(schema);
            }
        }
    }
}

/// A field that nobody reads would be lost without a word.
fn close(schema: &mut Map<String, Value>) {
    if schema.contains_key("properties") {
        schema.entry("additionalProperties").or_insert(false.into());
    }
}

/// Says that a field of that name takes an e-mail address. The gate leaves it to the account's other
/// rules, so that all that is wrong is told at once.
fn name_addresses(schema: &mut Map<String, Value>) {
    let field = schema
        .get_mut("properties")
        .and_then(|fields| fields.get_mut("email"));
    if let Some(Value::Object(field)) = field {
        field.insert("format".to_owned(), "email".into());
    }
}

/// What any text may be: PostgreSQL stores no U+0000.
pub(crate) const ANY_TEXT: &str = r"^[^\u0000]*$";

/// Says so of every text that nothing else is said of.
fn forbid_nul(schema: &mut Map<String, Value>) {
    let free = |schema: &Map<String, Value>| {
        let format = schema.get("format").and_then(Value::as_str);
        schema.get("type").is_some_and(|kind| kind == "string")
            && !schema.contains_key("pattern")
            && !schema.contains_key("enum")
            && format.is_none_or(|format| format == "password")
    };
    if free(schema) {
        schema.insert("pattern".to_owned(), ANY_TEXT.into());
    }
}

/// Moves the defaults of fields into their descriptions. Parameters keep theirs.
fn tell_defaults(schema: &mut Map<String, Value>) {
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for field in fields.into_iter().flat_map(Map::values_mut) {
        let Some(default) = field
            .as_object_mut()
            .and_then(|field| field.remove("default"))
        else {
            continue;
        };
        let told = field["description"].as_str().unwrap_or_default();
        field["description"] = format!("{told}\n\nDefault: `{default}`.")
            .trim_start()
            .into();
    }
}

fn has_optional_field(document: &Value, name: &str) -> bool {
    let schema = &document["components"]["schemas"][name];
    let mut fields = schema["properties"].as_object().into_iter().flatten();
    fields.any(|(field, _)| !lists(&schema["required"], field))
}
