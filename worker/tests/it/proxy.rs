//! A way to a server that can be made to swallow everything, as a broken network does.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use taskhub::testing::Database;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use url::Url;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    swallows: Arc<watch::Sender<bool>>,
    holds: Arc<watch::Sender<bool>>,
}

impl Proxy {
    /// Leads to `address`, such as `127.0.0.1:5432`.
    pub(crate) async fn start(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let swallows = Arc::new(watch::Sender::new(false));
        let holds = Arc::new(watch::Sender::new(false));
        let (holes, held) = (swallows.clone(), holds.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&address).await else {
                    continue;
                };
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                for (from, to) in [(from_client, to_server), (from_server, to_client)] {
                    tokio::spawn(carry(from, to, holes.subscribe(), held.subscribe()));
                }
            }
        });
        Self {
            port,
            swallows,
            holds,
        }
    }

    /// Leads to the server of `database`.
    pub(crate) async fn before(database: &Database) -> Self {
        let url = Url::parse(database.url.expose_secret()).expect("a URL");
        let host = url.host_str().expect("a host");
        Self::start(format!("{host}:{}", url.port().unwrap_or(5432))).await
    }

    /// The way to `database` through it.
    pub(crate) fn url(&self, database: &Database) -> String {
        let mut url = Url::parse(database.url.expose_secret()).expect("a URL");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(self.port)).expect("a port");
        url.into()
    }

    /// Whether everything is kept until later from now on, as by a server that is silent for a while.
    pub(crate) fn hold(&self, holds: bool) {
        self.holds.send_replace(holds);
    }

    /// From now on nothing arrives, and nobody is told.
    pub(crate) fn swallow(&self) {
        self.swallows.send_replace(true);
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    hole: watch::Receiver<bool>,
    mut held: watch::Receiver<bool>,
) {
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if *hole.borrow() {
            continue;
        }
        if held.wait_for(|held| !held).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
