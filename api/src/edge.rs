//! What every response has, whoever made it: a request id, security and rate-limit headers, a log
//! line and a count. Failures become problem documents here, panics and missed deadlines included.

use std::{
    net::{IpAddr, Ipv4Addr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use poem::{Endpoint, Request, Response, endpoint::BoxEndpoint};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    admission,
    gate::{Answer, Arrival, Gate},
    limits::{Limits, Policy, Verdict},
    problem::{self, Problem},
};

/// The longest address, in bytes.
const MAX_URI: usize = 8 * 1024;

/// Browsers may read these (CORS).
const EXPOSED: &str = "ETag, Location, Link, RateLimit, RateLimit-Policy, X-RateLimit-Limit, \
    X-RateLimit-Remaining, X-RateLimit-Reset, Retry-After, X-Request-Id, Idempotency-Replayed";

/// Browsers may send these (CORS).
const SENDABLE: &str =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-Request-Id";

/// The whole service as one endpoint.
pub struct Edge {
    pub gate: Gate,
    /// Everything outside the contract, such as the pages about it.
    pub pages: BoxEndpoint<'static, Response>,
    pub limits: Arc<Limits>,
    pub public_url: String,
    /// Exact origins; none by default.
    pub cors_origins: Vec<String>,
    /// How many proxies stand before this process, each adding one entry to `X-Forwarded-For`.
    pub trusted_proxies: usize,
    /// After this the client gets 503 and the work is dropped.
    pub deadline: Duration,
}

impl Endpoint for Edge {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let started = Instant::now();
        let arrival = Arrival {
            request_id: request_id(request.headers()),
            address: self.client(&request),
        };
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        let span = tracing::info_span!(
            "request",
            request_id = arrival.request_id,
            method = method.as_str(),
            path = uri.path(),
            operation = tracing::field::Empty,
            user_id = tracing::field::Empty,
        );
        async {
            let mut answer = self.answer(request, &arrival).await;
            let mut response = match answer.result {
                Ok(response) => response,
                Err(error) => Problem::from(error).into_response(
                    &self.public_url,
                    &arrival.request_id,
                    uri.path(),
                ),
            };
            not_modified(&method, &headers, &mut response);
            self.announce(answer.verdict, &arrival, &headers, &uri, &mut response);
            count(answer.operation.take(), &method, response.status(), started);
            Ok(response)
        }
        .instrument(span)
        .await
    }
}

impl Edge {
    /// The answer of the gate or of a page, whatever happens on the way.
    async fn answer(&self, request: Request, arrival: &Arrival) -> Answer {
        if is_ambiguous(&request) {
            return Problem::new(&problem::AMBIGUOUS_REQUEST, "send exactly one Host header")
                .header(header::CONNECTION, "close")
                .into();
        }
        if request.uri().to_string().len() > MAX_URI {
            return Problem::new(&problem::URI_TOO_LONG, "an address has at most 8 KiB").into();
        }
        if let Some(response) = self.preflight(&request) {
            return Answer {
                result: Ok(response),
                operation: None,
                verdict: None,
            };
        }
        let work = AssertUnwindSafe(self.dispatch(request, arrival)).catch_unwind();
        match tokio::time::timeout(self.deadline, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => {
                Problem::new(&problem::INTERNAL, "a defect stopped this request").into()
            }
            Err(_) => Problem::new(&problem::UNAVAILABLE, "this took too long and was given up")
                .retry_after(Duration::from_secs(5))
                .into(),
        }
    }

    async fn dispatch(&self, mut request: Request, arrival: &Arrival) -> Answer {
        // The server leaves the body out and keeps its length.
        if request.method() == Method::HEAD {
            request.set_method(Method::GET);
        }
        match self.gate.call(request, arrival).await {
            Ok(answer) => answer,
            Err(request) => Answer {
                result: self.pages.call(request).await,
                operation: None,
                verdict: None,
            },
        }
    }

    /// The client's address: the entry that the outermost trusted proxy wrote.
    fn client(&self, request: &Request) -> IpAddr {
        let peer = request
            .remote_addr()
            .as_socket_addr()
            .map(std::net::SocketAddr::ip);
        let forwarded = || {
            let position = self.trusted_proxies.checked_sub(1)?;
            let values = request.headers().get_all("x-forwarded-for").iter();
            let entries: Vec<_> = values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .collect();
            entries.iter().rev().nth(position)?.trim().parse().ok()
        };
        forwarded()
            .or(peer)
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let known = self
            .cors_origins
            .iter()
            .any(|known| known.as_bytes() == origin.as_bytes());
        known.then(|| origin.clone())
    }

    /// The answer to a browser that asks before it calls from another origin.
    fn preflight(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        let asks = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || self.allowed_origin(headers).is_none() {
            return None;
        }
        Some(
            Response::builder()
                .status(StatusCode::NO_CONTENT)
                .header(
                    header::ACCESS_CONTROL_ALLOW_METHODS,
                    "GET, HEAD, POST, PUT, PATCH, DELETE",
                )
                .header(header::ACCESS_CONTROL_ALLOW_HEADERS, SENDABLE)
                .header(header::ACCESS_CONTROL_MAX_AGE, "3600")
                .finish(),
        )
    }

    fn announce(
        &self,
        verdict: Option<Verdict>,
        arrival: &Arrival,
        request: &HeaderMap,
        uri: &Uri,
        response: &mut Response,
    ) {
        let headers = response.headers_mut();
        set(headers, "x-request-id", &arrival.request_id);
        if let Some(verdict) = verdict {
            rate_limits(headers, &self.limits, verdict);
        }
        if !self.cors_origins.is_empty() {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = self.allowed_origin(request) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
        }
        let defaults = [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'; sandbox",
            ),
            ("cache-control", "no-store"),
        ];
        for (name, value) in defaults {
            if !headers.contains_key(name) {
                set(headers, name, value);
            }
        }
        if self.public_url.starts_with("https://") {
            set(
                headers,
                "strict-transport-security",
                "max-age=63072000; includeSubDomains",
            );
        }
        if uri.path().starts_with("/v1/") && !headers.contains_key(header::VARY) {
            headers.append(header::VARY, HeaderValue::from_static("Authorization"));
        }
    }
}

/// Whether it is unclear which host is meant (RFC 9112, 3.2). Of two lengths hyper takes the chunks and
/// closes the connection afterwards (RFC 9112, 6.1).
fn is_ambiguous(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    if request.version() == Version::HTTP_11 {
        hosts != 1
    } else {
        hosts > 1
    }
}

/// The client's id where it is 1 to 128 visible ASCII characters, a new one otherwise.
fn request_id(headers: &HeaderMap) -> String {
    let sent = headers
        .get("x-request-id")
        .and_then(|value| value.to_str().ok());
    sent.filter(|id| {
        (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    })
    .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn rate_limits(headers: &mut HeaderMap, limits: &Limits, verdict: Verdict) {
    let policies: Vec<_> = [Policy::Read, Policy::Write]
        .into_iter()
        .filter_map(|policy| Some((policy, limits.rate(policy)?)))
        .map(|(policy, rate)| {
            format!(
                "\"{}\";q={};w={}",
                policy.name(),
                rate.requests,
                rate.period.as_secs()
            )
        })
        .collect();
    let reset = verdict.reset.as_secs_f64().ceil() as u64;
    set(headers, "ratelimit-policy", &policies.join(", "));
    set(
        headers,
        "ratelimit",
        &format!(
            "\"{}\";r={};t={reset}",
            verdict.policy.name(),
            verdict.remaining
        ),
    );
    set(
        headers,
        "x-ratelimit-limit",
        &verdict.rate.requests.to_string(),
    );
    set(
        headers,
        "x-ratelimit-remaining",
        &verdict.remaining.to_string(),
    );
    set(headers, "x-ratelimit-reset", &reset.to_string());
}

/// Answers 304 where the client holds the present version (RFC 9110, 13.1.2).
fn not_modified(method: &Method, request: &HeaderMap, response: &mut Response) {
    if !matches!(*method, Method::GET | Method::HEAD) || response.status() != StatusCode::OK {
        return;
    }
    let Some(current) = response
        .headers()
        .get(header::ETAG)
        .and_then(|tag| tag.to_str().ok())
    else {
        return;
    };
    let Some(known) = request
        .get(header::IF_NONE_MATCH)
        .and_then(|tags| tags.to_str().ok())
    else {
        return;
    };
    let same = |tag: &str| {
        let tag = tag.trim();
        tag == "*"
            || tag.trim_start_matches("W/") == current
            || (admission::version(tag).is_some()
                && admission::version(tag) == admission::version(current))
    };
    if known.split(',').any(same) {
        response.set_status(StatusCode::NOT_MODIFIED);
        response.take_body();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
}

/// One line in the log and one count for each request.
fn count(operation: Option<String>, method: &Method, status: StatusCode, started: Instant) {
    let operation = operation.unwrap_or_else(|| "other".to_owned());
    let seconds = started.elapsed().as_secs_f64();
    let class = format!("{}xx", status.as_u16() / 100);
    metrics::histogram!("http_request_duration_seconds", "operation" => operation.clone())
        .record(seconds);
    metrics::counter!(
        "http_requests_total",
        "operation" => operation.clone(), "status" => class,
    )
    .increment(1);
    // Health checks come every few seconds from several sides and would drown the rest.
    if operation == "get_health" {
        tracing::debug!(
            method = method.as_str(),
            status = status.as_u16(),
            seconds,
            "answered"
        );
    } else {
        tracing::info!(status = status.as_u16(), seconds, "answered");
    }
}
