//! What the programs are told from outside: one list of variables and one typed set for each program.
//!
//! Values come from the environment, under it from `.env` (never in staging or production), under
//! that from the secrets that `TASKHUB_SECRETS` names. An empty variable counts as unset. Nothing else
//! in the project reads the environment.
//!
//! A `main.rs` starts like this, before logs exist:
//!
//! ```no_run
//! use taskhub::{settings::{Api, Failure, Source}, telemetry};
//!
//! async fn settings() -> Result<Api, Failure> {
//!     Ok(Api::read(&Source::load().await?)?)
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> std::process::ExitCode {
//! let settings = match settings().await {
//!     Ok(settings) => settings,
//!     // Prints the reasons on standard error; exit code 2 or 3.
//!     Err(failure) => return failure.report(),
//! };
//! telemetry::install(settings.log);
//! let metrics = telemetry::metrics(); // `metrics.render()` answers GET /metrics
//! # let _ = metrics;
//! # std::process::ExitCode::SUCCESS
//! # }
//! ```

mod documents;
mod origins;
mod reader;
mod source;
mod variables;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use secrecy::SecretString;
use url::Url;

pub use documents::{env_example, table};
pub use reader::{Problem, Problems};
pub use source::Source;
pub use variables::{Environment, Fallback, Kind, Program, VARIABLES, Variable};

use crate::{jobs::limits::Limit, secrets};
use reader::Reader;

/// What `taskhub-api serve` needs.
#[derive(Debug)]
pub struct Api {
    pub environment: Environment,
    pub database_url: SecretString,
    pub database_max_connections: u32,
    pub redis_broker: SecretString,
    /// Signs access tokens, HS256. In development it may be one that was made at this start.
    pub jwt_secret: SecretString,
    /// Still accepted, never used to sign.
    pub jwt_secret_previous: Option<SecretString>,
    /// How often what comes from Secrets Manager is read again.
    pub secrets_refresh: Duration,
    pub listen_address: SocketAddr,
    pub metrics_address: SocketAddr,
    /// As clients see the service; also the issuer of its tokens.
    pub public_url: Url,
    /// The app that people use; ends with a slash.
    pub client_url: Option<Url>,
    /// A URI at which people report vulnerabilities.
    pub security_contact: Option<String>,
    pub access_token_life: Duration,
    pub refresh_token_life: Duration,
    /// How long an exchanged refresh token may give its unused successor again.
    pub refresh_retry: Duration,
    pub bcrypt_cost: u32,
    /// How long new connections are still accepted after SIGTERM.
    pub drain: Duration,
    pub request_timeout: Duration,
    /// Exact origins, as browsers send them in `Origin`.
    pub cors_origins: Vec<String>,
    /// How many entries at the end of `X-Forwarded-For` were written by our own proxies.
    pub trusted_proxies: usize,
    pub rate_limits: RateLimits,
    /// Who may operate the instance.
    pub admin_users: Vec<String>,
    /// How long an answer is kept for its Idempotency-Key.
    pub idempotency_life: Duration,
    /// How long the worker keeps what is deleted, and jobs that are over. The API only tells clients.
    pub keep_trash: Duration,
    pub keep_jobs: Duration,
    /// Whether a change without If-Match is refused.
    pub require_if_match: bool,
    pub log: Log,
}

impl Api {
    /// # Errors
    /// Everything that is missing or malformed, at once.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut reader = Reader::new(source, Program::Api);
        let settings = Self {
            environment: reader.environment(),
            database_url: reader.database_url(),
            database_max_connections: reader.number("DATABASE_MAX_CONNECTIONS", 1..=1000),
            redis_broker: reader.redis_broker(),
            jwt_secret: reader.jwt_secret("JWT_SECRET").unwrap_or_default(),
            jwt_secret_previous: reader.jwt_secret("JWT_SECRET_PREVIOUS"),
            secrets_refresh: reader.seconds("SECRETS_REFRESH_SECONDS", 1..=86_400),
            listen_address: reader.address("LISTEN_ADDRESS"),
            metrics_address: reader.address("METRICS_ADDRESS"),
            public_url: reader.public_url(),
            client_url: reader.client_url(),
            security_contact: reader.security_contact(),
            access_token_life: reader.seconds("ACCESS_TOKEN_SECONDS", 1..=86_400),
            refresh_token_life: reader.seconds("REFRESH_TOKEN_DAYS", 1..=366) * 86_400,
            refresh_retry: reader.seconds("REFRESH_RETRY_SECONDS", 0..=2_592_000),
            bcrypt_cost: reader.bcrypt_cost(),
            drain: reader.seconds("DRAIN_SECONDS", 0..=60),
            request_timeout: reader.seconds("REQUEST_TIMEOUT_SECONDS", 1..=300),
            cors_origins: reader.origins("CORS_ORIGINS"),
            trusted_proxies: reader.number("TRUSTED_PROXIES", 0..=10),
            rate_limits: RateLimits {
                read: reader.rate_limit("RATE_LIMIT_READ"),
                write: reader.rate_limit("RATE_LIMIT_WRITE"),
                login_address: reader.rate_limit("RATE_LIMIT_LOGIN_ADDRESS"),
                login_account: reader.rate_limit("RATE_LIMIT_LOGIN_ACCOUNT"),
                register: reader.rate_limit("RATE_LIMIT_REGISTER"),
                password_reset: reader.rate_limit("RATE_LIMIT_LOGIN_RESET"),
            },
            admin_users: reader.usernames("ADMIN_USERS"),
            idempotency_life: reader.seconds("IDEMPOTENCY_HOURS", 1..=720) * 3600,
            keep_trash: reader.seconds("TRASH_DAYS", 1..=3650) * 86_400,
            keep_jobs: reader.seconds("JOB_RETENTION_DAYS", 1..=3650) * 86_400,
            require_if_match: reader.switch("TASKHUB_REQUIRE_IF_MATCH"),
            log: reader.log(),
        };
        reader.finish(settings)
    }
}

/// What `taskhub-worker` needs.
#[derive(Debug)]
pub struct Worker {
    pub environment: Environment,
    pub database_url: SecretString,
    pub database_max_connections: u32,
    pub redis_broker: SecretString,
    /// How often what comes from Secrets Manager is read again.
    pub secrets_refresh: Duration,
    pub metrics_address: SocketAddr,
    /// For the links in e-mails, where there is no client.
    pub public_url: Url,
    /// The app that people use; ends with a slash.
    pub client_url: Option<Url>,
    /// `smtp://`, `smtps://`, or `file:///directory` that collects e-mails instead of sending them.
    pub mail_url: SecretString,
    pub mail_from: String,
    /// How many jobs run at the same time.
    pub concurrency: usize,
    /// How long running jobs may go on after SIGTERM.
    pub grace: Duration,
    /// Which queues it serves.
    pub queues: Vec<String>,
    /// For how long a job is a worker's own without a sign of life.
    pub job_lease: Duration,
    /// How many jobs of some kinds may begin within a period, over all workers.
    pub job_rates: Vec<Limit>,
    /// How long jobs are kept that were done or cancelled.
    pub keep_jobs: Duration,
    /// How long deleted tasks are kept.
    pub keep_trash: Duration,
    pub log: Log,
}

impl Worker {
    /// # Errors
    /// Everything that is missing or malformed, at once.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut reader = Reader::new(source, Program::Worker);
        let settings = Self {
            environment: reader.environment(),
            database_url: reader.database_url(),
            database_max_connections: reader.number("DATABASE_MAX_CONNECTIONS", 1..=1000),
            redis_broker: reader.redis_broker(),
            secrets_refresh: reader.seconds("SECRETS_REFRESH_SECONDS", 1..=86_400),
            metrics_address: reader.address("METRICS_ADDRESS"),
            public_url: reader.public_url(),
            client_url: reader.client_url(),
            mail_url: reader.mail_url(),
            mail_from: reader.mail_from(),
            concurrency: reader.number("WORKER_CONCURRENCY", 1..=1000),
            grace: reader.seconds("WORKER_GRACE_SECONDS", 0..=110),
            queues: reader.queues("WORKER_QUEUES"),
            job_lease: reader.seconds("JOB_LEASE_SECONDS", 1..=3600),
            job_rates: reader.job_rates("JOB_RATES"),
            keep_jobs: reader.seconds("JOB_RETENTION_DAYS", 1..=3650) * 86_400,
            keep_trash: reader.seconds("TRASH_DAYS", 1..=3650) * 86_400,
            log: reader.log(),
        };
        reader.finish(settings)
    }
}

/// What `taskhub-api migrate` needs.
#[derive(Debug)]
pub struct Migration {
    pub environment: Environment,
    /// As the owner of the tables.
    pub database_url: SecretString,
    /// As the services sign in, where that is another role.
    pub service_database_url: Option<SecretString>,
    pub log: Log,
}

impl Migration {
    /// # Errors
    /// Everything that is missing or malformed, at once.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut reader = Reader::new(source, Program::Migration);
        let settings = Self {
            environment: reader.environment(),
            database_url: reader.database_url(),
            service_database_url: reader.service_database_url(),
            log: reader.log(),
        };
        reader.finish(settings)
    }
}

/// What `healthcheck` of either program needs; [`Source::local`] is enough for it.
#[derive(Debug)]
pub struct HealthCheck {
    /// Of the API.
    pub listen_address: SocketAddr,
    /// Of the worker.
    pub metrics_address: SocketAddr,
}

impl HealthCheck {
    /// # Errors
    /// Where an address is malformed.
    pub fn read(source: &Source) -> Result<Self, Problems> {
        let mut reader = Reader::new(source, Program::HealthCheck);
        let settings = Self {
            listen_address: reader.address("LISTEN_ADDRESS"),
            metrics_address: reader.address("METRICS_ADDRESS"),
        };
        reader.finish(settings)
    }
}

/// How many requests of a kind are allowed; [`None`] allows any number.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Per user.
    pub read: Option<RateLimit>,
    /// Per user.
    pub write: Option<RateLimit>,
    /// Attempts per client address.
    pub login_address: Option<RateLimit>,
    /// Attempts per username.
    pub login_account: Option<RateLimit>,
    /// Per client address.
    pub register: Option<RateLimit>,
    /// Forgotten passwords per client address.
    pub password_reset: Option<RateLimit>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RateLimit {
    pub requests: u32,
    pub period: Duration,
}

/// What is written to the log, and how.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Of TaskHub's own code; the libraries under it only warn.
    pub level: tracing::Level,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One object a line, for collectors.
    Json,
    /// For people at a terminal.
    Text,
}

/// Why a program cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Settings(#[from] Problems),
    #[error(transparent)]
    Secrets(#[from] secrets::Failures),
}

impl Failure {
    /// 2 where a setting is missing or malformed, 3 where a secret could not be read.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) => 2,
            Self::Secrets(_) => 3,
        }
    }

    /// Prints the reasons on standard error, since there is no log yet, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        #[expect(
            clippy::print_stderr,
            reason = "how to log is among the things that could not be read"
        )]
        {
            eprintln!("{self}");
        }
        ExitCode::from(self.exit_code())
    }
}
