//! The served document as the service's own rule: which paths and methods exist, who may call them,
//! which parameters they know, and what their bodies look like.

mod reading;

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use http::Method;
use jsonschema::Validator;
use serde_json::Value;
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
    /// Whether it answers a list, whose `ETag` the edge makes.
    pub is_list: bool,
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

impl BodyRule {
    pub(crate) const fn media_type(&self) -> &'static str {
        if self.form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        }
    }
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
                    operations: reading::operations(document, template, item)?,
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

    /// Whether the operation of this id answers a list.
    pub fn is_list(&self, id: &str) -> bool {
        self.operations()
            .any(|operation| operation.is_list && operation.id == id)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contract() -> Contract {
        let operation = |id: &str| json!({ "operationId": id });
        let document = json!({ "paths": {
            "/tasks": { "get": operation("list"), "post": operation("create") },
            "/tasks/{id}": { "get": operation("get"), "delete": operation("delete") },
            "/tasks/count": { "get": operation("count") },
            "/tasks/{id}/complete": { "post": operation("complete") },
        }});
        Contract::new(&document).unwrap()
    }

    fn found(method: Method, path: &str) -> String {
        match contract().find(&method, path) {
            Found::Operation(operation, parameters) => format!("{} {parameters:?}", operation.id),
            Found::OtherMethods(allow) => allow,
            Found::Nothing => String::new(),
        }
    }

    #[test]
    fn a_path_leads_to_its_operation() {
        assert_eq!(found(Method::GET, "/tasks"), "list {}");
        assert_eq!(found(Method::GET, "/tasks/7"), r#"get {"id": "7"}"#);
        let complete = found(Method::POST, "/tasks/7/complete");
        assert_eq!(complete, r#"complete {"id": "7"}"#);
    }

    #[test]
    fn a_fixed_segment_beats_a_parameter() {
        assert_eq!(found(Method::GET, "/tasks/count"), "count {}");
        // Also where only the parameter's path has the method: `count` is no task's id.
        assert_eq!(found(Method::DELETE, "/tasks/count"), "GET, HEAD, OPTIONS");
    }

    #[test]
    fn another_method_learns_which_there_are() {
        let allow = "GET, POST, HEAD, OPTIONS";
        assert_eq!(found(Method::PATCH, "/tasks"), allow);
        assert_eq!(found(Method::GET, "/tasks/7/complete"), "POST, OPTIONS");
    }

    #[test]
    fn what_only_resembles_a_path_leads_nowhere() {
        for path in [
            "",
            "/",
            "/tasks/",
            "//tasks",
            "/TASKS",
            "/tasks//complete",
            "/tasks/7/8",
        ] {
            assert_eq!(found(Method::GET, path), "", "{path}");
        }
    }

    #[test]
    fn a_document_that_says_too_little_is_refused() {
        let document = |operation: Value| json!({ "paths": { "/x": { "post": operation } } });
        let nameless = document(json!({}));
        let unknown_scope = json!({ "operationId": "x", "x-required-scopes": ["cakes:read"] });
        let odd_body =
            json!({ "operationId": "x", "requestBody": { "content": { "text/plain": {} } } });
        for document in [
            json!({}),
            nameless,
            document(unknown_scope),
            document(odd_body),
        ] {
            assert!(Contract::new(&document).is_err(), "{document}");
        }
    }
}
