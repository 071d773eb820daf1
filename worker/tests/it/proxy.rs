//! A way to a server that can be made to swallow everything, as a broken network does.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    swallows: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Leads to `address`, such as `127.0.0.1:5432`.
    pub(crate) async fn start(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let swallows = Arc::new(watch::Sender::new(false));
        let holes = swallows.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&address).await else {
                    continue;
                };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, holes.subscribe()));
                tokio::spawn(carry(from_server, to_client, holes.subscribe()));
            }
        });
        Self { port, swallows }
    }

    /// From now on nothing arrives, and nobody is told.
    pub(crate) fn swallow(&self) {
        self.swallows.send_replace(true);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, hole: watch::Receiver<bool>) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if *hole.borrow() {
            continue;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
