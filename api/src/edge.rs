//! What every response has, whoever made it: a request id, security and rate-limit headers, a log
//! line and a count. Failures become problem documents here, panics and missed deadlines included.

pub mod compression;
pub mod cors;
mod headers;
mod unchanged;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use poem::{Endpoint, Request, Response, endpoint::BoxEndpoint};
use taskhub::trace::TraceContext;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    gate::{Answer, Arrival, Gate},
    limits::Limits,
    problem::{self, Problem},
};
use compression::Compression;
use cors::Origins;

/// The longest address, in bytes.
pub(crate) const MAX_URI: usize = 8 * 1024;

/// The whole service as one endpoint.
pub struct Edge {
    pub gate: Gate,
    /// Everything outside the contract, such as the pages about it.
    pub pages: BoxEndpoint<'static, Response>,
    pub limits: Arc<Limits>,
    pub public_url: String,
    pub origins: Origins,
    pub compression: Compression,
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
        let sent = request.headers().clone();
        let trace = trace(request.headers());
        let span = tracing::info_span!(
            "request",
            request_id = arrival.request_id,
            trace_id = format!("{:032x}", trace.trace_id),
            method = method.as_str(),
            path = uri.path(),
            operation = tracing::field::Empty,
            user_id = tracing::field::Empty,
        );
        async {
            // What the request enqueues goes on in its trace.
            let mut answer = trace.scope(self.answer(request, &arrival)).await;
            let mut verdicts: Vec<_> = answer.verdict.into_iter().collect();
            let mut response = match answer.result {
                Ok(response) => response,
                Err(error) => {
                    let problem = Problem::from(error);
                    // What refused comes first; the gate's own refusal is known already.
                    if let Some(refusal) = problem.limit.as_deref() {
                        verdicts.retain(|verdict| verdict.policy != refusal.policy);
                        verdicts.insert(0, *refusal);
                    }
                    problem.into_response(&self.public_url, &arrival.request_id, uri.path())
                }
            };
            let listed = answer
                .operation
                .as_deref()
                .is_some_and(|id| self.gate.contract.is_list(id));
            if listed {
                unchanged::tag(&mut response).await;
            }
            unchanged::not_modified(&method, &sent, &mut response);
            let compressed = match &answer.operation {
                Some(_) if listed => compression::list(&sent, &mut response).await,
                Some(_) => Ok(()),
                None => self.compression.page(&method, &sent, &mut response).await,
            };
            if let Err(problem) = compressed {
                response = problem.into_response(&self.public_url, &arrival.request_id, uri.path());
            }
            let headers = response.headers_mut();
            headers::set(headers, "x-request-id", &arrival.request_id);
            headers::security(headers, &self.public_url);
            if !verdicts.is_empty() {
                headers::rate_limits(headers, &self.limits, &verdicts);
            }
            self.origins.admit(&sent, headers);
            if uri.path().starts_with("/v1/") {
                headers.append(header::VARY, HeaderValue::from_static("Authorization"));
            }
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
        if let Some(response) = self.origins.preflight(&request) {
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
            Err(mut request) => {
                request.extensions_mut().insert(arrival.clone());
                Answer {
                    result: self.pages.call(request).await,
                    operation: None,
                    verdict: None,
                }
            }
        }
    }

    /// The client's address: the entry that the outermost trusted proxy wrote.
    fn client(&self, request: &Request) -> IpAddr {
        let peer = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
        let forwarded = || {
            let position = self.trusted_proxies.checked_sub(1)?;
            let values = request.headers().get_all("x-forwarded-for").iter();
            let entries: Vec<_> = values
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .collect();
            let entry = entries.iter().rev().nth(position)?.trim();
            // Some proxies add the port.
            let with_port = || entry.parse().ok().map(|address: SocketAddr| address.ip());
            entry.parse().ok().or_else(with_port)
        };
        forwarded()
            .or(peer)
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
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

/// The client's trace, if it works in one (W3C Trace Context), or a new one.
fn trace(headers: &HeaderMap) -> TraceContext {
    let mut sent = headers.get_all("traceparent").iter();
    let (Some(parent), None) = (sent.next(), sent.next()) else {
        return TraceContext::random();
    };
    let parent = parent.to_str().ok().and_then(|text| text.parse().ok());
    parent.map_or_else(TraceContext::random, TraceContext::child)
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
