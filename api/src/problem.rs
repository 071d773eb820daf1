//! One RFC 9457 document for every failure, of whatever kind.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, Response, error::ResponseError};
use poem_openapi::{ApiResponse, registry::MetaResponses, registry::Registry};
use serde_json::{Map, Value, json};
use taskhub::{Error, Refusal, Violation};

/// A kind of failure. Its code is stable, its page is `/problems/{code}`.
#[derive(Debug, PartialEq)]
pub struct Kind {
    pub code: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    /// What it means and what to do next, for the page.
    pub meaning: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:ident $code:literal, $title:literal, $meaning:literal;)*) => {
        $(pub const $name: Kind = Kind {
            code: $code, status: StatusCode::$status, title: $title, meaning: $meaning,
        };)*
        /// Every kind of failure this program answers.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    MALFORMED_BODY = BAD_REQUEST "malformed-json", "The body cannot be read",
        "The body is not JSON (or not a form, where one is asked for), repeats a key, or nests deeper than 32 levels. Correct it and send it again.";
    AMBIGUOUS_REQUEST = BAD_REQUEST "ambiguous-request", "The request can be read in two ways",
        "An HTTP/1.1 request has exactly one `Host` header.";
    INVALID_PARAMETER = BAD_REQUEST "invalid-parameter", "A parameter is invalid",
        "A value in the path or the query is not what the operation's description asks for. `errors` names each.";
    UNKNOWN_PARAMETER = BAD_REQUEST "unknown-parameter", "A parameter is unknown",
        "The query has a name that the operation does not know. Unknown names are refused, so that a misspelt filter is never mistaken for no filter.";
    INVALID_HEADER = BAD_REQUEST "invalid-header", "A header is invalid",
        "A header such as `If-Match` cannot be read. `errors` names it.";
    INVALID_CURSOR = BAD_REQUEST "invalid-cursor", "The cursor is invalid",
        "The cursor belongs to another list: other filters, another order or another person. Start again without it.";
    INVALID_IDEMPOTENCY_KEY = BAD_REQUEST "invalid-idempotency-key", "The Idempotency-Key is invalid",
        "The header takes 1 to 255 visible ASCII characters.";
    INCOMPLETE_TOKEN_REQUEST = BAD_REQUEST "incomplete-token-request", "The token request lacks a field",
        "Which fields `POST /v1/oauth/token` needs depends on `grant_type`; `detail` names what is missing.";
    INVALID_GRANT = BAD_REQUEST "invalid-grant", "The grant is not good for tokens",
        "The username or the password is wrong, or the refresh token is unknown, expired, or of a session that has ended. Sign in again.";
    INVALID_SCOPE = BAD_REQUEST "invalid-scope", "The scope is unknown",
        "Ask for one or more of the scopes that the document lists, with spaces between, or for none to get all.";
    UNSUPPORTED_GRANT = BAD_REQUEST "unsupported-grant", "The grant type is not supported",
        "`grant_type` is `password` or `refresh_token`.";
    MISSING_CREDENTIALS = UNAUTHORIZED "missing-credentials", "Sign in first",
        "Send `Authorization: Bearer` with an access token.";
    INVALID_TOKEN = UNAUTHORIZED "invalid-token", "The token is not valid",
        "It is damaged, was not issued here, or belongs to an account that is gone. Sign in again.";
    TOKEN_EXPIRED = UNAUTHORIZED "token-expired", "The token has expired",
        "Exchange the refresh token for a new pair, or sign in again.";
    TOKEN_REVOKED = UNAUTHORIZED "token-revoked", "The session has ended",
        "It was signed out, revoked, or a used refresh token came back. Sign in again.";
    INVALID_LOGIN = UNAUTHORIZED "invalid-login", "Username or password is wrong",
        "Which of the two is not said.";
    INSUFFICIENT_SCOPE = FORBIDDEN "insufficient-scope", "The token lacks a scope",
        "`required_scopes` lists what the operation needs. Sign in asking for it.";
    NOT_FOUND = NOT_FOUND "not-found", "It does not exist",
        "It never existed, is deleted, or belongs to somebody else; these look the same.";
    NO_SUCH_ROUTE = NOT_FOUND "no-such-route", "There is nothing at this address",
        "Compare the path with the document at `/docs`.";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed", "The method is not allowed here",
        "The `Allow` header lists those that are.";
    NOT_ACCEPTABLE = NOT_ACCEPTABLE "not-acceptable", "Only JSON can be answered",
        "Allow `application/json` in `Accept`, or leave the header out.";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "request-timeout", "The body did not arrive in time",
        "Send it again over a faster connection.";
    ALREADY_EXISTS = CONFLICT "already-exists", "It is taken",
        "Something of that name or id exists. Choose another.";
    IDEMPOTENCY_IN_PROGRESS = CONFLICT "idempotency-in-progress", "The same request is at work",
        "Another request with this Idempotency-Key has not finished. Repeat this one after `Retry-After`.";
    INVALID_TRANSITION = CONFLICT "invalid-transition", "Its state does not allow this",
        "`detail` says what stands in the way.";
    VERSION_MISMATCH = PRECONDITION_FAILED "version-mismatch", "It has changed meanwhile",
        "`If-Match` names an older version. `current` is the present state: merge and send again with its version.";
    PRECONDITION_REQUIRED = PRECONDITION_REQUIRED "precondition-required", "If-Match is required",
        "This instance changes nothing without knowing which version is meant. Send the `ETag` you last saw as `If-Match`.";
    PAYLOAD_TOO_LARGE = PAYLOAD_TOO_LARGE "payload-too-large", "The body is too large",
        "A body has at most 1 MiB.";
    URI_TOO_LONG = URI_TOO_LONG "uri-too-long", "The address is too long",
        "An address has at most 8 KiB. Ask for less at once.";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type", "The content type is not supported",
        "Send `Content-Type: application/json`, or what the operation's description names.";
    VALIDATION_FAILED = UNPROCESSABLE_ENTITY "validation-failed", "The input breaks rules",
        "`errors` lists all broken rules, each with a JSON pointer.";
    UNKNOWN_FIELD = UNPROCESSABLE_ENTITY "unknown-field", "A field is unknown",
        "Unknown and read-only fields are refused, so that nothing is lost silently. `errors` points at each.";
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency-key-reused", "The key was used for another request",
        "An Idempotency-Key stands for one request. Use a new one for a different request.";
    RATE_LIMITED = TOO_MANY_REQUESTS "rate-limited", "Too many requests",
        "Wait for the seconds of `Retry-After`. `policy` names the limit.";
    INTERNAL = INTERNAL_SERVER_ERROR "internal", "Something went wrong here",
        "The failure is logged under the request id. Repeating a request with its Idempotency-Key is safe.";
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable", "Not available at the moment",
        "A part this needs is down or too busy. Repeat after `Retry-After`; with an Idempotency-Key that is safe for writes too.";
}

/// One failure, ready to be rendered once the request's id and path are at hand.
#[derive(Debug)]
pub struct Problem {
    pub kind: &'static Kind,
    pub detail: String,
    /// Further members of the document, broken rules as `errors` among them.
    members: Map<String, Value>,
    pub headers: Vec<(HeaderName, HeaderValue)>,
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
        let errors = vec![json!({ "header": name, "code": "malformed", "detail": detail })];
        Self::new(kind, format!("{name}: {detail}")).member("errors", errors)
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
            Error::Invalid(violations) => Self::violations(violations),
            Error::InvalidCursor => Self::new(&INVALID_CURSOR, error.to_string()),
            Error::InvalidLogin => Self::new(&INVALID_LOGIN, error.to_string()),
            Error::InvalidToken => Self::new(&INVALID_TOKEN, error.to_string()),
            Error::ExpiredToken => Self::new(&TOKEN_EXPIRED, error.to_string()),
            Error::RevokedToken => Self::new(&TOKEN_REVOKED, error.to_string()),
            Error::IdempotencyInProgress => Self::new(&IDEMPOTENCY_IN_PROGRESS, error.to_string())
                .retry_after(Duration::from_secs(1)),
            Error::IdempotencyKeyReused => Self::new(&IDEMPOTENCY_KEY_REUSED, error.to_string()),
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
            Refusal::AlreadyExists { what } => {
                Self::new(&ALREADY_EXISTS, detail).member("conflict", what)
            }
            Refusal::VersionMismatch {
                current_version,
                current,
            } => Self::new(&VERSION_MISMATCH, detail)
                .member("current_version", current_version)
                .member("current", current)
                .header(header::ETAG, &format!("\"{current_version}\"")),
            Refusal::InvalidTransition { .. } => Self::new(&INVALID_TRANSITION, detail),
        }
    }
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
            None => Self::new(
                &VALIDATION_FAILED,
                "the body is not what the description asks for",
            ),
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
