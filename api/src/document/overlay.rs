//! What the types cannot say: who may call, what may fail, which headers travel, and examples.
//!
//! The facts stand in `overlay.json`; the rules by which they reach the operations stand here, so
//! that a new operation needs one line there: its id and its access.

mod failures;
mod samples;

use std::{collections::BTreeMap, sync::LazyLock};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use taskhub::scopes::{ASKED, ASKED_BY_FORM};

use super::{component, each_operation, object, resolve, success_schema};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overlay {
    info: Map<String, Value>,
    /// By operation id.
    operations: BTreeMap<String, Note>,
    /// By the name of the schema they are examples of.
    examples: Map<String, Value>,
    components: BTreeMap<String, Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    /// The scope that an access token needs, `any` where every token will do, or `public`.
    access: String,
    /// Statuses that the rules don't foresee.
    #[serde(default)]
    failures: Vec<u16>,
    /// Whether a repetition under the same key gets the first answer. Ending a session does not: its
    /// token is refused from then on.
    #[serde(default = "yes")]
    replays: bool,
}

fn yes() -> bool {
    true
}

impl Note {
    fn is_secured(&self) -> bool {
        self.access != "public"
    }
}

static OVERLAY: LazyLock<Overlay> = LazyLock::new(|| {
    serde_json::from_str(include_str!("overlay.json")).expect("a file that every test reads")
});

#[cfg(test)]
pub(super) fn operation_ids() -> impl Iterator<Item = &'static String> {
    OVERLAY.operations.keys()
}

/// Adds the overlay to a tidy document.
///
/// # Errors
/// Where the code and the overlay disagree: an operation that the overlay does not know, or a token
/// that only one of them asks for.
pub(super) fn apply(document: &mut Value) -> anyhow::Result<()> {
    let overlay = &*OVERLAY;
    object(&mut document["info"])?.extend(overlay.info.clone());
    let components = object(&mut document["components"])?;
    // In code a scheme is only a mark that a token is needed.
    components.remove("securitySchemes");
    for (kind, shared) in &overlay.components {
        let all = components.entry(kind).or_insert_with(|| json!({}));
        object(all)?.extend(shared.clone());
    }
    object(&mut components["responses"])?.extend(failures::shared());
    for (request, pattern) in [("Login", &*ASKED), ("TokenRequest", &*ASKED_BY_FORM)] {
        if let Some(scope) = components["schemas"][request]["properties"].get_mut("scope") {
            scope["pattern"] = pattern.as_str().into();
        }
    }
    let whole = document.clone();
    for (method, path, operation) in each_operation(document) {
        complete(operation, &whole, &method, &path).with_context(|| format!("{method} {path}"))?;
        samples::add(operation, &method, &path)?;
    }
    Ok(())
}

fn complete(
    operation: &mut Value,
    document: &Value,
    method: &str,
    path: &str,
) -> anyhow::Result<()> {
    let id = operation["operationId"]
        .as_str()
        .context("it has no operation id")?;
    let note = OVERLAY.operations.get(id);
    let note = note.with_context(|| format!("overlay.json does not say who may call {id}"))?;
    let facts = &Facts::new(document, method, path, operation, note);
    access(operation, note)?;
    parameters(operation, facts)?;
    failures::add(operation, facts, note)?;
    headers(operation, facts)?;
    examples(operation);
    Ok(())
}

/// Where a client stands, on every answer to a request that is counted.
const RATE_LIMITS: [&str; 5] = [
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
];

/// What the rules ask about an operation.
#[derive(Debug)]
struct Facts {
    reads: bool,
    /// Whether it may be repeated under a key; its answers say so in code.
    repeatable: bool,
    /// Whether a GET of it, or of what it acts on, has an `ETag`.
    versioned: bool,
    /// Whether its own answer has an `ETag`.
    tagged: bool,
    /// Whether it answers a list, whose `ETag` the edge makes.
    listed: bool,
    /// Whether it is about one thing that is there before.
    about_one: bool,
    /// Whether it is a list that goes on.
    paged: bool,
    /// Whether its requests are counted.
    limited: bool,
    has_body: bool,
}

impl Facts {
    fn new(document: &Value, method: &str, path: &str, operation: &Value, note: &Note) -> Self {
        let field = |operation: &Value, name: &str| {
            let schema = success_schema(operation).map(|schema| resolve(document, schema));
            schema.and_then(|schema| schema["properties"].get(name).cloned())
        };
        let has_version = |operation: &Value| {
            // Not every version is one: that of a release is a string.
            field(operation, "version").is_some_and(|version| version["type"] == "integer")
        };
        let get = &document["paths"][path]["get"];
        let replays = operation["responses"].as_object().into_iter().flatten();
        let mut replays =
            replays.map(|(_, response)| response["headers"].get("Idempotency-Replayed"));
        Self {
            reads: method == "get",
            repeatable: note.replays
                && ["post", "patch"].contains(&method)
                && replays.any(|header| header.is_some()),
            versioned: has_version(operation) || has_version(get),
            tagged: !operation["responses"]["200"]["headers"]["ETag"].is_null(),
            listed: method == "get"
                && field(operation, "data").is_some_and(|data| data["type"] == "array"),
            // One's own account is one thing without a name.
            about_one: path.contains('{') || has_version(get),
            paged: field(operation, "next_cursor").is_some(),
            limited: path.starts_with("/v1/"),
            has_body: !operation["requestBody"].is_null(),
        }
    }

    /// Whether it changes one thing that has a version.
    fn conditional(&self) -> bool {
        !self.reads && self.versioned && self.about_one
    }
}

/// An operation that takes a token says so in code; the scope stands in the overlay.
fn access(operation: &mut Value, note: &Note) -> anyhow::Result<()> {
    let asks = operation["security"]
        .as_array()
        .is_some_and(|schemes| !schemes.is_empty());
    ensure!(
        asks == note.is_secured(),
        "the code and overlay.json disagree about whether it needs a token"
    );
    let operation = object(operation)?;
    if !asks {
        operation.insert("security".to_owned(), json!([]));
        return Ok(());
    }
    if note.access == "any" {
        operation.insert(
            "security".to_owned(),
            json!([{ "access_token": [] }, { "password": [] }]),
        );
        operation.insert("x-required-scopes".to_owned(), json!([]));
        return Ok(());
    }
    let scope = &note.access;
    let scopes = &OVERLAY.components["securitySchemes"]["password"]["flows"]["password"]["scopes"];
    ensure!(
        scopes.get(scope).is_some(),
        "overlay.json does not explain the scope {scope}"
    );
    operation.insert(
        "security".to_owned(),
        json!([{ "access_token": [] }, { "password": [scope] }]),
    );
    operation.insert("x-required-scopes".to_owned(), json!([scope]));
    let description = operation
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let description = format!("{description}\n\nScope: `{scope}`.");
    operation.insert("description".to_owned(), description.trim_start().into());
    Ok(())
}

fn parameters(operation: &mut Value, facts: &Facts) -> anyhow::Result<()> {
    let rules = [
        (facts.repeatable, "Idempotency-Key"),
        (facts.conditional(), "If-Match"),
        (
            facts.reads && (facts.tagged || facts.listed),
            "If-None-Match",
        ),
    ];
    let shared: Vec<_> = rules
        .into_iter()
        .filter_map(|(applies, name)| applies.then_some(name))
        .collect();
    if shared.is_empty() {
        return Ok(());
    }
    let listed = object(operation)?
        .entry("parameters")
        .or_insert_with(|| json!([]));
    let Value::Array(listed) = listed else {
        bail!("the parameters are no list")
    };
    listed.retain(|parameter| !shared.iter().any(|name| parameter["name"] == *name));
    listed.extend(shared.iter().map(|name| reference("parameters", name)));
    Ok(())
}

/// Headers of the answers that the operation itself describes; the shared answers bring their own.
fn headers(operation: &mut Value, facts: &Facts) -> anyhow::Result<()> {
    let shared = &OVERLAY.components["headers"];
    for (status, response) in object(&mut operation["responses"])? {
        if response.get("$ref").is_some() {
            continue;
        }
        let headers = object(response)?
            .entry("headers")
            .or_insert_with(|| json!({}));
        let headers = object(headers)?;
        for (name, header) in headers
            .iter_mut()
            .filter(|(name, _)| shared.contains_key(*name))
        {
            *header = reference("headers", name);
        }
        // The shapes of success are shared by operations that cannot be repeated under a key.
        headers.retain(|name, _| facts.repeatable || name != "Idempotency-Replayed");
        let rules: &[(bool, &[&str])] = &[
            (true, &["X-Request-Id"]),
            (facts.limited, &RATE_LIMITS),
            (facts.paged && status == "200", &["Link"]),
        ];
        for name in rules
            .iter()
            .filter(|(applies, _)| *applies)
            .flat_map(|(_, names)| *names)
        {
            headers.insert((*name).to_owned(), reference("headers", name));
        }
        if facts.listed && status == "200" {
            headers.insert("ETag".to_owned(), reference("headers", "ListETag"));
        }
    }
    Ok(())
}

/// Shows the example of each body's schema.
fn examples(operation: &mut Value) {
    let show = |body: &mut Value| {
        for (_, media) in body
            .get_mut("content")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            if let Some(example) =
                component(&media["schema"]).and_then(|name| OVERLAY.examples.get(name))
            {
                media["example"] = example.clone();
            }
        }
    };
    for part in ["requestBody", "responses"] {
        match operation.get_mut(part) {
            Some(body) if part == "requestBody" => show(body),
            Some(Value::Object(responses)) => responses.values_mut().for_each(show),
            _ => {}
        }
    }
}

fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}
