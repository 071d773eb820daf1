//! For each kind of problem, a request that meets it, as the pages at `/problems` show it.
//!
//! A test sends those that need nothing but a running service and compares what comes back.

use serde_json::{Value, json};

use super::Kind;

/// A request and the answer to it.
#[derive(Debug)]
pub struct Example {
    pub code: &'static str,
    /// A shell command. `$API` is the service's address, `$TOKEN` an access token, `$TASK` the id of a task.
    pub request: &'static str,
    /// The members of the answer that the kind does not decide, as JSON: `detail`, `instance` and more.
    members: &'static str,
    pub sent_by_test: bool,
}

impl Example {
    /// The example of a kind. Every kind has one.
    pub fn of(kind: &Kind) -> Option<&'static Self> {
        EXAMPLES.iter().find(|example| example.code == kind.code)
    }

    /// The body of the answer, with its addresses below `public_url`.
    pub fn answer(&self, kind: &Kind, public_url: &str) -> Value {
        let mut answer = json!({
            "type": format!("{public_url}/problems/{}", kind.code),
            "title": kind.title,
            "status": kind.status.as_u16(),
            "code": kind.code,
            "request_id": "0199c1f0-7a52-7c11-9d0e-6f0d6a3b2c10",
            "errors": [],
        });
        if let (Value::Object(answer), Ok(Value::Object(members))) =
            (&mut answer, serde_json::from_str(self.members))
        {
            answer.extend(members);
        }
        answer
    }
}

macro_rules! examples {
    ($($code:literal $sent:ident $request:literal $members:literal)*) => {
        /// One for each kind, in the order of the kinds.
        pub const EXAMPLES: &[Example] = &[$(Example {
            code: $code,
            request: $request,
            members: $members,
            sent_by_test: examples!(@ $sent),
        }),*];
    };
    (@ sent) => { true };
    // Needs a moment that a test cannot choose, or is tested elsewhere.
    (@ shown) => { false };
}

examples! {
    "malformed-json" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"title": "Buy milk"'"#
    r#"{"detail": "the body ends too early at line 1, column 20", "instance": "/v1/tasks"}"#

    "unexpected-body" sent
    r#"curl "$API/v1/tasks/$TASK/reopen" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"status": "todo"}'"#
    r#"{"detail": "this operation takes no body", "instance": "/v1/tasks/$TASK/reopen"}"#

    "ambiguous-request" shown
    r#"printf 'GET /v1/meta HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n' | nc localhost 8000"#
    r#"{"detail": "send exactly one Host header", "instance": "/v1/meta"}"#

    "invalid-parameter" sent
    r#"curl "$API/v1/tasks?limit=1000" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "look at limit", "instance": "/v1/tasks", "errors": [{"code": "too-large", "detail": "must be at most 200", "parameter": "limit"}]}"#

    "unknown-parameter" sent
    r#"curl "$API/v1/tasks?state=todo" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "look at state", "instance": "/v1/tasks", "errors": [{"code": "unknown", "detail": "is no parameter of this operation", "parameter": "state"}]}"#

    "invalid-header" sent
    r#"curl "$API/v1/tasks/$TASK" -X DELETE -H "Authorization: Bearer $TOKEN" -H "If-Match: newest""#
    r#"{"detail": "If-Match: must be an ETag of this service, or *", "instance": "/v1/tasks/$TASK", "errors": [{"code": "malformed", "detail": "must be an ETag of this service, or *", "header": "If-Match"}]}"#

    "invalid-cursor" sent
    r#"curl "$API/v1/tasks?cursor=page2" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "this page position belongs to another list", "instance": "/v1/tasks", "errors": [{"code": "other-list", "detail": "this page position belongs to another list", "parameter": "cursor"}]}"#

    "invalid-idempotency-key" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H "Idempotency-Key: buy milk" -d '{"title": "Buy milk"}'"#
    r#"{"detail": "Idempotency-Key: must be 1 to 255 visible ASCII characters, and stand once", "instance": "/v1/tasks", "errors": [{"code": "malformed", "detail": "must be 1 to 255 visible ASCII characters, and stand once", "header": "Idempotency-Key"}]}"#

    "incomplete-token-request" sent
    r#"curl "$API/v1/oauth/token" -d grant_type=password -d username=ada"#
    r#"{"detail": "username and password are needed", "instance": "/v1/oauth/token", "error": "invalid_request"}"#

    "invalid-grant" sent
    r#"curl "$API/v1/oauth/token" -d grant_type=refresh_token -d refresh_token=thr_old"#
    r#"{"detail": "the token is not valid", "instance": "/v1/oauth/token", "error": "invalid_grant"}"#

    "invalid-scope" shown
    r#"curl "$API/v1/oauth/token" -d grant_type=password -d username=ada -d "password=difference engine no 2" -d scope=admin"#
    r#"{"detail": "none of these scopes can be given", "instance": "/v1/oauth/token", "error": "invalid_scope"}"#

    "unsupported-grant" sent
    r#"curl "$API/v1/oauth/token" -d grant_type=client_credentials"#
    r#"{"detail": "grant_type is password or refresh_token", "instance": "/v1/oauth/token", "error": "unsupported_grant_type"}"#

    "missing-credentials" sent
    r#"curl "$API/v1/tasks""#
    r#"{"detail": "send one Authorization header", "instance": "/v1/tasks"}"#

    "invalid-token" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer abc""#
    r#"{"detail": "the token is not valid", "instance": "/v1/tasks"}"#

    "token-expired" shown
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN"     # fifteen minutes later"#
    r#"{"detail": "the token has expired", "instance": "/v1/tasks"}"#

    "token-revoked" shown
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN"     # after POST /v1/auth/logout"#
    r#"{"detail": "the session of this token has ended", "instance": "/v1/tasks"}"#

    "invalid-login" sent
    r#"curl "$API/v1/auth/login" -H "Content-Type: application/json" -d '{"username": "ada", "password": "difference engine"}'"#
    r#"{"detail": "the username or the password is wrong", "instance": "/v1/auth/login"}"#

    "insufficient-scope" sent
    r#"curl "$API/v1/admin/jobs" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "this token was issued for less", "instance": "/v1/admin/jobs", "required_scopes": ["admin"]}"#

    "not-found" sent
    r#"curl "$API/v1/tasks/00000000-0000-0000-0000-000000000000" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "it does not exist", "instance": "/v1/tasks/00000000-0000-0000-0000-000000000000"}"#

    "no-such-route" sent
    r#"curl "$API/v1/task""#
    r#"{"detail": "no route has this path", "instance": "/v1/task"}"#

    "method-not-allowed" sent
    r#"curl -X PUT "$API/v1/tasks/$TASK" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "this path has other methods", "instance": "/v1/tasks/$TASK"}"#

    "not-acceptable" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Accept: text/csv""#
    r#"{"detail": "only application/json can be answered", "instance": "/v1/tasks"}"#

    "request-timeout" shown
    r#"curl --limit-rate 10 "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d @large-task.json"#
    r#"{"detail": "the body did not arrive in time", "instance": "/v1/tasks"}"#

    "already-exists" sent
    r#"curl "$API/v1/auth/register" -H "Content-Type: application/json" -d '{"username": "operator", "password": "difference engine no 2"}'"#
    r#"{"detail": "username is taken", "instance": "/v1/auth/register", "conflict": "username"}"#

    "idempotency-in-progress" shown
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H "Idempotency-Key: milk-1" -d '{"title": "Buy milk"}'     # while its twin is at work"#
    r#"{"detail": "a request with this idempotency key is in progress", "instance": "/v1/tasks"}"#

    "invalid-transition" shown
    r#"curl -X PATCH "$API/v1/tasks/$TASK" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"project_id": "0199c1ee-2b1d-7f00-b6a1-0c9e8d7f6a54"}'     # a task with subtasks"#
    r#"{"detail": "a task stays in the project of its parent and its subtasks", "instance": "/v1/tasks/$TASK"}"#

    "version-mismatch" sent
    r#"curl -X PATCH "$API/v1/tasks/$TASK" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H 'If-Match: "99"' -d '{"title": "Buy oat milk"}'"#
    r#"{"detail": "it is at version 1 by now", "instance": "/v1/tasks/$TASK", "current_version": 1}"#

    "precondition-required" shown
    r#"curl -X PATCH "$API/v1/tasks/$TASK" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"title": "Buy oat milk"}'"#
    r#"{"detail": "send the ETag you last saw", "instance": "/v1/tasks/$TASK"}"#

    "payload-too-large" sent
    r#"head -c 2000000 /dev/zero | curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H "Expect:" --data-binary @-"#
    r#"{"detail": "a body has at most 1 MiB", "instance": "/v1/tasks"}"#

    "uri-too-long" sent
    r#"curl "$API/v1/tasks?q=$(head -c 9000 /dev/zero | tr '\0' a)" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "an address has at most 8 KiB", "instance": "/v1/tasks"}"#

    "unsupported-media-type" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: text/plain" -d 'Buy milk'"#
    r#"{"detail": "send application/json", "instance": "/v1/tasks"}"#

    "validation-failed" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"title": ""}'"#
    r#"{"detail": "/title: must have at least 1 character", "instance": "/v1/tasks", "errors": [{"code": "too-short", "detail": "must have at least 1 character", "pointer": "/title"}]}"#

    "unknown-field" sent
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -d '{"title": "Buy milk", "prio": "high"}'"#
    r#"{"detail": "/prio: is not a field of this", "instance": "/v1/tasks", "errors": [{"code": "unknown-field", "detail": "is not a field of this", "pointer": "/prio"}]}"#

    "idempotency-key-reused" sent
    r#"for title in milk bread; do curl -s "$API/v1/tasks" -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" -H "Idempotency-Key: shopping-1" -d "{\"title\": \"Buy $title\"}"; done"#
    r#"{"detail": "this idempotency key was used for a different request", "instance": "/v1/tasks", "errors": [{"code": "reused", "detail": "this idempotency key was used for a different request", "header": "Idempotency-Key"}]}"#

    "rate-limited" shown
    r#"for n in $(seq 1500); do curl -s "$API/v1/tasks/count" -H "Authorization: Bearer $TOKEN"; done"#
    r#"{"detail": "at most 1200 requests in 60 s", "instance": "/v1/tasks/count", "policy": "read"}"#

    "internal" shown
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN""#
    r#"{"detail": "the failure is logged under the request id", "instance": "/v1/tasks"}"#

    "unavailable" shown
    r#"curl "$API/v1/tasks" -H "Authorization: Bearer $TOKEN"     # while PostgreSQL restarts"#
    r#"{"detail": "a part this needs does not answer", "instance": "/v1/tasks"}"#
}
