//! What every operation may rely on: the request has been held against the contract before the
//! operation sees it. In this order: route and method (404, 405), token and scope (401, 403), rate
//! limit (429), media types (406, 415), parameters (400), body (400, 413, 422), conditions (400, 428).

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, Request, Response, endpoint::BoxEndpoint};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use taskhub::{Violation, idempotency, sessions, sessions::Caller as Identity, tokens};

use crate::{
    context::Context,
    contract::{BodyRule, Contract, Found, Operation},
    json,
    limits::{Fallback, Limits, Policy, Verdict, group},
    problem::{self, Problem},
    validation,
};

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// Holds requests against the contract and passes those that keep it on to the operations.
pub struct Gate {
    pub contract: Arc<Contract>,
    pub operations: BoxEndpoint<'static, Response>,
    pub db: PgPool,
    pub keys: Arc<tokens::Keys>,
    pub limits: Arc<Limits>,
    /// How long answers are kept under their `Idempotency-Key`.
    pub idempotency: Duration,
    /// Whether a change without `If-Match` is refused.
    pub require_if_match: bool,
}

/// What the edge knows of a request.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub request_id: String,
    pub address: IpAddr,
}

/// What the gate has to say about a request.
pub struct Answer {
    pub result: poem::Result<Response>,
    /// The id of the operation; the edge counts by it.
    pub operation: Option<String>,
    /// Where the client stands; announced on failures too.
    pub verdict: Option<Verdict>,
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self {
            result: Err(problem.into()),
            operation: None,
            verdict: None,
        }
    }
}

impl Gate {
    /// Answers an operation of the contract; `Err` gives back a request whose path is none of its.
    pub async fn call(&self, request: Request, arrival: &Arrival) -> Result<Answer, Request> {
        match self.contract.find(request.method(), request.uri().path()) {
            Found::Nothing => Err(request),
            Found::OtherMethods(allow) if request.method() == Method::OPTIONS => Ok(Answer {
                result: Ok(Response::builder()
                    .status(StatusCode::NO_CONTENT)
                    .header(header::ALLOW, allow)
                    .finish()),
                operation: None,
                verdict: None,
            }),
            Found::OtherMethods(allow) => {
                let problem =
                    Problem::new(&problem::METHOD_NOT_ALLOWED, "this path has other methods");
                Ok(problem.header(header::ALLOW, &allow).into())
            }
            Found::Operation(operation, path) => {
                tracing::Span::current().record("operation", operation.id.as_str());
                let mut answer = match self.identify(&operation, request.headers()).await {
                    Ok(identity) => {
                        self.limited(&operation, &path, request, identity, arrival)
                            .await
                    }
                    Err(problem) => problem.into(),
                };
                answer.operation = Some(operation.id.clone());
                Ok(answer)
            }
        }
    }

    async fn limited(
        &self,
        operation: &Operation,
        path: &BTreeMap<String, String>,
        mut request: Request,
        identity: Option<Identity>,
        arrival: &Arrival,
    ) -> Answer {
        let verdict = self
            .limit(operation, identity.as_ref(), arrival.address)
            .await;
        let result = match verdict {
            Some(verdict) if !verdict.allowed => Err(Problem::from(verdict).into()),
            Some(_) | None => {
                match self
                    .admit(operation, path, &mut request, identity.as_ref(), arrival)
                    .await
                {
                    Ok(context) => {
                        request.extensions_mut().insert(Arc::new(context));
                        if let Some(identity) = identity {
                            request.extensions_mut().insert(Arc::new(identity));
                        }
                        self.operations.call(request).await
                    }
                    Err(problem) => Err(problem.into()),
                }
            }
        };
        Answer {
            result,
            operation: None,
            verdict,
        }
    }

    /// Who calls, where the operation wants to know.
    async fn identify(
        &self,
        operation: &Operation,
        headers: &HeaderMap,
    ) -> Result<Option<Identity>, Problem> {
        let Some(required) = &operation.scopes else {
            return Ok(None);
        };
        let mut sent = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (sent.next(), sent.next()) else {
            return Err(Problem::new(
                &problem::MISSING_CREDENTIALS,
                "send one Authorization header",
            ));
        };
        let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
            Problem::new(
                &problem::MISSING_CREDENTIALS,
                "the Authorization header is no Bearer token",
            )
        })?;
        let claims = self.keys.verify(token)?;
        let identity = sessions::identify(&self.db, &claims).await?;
        tracing::Span::current().record("user_id", tracing::field::display(identity.user_id));
        if required.iter().all(|scope| identity.scopes.allow(*scope)) {
            return Ok(Some(identity));
        }
        Err(Problem::new(
            &problem::INSUFFICIENT_SCOPE,
            "this token was issued for less",
        )
        .member(
            "required_scopes",
            required
                .iter()
                .map(|scope| scope.name())
                .collect::<Vec<_>>(),
        ))
    }

    async fn limit(
        &self,
        operation: &Operation,
        identity: Option<&Identity>,
        address: IpAddr,
    ) -> Option<Verdict> {
        // Health checks come from machines that must never be turned away.
        if operation.template.starts_with("/health") {
            return None;
        }
        let policy = if operation.method == Method::GET {
            Policy::Read
        } else {
            Policy::Write
        };
        match identity {
            Some(identity) => {
                self.limits
                    .take(policy, &identity.user_id.to_string(), Fallback::Pass)
                    .await
            }
            None => {
                self.limits
                    .take(policy, &group(address), Fallback::ThisProcess)
                    .await
            }
        }
    }

    /// Checks all that the contract says about the request.
    async fn admit(
        &self,
        operation: &Operation,
        path: &BTreeMap<String, String>,
        request: &mut Request,
        identity: Option<&Identity>,
        arrival: &Arrival,
    ) -> Result<Context, Problem> {
        acceptable(request.headers())?;
        parameters(operation, path, request.uri().query().unwrap_or_default())?;
        let body = match &operation.body {
            Some(rule) => body(rule, request).await?,
            None => Value::Null,
        };
        let versions = versions(request.headers())?;
        if self.require_if_match
            && operation.conditional
            && !request.headers().contains_key(header::IF_MATCH)
        {
            return Err(Problem::new(
                &problem::PRECONDITION_REQUIRED,
                "send the ETag you last saw",
            ));
        }
        Ok(Context {
            request_id: arrival.request_id.clone(),
            address: arrival.address,
            user_agent: text(request.headers(), header::USER_AGENT)
                .map(|agent| agent.chars().take(300).collect()),
            idempotency: self.idempotency_key(operation, request, identity, &body)?,
            versions,
        })
    }

    fn idempotency_key(
        &self,
        operation: &Operation,
        request: &Request,
        identity: Option<&Identity>,
        body: &Value,
    ) -> Result<Option<idempotency::Key>, Problem> {
        let Some(value) = request.headers().get("idempotency-key") else {
            return Ok(None);
        };
        let raw = value.to_str().unwrap_or_default();
        // The draft's form is a quoted string; the raw one is what most clients send.
        let key = raw
            .strip_prefix('"')
            .and_then(|raw| raw.strip_suffix('"'))
            .unwrap_or(raw);
        if key.is_empty() || key.len() > 255 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Problem::bad_header(
                &problem::INVALID_IDEMPOTENCY_KEY,
                "Idempotency-Key",
                "must be 1 to 255 visible ASCII characters",
            ));
        }
        let principal = match identity {
            Some(identity) => format!("user:{}", identity.user_id),
            None => format!("name:{}", body["username"].as_str().unwrap_or_default()),
        };
        let if_match = text(request.headers(), header::IF_MATCH).unwrap_or_default();
        let mut canonical = Sha256::new();
        for part in [
            request.uri().path(),
            request.uri().query().unwrap_or_default(),
            if_match,
        ] {
            canonical.update(part);
            canonical.update([0]);
        }
        // A JSON object's members are sorted here, so their order does not matter.
        canonical.update(body.to_string());
        Ok(Some(idempotency::Key {
            principal,
            operation: operation.name(),
            key: key.to_owned(),
            fingerprint: canonical.finalize().into(),
            keep: self.idempotency,
        }))
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Everything is answered as JSON, so a client must take that.
fn acceptable(headers: &HeaderMap) -> Result<(), Problem> {
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

fn parameters(
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
async fn body(rule: &BodyRule, request: &mut Request) -> Result<Value, Problem> {
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
fn versions(headers: &HeaderMap) -> Result<Vec<i64>, Problem> {
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
pub fn version(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    tag.strip_suffix("-gzip").unwrap_or(tag).parse().ok()
}

impl From<Verdict> for Problem {
    fn from(verdict: Verdict) -> Self {
        let (quota, window) = (verdict.rate.requests, verdict.rate.period.as_secs());
        Self::new(
            &problem::RATE_LIMITED,
            format!("at most {quota} requests in {window} s"),
        )
        .member("policy", verdict.policy.name())
        .retry_after(verdict.retry_after)
    }
}
