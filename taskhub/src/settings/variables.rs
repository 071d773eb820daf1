//! The list of variables. `.env.example`, the table in `docs/settings.md`, the Compose file and what
//! is deployed follow from it or are tested against it. It stands alone, for `xtask` compiles it too.

/// Where the program runs, which decides what is safe enough.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Environment {
    Development,
    Test,
    Staging,
    Production,
}

impl Environment {
    /// Whether real people's data is at stake: the strict rules hold in staging as in production.
    pub fn is_deployed(self) -> bool {
        matches!(self, Self::Staging | Self::Production)
    }
}

/// One variable of the environment.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    pub kind: Kind,
    pub programs: &'static [Program],
    pub default: Fallback,
    /// A value that works on a developer's machine, where the default does not say enough.
    pub example: &'static str,
    /// One or two sentences for whoever sets it.
    pub meaning: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Plain,
    /// Never in a file that is committed, a log or an image.
    Secret,
}

/// What reads a variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Program {
    /// `taskhub-api serve`
    Api,
    /// `taskhub-api healthcheck`, `taskhub-worker healthcheck`
    HealthCheck,
    /// `taskhub-api migrate`
    Migration,
    /// `taskhub-worker`
    Worker,
}

/// What holds where a variable is not set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// The program does not start.
    Required,
    /// A random value, made at each start, in development and test; elsewhere it is required.
    Random,
    /// Nothing; the feature is off.
    Off,
    Text(&'static str),
    /// In development and test; elsewhere it is required.
    Local(&'static str),
    /// One text in development and test, another in staging and production.
    Either {
        local: &'static str,
        deployed: &'static str,
    },
}

impl Fallback {
    /// The text that holds in `environment`, if any does.
    pub fn text(self, environment: Environment) -> Option<&'static str> {
        match self {
            Self::Required | Self::Random | Self::Off => None,
            Self::Text(text) => Some(text),
            Self::Local(text) => (!environment.is_deployed()).then_some(text),
            Self::Either { local, deployed } => Some(if environment.is_deployed() {
                deployed
            } else {
                local
            }),
        }
    }

    pub fn is_required(self, environment: Environment) -> bool {
        match self {
            Self::Required => true,
            Self::Random | Self::Local(_) => environment.is_deployed(),
            Self::Off | Self::Text(_) | Self::Either { .. } => false,
        }
    }
}

const SERVICES: &[Program] = &[Program::Api, Program::Worker];
const ALL: &[Program] = &[Program::Api, Program::Worker, Program::Migration];

const fn plain(
    name: &'static str,
    programs: &'static [Program],
    default: Fallback,
    meaning: &'static str,
) -> Variable {
    Variable {
        name,
        kind: Kind::Plain,
        programs,
        default,
        example: "",
        meaning,
    }
}

const fn secret(
    name: &'static str,
    programs: &'static [Program],
    default: Fallback,
    meaning: &'static str,
) -> Variable {
    Variable {
        kind: Kind::Secret,
        ..plain(name, programs, default, meaning)
    }
}

const fn example(example: &'static str, variable: Variable) -> Variable {
    Variable {
        example,
        ..variable
    }
}

/// Every variable there is, in the order in which a reader meets them.
pub const VARIABLES: &[Variable] = &[
    example(
        "development",
        plain(
            "APP_ENV",
            ALL,
            Fallback::Required,
            "`development`, `test`, `staging` or `production`. The last two refuse what is only safe on a developer's machine.",
        ),
    ),
    example(
        "postgres://postgres@localhost:5432/taskhub",
        secret(
            "DATABASE_URL",
            ALL,
            Fallback::Required,
            "The PostgreSQL database, `postgres://USER:PASSWORD@HOST:PORT/NAME`. Staging and production need `?sslmode=verify-full`.",
        ),
    ),
    example(
        "postgres://taskhub_service:password@localhost:5432/taskhub",
        secret(
            "SERVICE_DATABASE_URL",
            &[Program::Migration],
            Fallback::Off,
            "The `DATABASE_URL` of API and worker where it is not that of the migration: `migrate` then makes its role, which may read and write rows and no more.",
        ),
    ),
    example(
        "redis://localhost:6379",
        secret(
            "REDIS_BROKER",
            SERVICES,
            Fallback::Required,
            "The Redis that carries tickets, limits and live updates, `redis://HOST:PORT`. Staging and production need TLS, `rediss://`.",
        ),
    ),
    example(
        "for-development-only-0123456789abcdef",
        secret(
            "JWT_SECRET",
            &[Program::Api],
            Fallback::Random,
            "Signs access tokens: at least 32 bytes, such as `openssl rand -base64 48` makes. Changing it ends every access token.",
        ),
    ),
    secret(
        "JWT_SECRET_PREVIOUS",
        &[Program::Api],
        Fallback::Off,
        "Another `JWT_SECRET` that is accepted and never signs: the former one while its tokens are still alive, or the next one before it is used.",
    ),
    example(
        "taskhub/database,taskhub/app",
        plain(
            "TASKHUB_SECRETS",
            ALL,
            Fallback::Off,
            "Names or ARNs of AWS Secrets Manager secrets, separated by commas, read at start. Their keys lie under the variables set here. `NAME=` before one says which variable a database's or Redis' secret becomes.",
        ),
    ),
    plain(
        "SECRETS_REFRESH_SECONDS",
        SERVICES,
        Fallback::Text("300"),
        "How often these secrets are read again. A new `DATABASE_URL` and new `JWT_SECRET`s are taken without a restart, others at the next start.",
    ),
    plain(
        "LISTEN_ADDRESS",
        &[Program::Api, Program::HealthCheck],
        Fallback::Text("0.0.0.0:8000"),
        "Where the API listens.",
    ),
    plain(
        "METRICS_ADDRESS",
        &[Program::Api, Program::Worker, Program::HealthCheck],
        Fallback::Text("0.0.0.0:9000"),
        "Where Prometheus metrics are served, `GET /metrics`, and the worker's `GET /health`. Not for the public.",
    ),
    plain(
        "PUBLIC_URL",
        SERVICES,
        Fallback::Local("http://localhost:8000"),
        "The API's address as its users see it. Also the issuer of its tokens. `https` in staging and production.",
    ),
    example(
        "https://app.example.com",
        plain(
            "CLIENT_URL",
            SERVICES,
            Fallback::Off,
            "The address of the app that people use, if there is one. E-mails link there; the app must answer `reset-password` under it and read the code from the fragment. Without it they link to TaskHub's own pages.",
        ),
    ),
    example(
        "mailto:security@example.com",
        plain(
            "SECURITY_CONTACT",
            &[Program::Api],
            Fallback::Off,
            "Where people report a vulnerability, `mailto:ADDRESS` or `https://…`. It stands in `/.well-known/security.txt`, which is 404 without it.",
        ),
    ),
    plain(
        "ACCESS_TOKEN_SECONDS",
        &[Program::Api],
        Fallback::Text("900"),
        "The life of an access token.",
    ),
    plain(
        "REFRESH_TOKEN_DAYS",
        &[Program::Api],
        Fallback::Text("30"),
        "The life of a session without a refresh.",
    ),
    plain(
        "REFRESH_RETRY_SECONDS",
        &[Program::Api],
        Fallback::Text("86400"),
        "How long a client whose answer got lost can send the same refresh token again, until its successor is used. `0` ends the session at the first repetition.",
    ),
    plain(
        "BCRYPT_COST",
        &[Program::Api],
        Fallback::Text("12"),
        "The work of hashing a password, as a power of two: 4 to 31, at least 10 in staging and production.",
    ),
    plain(
        "DATABASE_MAX_CONNECTIONS",
        SERVICES,
        Fallback::Text("10"),
        "Connections to PostgreSQL that one process holds at most.",
    ),
    plain(
        "DRAIN_SECONDS",
        &[Program::Api],
        Fallback::Either {
            local: "0",
            deployed: "10",
        },
        "How long the API still accepts connections after SIGTERM, so that the load balancer can look elsewhere.",
    ),
    plain(
        "REQUEST_TIMEOUT_SECONDS",
        &[Program::Api],
        Fallback::Text("30"),
        "The longest a request may take.",
    ),
    plain(
        "CORS_ORIGINS",
        &[Program::Api],
        Fallback::Off,
        "Origins of web pages and apps that may call the API, separated by commas: `https://app.example.com`, `capacitor://localhost`. They are compared exactly; patterns are refused.",
    ),
    plain(
        "TRUSTED_PROXIES",
        &[Program::Api],
        Fallback::Text("0"),
        "How many proxies of your own stand before the API; that many entries of `X-Forwarded-For` are believed.",
    ),
    plain(
        "RATE_LIMIT_READ",
        &[Program::Api],
        Fallback::Text("1200/1m"),
        "Reading requests per user: a number, a slash and a period in `s`, `m` or `h`. `0` allows any number.",
    ),
    plain(
        "RATE_LIMIT_WRITE",
        &[Program::Api],
        Fallback::Text("300/1m"),
        "Writing requests per user.",
    ),
    plain(
        "RATE_LIMIT_LOGIN_ADDRESS",
        &[Program::Api],
        Fallback::Text("10/1m"),
        "Attempts to sign in per client address.",
    ),
    plain(
        "RATE_LIMIT_LOGIN_ACCOUNT",
        &[Program::Api],
        Fallback::Text("5/15m"),
        "Attempts to sign in per username.",
    ),
    plain(
        "RATE_LIMIT_REGISTER",
        &[Program::Api],
        Fallback::Text("20/1h"),
        "Registrations per client address.",
    ),
    plain(
        "RATE_LIMIT_LOGIN_RESET",
        &[Program::Api],
        Fallback::Text("20/1h"),
        "Forgotten passwords per client address.",
    ),
    plain(
        "ADMIN_USERS",
        &[Program::Api],
        Fallback::Off,
        "Usernames of operators, separated by commas: they may sign in for the scope `admin`. In staging and production, register them before you list them.",
    ),
    plain(
        "IDEMPOTENCY_HOURS",
        &[Program::Api],
        Fallback::Text("24"),
        "How long an answer is kept for its `Idempotency-Key`.",
    ),
    plain(
        "TASKHUB_REQUIRE_IF_MATCH",
        &[Program::Api],
        Fallback::Text("false"),
        "`true` refuses changes that do not name the version they are based on (`If-Match`).",
    ),
    example(
        "file:///tmp/taskhub-mail",
        secret(
            "MAIL_URL",
            &[Program::Worker],
            Fallback::Required,
            "The mail server, `smtps://USER:PASSWORD@HOST`; or `file:///DIRECTORY`, which collects e-mails instead, in development and test.",
        ),
    ),
    plain(
        "MAIL_FROM",
        &[Program::Worker],
        Fallback::Local("TaskHub <taskhub@localhost>"),
        "The sender of e-mails.",
    ),
    plain(
        "WORKER_CONCURRENCY",
        &[Program::Worker],
        Fallback::Text("16"),
        "How many jobs one worker runs at the same time.",
    ),
    plain(
        "WORKER_QUEUES",
        &[Program::Worker],
        Fallback::Text("default"),
        "The queues that a worker serves, separated by commas. Every job is in `default` unless it was enqueued otherwise.",
    ),
    plain(
        "WORKER_GRACE_SECONDS",
        &[Program::Worker],
        Fallback::Text("30"),
        "How long running jobs may go on after SIGTERM; then they are given back.",
    ),
    plain(
        "JOB_LEASE_SECONDS",
        &[Program::Worker],
        Fallback::Text("60"),
        "For how long a job belongs to a worker that gives no sign of life.",
    ),
    example(
        "mail=14/1s,erase_account=10/1m",
        plain(
            "JOB_RATES",
            &[Program::Worker],
            Fallback::Off,
            "How many jobs of a kind may begin within a period, over all workers: `KIND=NUMBER/PERIOD`, separated by commas. `mail` stands for all e-mails together.",
        ),
    ),
    plain(
        "JOB_RETENTION_DAYS",
        SERVICES,
        Fallback::Text("7"),
        "How long jobs are kept that were done or cancelled. Dead ones are kept until they are retried.",
    ),
    plain(
        "TRASH_DAYS",
        SERVICES,
        Fallback::Text("30"),
        "How long deleted tasks are kept before they are removed for good.",
    ),
    plain(
        "LOG_LEVEL",
        ALL,
        Fallback::Text("info"),
        "`error`, `warn`, `info`, `debug` or `trace`, for TaskHub's own code; libraries only warn.",
    ),
    plain(
        "LOG_FORMAT",
        ALL,
        Fallback::Text("json"),
        "`json` for collectors, `text` for people.",
    ),
];
