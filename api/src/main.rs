//! `taskhub-api`: serves the API, brings the schema up to date, or asks a running server for its
//! health.

mod serve;

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};
use taskhub::{
    database,
    settings::{Failure, HealthCheck, Migration, Source},
    telemetry,
};

/// TaskHub's HTTP API. All configuration comes from environment variables; see docs/settings.md.
#[derive(Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failure, 2 settings missing or malformed, 3 secrets unreadable."
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API (the default)
    Serve,
    /// Bring the database's schema up to date
    Migrate,
    /// Ask the server on this machine for its health; for container health checks
    Healthcheck,
}

fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Serve);
    let outcome = match command {
        Command::Healthcheck => health_check(),
        Command::Serve => in_runtime(serve::run()),
        Command::Migrate => in_runtime(migrate()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast::<Failure>() {
            Ok(failure) => failure.report(),
            Err(error) => {
                tell(&format!("taskhub-api: {error:#}"));
                ExitCode::FAILURE
            }
        },
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

async fn migrate() -> anyhow::Result<()> {
    let source = Source::load().await?;
    let settings = Migration::read(&source).map_err(Failure::from)?;
    telemetry::install(settings.log);
    let options = database::connect_options(&settings.database_url, "taskhub-migrate")?;
    let applied = database::migrate(&options, settings.service_database_url.as_ref())
        .await
        .context("the migration failed")?;
    tracing::info!(?applied, "the schema is up to date");
    Ok(())
}

/// Succeeds where the server answers 200 within two seconds. Needs neither a shell nor curl.
fn health_check() -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let source = Source::local().map_err(Failure::from)?;
    let mut address = HealthCheck::read(&source)
        .map_err(Failure::from)?
        .listen_address;
    if address.ip().is_unspecified() {
        address.set_ip(loopback(address));
    }
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream
        .read_exact(&mut status)
        .context("it does not answer")?;
    ensure!(
        &status == b"HTTP/1.1 200",
        "it answers {}",
        String::from_utf8_lossy(&status[9..])
    );
    Ok(())
}

fn loopback(address: SocketAddr) -> IpAddr {
    if address.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the last word of a program that may have no log yet"
)]
fn tell(message: &str) {
    eprintln!("{message}");
}
