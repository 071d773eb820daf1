//! `taskhub-worker healthcheck`: needs neither a shell nor curl.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use taskhub::settings::{Failure, HealthCheck, Problems, Source};

const PATIENCE: Duration = Duration::from_secs(2);

/// Succeeds where the worker answers 200.
pub(crate) fn run() -> ExitCode {
    let address = match address() {
        Ok(address) => address,
        Err(problems) => return Failure::from(problems).report(),
    };
    match ask(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "Docker keeps what a health check prints"
            )]
            {
                eprintln!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn address() -> Result<SocketAddr, Problems> {
    let mut address = HealthCheck::read(&Source::local()?)?.metrics_address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    Ok(address)
}

fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream
        .read_exact(&mut status)
        .context("it does not answer")?;
    ensure!(&status == b"HTTP/1.1 200", "it is not healthy");
    Ok(())
}
