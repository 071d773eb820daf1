//! The OpenAPI document as it is served.
//!
//! poem-openapi writes a document that many client generators stumble over, and it has no place for
//! scopes, examples or shared answers. [`build`] corrects the one and adds the other: first the whole
//! document in OpenAPI 3.0.3, which every generator reads, then its 3.1 form. The service holds
//! requests against the same document (see [`crate::contract`]), so what it says is what happens.

mod operations;
mod order;
mod overlay;
mod roles;
mod schemas;
mod v31;

#[cfg(test)]
mod tests;

use anyhow::{Context as _, anyhow};
use hyper::body::Bytes;
use serde_json::{Map, Value, json};

use self::order::Ordered;
pub(crate) use self::roles::ANY_TEXT;
use crate::json;

/// One document in both versions of the standard.
#[derive(Clone, Debug)]
pub struct Document {
    /// OpenAPI 3.0.3.
    pub v30: Value,
    /// OpenAPI 3.1.0, derived from the other.
    pub v31: Value,
    /// [`Self::v30`] as it is sent.
    pub v30_json: Bytes,
    /// [`Self::v31`] as it is sent.
    pub v31_json: Bytes,
}

/// Makes the served document from what poem-openapi wrote (`OpenApiService::spec`).
///
/// `public_url` is where clients reach this instance; it is listed after the relative server, which
/// is right wherever the document is read from.
///
/// # Errors
/// Where the document is broken in a way that only its author can mend, such as two implementations
/// that share a path, or an operation that the overlay does not know. None depends on the instance.
pub fn build(raw_spec: &str, public_url: &str) -> anyhow::Result<Document> {
    let mut v30 = parse(raw_spec)?;
    let webhooks = v30
        .as_object_mut()
        .and_then(|document| document.remove("webhooks"));
    v30["openapi"] = "3.0.3".into();
    v30["servers"] = json!([{ "url": "/" }, { "url": public_url }]);
    operations::tidy(&mut v30)?;
    schemas::standardise(&mut v30)?;
    roles::apply(&mut v30)?;
    overlay::apply(&mut v30)?;
    // Whom to ask: the first page of the instance says who runs it.
    v30["info"]["contact"] = json!({ "name": "Those who run this instance", "url": public_url });
    order::tags(&mut v30)?;
    let v31 = v31::derive(&v30, webhooks);
    Ok(Document {
        v30_json: serde_json::to_vec(&Ordered(&v30))?.into(),
        v31_json: serde_json::to_vec(&Ordered(&v31))?.into(),
        v30,
        v31,
    })
}

/// Refuses a repeated key: of two implementations that name the same path, a lenient parser would
/// keep the last and lose the operations of the first, though both are routed.
fn parse(raw_spec: &str) -> anyhow::Result<Value> {
    json::parse(raw_spec.as_bytes()).map_err(|error| {
        anyhow!("{error}: all methods of a path must stand in one `#[OpenApi]` implementation")
    })
}

/// Every operation of a document, with its method and path.
fn each_operation(document: &mut Value) -> impl Iterator<Item = (String, String, &mut Value)> {
    const METHODS: &[&str] = &[
        "get", "put", "post", "patch", "delete", "head", "options", "trace",
    ];
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let operations = item.as_object_mut().into_iter().flatten();
        operations
            .filter(|(method, _)| METHODS.contains(&method.as_str()))
            .map(move |(method, operation)| (method.clone(), path.clone(), operation))
    })
}

/// The name of the component that a reference points at.
fn component(schema: &Value) -> Option<&str> {
    schema["$ref"]
        .as_str()?
        .strip_prefix("#/components/schemas/")
}

/// The schema itself, wherever a reference leads.
fn resolve<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    component(schema).map_or(schema, |name| &document["components"]["schemas"][name])
}

/// The schema of an operation's JSON request body.
fn request_schema(operation: &Value) -> Option<&Value> {
    operation.pointer("/requestBody/content/application~1json/schema")
}

/// The schema of the JSON body that an operation answers when it succeeds.
fn success_schema(operation: &Value) -> Option<&Value> {
    let body =
        |status: &str| operation["responses"][status].pointer("/content/application~1json/schema");
    ["200", "201", "202"].into_iter().find_map(body)
}

fn object(value: &mut Value) -> anyhow::Result<&mut Map<String, Value>> {
    value
        .as_object_mut()
        .context("the document lacks an object where one belongs")
}
