//! Does what the API promised for later.

mod healthcheck;
mod smoke;

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret as _;
use sqlx::postgres::PgConnectOptions;
use taskhub::{
    database,
    rotation::Rotation,
    settings::{Failure, Source, Worker},
    telemetry,
};
use taskhub_worker::{
    Options, Progress,
    mailer::{Encryption, Mailer},
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// As PostgreSQL lists its connections.
const APPLICATION: &str = "taskhub-worker";

/// For claims, heartbeats and the leader.
const CONTROL_CONNECTIONS: u32 = 3;

/// Between two attempts to reach the database at the start.
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// What closing the pools may take; with what the worker takes, five seconds after its grace time.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run jobs until SIGTERM or SIGINT; what happens without a command
    Run,
    /// Ask the worker on this machine for its health; for container health checks
    Healthcheck,
    /// Have a job done by the workers that run, and wait for it; for tests after a deployment
    Smoke {
        /// How long to wait
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
}

pub(crate) fn main() -> ExitCode {
    let command = Arguments::parse().command.unwrap_or(Command::Run);
    if matches!(command, Command::Healthcheck) {
        return healthcheck::run();
    }
    let runtime = Runtime::new().expect("a runtime");
    let code = runtime.block_on(work(&command));
    // Not even a look-up of a name that hangs may hold up the end.
    runtime.shutdown_background();
    code
}

async fn work(command: &Command) -> ExitCode {
    let (source, settings) = match settings().await {
        Ok(read) => read,
        Err(failure) => return failure.report(),
    };
    telemetry::install(settings.log);
    let (ended, failure) = match command {
        Command::Smoke { seconds } => (
            smoke::run(&settings, Duration::from_secs(*seconds)).await,
            "no worker has done the job",
        ),
        Command::Run | Command::Healthcheck => {
            (run(&source, settings).await, "the worker could not start")
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn settings() -> Result<(Source, Worker), Failure> {
    let source = Source::load().await?;
    let settings = Worker::read(&source)?;
    Ok((source, settings))
}

async fn run(source: &Source, settings: Worker) -> anyhow::Result<()> {
    let stop = told_to_stop()?;
    let listener = TcpListener::bind(settings.metrics_address)
        .await
        .with_context(|| format!("METRICS_ADDRESS {} is not free", settings.metrics_address))?;
    let progress = Arc::new(Progress::default());
    tokio::spawn(taskhub_worker::serve_metrics(
        listener,
        telemetry::metrics(),
        progress.clone(),
        stop.clone(),
    ));

    let connect = database::connect_options(&settings.database_url, APPLICATION)?;
    let schema = stop.run_until_cancelled(schema_is_current(&connect)).await;
    let Some(()) = schema.transpose()? else {
        return Ok(());
    };
    let (database_url, refresh) = (settings.database_url.clone(), settings.secrets_refresh);
    let options = options(settings, connect, progress)?;
    let (db, control) = (options.db.clone(), options.control.clone());
    if source.has_secrets() {
        let pools = vec![db.clone(), control.clone()];
        let rotation = Rotation::new(APPLICATION, database_url, pools, refresh);
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(follow_secrets(rotation)),
        );
    }
    taskhub_worker::run(options, stop).await;
    let closed = async { tokio::join!(db.close(), control.close()) };
    let _ = timeout(CLOSE_LIMIT, closed).await;
    tracing::info!("stopped");
    Ok(())
}

/// Takes a new `DATABASE_URL`; the other secrets of a worker count from the next start.
async fn follow_secrets(mut rotation: Rotation) {
    loop {
        let source = rotation.next().await;
        match Worker::read(&source) {
            Ok(settings) => rotation.take_database(settings.database_url).await,
            Err(problems) => {
                tracing::warn!(%problems, "secrets have become unusable; the former ones stay");
            }
        }
    }
}

/// Waits for the database as long as it takes, then refuses a schema that this program does not fit.
async fn schema_is_current(connect: &PgConnectOptions) -> anyhow::Result<()> {
    let schema = loop {
        match database::look(connect).await {
            Ok(schema) => break schema,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "waiting for PostgreSQL");
                sleep(DATABASE_PAUSE).await;
            }
        }
    };
    schema.check()
}

fn options(
    settings: Worker,
    connect: PgConnectOptions,
    progress: Arc<Progress>,
) -> anyhow::Result<Options> {
    let redis = redis::Client::open(settings.redis_broker.expose_secret())
        .map_err(|_| anyhow::anyhow!("REDIS_BROKER is not a Redis URL"))?;
    let encryption = if settings.environment.is_deployed() {
        Encryption::Required
    } else {
        Encryption::IfOffered
    };
    Ok(Options {
        worker_id: format!("{}-{}", std::process::id(), Uuid::new_v4().simple()),
        db: database::pool(connect.clone(), settings.database_max_connections),
        control: database::trusting_pool(connect, CONTROL_CONNECTIONS),
        redis,
        queues: settings.queues,
        mailer: Mailer::new(&settings.mail_url, &settings.mail_from, encryption)?,
        home_url: settings.client_url.unwrap_or(settings.public_url),
        concurrency: settings.concurrency,
        lease: settings.job_lease,
        rates: settings.job_rates,
        grace: settings.grace,
        keep_jobs: settings.keep_jobs,
        keep_trash: settings.keep_trash,
        progress,
    })
}

/// Cancelled by SIGTERM and SIGINT.
fn told_to_stop() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        told.cancel();
    });
    Ok(stop)
}
