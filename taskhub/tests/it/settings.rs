//! What the programs accept and refuse, and what they say.

use std::time::Duration;

use secrecy::ExposeSecret;
use taskhub::settings::{
    Api, Environment, HealthCheck, Kind, LogFormat, Migration, Problems, RateLimit, Source,
    VARIABLES, Worker,
};

const LOCAL: &[(&str, &str)] = &[
    ("APP_ENV", "development"),
    ("DATABASE_URL", "postgres://localhost/taskhub"),
    ("REDIS_BROKER", "redis://localhost"),
    ("MAIL_URL", "file:///tmp/mail"),
];

const DEPLOYED: &[(&str, &str)] = &[
    ("APP_ENV", "production"),
    (
        "DATABASE_URL",
        "postgres://u:p@db/taskhub?sslmode=verify-full",
    ),
    ("REDIS_BROKER", "rediss://:t@cache:6379"),
    ("JWT_SECRET", "f2a1c35cb0a94d9f8f0b2c8a51ce92ae"),
    ("PUBLIC_URL", "https://tasks.example.com"),
    ("MAIL_URL", "smtps://u:p@mail.example.com"),
    ("MAIL_FROM", "TaskHub <tasks@example.com>"),
];

/// `base` with `changes` over it.
fn source(base: &[(&str, &str)], changes: &[(&str, &str)]) -> Source {
    let mut source = Source::from_values(changes.iter().copied());
    let changed = |name| changes.iter().any(|change| change.0 == name);
    source.lay_under(base.iter().copied().filter(|(name, _)| !changed(*name)));
    source
}

fn problems(problems: &Problems) -> Vec<(&str, &str)> {
    problems
        .0
        .iter()
        .map(|problem| (problem.name.as_str(), problem.detail.as_str()))
        .collect()
}

/// The one thing that is wrong once `changes` were made.
fn api_problem(base: &[(&str, &str)], changes: &[(&str, &str)]) -> (String, String) {
    let found = Api::read(&source(base, changes)).expect_err("refused");
    let [problem] = &found.0[..] else {
        panic!("{found}")
    };
    (problem.name.clone(), problem.detail.clone())
}

#[test]
fn development_needs_little_and_the_rest_has_defaults() {
    let source = source(LOCAL, &[]);

    let api = Api::read(&source).expect("settings of the API");
    assert_eq!(api.environment, Environment::Development);
    assert_eq!(api.listen_address.to_string(), "0.0.0.0:8000");
    assert_eq!(api.public_url.as_str(), "http://localhost:8000/");
    assert_eq!(api.access_token_life, Duration::from_secs(900));
    assert_eq!(
        api.refresh_token_life,
        Duration::from_secs(30 * 24 * 60 * 60)
    );
    assert_eq!(api.refresh_retry, Duration::from_secs(24 * 60 * 60));
    assert_eq!(api.drain, Duration::ZERO);
    assert_eq!(api.idempotency_life, Duration::from_secs(24 * 60 * 60));
    assert!(api.cors_origins.is_empty());
    assert!(!api.require_if_match);
    assert_eq!(api.log.format, LogFormat::Json);
    let fifteen_minutes = Duration::from_secs(900);
    assert_eq!(
        api.rate_limits.login_account,
        Some(RateLimit {
            requests: 5,
            period: fifteen_minutes
        })
    );

    let worker = Worker::read(&source).expect("settings of the worker");
    assert_eq!(worker.concurrency, 16);
    assert_eq!(worker.mail_from, "TaskHub <taskhub@localhost>");
    Migration::read(&source).expect("settings of a migration");
    HealthCheck::read(&Source::from_values::<&str, &str>([])).expect("settings of a health check");
}

#[test]
fn production_starts_with_everything_safe_and_drains() {
    let source = source(DEPLOYED, &[]);

    let api = Api::read(&source).expect("settings of the API");
    assert_eq!(api.drain, Duration::from_secs(10));
    Worker::read(&source).expect("settings of the worker");
    Migration::read(&source).expect("settings of a migration");
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let production = source(&[("APP_ENV", "production")], &[]);

    let found = Api::read(&production).expect_err("hardly anything is set");
    assert_eq!(
        problems(&found),
        ["DATABASE_URL", "REDIS_BROKER", "JWT_SECRET", "PUBLIC_URL"]
            .map(|name| (name, "is not set"))
    );
    assert_eq!(
        found.to_string(),
        "The settings have 4 problems:\n  \
         DATABASE_URL is not set\n  REDIS_BROKER is not set\n  JWT_SECRET is not set\n  PUBLIC_URL is not set\n\
         Each variable is explained in .env.example and docs/settings.md."
    );
    let found =
        Migration::read(&Source::from_values::<&str, &str>([])).expect_err("nothing is set");
    assert_eq!(
        problems(&found),
        [("APP_ENV", "is not set"), ("DATABASE_URL", "is not set")]
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let found = Migration::read(&source(LOCAL, &[("DATABASE_URL", "")])).expect_err("no database");
    assert_eq!(problems(&found), [("DATABASE_URL", "is not set")]);
    Api::read(&source(
        LOCAL,
        &[("LISTEN_ADDRESS", ""), ("JWT_SECRET", "")],
    ))
    .expect("defaults");
}

#[test]
fn no_value_is_ever_shown() {
    let nonsense: Vec<(&str, &str)> = VARIABLES
        .iter()
        .map(|variable| (variable.name, "sentinel"))
        .collect();
    let nonsense = source(&nonsense, &[]);

    let api = Api::read(&nonsense).expect_err("nonsense");
    let worker = Worker::read(&nonsense).expect_err("nonsense");
    let migration = Migration::read(&nonsense).expect_err("nonsense");
    for variable in VARIABLES.iter().filter(|variable| {
        !["ADMIN_USERS", "TASKHUB_SECRETS", "WORKER_QUEUES"].contains(&variable.name)
    }) {
        let named = |found: &Problems| found.0.iter().any(|problem| problem.name == variable.name);
        assert!(
            named(&api) || named(&worker) || named(&migration),
            "{} takes any text",
            variable.name
        );
    }
    assert!(
        !format!("{api} {api:?} {worker} {worker:?} {migration} {migration:?} {nonsense:?}")
            .contains("sentinel")
    );

    let secrets: Vec<&str> = DEPLOYED
        .iter()
        .filter(|(name, _)| {
            VARIABLES
                .iter()
                .any(|v| v.name == *name && v.kind == Kind::Secret)
        })
        .map(|(_, value)| *value)
        .collect();
    let deployed = source(DEPLOYED, &[]);
    let shown = format!("{:?} {:?}", Api::read(&deployed), Worker::read(&deployed));
    assert_eq!(secrets.len(), 4);
    assert!(
        !secrets.iter().any(|secret| shown.contains(secret)),
        "{shown}"
    );
}

#[test]
fn staging_and_production_refuse_what_is_only_safe_on_a_developers_machine() {
    let cases = [
        (
            "DATABASE_URL",
            "postgres://u:p@db/taskhub",
            "sslmode=verify-full",
        ),
        (
            "DATABASE_URL",
            "postgres://u:p@db/taskhub?sslmode=require",
            "sslmode=verify-full",
        ),
        ("REDIS_BROKER", "redis://cache:6379", "rediss://"),
        (
            "JWT_SECRET",
            "for-development-only-0123456789abcdef",
            "published example",
        ),
        ("PUBLIC_URL", "http://tasks.example.com", "https://"),
        ("CLIENT_URL", "http://app.example.com", "https://"),
        ("BCRYPT_COST", "9", "from 10 to 31"),
    ];
    for (name, value, reason) in cases {
        for environment in ["staging", "production"] {
            let (found, detail) = api_problem(DEPLOYED, &[("APP_ENV", environment), (name, value)]);
            assert_eq!(found, name);
            assert!(detail.contains(reason), "{name} {detail}");
        }
        Api::read(&source(LOCAL, &[(name, value)]))
            .expect("all of it is good enough for development");
    }
    let found = Worker::read(&source(DEPLOYED, &[("MAIL_URL", "file:///tmp/mail")]))
        .expect_err("no mail is sent");
    assert_eq!(found.0[0].name, "MAIL_URL");
}

#[test]
fn malformed_values_are_refused_everywhere() {
    let cases = [
        ("APP_ENV", "prod"),
        ("DATABASE_URL", "mysql://localhost/taskhub"),
        ("REDIS_BROKER", "localhost:6379"),
        ("JWT_SECRET", "thirty-one-bytes-are-not-enough"),
        ("JWT_SECRET_PREVIOUS", "short"),
        ("LISTEN_ADDRESS", "8000"),
        ("PUBLIC_URL", "https://example.com/tasks"),
        ("ACCESS_TOKEN_SECONDS", "15m"),
        ("ACCESS_TOKEN_SECONDS", "0"),
        ("REFRESH_TOKEN_DAYS", "-1"),
        ("REFRESH_RETRY_SECONDS", "a day"),
        ("CLIENT_URL", "app.example.com"),
        ("CLIENT_URL", "capacitor://localhost"),
        ("CLIENT_URL", "https://app.example.com/?tab=1"),
        ("CLIENT_URL", "https://app.example.com/#/tasks"),
        ("CLIENT_URL", "https://me@app.example.com"),
        ("SECURITY_CONTACT", "security@example.com"),
        ("SECURITY_CONTACT", "http://example.com"),
        ("BCRYPT_COST", "3"),
        ("DATABASE_MAX_CONNECTIONS", "0"),
        ("DRAIN_SECONDS", "61"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://*.example.com"),
        ("CORS_ORIGINS", "null"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "https://App.example.com"),
        ("CORS_ORIGINS", "https://a.example.com,"),
        ("RATE_LIMIT_READ", "1200"),
        ("RATE_LIMIT_READ", "0/1m"),
        ("RATE_LIMIT_READ", "5/15 min"),
        ("RATE_LIMIT_READ", "5/m"),
        ("RATE_LIMIT_READ", "5/"),
        ("TASKHUB_REQUIRE_IF_MATCH", "yes"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
    ];
    for (name, value) in cases {
        assert_eq!(
            api_problem(LOCAL, &[(name, value)]).0,
            name,
            "{name}={value}"
        );
    }
}

#[test]
fn lists_and_limits_are_read() {
    let source = source(
        LOCAL,
        &[
            (
                "CORS_ORIGINS",
                "https://app.example.com, http://localhost:5173, capacitor://localhost",
            ),
            ("RATE_LIMIT_READ", "0"),
            ("RATE_LIMIT_WRITE", "7/30s"),
            ("RATE_LIMIT_REGISTER", "20/2h"),
            ("ADMIN_USERS", "ada, grace.h"),
            ("TASKHUB_REQUIRE_IF_MATCH", "true"),
        ],
    );

    let api = Api::read(&source).expect("settings");

    assert_eq!(
        api.cors_origins,
        [
            "https://app.example.com",
            "http://localhost:5173",
            "capacitor://localhost"
        ]
    );
    assert_eq!(api.rate_limits.read, None);
    let limit = |requests, seconds| {
        Some(RateLimit {
            requests,
            period: Duration::from_secs(seconds),
        })
    };
    assert_eq!(api.rate_limits.write, limit(7, 30));
    assert_eq!(api.rate_limits.register, limit(20, 7200));
    assert_eq!(api.admin_users, ["ada", "grace.h"]);
    assert!(api.require_if_match);
}

#[test]
fn an_app_may_lie_below_a_host() {
    for (given, read) in [
        ("https://app.example.com", "https://app.example.com/"),
        ("https://example.com/tasks", "https://example.com/tasks/"),
        ("https://example.com/tasks/", "https://example.com/tasks/"),
    ] {
        let source = source(DEPLOYED, &[("CLIENT_URL", given)]);
        let api = Api::read(&source).expect("settings of the API");
        let worker = Worker::read(&source).expect("settings of the worker");
        assert_eq!(api.client_url.expect("a URL").as_str(), read);
        assert_eq!(worker.client_url.expect("a URL").as_str(), read);
    }
}

#[test]
fn rates_of_jobs_are_read_and_no_kind_is_made_up() {
    let read = |value| Worker::read(&source(LOCAL, &[("JOB_RATES", value)]));
    assert!(read("").expect("settings").job_rates.is_empty());
    let rates = read("mail=14/1s, erase_account = 10/1m")
        .expect("settings")
        .job_rates;
    let rates: Vec<_> = rates
        .iter()
        .map(|limit| (limit.name.as_str(), limit.jobs, limit.period.as_secs()))
        .collect();
    assert_eq!(rates, [("mail", 14, 1), ("erase_account", 10, 60)]);
    for (value, reason) in [
        ("14/1s", "something else"),
        ("mail=14", "something else"),
        ("mail=0/1s", "something else"),
        ("mail=14/1s,", "something else"),
        ("letters=14/1s", "does not exist"),
        ("mail=14/1s,mail=15/1s", "names mail twice"),
    ] {
        let found = read(value).expect_err(value);
        let [(name, detail)] = problems(&found)[..] else {
            panic!("{found}")
        };
        assert_eq!(name, "JOB_RATES");
        assert!(detail.contains(reason), "{detail}");
    }
}

#[test]
fn development_without_a_key_gets_a_new_one_at_each_start() {
    let key = || Api::read(&source(LOCAL, &[])).expect("settings").jwt_secret;
    let (first, second) = (key(), key());
    assert!(first.expose_secret().len() >= 32);
    assert_ne!(first.expose_secret(), second.expose_secret());
}
