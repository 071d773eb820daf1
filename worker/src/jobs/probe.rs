//! What a probe does besides leaving its row.

use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use taskhub::jobs::{
    leases::{self, Completed, Lease},
    probe::{self, Mode, Probe},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::sleep,
};
use url::Url;

pub(super) async fn run(db: &PgPool, lease: &Lease, probe: &Probe) -> anyhow::Result<Completed> {
    match probe.mode {
        Mode::Database => {}
        Mode::External => post(lease, probe.sink.as_deref().unwrap_or_default()).await?,
        Mode::Slow => sleep(Duration::from_millis(probe.milliseconds)).await,
        Mode::Fail => anyhow::bail!("this probe fails"),
        Mode::Crash => std::process::abort(),
    }
    let mut transaction = db.begin().await?;
    probe::record(&mut transaction, &[(lease, probe)]).await?;
    leases::complete(transaction, lease).await
}

/// As plain an HTTP request as there is.
async fn post(lease: &Lease, sink: &str) -> anyhow::Result<()> {
    let url = Url::parse(sink).context("the sink is no URL")?;
    let host = url.host_str().context("the sink has no host")?;
    let mut stream = TcpStream::connect((host, url.port().unwrap_or(80))).await?;
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {host}\r\nIdempotency-Key: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        url.path(),
        lease.public_id
    );
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let taken = response.starts_with("HTTP/1.1 2");
    anyhow::ensure!(taken, "the sink did not take it");
    Ok(())
}
