//! From the document to the rules.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, bail};
use http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use taskhub::scopes::Scope;

use super::{BodyRule, Operation, Parameter};
use crate::{tasks, validation};

pub(super) fn operations(
    document: &Value,
    template: &str,
    item: &Value,
) -> anyhow::Result<BTreeMap<String, Arc<Operation>>> {
    let item = item.as_object().context("a path that is no object")?;
    let methods = item.iter().filter_map(|(key, operation)| {
        let method = Method::from_bytes(key.to_ascii_uppercase().as_bytes()).ok()?;
        ["get", "put", "post", "patch", "delete"]
            .contains(&key.as_str())
            .then_some((method, operation))
    });
    methods
        .map(|(method, value)| {
            let name = format!("{method} {template}");
            let operation = operation(document, template, method.clone(), value).context(name)?;
            Ok((method.as_str().to_owned(), Arc::new(operation)))
        })
        .collect()
}

fn operation(
    document: &Value,
    template: &str,
    method: Method,
    value: &Value,
) -> anyhow::Result<Operation> {
    let none = Vec::new();
    let listed = value["parameters"].as_array().unwrap_or(&none);
    let listed: Vec<_> = listed
        .iter()
        .map(|parameter| resolve(document, parameter))
        .collect();
    let parameters = listed
        .iter()
        .filter(|parameter| parameter["in"] == "query" || parameter["in"] == "path")
        .map(|parameter| self::parameter(document, parameter))
        .collect::<anyhow::Result<_>>()?;
    let secured = value["security"]
        .as_array()
        .is_some_and(|schemes| !schemes.is_empty());
    let scopes = value["x-required-scopes"].as_array().unwrap_or(&none);
    let scopes = scopes
        .iter()
        .map(|name| {
            Scope::ALL
                .into_iter()
                .find(|scope| name == scope.name())
                .context("an unknown scope")
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Operation {
        id: value["operationId"]
            .as_str()
            .context("no operationId")?
            .to_owned(),
        template: template.to_owned(),
        method,
        scopes: secured.then_some(scopes),
        parameters,
        body: body(document, &value["requestBody"])?,
        conditional: listed
            .iter()
            .any(|parameter| parameter["name"] == "If-Match"),
        is_list: value["responses"]["200"]["headers"]["ETag"]["$ref"]
            == "#/components/headers/ListETag",
    })
}

fn parameter(document: &Value, value: &Value) -> anyhow::Result<Parameter> {
    let name = value["name"]
        .as_str()
        .context("a parameter without a name")?;
    let schema = resolve(document, &value["schema"]);
    Ok(Parameter {
        name: name.to_owned(),
        in_path: value["in"] == "path",
        required: value["required"] == true,
        rule: validation::ParameterRule::new(schema.clone(), compile(document, schema)?),
    })
}

fn body(document: &Value, value: &Value) -> anyhow::Result<Option<BodyRule>> {
    let Some(content) = value["content"].as_object() else {
        return Ok(None);
    };
    let form = content.get("application/x-www-form-urlencoded");
    let Some(media) = form.or_else(|| content.get("application/json")) else {
        bail!("a body that is neither JSON nor a form");
    };
    Ok(Some(BodyRule {
        required: value["required"] == true,
        form: form.is_some(),
        schema: compile(document, &media["schema"])?,
    }))
}

/// A validator for `schema` and the components that it leads to.
fn compile(document: &Value, schema: &Value) -> anyhow::Result<Validator> {
    let mut root = Map::from_iter([("allOf".to_owned(), json!([schema]))]);
    let mut components = Map::new();
    collect(document, schema, &mut components);
    root.insert("components".to_owned(), json!({ "schemas": components }));
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .should_validate_formats(true)
        // Its rules are those of `taskhub::users`.
        .with_format("email", |_| true)
        .with_format(tasks::LOCAL_TIME_FORMAT, tasks::is_local_time)
        .build(&Value::Object(root))
        .map_err(|error| anyhow::anyhow!("a schema is broken: {error}"))
}

/// Adds the schemas that `value` refers to, directly or through others.
fn collect(document: &Value, value: &Value, components: &mut Map<String, Value>) {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            if let Some(name) = reference.and_then(|r| r.strip_prefix("#/components/schemas/"))
                && !components.contains_key(name)
            {
                let schema = &document["components"]["schemas"][name];
                components.insert(name.to_owned(), schema.clone());
                collect(document, schema, components);
            }
            members
                .values()
                .for_each(|member| collect(document, member, components));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect(document, item, components)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn resolve<'d>(document: &'d Value, value: &'d Value) -> &'d Value {
    match value["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'))
    {
        Some(pointer) => document.pointer(pointer).unwrap_or(value),
        None => value,
    }
}
