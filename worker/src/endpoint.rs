//! `GET /metrics` and `GET /health` on a port of their own, for whoever watches over the worker.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::progress::Progress;

const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers until the process ends; from `stop` on, `/health` says 503. That nothing gets done is told
/// there, and does not change the status: a restart would not heal a mail server.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    progress: Arc<Progress>,
    stop: CancellationToken,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(
                    stream,
                    metrics.clone(),
                    progress.clone(),
                    stop.clone(),
                ));
            }
            // Out of file descriptors, most likely; trying again at once would only spin.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn converse(
    stream: TcpStream,
    metrics: PrometheusHandle,
    progress: Arc<Progress>,
    stop: CancellationToken,
) {
    let service = service_fn(move |request| {
        let response = answer(&request, &metrics, &progress, &stop);
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
    progress: &Progress,
    stop: &CancellationToken,
) -> Response<String> {
    let nothing_done = progress.nothing_done_for();
    let text = "text/plain; version=0.0.4; charset=utf-8";
    let (status, content_type, body) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            metrics::gauge!("jobs_nothing_done_seconds").set(nothing_done);
            (StatusCode::OK, text, metrics.render())
        }
        (&Method::GET, "/health") => {
            let (status, name) = if stop.is_cancelled() {
                (StatusCode::SERVICE_UNAVAILABLE, "stopping")
            } else {
                (StatusCode::OK, "ok")
            };
            let health = serde_json::json!({
                "status": name,
                "nothing_done_seconds": nothing_done.as_secs(),
            });
            (status, "application/json", format!("{health}\n"))
        }
        _ => (StatusCode::NOT_FOUND, text, "not found\n".to_owned()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = header::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
