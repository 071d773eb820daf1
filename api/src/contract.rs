//! The served document as the service's own rule: which paths and methods exist, who may call them,
//! which parameters they know, and what their bodies look like.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context as _, bail};
use http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use taskhub::scopes::Scope;

use crate::validation;

/// All operations, by path template.
#[derive(Debug)]
pub struct Contract {
    paths: Vec<Path>,
}

#[derive(Debug)]
struct Path {
    segments: Vec<Segment>,
    /// By method, in capitals.
    operations: BTreeMap<String, Arc<Operation>>,
}

/// One operation of the document.
#[derive(Debug)]
pub struct Operation {
    pub id: String,
    /// `/v1/tasks/{id}`.
    pub template: String,
    pub method: Method,
    /// Whether an access token is needed, and which scopes it must have.
    pub scopes: Option<Vec<Scope>>,
    pub parameters: Vec<Parameter>,
    pub body: Option<BodyRule>,
    /// Whether the operation takes `If-Match`.
    pub conditional: bool,
}

#[derive(Debug)]
pub struct Parameter {
    pub name: String,
    pub in_path: bool,
    pub required: bool,
    pub rule: validation::ParameterRule,
}

/// What a body must be.
#[derive(Debug)]
pub struct BodyRule {
    pub required: bool,
    /// `application/x-www-form-urlencoded` instead of JSON.
    pub form: bool,
    pub schema: Validator,
}

#[derive(Debug)]
enum Segment {
    Fixed(String),
    Parameter(String),
}

/// Where a method and a path lead.
#[derive(Debug)]
pub enum Found {
    Operation(Arc<Operation>, BTreeMap<String, String>),
    /// The path has other methods; these, as an `Allow` header.
    OtherMethods(String),
    Nothing,
}

impl Contract {
    /// Reads an OpenAPI 3.1 document.
    ///
    /// # Errors
    /// Where an operation has no id or a schema is broken: the document is our own, so the program
    /// does not start.
    pub fn new(document: &Value) -> anyhow::Result<Self> {
        let paths = document["paths"]
            .as_object()
            .context("a document without paths")?;
        let paths = paths
            .iter()
            .map(|(template, item)| {
                Ok(Path {
                    segments: segments(template),
                    operations: operations(document, template, item)?,
                })
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { paths })
    }

    /// Every operation, in the order of the document.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.paths
            .iter()
            .flat_map(|path| path.operations.values())
            .map(AsRef::as_ref)
    }

    /// Looks a request up.
    pub fn find(&self, method: &Method, path: &str) -> Found {
        let matching = self.paths.iter().filter_map(|known| {
            matches(&known.segments, path).map(|parameters| (parameters, &known.operations))
        });
        // A fixed segment beats a parameter: `/tasks/count` is not the task named "count".
        let Some((parameters, methods)) = matching.min_by_key(|(parameters, _)| parameters.len())
        else {
            return Found::Nothing;
        };
        match methods.get(method.as_str()) {
            Some(operation) => Found::Operation(operation.clone(), parameters),
            None => Found::OtherMethods(allow(methods.keys())),
        }
    }
}

impl Operation {
    /// As it names an idempotency key's scope: `POST /v1/tasks`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.template)
    }
}

fn allow<'m>(methods: impl Iterator<Item = &'m String>) -> String {
    let mut allow: Vec<_> = methods.map(String::as_str).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    allow.join(", ")
}

fn segments(template: &str) -> Vec<Segment> {
    let segment = |text: &str| match text
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
    {
        Some(name) => Segment::Parameter(name.to_owned()),
        None => Segment::Fixed(text.to_owned()),
    };
    template.split('/').map(segment).collect()
}

fn matches(segments: &[Segment], path: &str) -> Option<BTreeMap<String, String>> {
    let parts: Vec<_> = path.split('/').collect();
    if parts.len() != segments.len() {
        return None;
    }
    let mut parameters = BTreeMap::new();
    for (segment, part) in segments.iter().zip(parts) {
        match segment {
            Segment::Fixed(text) if text == part => {}
            Segment::Parameter(name) if !part.is_empty() => {
                parameters.insert(name.clone(), part.to_owned());
            }
            Segment::Fixed(_) | Segment::Parameter(_) => return None,
        }
    }
    Some(parameters)
}

fn operations(
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
