//! Slow and silent peers, on sockets of their own.

use std::{net::SocketAddr, time::Duration};

use poem::{EndpointExt as _, endpoint::make_sync};
use taskhub_api::{
    health::Draining,
    server::{self, Times},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(20);

/// More than the buffers of both ends hold.
const BIG: usize = 32 * 1024 * 1024;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Serves `size` bytes to everyone.
async fn serve(size: usize, times: Times) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = "x".repeat(size);
    let app = make_sync(move |_| body.clone()).map_to_response();
    let forever = std::future::pending::<()>();
    tokio::spawn(server::serve(
        listener,
        app,
        Draining::default(),
        forever,
        times,
    ));
    address
}

/// Whether the server closes the connection before long.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut sink = Vec::new();
    timeout(LONG / 2, stream.read_to_end(&mut sink))
        .await
        .is_ok()
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = vec![0; 4096];
    let length = timeout(LONG, stream.read(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let times = Times {
        head: SHORT,
        idle: LONG,
        ..Times::default()
    };
    let mut silent = TcpStream::connect(serve(1, times).await).await.unwrap();
    assert!(is_closed(&mut silent).await);
}

#[tokio::test]
async fn a_head_that_drips_in_is_cut_off() {
    let times = Times {
        head: SHORT,
        idle: LONG,
        ..Times::default()
    };
    let address = serve(1, times).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The second head of a connection has no more time than the first.
    stream.write_all(REQUEST).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    let (mut reading, mut writing) = stream.into_split();
    let dripping = async {
        for byte in REQUEST.iter().cycle().filter(|byte| **byte != b'\r') {
            if writing.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(SHORT / 10).await;
        }
    };
    let mut sink = Vec::new();
    let closing = timeout(LONG / 2, reading.read_to_end(&mut sink));
    tokio::select! {
        () = dripping => {}
        closed = closing => assert!(closed.is_ok(), "it was not closed"),
    }
}

#[tokio::test]
async fn between_requests_a_connection_may_idle_longer() {
    let times = Times {
        head: SHORT,
        idle: LONG,
        ..Times::default()
    };
    let mut stream = TcpStream::connect(serve(1, times).await).await.unwrap();
    for _ in 0..3 {
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        sleep(SHORT * 2).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let times = Times {
        idle: SHORT,
        ..Times::default()
    };
    let mut stream = TcpStream::connect(serve(1, times).await).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_peer_that_does_not_read_its_answer_is_let_go() {
    let times = Times {
        write: SHORT,
        ..Times::default()
    };
    let address = serve(BIG, times).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    sleep(SHORT * 5).await;
    let mut received = 0;
    let mut buffer = vec![0; 65536];
    while let Ok(Ok(length @ 1..)) = timeout(LONG, stream.read(&mut buffer)).await {
        received += length;
    }
    assert!(
        received < BIG,
        "all {received} bytes came after a long pause"
    );
}

#[tokio::test]
async fn a_slow_reader_gets_all_of_its_answer() {
    let times = Times {
        write: SHORT * 5,
        ..Times::default()
    };
    let mut stream = TcpStream::connect(serve(BIG, times).await).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let (started, mut received) = (Instant::now(), 0);
    let mut buffer = vec![0; 1024 * 1024];
    while let Ok(Ok(length @ 1..)) = timeout(LONG, stream.read(&mut buffer)).await {
        received += length;
        sleep(SHORT / 4).await;
    }
    assert!(received > BIG, "only {received} bytes came");
    assert!(started.elapsed() > SHORT * 5);
}
