//! Operations without the noise that poem-openapi makes.

use anyhow::Context as _;
use http::StatusCode;
use serde_json::{Map, Value};

use super::{each_operation, object};

/// Cleans every operation.
///
/// # Errors
/// Where the document has another form than poem-openapi's.
pub(super) fn tidy(document: &mut Value) -> anyhow::Result<()> {
    for (method, path, operation) in each_operation(document) {
        tidy_operation(operation).with_context(|| format!("{method} {path}"))?;
    }
    Ok(())
}

fn tidy_operation(operation: &mut Value) -> anyhow::Result<()> {
    let parameters = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        tidy_parameter(object(parameter)?);
    }
    if let Some(content) = operation.pointer_mut("/requestBody/content") {
        media_types(object(content)?);
    }
    for (status, response) in object(&mut operation["responses"])? {
        tidy_response(status, object(response)?)?;
    }
    let operation = object(operation)?;
    if let Some(samples) = operation.remove("x-code-samples") {
        operation.insert("x-codeSamples".to_owned(), samples);
    }
    Ok(())
}

/// `explode: true` is the default where it means something, and a mistake elsewhere.
fn tidy_parameter(parameter: &mut Map<String, Value>) {
    parameter.remove("explode");
    parameter.retain(|key, value| !(key == "deprecated" && *value == false));
    if parameter["in"] == "header"
        && let Some(Value::String(name)) = parameter.get_mut("name")
    {
        *name = header_name(name);
    }
}

fn tidy_response(status: &str, response: &mut Map<String, Value>) -> anyhow::Result<()> {
    if response["description"] == "" {
        let reason = status
            .parse::<StatusCode>()
            .ok()
            .and_then(|status| status.canonical_reason());
        response.insert(
            "description".to_owned(),
            reason.unwrap_or("Anything else").into(),
        );
    }
    if let Some(content) = response.get_mut("content") {
        media_types(object(content)?);
    }
    let Some(headers) = response.get_mut("headers") else {
        return Ok(());
    };
    let headers = object(headers)?;
    *headers = std::mem::take(headers)
        .into_iter()
        .map(|(name, mut header)| {
            if let Value::Object(header) = &mut header {
                header.retain(|key, value| !(key == "deprecated" && *value == false));
            }
            (header_name(&name), header)
        })
        .collect();
    Ok(())
}

/// The media type alone. JSON has no charset parameter (RFC 8259, 11), and clients would have to
/// spell it out to name the body's type.
fn media_types(content: &mut Map<String, Value>) {
    *content = std::mem::take(content)
        .into_iter()
        .map(|(name, media)| {
            (
                name.split(';').next().unwrap_or_default().trim().to_owned(),
                media,
            )
        })
        .collect();
}

/// A header's name as its specification spells it; poem-openapi writes capitals.
fn header_name(name: &str) -> String {
    const SPECIAL: &[&str] = &["ETag", "RateLimit", "RateLimit-Policy", "WWW-Authenticate"];
    let special = SPECIAL
        .iter()
        .find(|special| special.eq_ignore_ascii_case(name));
    let word = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    let words = || name.split('-').map(word).collect::<Vec<_>>().join("-");
    special.map_or_else(words, |special| (*special).to_owned())
}
