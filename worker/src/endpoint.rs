//! `GET /metrics` and `GET /health` on a port of their own, for whoever watches over the worker.

use std::{convert::Infallible, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers until the process ends; from `stop` on, `/health` says 503.
pub async fn serve(listener: TcpListener, metrics: PrometheusHandle, stop: CancellationToken) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, metrics.clone(), stop.clone()));
            }
            // Out of file descriptors, most likely; trying again at once would only spin.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(stream: TcpStream, metrics: PrometheusHandle, stop: CancellationToken) {
    let service = service_fn(move |request| {
        let response = answer(&request, &metrics, &stop);
        async move { Ok::<_, Infallible>(response) }
    });
    // What goes wrong here is the client's affair.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn answer(
    request: &Request<Incoming>,
    metrics: &PrometheusHandle,
    stop: &CancellationToken,
) -> Response<String> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, metrics.render()),
        (&Method::GET, "/health") if stop.is_cancelled() => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned())
        }
        (&Method::GET, "/health") => (StatusCode::OK, "ok\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let text = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}
