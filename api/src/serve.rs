//! The serving process: what it is built of, when it begins to listen, and how it stops.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::PrometheusHandle;
use poem::{EndpointExt as _, Route, get, handler, web::Data};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use secrecy::ExposeSecret as _;
use sqlx::{PgPool, postgres::PgConnectOptions};
use taskhub::{
    database,
    passwords::Hasher,
    queue::{self, Doorbell},
    rotation::Rotation,
    settings::{Api, Environment, Failure, Source},
    telemetry, tokens,
};
use taskhub_api::{
    Options, Parts,
    health::Draining,
    operators::Operators,
    server::{self, Times},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

/// As PostgreSQL lists its connections.
const APPLICATION: &str = "taskhub-api";

/// How long the database may take to answer when the process starts.
const DATABASE_PATIENCE: Duration = Duration::from_secs(30);

/// What closing the pools and the last log lines may take.
const FLUSH: Duration = Duration::from_secs(5);

pub(crate) async fn run() -> anyhow::Result<()> {
    let source = Source::load().await?;
    let settings = Api::read(&source).map_err(Failure::from)?;
    telemetry::install(settings.log);
    let metrics = telemetry::metrics();

    let connect = database::connect_options(&settings.database_url, APPLICATION)?;
    schema_is_current(&connect).await?;
    let db = database::pool(connect, settings.database_max_connections);
    let redis = redis(&settings)?;
    let keys = Arc::new(keys(&settings)?);
    let draining = Draining::default();
    let app = taskhub_api::app(Parts {
        db: db.clone(),
        redis: redis.clone(),
        keys: keys.clone(),
        hasher: Arc::new(hasher(&settings)?),
        doorbell: Doorbell::new(redis, &queue::Keys::new("", queue::DEFAULT)),
        draining: draining.clone(),
        options: options(&settings),
    })?;

    let scraped = tokio::spawn(serve_metrics(
        listen(settings.metrics_address).await?,
        metrics,
        db.clone(),
    ));
    let rotation = Rotation::new(
        APPLICATION,
        settings.database_url,
        vec![db.clone()],
        settings.secrets_refresh,
    );
    let followed = source
        .has_secrets()
        .then(|| tokio::spawn(follow_secrets(rotation, keys)));
    let listener = listen(settings.listen_address).await?;
    tracing::info!(address = %settings.listen_address, version = env!("CARGO_PKG_VERSION"), "serving");
    let times = Times {
        drain: settings.drain,
        finish: settings.request_timeout,
        ..Times::default()
    };
    server::serve(listener, app, draining, told_to_stop()?, times).await;
    scraped.abort();
    if let Some(followed) = followed {
        followed.abort();
    }
    let _ = tokio::time::timeout(FLUSH, db.close()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Waits for the database, then refuses a schema that this program does not fit.
async fn schema_is_current(connect: &PgConnectOptions) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        match database::look(connect).await {
            Ok(schema) => return schema.check(),
            Err(error) if started.elapsed() > DATABASE_PATIENCE => {
                return Err(error).context("PostgreSQL did not answer for 30 s (DATABASE_URL)");
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "waiting for PostgreSQL");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Takes what Secrets Manager changes, as far as that is possible without a restart.
async fn follow_secrets(mut rotation: Rotation, keys: Arc<tokens::Keys>) {
    loop {
        let source = rotation.next().await;
        let settings = match Api::read(&source) {
            Ok(settings) => settings,
            Err(problems) => {
                tracing::warn!(%problems, "secrets have become unusable; the former ones stay");
                continue;
            }
        };
        rotation.take_database(settings.database_url).await;
        let other = settings.jwt_secret_previous.as_ref();
        match keys.replace(&settings.jwt_secret, other) {
            Ok(true) => tracing::info!("took new JWT secrets"),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "a JWT secret is unusable; the former ones stay"),
        }
    }
}

/// A connection that is made when it is first needed, so that the service starts without Redis.
fn redis(settings: &Api) -> anyhow::Result<ConnectionManager> {
    let client = redis::Client::open(settings.redis_broker.expose_secret())
        .map_err(|_| anyhow::anyhow!("REDIS_BROKER is not a Redis URL"))?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(Duration::from_secs(1)))
        .set_response_timeout(Some(Duration::from_millis(500)))
        .set_max_delay(Duration::from_secs(1));
    Ok(ConnectionManager::new_lazy_with_config(client, config)?)
}

fn keys(settings: &Api) -> anyhow::Result<tokens::Keys> {
    let lifetimes = tokens::Lifetimes {
        access_token: settings.access_token_life,
        refresh_token: settings.refresh_token_life,
        refresh_retry: settings.refresh_retry,
    };
    tokens::Keys::new(
        &settings.jwt_secret,
        settings.jwt_secret_previous.as_ref(),
        lifetimes,
    )
}

fn hasher(settings: &Api) -> anyhow::Result<Hasher> {
    match settings.environment {
        Environment::Test => Hasher::fast_for_tests(),
        Environment::Development | Environment::Staging | Environment::Production => {
            Hasher::bcrypt(settings.bcrypt_cost)
        }
    }
}

fn options(settings: &Api) -> Options {
    Options {
        public_url: settings
            .public_url
            .as_str()
            .trim_end_matches('/')
            .to_owned(),
        client_url: settings.client_url.clone(),
        security_contact: settings.security_contact.clone(),
        cors_origins: settings.cors_origins.clone(),
        trusted_proxies: settings.trusted_proxies,
        operators: Operators::new(
            settings.admin_users.clone(),
            settings.environment.is_deployed(),
        ),
        rates: settings.rate_limits,
        redis_prefix: String::new(),
        idempotency: settings.idempotency_life,
        keep_trash: settings.keep_trash,
        keep_jobs: settings.keep_jobs,
        require_if_match: settings.require_if_match,
        deadline: settings.request_timeout,
    }
}

async fn listen(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Ready once SIGTERM or SIGINT has come.
fn told_to_stop() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Prometheus' own port, which no load balancer leads to.
async fn serve_metrics(listener: TcpListener, metrics: PrometheusHandle, db: PgPool) {
    let app = Route::new()
        .at("/metrics", get(scrape))
        .data(metrics)
        .data(db)
        .map_to_response();
    server::serve(
        listener,
        app,
        Draining::default(),
        std::future::pending(),
        Times::default(),
    )
    .await;
}

#[handler]
fn scrape(Data(metrics): Data<&PrometheusHandle>, Data(db): Data<&PgPool>) -> String {
    metrics::gauge!("database_connections").set(db.size());
    metrics::gauge!("database_connections_idle").set(db.num_idle() as f64);
    metrics.render()
}
