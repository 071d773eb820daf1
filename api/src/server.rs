//! The accept loop: an endpoint on hyper, with the deadlines and bounds that keep slow, greedy and
//! malformed clients from harming the others, and a stop that fails nobody's request.

mod patience;

use std::{
    convert::Infallible, future::Future, net::SocketAddr, pin::pin, sync::Arc, time::Duration,
};

use http::{HeaderValue, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use poem::{
    Endpoint, EndpointExt as _, Response,
    endpoint::BoxEndpoint,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use crate::health::Draining;
use patience::Patient;

/// Connections at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

pub(crate) const MAX_HEADERS: usize = 64;
pub(crate) const MAX_HEADER_BYTES: usize = 16 * 1024;

/// How long the server waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// For the head of a request to be complete: the first one from the connection's beginning, each
    /// later one from its first byte.
    pub head: Duration,
    /// For the next request on a connection. Must exceed the load balancer's idle timeout (60 s on an
    /// ALB); otherwise the balancer sends requests into a connection that is closing.
    pub idle: Duration,
    /// For the peer to take any more of an answer.
    pub write: Duration,
    /// For health checks to be noticed: new connections are still taken while they already fail.
    pub drain: Duration,
    /// For requests in flight after that.
    pub finish: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            drain: Duration::ZERO,
            finish: Duration::ZERO,
        }
    }
}

/// Serves `app` until `stop` is ready and the drain is over.
pub async fn serve(
    listener: TcpListener,
    app: impl Endpoint<Output = Response> + 'static,
    draining: Draining,
    stop: impl Future<Output = ()>,
    times: Times,
) {
    let app: Arc<BoxEndpoint<'static, Response>> = Arc::new(app.boxed());
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut end = pin!(async {
        stop.await;
        draining.begin();
        tracing::info!(seconds = times.drain.as_secs(), "draining");
        sleep(times.drain).await;
    });
    let local = listener
        .local_addr()
        .unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
    let local = LocalAddr(local.into());
    loop {
        let slot = slots.clone().acquire_owned();
        let accepted = async { (slot.await, listener.accept().await) };
        tokio::select! {
            () = &mut end => break,
            (slot, accepted) = accepted => match (slot, accepted) {
                (Ok(slot), Ok((stream, peer))) => {
                    let connection = Connection {
                        app: app.clone(), local: local.clone(), peer, draining: draining.clone(), times,
                    };
                    connection.spawn(stream, slot, &graceful);
                }
                // Out of file descriptors, most likely: give others time to close theirs.
                (_, Err(error)) => {
                    tracing::warn!(%error, "cannot accept");
                    sleep(Duration::from_millis(100)).await;
                }
                (Err(_), Ok(_)) => break,
            },
        }
    }
    drop(listener);
    if timeout(times.finish, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still in flight at the end of the grace time");
    }
}

struct Connection {
    app: Arc<BoxEndpoint<'static, Response>>,
    local: LocalAddr,
    peer: SocketAddr,
    draining: Draining,
    times: Times,
}

impl Connection {
    fn spawn(self, stream: TcpStream, slot: OwnedSemaphorePermit, graceful: &GracefulShutdown) {
        let _ = stream.set_nodelay(true);
        let (stream, turns) = Patient::new(stream, self.times.head, self.times.write);
        let service = service_fn(move |request: http::Request<Incoming>| {
            turns.next();
            let turns = turns.clone();
            let (app, draining) = (self.app.clone(), self.draining.clone());
            let (local, remote) = (self.local.clone(), RemoteAddr(self.peer.into()));
            async move {
                let request = (request, local, remote, http::uri::Scheme::HTTP).into();
                let mut response = app.get_response(request).await;
                turns.next();
                if draining.has_begun() {
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(hyper::Response::from(response))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            // This begins when the request before is answered, so it bounds idling.
            .header_read_timeout(self.times.idle)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
            drop(slot);
        });
    }
}
