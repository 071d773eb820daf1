//! The kinds of failure: what clients decide by, and what the pages at `/problems` explain.

use http::StatusCode;

/// A kind of failure. Its code is stable, its page is `/problems/{code}`.
#[derive(Debug, PartialEq)]
pub struct Kind {
    pub code: &'static str,
    pub status: StatusCode,
    pub title: &'static str,
    /// How it comes about, for the page.
    pub cause: &'static str,
    /// What to do next, for the page.
    pub remedy: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $status:ident $code:literal, $title:literal, $cause:literal, $remedy:literal;)*) => {
        $(pub const $name: Kind = Kind {
            code: $code, status: StatusCode::$status, title: $title, cause: $cause, remedy: $remedy,
        };)*
        /// Every kind of failure this program answers.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    MALFORMED_BODY = BAD_REQUEST "malformed-json", "The body cannot be read",
        "The body is not JSON (or not a form, where the operation takes one), repeats a key, or is nested more than 32 levels deep.",
        "Correct the body and send it again. `detail` says where it cannot be read.";
    UNEXPECTED_BODY = BAD_REQUEST "unexpected-body", "The operation takes no body",
        "The request has content, and the operation takes none, so what the content says would be lost without a word.",
        "Leave the body out, or compare the path and the method with the document at `/docs`. An empty body and `{}` are accepted.";
    AMBIGUOUS_REQUEST = BAD_REQUEST "ambiguous-request", "The request can be read in two ways",
        "The request does not have exactly one `Host` header, so it is unclear which server it is for.",
        "Send one `Host` header. HTTP clients do so by themselves; look at the proxies in between.";
    INVALID_PARAMETER = BAD_REQUEST "invalid-parameter", "A parameter is invalid",
        "A value in the path or the query is not what the operation's description asks for.",
        "Correct each parameter that `errors` names.";
    UNKNOWN_PARAMETER = BAD_REQUEST "unknown-parameter", "A parameter is unknown",
        "The query has a name that the operation does not know. Unknown names are refused, so that a misspelt filter is never taken for no filter.",
        "Compare the names in `errors` with the operation's description at `/docs`.";
    INVALID_HEADER = BAD_REQUEST "invalid-header", "A header is invalid",
        "A header, such as `If-Match`, cannot be read.",
        "Correct the header that `errors` names. `If-Match` takes the `ETag` of an earlier answer, or `*`.";
    INVALID_CURSOR = BAD_REQUEST "invalid-cursor", "The cursor is invalid",
        "The cursor is damaged, or belongs to another list: other filters, another order, or another person.",
        "Start again without `cursor`, and send `next_cursor` with the same filters and order.";
    INVALID_IDEMPOTENCY_KEY = BAD_REQUEST "invalid-idempotency-key", "The Idempotency-Key is invalid",
        "The `Idempotency-Key` is empty, longer than 255 characters, has other than visible ASCII characters, or stands twice.",
        "Send one key, such as a UUID.";
    INCOMPLETE_TOKEN_REQUEST = BAD_REQUEST "incomplete-token-request", "The token request lacks a field",
        "A form to an OAuth operation lacks a field. Which fields `POST /v1/oauth/token` needs depends on `grant_type`.",
        "Add the fields that `detail` names.";
    INVALID_GRANT = BAD_REQUEST "invalid-grant", "The grant is not good for tokens",
        "The username or the password is wrong; or the refresh token is unknown, expired, or of a session that has ended.",
        "Sign in again.";
    INVALID_SCOPE = BAD_REQUEST "invalid-scope", "The scope is unknown or not yours",
        "Not one of the scopes that the request asks for can be given.",
        "Ask for scopes that the document lists, with spaces between them, or leave `scope` out to get all but `admin`, which only operators get.";
    UNSUPPORTED_GRANT = BAD_REQUEST "unsupported-grant", "The grant type is not supported",
        "`grant_type` is neither `password` nor `refresh_token`.",
        "Send one of the two. Other ways of OAuth 2.0 are not offered.";
    MISSING_CREDENTIALS = UNAUTHORIZED "missing-credentials", "Sign in first",
        "The operation needs an access token, and none was sent.",
        "Sign in at `POST /v1/auth/login` and send `Authorization: Bearer` with the access token.";
    INVALID_TOKEN = UNAUTHORIZED "invalid-token", "The token is not valid",
        "The token is damaged, was not issued by this instance, is no access token, or belongs to an account that is gone.",
        "Sign in again.";
    TOKEN_EXPIRED = UNAUTHORIZED "token-expired", "The token has expired",
        "The access token has reached its end. It lives for minutes.",
        "Exchange the refresh token at `POST /v1/auth/refresh` for a new pair, or sign in again.";
    TOKEN_REVOKED = UNAUTHORIZED "token-revoked", "The session has ended",
        "The session was signed out or ended elsewhere, or a refresh token came back that had been used already.",
        "Sign in again.";
    INVALID_LOGIN = UNAUTHORIZED "invalid-login", "Username or password is wrong",
        "The username is unknown or the password is wrong. Which of the two is not said, so that nobody can find out who has an account.",
        "Try again, or ask for a new password at `POST /v1/auth/forgot-password`.";
    INSUFFICIENT_SCOPE = FORBIDDEN "insufficient-scope", "The token lacks a scope",
        "The token is good, but does not allow this operation.",
        "Sign in again and ask for the scopes that `required_scopes` lists.";
    NOT_FOUND = NOT_FOUND "not-found", "It does not exist",
        "It never existed, is deleted, or belongs to somebody else. These look the same on purpose.",
        "Check the id. A task that you deleted can be brought back at `POST /v1/tasks/{task_id}/restore`.";
    NO_SUCH_ROUTE = NOT_FOUND "no-such-route", "There is nothing at this address",
        "No operation has this path.",
        "Compare the path with the document at `/docs`.";
    METHOD_NOT_ALLOWED = METHOD_NOT_ALLOWED "method-not-allowed", "The method is not allowed here",
        "The path exists, but not with this method.",
        "Use a method that the header `Allow` lists.";
    NOT_ACCEPTABLE = NOT_ACCEPTABLE "not-acceptable", "Only JSON can be answered",
        "The header `Accept` excludes JSON, and every answer is JSON.",
        "Allow `application/json` in `Accept`, or leave the header out.";
    REQUEST_TIMEOUT = REQUEST_TIMEOUT "request-timeout", "The body did not arrive in time",
        "The body did not arrive within 15 seconds.",
        "Send it again over a faster connection.";
    ALREADY_EXISTS = CONFLICT "already-exists", "It is taken",
        "Something has this name or id already. `conflict` says what is taken.",
        "Choose another name or id. If the answer has `deleted_at`, the id is that of your own task in the trash: a POST to the path in `restore` brings it back.";
    IDEMPOTENCY_IN_PROGRESS = CONFLICT "idempotency-in-progress", "The same request is at work",
        "Another request with this `Idempotency-Key` is being handled.",
        "Repeat the request after the seconds of `Retry-After`; it then gets the answer to the first.";
    INVALID_TRANSITION = CONFLICT "invalid-transition", "Its state does not allow this",
        "The present state of the thing does not allow this. `detail` says what stands in the way.",
        "Change that first.";
    VERSION_MISMATCH = PRECONDITION_FAILED "version-mismatch", "It has changed meanwhile",
        "`If-Match` names another version than the present one: somebody changed the thing meanwhile.",
        "Merge your change with `current`, the present state, and send it with the version in `current_version`.";
    PRECONDITION_REQUIRED = PRECONDITION_REQUIRED "precondition-required", "If-Match is required",
        "This instance changes nothing without knowing which version is meant.",
        "Send the `ETag` that you last saw as `If-Match`.";
    PAYLOAD_TOO_LARGE = PAYLOAD_TOO_LARGE "payload-too-large", "The body is too large",
        "The body is larger than 1 MiB.",
        "Send less at once.";
    URI_TOO_LONG = URI_TOO_LONG "uri-too-long", "The address is too long",
        "The path and the query together are longer than 8 KiB.",
        "Ask for less at once, for example with fewer filters.";
    UNSUPPORTED_MEDIA_TYPE = UNSUPPORTED_MEDIA_TYPE "unsupported-media-type", "The content type is not supported",
        "The body is neither the JSON nor the form that the operation takes, is compressed, or is not in UTF-8.",
        "Send `Content-Type: application/json`, or what the operation's description names, without `Content-Encoding`.";
    VALIDATION_FAILED = UNPROCESSABLE_ENTITY "validation-failed", "The input breaks rules",
        "The input can be read, and breaks rules.",
        "Correct everything that `errors` lists. Each entry has a JSON pointer into the body.";
    UNKNOWN_FIELD = UNPROCESSABLE_ENTITY "unknown-field", "A field is unknown",
        "The body has a field that does not exist or is read-only. Unknown fields are refused, so that nothing is lost without a word.",
        "Correct or remove the fields that `errors` points at.";
    IDEMPOTENCY_KEY_REUSED = UNPROCESSABLE_ENTITY "idempotency-key-reused", "The key was used for another request",
        "The `Idempotency-Key` was used before, with another request. A key stands for one request.",
        "Use a new key for a new request.";
    RATE_LIMITED = TOO_MANY_REQUESTS "rate-limited", "Too many requests",
        "More requests came than the limit allows. `policy` names the limit.",
        "Wait for the seconds of `Retry-After`, then go on. `RateLimit` tells in every answer how many requests remain.";
    INTERNAL = INTERNAL_SERVER_ERROR "internal", "Something went wrong here",
        "A defect of the service. The operators find it in the logs under the request id.",
        "Repeat the request; with its `Idempotency-Key` that is safe. Report the request id if it stays.";
    UNAVAILABLE = SERVICE_UNAVAILABLE "unavailable", "Not available at the moment",
        "A part that the request needs is down or too busy.",
        "Repeat the request after the seconds of `Retry-After`. With an `Idempotency-Key` that is safe for writes too.";
}
