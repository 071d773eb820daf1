//! One RFC 9457 document for every failure, of whatever kind.

mod examples;
mod kinds;

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Response, error::ResponseError};
use poem_openapi::{ApiResponse, registry::MetaResponses, registry::Registry, types::ToJSON};
use serde_json::{Map, Value, json};
use taskhub::{Current, Deleted, Error, Refusal, Violation};

use crate::{me, response::etag, tasks, timestamp::Timestamp};

use crate::limits::Verdict;

pub use examples::{EXAMPLES, Example};
pub use kinds::*;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// One failure, ready to be rendered once the request's id and path are at hand.
#[derive(Debug)]
pub struct Problem {
    pub kind: &'static Kind,
    pub detail: String,
    /// Further members of the document, broken rules as `errors` among them.
    members: Map<String, Value>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The rate limit that refused, for the headers that tell where the client stands.
    pub limit: Option<Box<Verdict>>,
    /// What the log is told and the client is not.
    cause: Option<String>,
}

impl Problem {
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
            limit: None,
            cause: None,
        }
    }

    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Says when to try again, in whole seconds, at least one.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        self.header(header::RETRY_AFTER, &seconds.to_string())
    }

    /// Broken rules of the body: `{pointer, code, detail}`.
    pub fn violations(violations: Vec<Violation>) -> Self {
        let unknown = violations
            .iter()
            .all(|violation| violation.code == "unknown-field");
        let kind = if unknown {
            &UNKNOWN_FIELD
        } else {
            &VALIDATION_FAILED
        };
        let detail = match violations.len() {
            1 if violations[0].pointer.is_empty() => violations[0].detail.clone(),
            1 => format!("{}: {}", violations[0].pointer, violations[0].detail),
            count => format!("{count} rules are broken; see errors"),
        };
        let errors: Vec<_> = violations
            .into_iter()
            .map(|v| json!({ "pointer": v.pointer, "code": v.code, "detail": v.detail }))
            .collect();
        Self::new(kind, detail).member("errors", errors)
    }

    /// Broken rules of the path and the query: `{parameter, code, detail}`.
    pub fn parameters(kind: &'static Kind, violations: Vec<Violation>) -> Self {
        let names: Vec<_> = violations.iter().map(|v| v.pointer.as_str()).collect();
        let detail = format!("look at {}", names.join(", "));
        let errors: Vec<_> = violations
            .into_iter()
            .map(|v| json!({ "parameter": v.pointer, "code": v.code, "detail": v.detail }))
            .collect();
        Self::new(kind, detail).member("errors", errors)
    }

    /// A header that cannot be read.
    pub fn bad_header(kind: &'static Kind, name: &str, detail: &str) -> Self {
        Self::new(kind, format!("{name}: {detail}")).because("header", name, "malformed", detail)
    }

    /// Names the one `parameter` or `header` that is wrong, and why.
    fn because(self, place: &str, name: &str, code: &str, detail: &str) -> Self {
        let error = json!({ place: name, "code": code, "detail": detail });
        self.member("errors", vec![error])
    }

    fn internal(cause: impl std::fmt::Display) -> Self {
        let mut problem = Self::new(&INTERNAL, "the failure is logged under the request id");
        problem.cause = Some(cause.to_string());
        problem
    }

    fn unavailable(cause: impl std::fmt::Display) -> Self {
        let mut problem = Self::new(&UNAVAILABLE, "a part this needs does not answer")
            .retry_after(Duration::from_secs(2));
        problem.cause = Some(cause.to_string());
        problem
    }

    /// The response. Server-side failures are logged here, once.
    pub fn into_response(self, public_url: &str, request_id: &str, path: &str) -> Response {
        let status = self.kind.status;
        if status.is_server_error() {
            let cause = self.cause.as_deref().unwrap_or(&self.detail);
            tracing::error!(code = self.kind.code, cause, "request failed");
        }
        let mut document = Map::from_iter([
            (
                "type".to_owned(),
                format!("{public_url}/problems/{}", self.kind.code).into(),
            ),
            ("title".to_owned(), self.kind.title.into()),
            ("status".to_owned(), status.as_u16().into()),
            ("detail".to_owned(), self.detail.into()),
            ("instance".to_owned(), path.into()),
            ("code".to_owned(), self.kind.code.into()),
            ("request_id".to_owned(), request_id.into()),
            ("errors".to_owned(), Value::Array(Vec::new())),
        ]);
        document.extend(self.members);
        let mut response = Response::builder()
            .status(status)
            .content_type("application/problem+json")
            .body(Body::from(Value::Object(document).to_string()));
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge(self.kind));
        }
        response.headers_mut().extend(self.headers);
        response
    }
}

/// RFC 6750, 3: no error code where no token was sent.
fn challenge(kind: &'static Kind) -> HeaderValue {
    HeaderValue::from_static(match kind.code {
        "invalid-token" | "token-expired" | "token-revoked" => {
            r#"Bearer realm="taskhub", error="invalid_token""#
        }
        _ => r#"Bearer realm="taskhub""#,
    })
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::RefusedBefore(refusal) => {
                Self::from(refusal).header(IDEMPOTENCY_REPLAYED, "true")
            }
            Error::Invalid(violations) => Self::violations(violations),
            Error::InvalidCursor => Self::new(&INVALID_CURSOR, error.to_string()).because(
                "parameter",
                "cursor",
                "other-list",
                &error.to_string(),
            ),
            Error::InvalidLogin => Self::new(&INVALID_LOGIN, error.to_string()),
            Error::InvalidToken => Self::new(&INVALID_TOKEN, error.to_string()),
            Error::ExpiredToken => Self::new(&TOKEN_EXPIRED, error.to_string()),
            Error::RevokedToken => Self::new(&TOKEN_REVOKED, error.to_string()),
            Error::IdempotencyInProgress => Self::new(&IDEMPOTENCY_IN_PROGRESS, error.to_string())
                .retry_after(Duration::from_secs(1)),
            Error::IdempotencyKeyReused => Self::new(&IDEMPOTENCY_KEY_REUSED, error.to_string())
                .because("header", "Idempotency-Key", "reused", &error.to_string()),
            Error::Busy { retry_after } => {
                Self::new(&UNAVAILABLE, error.to_string()).retry_after(retry_after)
            }
            Error::Database(error) if is_passing(&error) => Self::unavailable(error),
            Error::Database(error) => Self::internal(error),
            Error::Redis(error) => Self::unavailable(error),
            Error::Internal(error) => Self::internal(format!("{error:#}")),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotFound => Self::new(&NOT_FOUND, detail),
            Refusal::AlreadyExists { what, deleted } => {
                let problem = Self::new(&ALREADY_EXISTS, detail).member("conflict", what);
                match deleted {
                    Some(Deleted { task_id, at }) => problem
                        .member("deleted_at", on_the_wire(Timestamp(at)))
                        .member("restore", format!("/v1/tasks/{task_id}/restore")),
                    None => problem,
                }
            }
            Refusal::VersionMismatch {
                current_version,
                current,
            } => {
                let (etag, current) = present(current);
                Self::new(&VERSION_MISMATCH, detail)
                    .member("current_version", current_version)
                    .member("current", current)
                    .header(header::ETAG, &etag)
            }
            Refusal::InvalidTransition { .. } => Self::new(&INVALID_TRANSITION, detail),
        }
    }
}

/// The `ETag` and the body that a GET of the thing would answer.
fn present(current: Current) -> (String, Value) {
    match current {
        Current::Task(task) => (tasks::etag(&task), on_the_wire(tasks::Task::from(*task))),
        Current::User(user) => (etag(user.version), on_the_wire(me::User::from(*user))),
    }
}

fn on_the_wire(value: impl ToJSON) -> Value {
    value.to_json().unwrap_or_default()
}

/// Whether a repetition may well succeed: the server is away, busy, or gave the statement up.
/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>
fn is_passing(error: &sqlx::Error) -> bool {
    match error.as_database_error() {
        // Connection, resources, locks, shutdown and cancellation, serialisation, password.
        Some(error) => error.code().is_some_and(|code| {
            ["08", "53", "55", "57", "40", "28"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
        ),
    }
}

impl From<poem::Error> for Problem {
    /// What the framework refuses by itself. Its texts repeat the input, so none of them is shown.
    fn from(error: poem::Error) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(problem) => return problem,
            Err(error) => error,
        };
        match error.status() {
            StatusCode::NOT_FOUND => Self::new(&NO_SUCH_ROUTE, "no route has this path"),
            // Only the pages leave this to the framework, and all of them are there to be read.
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(&METHOD_NOT_ALLOWED, "this path has other methods")
                    .header(header::ALLOW, "GET, HEAD")
            }
            StatusCode::UNAUTHORIZED => Self::new(&MISSING_CREDENTIALS, "no access token was sent"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::new(
                &UNSUPPORTED_MEDIA_TYPE,
                "this content type is not accepted here",
            ),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(&PAYLOAD_TOO_LARGE, "a body has at most 1 MiB")
            }
            StatusCode::BAD_REQUEST => Self::framework(&error),
            _ => Self::internal(error),
        }
    }
}

impl Problem {
    fn framework(error: &poem::Error) -> Self {
        use poem_openapi::error::{ParseParamError, ParsePathError};
        let name = error
            .downcast_ref::<ParseParamError>()
            .map(|error| error.name)
            .or_else(|| {
                error
                    .downcast_ref::<ParsePathError>()
                    .map(|error| error.name)
            });
        match name {
            Some(name) => Self::parameters(
                &INVALID_PARAMETER,
                vec![Violation {
                    pointer: name.to_owned(),
                    code: "invalid",
                    detail: "it is not what the description asks for".to_owned(),
                }],
            ),
            // The document allows what the code could not read; it should say more.
            None => Self::violations(vec![Violation {
                pointer: String::new(),
                code: "invalid",
                detail: "the body is not what the description asks for".to_owned(),
            }]),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.kind.status
    }
}

/// Documented once for all operations, by the document's overlay.
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses { responses: vec![] }
    }
    fn register(_registry: &mut Registry) {}
}
