//! The answers to what fails, one for each status, from the list of problem kinds.

use std::collections::BTreeMap;

use anyhow::ensure;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Facts, Note, reference};
use crate::{
    document::object,
    problem::{KINDS, Kind},
};

/// `components.responses`: one for each status that a problem can have, and `Failure` for the rest.
pub(super) fn shared() -> Map<String, Value> {
    let mut by_status: BTreeMap<StatusCode, Vec<&Kind>> = BTreeMap::new();
    for kind in KINDS {
        by_status.entry(kind.status).or_default().push(kind);
    }
    let by_status = by_status
        .iter()
        .map(|(status, kinds)| (name(*status), response(*status, kinds)));
    by_status.chain([("Failure".to_owned(), other())]).collect()
}

/// A shared response is called by its status's reason phrase.
fn name(status: StatusCode) -> String {
    status
        .canonical_reason()
        .unwrap_or_default()
        .replace(' ', "")
}

fn response(status: StatusCode, kinds: &[&Kind]) -> Value {
    let lines: Vec<_> = kinds
        .iter()
        .map(|kind| format!("- `{}`: {}", kind.code, kind.title))
        .collect();
    let examples: Map<_, _> = kinds
        .iter()
        .map(|kind| (kind.code.to_owned(), example(kind)))
        .collect();
    let mut headers = vec!["X-Request-Id", "RateLimit", "RateLimit-Policy"];
    match status {
        StatusCode::UNAUTHORIZED => headers.push("WWW-Authenticate"),
        StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            headers.push("Retry-After");
        }
        StatusCode::PRECONDITION_FAILED => headers.push("ETag"),
        _ => {}
    }
    let headers: Map<_, _> = headers
        .into_iter()
        .map(|name| (name.to_owned(), reference("headers", name)))
        .collect();
    json!({
        "description": lines.join("\n"),
        "headers": headers,
        "content": { "application/problem+json": { "schema": reference("schemas", "Problem"), "examples": examples } },
    })
}

fn example(kind: &Kind) -> Value {
    let value = json!({
        "type": format!("/problems/{}", kind.code),
        "title": kind.title,
        "status": kind.status.as_u16(),
        "detail": kind.title,
        "instance": "/v1/tasks",
        "code": kind.code,
        "request_id": "0199c1f0-7a52-7c11-9d0e-6f0d6a3b2c10",
        "errors": [],
    });
    json!({ "summary": kind.title, "value": value })
}

fn other() -> Value {
    json!({
        "description": "Any other failure, such as 405, 406 or 500, in the same form.",
        "headers": { "X-Request-Id": reference("headers", "X-Request-Id") },
        "content": { "application/problem+json": { "schema": reference("schemas", "Problem") } },
    })
}

/// Adds the failures that an operation of these facts can meet.
pub(super) fn add(operation: &mut Value, facts: &Facts, note: &Note) -> anyhow::Result<()> {
    let rules: &[(bool, &[u16])] = &[
        (true, &[400, 503]),
        (note.is_secured(), &[401, 403]),
        (facts.about_one, &[404]),
        (facts.repeatable, &[409, 422]),
        (facts.conditional(), &[412, 428]),
        (facts.has_body, &[413, 415, 422]),
        (facts.limited, &[429]),
    ];
    let by_rule = rules
        .iter()
        .filter(|(applies, _)| *applies)
        .flat_map(|(_, statuses)| *statuses);
    let responses = object(&mut operation["responses"])?;
    for status in by_rule.chain(&note.failures) {
        let code = StatusCode::from_u16(*status)?;
        ensure!(
            KINDS.iter().any(|kind| kind.status == code),
            "no problem has the status {status}"
        );
        responses
            .entry(status.to_string())
            .or_insert_with(|| reference("responses", &name(code)));
    }
    responses
        .entry("default")
        .or_insert_with(|| reference("responses", "Failure"));
    if facts.reads && facts.versioned {
        responses.insert("304".to_owned(), reference("responses", "NotModified"));
    }
    Ok(())
}
