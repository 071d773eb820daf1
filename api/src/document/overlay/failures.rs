//! The answers to what fails, one for each status, from the list of problem kinds.

use std::collections::BTreeMap;

use anyhow::ensure;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Facts, Note, RATE_LIMITS, reference};
use crate::{
    document::object,
    problem::{KINDS, Kind},
};

/// The statuses that operations list one by one; `default` stands for all others.
const LISTED: [u16; 12] = [400, 401, 403, 404, 409, 412, 413, 415, 422, 428, 429, 503];

/// `components.responses`: one for each listed status, and `Failure` for the rest.
pub(super) fn shared() -> Map<String, Value> {
    let mut by_name: BTreeMap<String, Vec<&Kind>> = BTreeMap::new();
    for kind in KINDS {
        by_name.entry(name(kind.status)).or_default().push(kind);
    }
    by_name
        .into_iter()
        .map(|(name, kinds)| (name, response(&kinds)))
        .collect()
}

/// A shared response is called by its status's reason phrase.
fn name(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) if LISTED.contains(&status.as_u16()) => reason.replace(' ', ""),
        Some(_) | None => "Failure".to_owned(),
    }
}

fn response(kinds: &[&Kind]) -> Value {
    let line = |kind: &&Kind| format!("- `{}`: {}", kind.code, kind.title);
    let lines: Vec<_> = kinds.iter().map(line).collect();
    let example = |kind: &&Kind| (kind.code.to_owned(), example(kind));
    let examples: Map<_, _> = kinds.iter().map(example).collect();
    let headers = kinds.iter().flat_map(|kind| headers(kind.status));
    let headers: Map<_, _> = headers
        .map(|name| (name.to_owned(), reference("headers", name)))
        .collect();
    let media = json!({ "schema": reference("schemas", "Problem"), "examples": examples });
    json!({
        "description": lines.join("\n"),
        "headers": headers,
        "content": { "application/problem+json": media },
    })
}

fn headers(status: StatusCode) -> impl Iterator<Item = &'static str> {
    let own = match status.as_u16() {
        401 => Some("WWW-Authenticate"),
        409 | 429 | 503 => Some("Retry-After"),
        412 => Some("ETag"),
        _ => None,
    };
    ["X-Request-Id"].into_iter().chain(RATE_LIMITS).chain(own)
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
        ensure!(LISTED.contains(status), "no shared response for {status}");
        let code = StatusCode::from_u16(*status)?;
        responses
            .entry(status.to_string())
            .or_insert_with(|| reference("responses", &name(code)));
    }
    responses
        .entry("default")
        .or_insert_with(|| reference("responses", "Failure"));
    if facts.listed {
        responses.insert("304".to_owned(), reference("responses", "ListNotModified"));
    } else if facts.reads && facts.tagged {
        responses.insert("304".to_owned(), reference("responses", "NotModified"));
    }
    Ok(())
}
