//! What a request must look like before its operation sees it: headers, parameters and body, held
//! against the contract.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use hyper::body::Bytes;
use percent_encoding::{percent_decode, percent_decode_str};
use poem::Request;
use serde_json::Value;
use taskhub::Violation;

use crate::{
    contract::{BodyRule, Operation},
    json, oauth,
    problem::{self, Problem},
    validation,
};

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// Of an `Idempotency-Key`, without quotes.
pub(crate) const IDEMPOTENCY_KEY_CHARACTERS: usize = 255;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// Everything is answered as JSON, so a client must take that.
pub(crate) fn acceptable(headers: &HeaderMap) -> Result<(), Problem> {
    let ranges: Vec<_> = members(headers, header::ACCEPT).collect();
    let takes = |range: &&str| {
        let kind = without_parameters(range);
        [
            "*/*",
            "application/*",
            "application/json",
            "application/problem+json",
        ]
        .contains(&kind.as_str())
    };
    if ranges.is_empty() || ranges.iter().any(takes) {
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
    let garbled: Vec<_> = query
        .split('&')
        .filter(|pair| percent_decode_str(pair).decode_utf8().is_err())
        .map(|pair| {
            let name = percent_decode_str(pair.split('=').next().unwrap_or_default());
            let name: String = name.decode_utf8_lossy().chars().take(100).collect();
            broken(&name, "invalid-format", "must be UTF-8")
        })
        .collect();
    if !garbled.is_empty() {
        return Err(Problem::parameters(&problem::INVALID_PARAMETER, garbled));
    }
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
    let bytes = bytes(request, MAX_BODY, too_large).await?;
    if bytes.is_empty() && !rule.required {
        // The framework wants to know the type of no body, too.
        let kind = HeaderValue::from_static(rule.media_type());
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
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
        // Only OAuth's operations take forms.
        return Err(if rule.form {
            oauth::broken_form(violations)
        } else {
            Problem::violations(violations)
        });
    }
    request.set_body(bytes);
    Ok(value)
}

/// Refuses content where the operation has no body, whatever the method: the client means something by
/// it, and would never learn that nobody read it. For GET and DELETE, RFC 9110 (9.3.1, 9.3.5) gives content no
/// meaning at all.
///
/// `{}` is let through, because it says nothing and many clients send it with every POST.
pub(crate) async fn no_body(request: &mut Request) -> Result<(), Problem> {
    const ROOM: usize = 16;
    let unexpected = || Problem::new(&problem::UNEXPECTED_BODY, "this operation takes no body");
    let bytes = bytes(request, ROOM, unexpected).await?;
    let says_nothing = bytes
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .eq(b"{}");
    if bytes.is_empty() || says_nothing {
        Ok(())
    } else {
        Err(unexpected())
    }
}

/// Takes the whole body of a request, unless it is longer than `limit` bytes.
async fn bytes(
    request: &mut Request,
    limit: usize,
    too_large: impl Fn() -> Problem,
) -> Result<Bytes, Problem> {
    let declared = text(request.headers(), header::CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let reading = request.take_body().into_bytes_limit(limit);
    match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            &problem::MALFORMED_BODY,
            "the body ends too early",
        )),
        Err(_) => Err(Problem::new(
            &problem::REQUEST_TIMEOUT,
            "the body did not arrive in time",
        )),
    }
}

/// Checks what says how to read the body: one `Content-Type`, in UTF-8, without compression. A merge
/// patch (RFC 7396) is the JSON that PATCH takes anyway.
fn media_type(rule: &BodyRule, headers: &mut HeaderMap, merge_patch: bool) -> Result<(), Problem> {
    let unsupported = |detail: &str| Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail);
    if members(headers, header::CONTENT_ENCODING)
        .any(|coding| !coding.eq_ignore_ascii_case("identity"))
    {
        return Err(unsupported("send the body without a Content-Encoding"));
    }
    let wanted = rule.media_type();
    let mut sent = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(Ok(sent)), None) = (sent.next().map(HeaderValue::to_str), sent.next()) else {
        return Err(unsupported(&format!("send one Content-Type, {wanted}")));
    };
    let kind = without_parameters(sent);
    if kind != wanted && !(merge_patch && kind == "application/merge-patch+json") {
        return Err(unsupported(&format!("send {wanted}")));
    }
    let charset = sent.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("charset")
            .then(|| value.trim().trim_matches('"'))
    });
    if charset.is_some_and(|charset| !charset.eq_ignore_ascii_case("utf-8")) {
        return Err(unsupported("send the body in UTF-8"));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(wanted));
    Ok(())
}

fn form(bytes: &[u8]) -> Result<Value, Problem> {
    if percent_decode(bytes).decode_utf8().is_err() {
        return Err(Problem::new(
            &problem::MALFORMED_BODY,
            "the form is not UTF-8",
        ));
    }
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
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(Vec::new());
    }
    let tags: Vec<_> = members(headers, header::IF_MATCH).collect();
    if tags == ["*"] {
        return Ok(Vec::new());
    }
    // A line that is not text must not pass for no condition.
    let readable = headers
        .get_all(header::IF_MATCH)
        .iter()
        .all(|line| line.to_str().is_ok());
    let versions = tags
        .into_iter()
        .map(version)
        .collect::<Option<Vec<_>>>()
        .filter(|versions| readable && !versions.is_empty());
    versions.ok_or_else(|| {
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
    let tag = tag.strip_suffix("-gzip").unwrap_or(tag);
    // A task's tag also tells of its relatives, which no version counts.
    let (version, relatives) = tag.split_once('-').unwrap_or((tag, "0"));
    let known = |byte: u8| byte == b'.' || byte.is_ascii_digit();
    let readable = !relatives.is_empty() && relatives.bytes().all(known);
    readable.then(|| version.parse().ok()).flatten()
}

/// The value of `Idempotency-Key`. The draft's form is a quoted string; the raw one is what most
/// clients send.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut lines = headers.get_all("idempotency-key").iter();
    let Some(first) = lines.next() else {
        return Ok(None);
    };
    let raw = first.to_str().unwrap_or_default();
    let key = match raw.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').unwrap_or_default(),
        None => raw,
    };
    let good = (1..=IDEMPOTENCY_KEY_CHARACTERS).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_graphic());
    if good && lines.next().is_none() {
        return Ok(Some(key.to_owned()));
    }
    Err(Problem::bad_header(
        &problem::INVALID_IDEMPOTENCY_KEY,
        "Idempotency-Key",
        "must be 1 to 255 visible ASCII characters, and stand once",
    ))
}

/// A header's value, where it is text.
pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The members of a header that is a list, over all its lines (RFC 9110, 5.6.1).
pub(crate) fn members(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// A media type or range by its name alone, in lower case.
fn without_parameters(media: &str) -> String {
    let name = media.split(';').next().unwrap_or_default();
    name.trim().to_ascii_lowercase()
}
