//! Which web pages may call the service from another origin (the Fetch standard's CORS protocol).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};

/// Browsers may read these.
const EXPOSED: &str = "ETag, Location, Link, RateLimit, RateLimit-Policy, X-RateLimit-Limit, \
    X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Request-Id, Idempotency-Replayed";

/// Browsers may send these.
const SENDABLE: &str = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Traceparent, X-Request-Id";

const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// Exact origins; none by default. Never with credentials: nobody is signed in by a cookie.
#[derive(Clone, Debug)]
pub struct Origins(pub Vec<String>);

impl Origins {
    fn allowed(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        let known = self
            .0
            .iter()
            .any(|known| known.as_bytes() == origin.as_bytes());
        known.then(|| origin.clone())
    }

    /// The answer to a browser that asks before it calls.
    pub(super) fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.allowed(headers).is_none() {
            return None;
        }
        Some(
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS)
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, SENDABLE)
                .header(header::ACCESS_CONTROL_MAX_AGE, "3600")
                .finish(),
        )
    }

    /// Lets the page that sent `request` read the answer.
    pub(super) fn admit(&self, request: &HeaderMap, response: &mut HeaderMap) {
        if !self.0.is_empty() {
            response.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allowed(request) {
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            response.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
        }
    }
}
