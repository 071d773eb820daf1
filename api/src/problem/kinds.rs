//! The kinds of failure: what clients decide by, and what the pages at `/problems` explain.

use http::StatusCode;

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
    INVALID_SCOPE = BAD_REQUEST "invalid-scope", "The scope is unknown or not yours",
        "Ask for one or more of the scopes that the document lists, with spaces between, or for none to get all but `admin`, which only operators get.";
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
