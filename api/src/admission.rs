//! What a request must look like before its operation sees it: headers, parameters and body, held
//! against the contract.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use poem::Request;
use serde_json::Value;
use taskhub::Violation;

use crate::{
    contract::{BodyRule, Operation},
    json,
    problem::{self, Problem},
    validation,
};

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// Everything is answered as JSON, so a client must take that.
pub(crate) fn acceptable(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(accept) = text(headers, header::ACCEPT) else {
        return Ok(());
    };
    let takes = |range: &str| {
        let kind = range
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        [
            "*/*",
            "application/*",
            "application/json",
            "application/problem+json",
        ]
        .contains(&kind.as_str())
    };
    if accept.trim().is_empty() || accept.split(',').any(takes) {
        return Ok(());
    }
    Err(Problem::new(
        &problem::NOT_ACCEPTABLE,
        "only application/json can be answered",
    ))
}

pub(crate) fn parameters(
    operation: &Operation,
    path: &BTreeMap<String, String>,
    query: &str,
) -> Result<(), Problem> {
    let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        given
            .entry(name.into_owned())
            .or_default()
            .push(value.into_owned());
    }
    let known = |name: &String| {
        operation
            .parameters
            .iter()
            .any(|p| !p.in_path && p.name == *name)
    };
    let unknown: Vec<_> = given
        .keys()
        .filter(|name| !known(name))
        .map(|name| {
            broken(
                &name.chars().take(100).collect::<String>(),
                "unknown",
                "is no parameter of this operation",
            )
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Problem::parameters(&problem::UNKNOWN_PARAMETER, unknown));
    }
    let mut found = Vec::new();
    for parameter in &operation.parameters {
        let values = match path.get(&parameter.name) {
            Some(value) if parameter.in_path => vec![value.clone()],
            _ => given.remove(&parameter.name).unwrap_or_default(),
        };
        if values.is_empty() {
            if parameter.required {
                found.push(broken(&parameter.name, "required", "must be given"));
            }
        } else if values.len() > 1 && !parameter.rule.is_list() {
            found.push(broken(&parameter.name, "repeated", "may be given once"));
        } else {
            found.extend(parameter.rule.violations(&parameter.name, &values));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Problem::parameters(&problem::INVALID_PARAMETER, found))
}

fn broken(name: &str, code: &'static str, detail: &str) -> Violation {
    Violation {
        pointer: name.to_owned(),
        code,
        detail: detail.to_owned(),
    }
}

/// Reads and checks the body, and leaves it in place for the operation.
pub(crate) async fn body(rule: &BodyRule, request: &mut Request) -> Result<Value, Problem> {
    let too_large = || Problem::new(&problem::PAYLOAD_TOO_LARGE, "a body has at most 1 MiB");
    let declared = text(request.headers(), header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    let reading = request.take_body().into_bytes_limit(MAX_BODY);
    let bytes = match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => return Err(too_large()),
        Ok(Err(_)) => {
            return Err(Problem::new(
                &problem::MALFORMED_BODY,
                "the body ends too early",
            ));
        }
        Err(_) => {
            return Err(Problem::new(
                &problem::REQUEST_TIMEOUT,
                "the body did not arrive in time",
            ));
        }
    };
    if bytes.is_empty() && !rule.required {
        return Ok(Value::Null);
    }
    let merge_patch = request.method() == Method::PATCH;
    media_type(rule, request.headers_mut(), merge_patch)?;
    let value = if rule.form {
        form(&bytes)?
    } else {
        json::parse(&bytes).map_err(|detail| Problem::new(&problem::MALFORMED_BODY, detail))?
    };
    let violations = validation::violations(&rule.schema, &value);
    if !violations.is_empty() {
        return Err(Problem::violations(violations));
    }
    request.set_body(bytes);
    Ok(value)
}

/// Checks `Content-Type`. A merge patch (RFC 7396) is the JSON that PATCH takes anyway.
fn media_type(rule: &BodyRule, headers: &mut HeaderMap, merge_patch: bool) -> Result<(), Problem> {
    let sent = text(headers, header::CONTENT_TYPE).unwrap_or_default();
    let sent = sent
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let wanted = if rule.form {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    if sent != wanted && !(merge_patch && sent == "application/merge-patch+json") {
        return Err(Problem::new(
            &problem::UNSUPPORTED_MEDIA_TYPE,
            format!("send {wanted}"),
        ));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(wanted));
    Ok(())
}

fn form(bytes: &[u8]) -> Result<Value, Problem> {
    let mut fields = serde_json::Map::new();
    for (name, value) in url::form_urlencoded::parse(bytes) {
        if fields
            .insert(name.into_owned(), value.into_owned().into())
            .is_some()
        {
            return Err(Problem::new(
                &problem::MALFORMED_BODY,
                "a form field stands twice",
            ));
        }
    }
    Ok(fields.into())
}

/// The versions of `If-Match`. Weak marks and compression suffixes that proxies add are taken off.
pub(crate) fn versions(headers: &HeaderMap) -> Result<Vec<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(Vec::new());
    };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(Vec::new());
    }
    value
        .split(',')
        .map(|tag| version(tag.trim()))
        .collect::<Option<_>>()
        .ok_or_else(|| {
            Problem::bad_header(
                &problem::INVALID_HEADER,
                "If-Match",
                "must be an ETag of this service, or *",
            )
        })
}

/// The version that an entity tag of ours names.
pub(crate) fn version(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    tag.strip_suffix("-gzip").unwrap_or(tag).parse().ok()
}

/// A header's value, where it is text.
pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
