//! Secrets Manager as a real process; before it, where it cannot fail by itself, a front that does.

mod front;

use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::primitives::Blob;
use secrecy::{ExposeSecret, SecretString};
use taskhub::{
    secrets::{self, DEADLINE, Failures, Reason},
    settings::Source,
    testing::{Emulator, emulator::loader},
};

use front::{Fault, Front, nobody};

async fn read(endpoint: &str, names: &[&str]) -> Result<Vec<(String, SecretString)>, Failures> {
    read_within(DEADLINE, endpoint, names).await
}

async fn read_within(
    deadline: Duration,
    endpoint: &str,
    names: &[&str],
) -> Result<Vec<(String, SecretString)>, Failures> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    secrets::read(&names, loader(endpoint), deadline).await
}

fn exposed(variables: &[(String, SecretString)]) -> Vec<(&str, &str)> {
    variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose_secret()))
        .collect()
}

fn reasons(failures: &Failures) -> Vec<(&str, &Reason)> {
    failures
        .0
        .iter()
        .map(|failure| (failure.secret.as_str(), &failure.reason))
        .collect()
}

#[tokio::test]
async fn secrets_of_all_three_shapes_become_variables() {
    let emulator = Emulator::start().await;
    emulator
        .put_secret(
            "taskhub/app",
            r#"{"JWT_SECRET": "key", "BCRYPT_COST": 11, "FOR_ANOTHER_RELEASE": {}}"#,
        )
        .await;
    emulator.put_secret("taskhub/database",
        r#"{"engine": "postgres", "host": "db.internal", "port": 5433, "username": "task hub", "password": "p@ss:/?#%", "dbname": "tasks"}"#,
    )
    .await;
    emulator
        .put_secret(
            "taskhub/redis",
            r#"{"host": "cache.internal", "port": "6380", "auth_token": "t/k"}"#,
        )
        .await;

    let variables = read(
        &emulator.endpoint(),
        &["taskhub/app", "taskhub/database", "taskhub/redis"],
    )
    .await
    .expect("three secrets");

    assert_eq!(
        exposed(&variables),
        [
            ("BCRYPT_COST", "11"),
            (
                "DATABASE_URL",
                "postgres://task%20hub:p%40ss%3A%2F%3F%23%@db.internal:5433/tasks?sslmode=verify-full"
            ),
            ("JWT_SECRET", "key"),
            ("REDIS_BROKER", "rediss://:t%2Fk@cache.internal:6380"),
        ]
    );
    let database = secrecy::SecretString::from(exposed(&variables)[1].1);
    let options =
        taskhub::database::connect_options(&database, "test").expect("a URL that sqlx takes");
    assert_eq!(options.get_username(), "task hub");
    assert_eq!(options.get_database(), Some("tasks"));
}

#[tokio::test]
async fn a_secret_may_be_named_by_its_arn_and_choose_how_the_certificate_is_checked() {
    let emulator = Emulator::start().await;
    let secret = emulator
        .secrets_manager()
        .await
        .create_secret()
        .name("database")
        .secret_string(
            r#"{"host": "db", "port": 5432, "username": "u", "password": "p", "dbname": "d", "sslmode": "verify-ca", "sslrootcert": "/etc/ssl/rds.pem"}"#,
        )
        .send()
        .await
        .expect("a new secret");

    let variables = read(&emulator.endpoint(), &[secret.arn().expect("an ARN")])
        .await
        .expect("the secret");

    assert_eq!(
        exposed(&variables),
        [(
            "DATABASE_URL",
            "postgres://u:p@db:5432/d?sslmode=verify-ca&sslrootcert=%2Fetc%2Fssl%2Frds.pem"
        )]
    );
}

#[tokio::test]
async fn an_entry_may_name_the_variable_that_a_database_becomes() {
    let emulator = Emulator::start().await;
    for name in ["owner", "odd=name"] {
        let text = format!(
            r#"{{"host": "db", "port": 5432, "username": "u", "password": "{name}", "dbname": "d"}}"#
        );
        emulator.put_secret(name, &text).await;
    }
    emulator.put_secret("app", r#"{"JWT_SECRET": "key"}"#).await;

    let variables = read(
        &emulator.endpoint(),
        &["odd=name", "SERVICE_DATABASE_URL=owner"],
    )
    .await
    .expect("two databases");
    assert_eq!(
        exposed(&variables),
        [
            (
                "DATABASE_URL",
                "postgres://u:odd%3Dname@db:5432/d?sslmode=verify-full"
            ),
            (
                "SERVICE_DATABASE_URL",
                "postgres://u:owner@db:5432/d?sslmode=verify-full"
            ),
        ]
    );

    let failures = read(&emulator.endpoint(), &["SERVICE_DATABASE_URL=app"])
        .await
        .expect_err("not a database");
    assert_eq!(
        reasons(&failures),
        [(
            "SERVICE_DATABASE_URL=app",
            &Reason::Malformed("it holds neither a database nor a Redis".to_owned())
        )]
    );
}

#[tokio::test]
async fn the_environment_wins_over_a_secret() {
    let emulator = Emulator::start().await;
    emulator
        .put_secret(
            "app",
            r#"{"JWT_SECRET": "of the secret", "BCRYPT_COST": "11"}"#,
        )
        .await;
    let mut source = Source::from_values([("BCRYPT_COST", "10"), ("JWT_SECRET", "")]);

    source.lay_under(
        read(&emulator.endpoint(), &["app"])
            .await
            .expect("the secret"),
    );

    let text = |name| source.get(name).map(ExposeSecret::expose_secret);
    assert_eq!(text("BCRYPT_COST"), Some("10"));
    assert_eq!(text("JWT_SECRET"), Some("of the secret"));
}

#[tokio::test]
async fn absent_and_malformed_secrets_are_all_named_and_none_is_shown() {
    let emulator = Emulator::start().await;
    let cases = [
        (
            "broken",
            r#"{"JWT_SECRET": "sentinel"#,
            "it is not a JSON object",
        ),
        ("list", r#"["sentinel"]"#, "it is not a JSON object"),
        (
            "useless",
            r#"{"username": "u", "password": "sentinel"}"#,
            "it holds none of the variables, and neither a database nor a Redis",
        ),
        (
            "nested",
            r#"{"JWT_SECRET": {"value": "sentinel"}}"#,
            "JWT_SECRET is not what it should be",
        ),
        (
            "nameless",
            r#"{"host": "h", "port": 1, "username": "u", "password": "sentinel"}"#,
            "dbname is missing",
        ),
        (
            "port",
            r#"{"host": "h", "port": 70000, "auth_token": "sentinel"}"#,
            "port is not what it should be",
        ),
        (
            "host",
            r#"{"host": "a b", "port": 1, "auth_token": "sentinel"}"#,
            "host is not what it should be",
        ),
        ("first", r#"{"MAIL_URL": "sentinel"}"#, ""),
        (
            "second",
            r#"{"MAIL_URL": "sentinel"}"#,
            "MAIL_URL is in another secret as well",
        ),
    ];
    for (name, text, _) in cases {
        emulator.put_secret(name, text).await;
    }
    emulator
        .secrets_manager()
        .await
        .create_secret()
        .name("binary")
        .secret_binary(Blob::new("sentinel"))
        .send()
        .await
        .expect("a binary secret");
    let mut names: Vec<&str> = cases.iter().map(|case| case.0).collect();
    names.extend(["binary", "absent"]);

    let failures = read(&emulator.endpoint(), &names)
        .await
        .expect_err("nothing usable");

    let mut expected: Vec<(&str, Reason)> = cases
        .iter()
        .filter(|case| !case.2.is_empty())
        .map(|case| (case.0, Reason::Malformed(case.2.to_owned())))
        .collect();
    expected.push((
        "binary",
        Reason::Malformed("it is binary, not text".to_owned()),
    ));
    expected.push(("absent", Reason::Absent));
    let found = reasons(&failures);
    assert_eq!(
        found,
        expected
            .iter()
            .map(|(name, reason)| (*name, reason))
            .collect::<Vec<_>>()
    );
    assert!(!format!("{failures} {failures:?}").contains("sentinel"));
}

#[tokio::test]
async fn a_secret_that_is_throttled_twice_is_read_at_the_third_attempt() {
    let emulator = Emulator::start().await;
    emulator.put_secret("app", r#"{"JWT_SECRET": "key"}"#).await;
    let front = Front::before(emulator.port(), Fault::ThrottledTimes(2));

    let variables = read(&front.endpoint(), &["app"])
        .await
        .expect("the secret in the end");

    assert_eq!(exposed(&variables), [("JWT_SECRET", "key")]);
    assert_eq!(front.requests(), 3);
}

#[tokio::test]
async fn a_secret_that_stays_throttled_is_given_up_after_five_attempts() {
    let front = Front::alone(Fault::Throttled);

    let failures = read(&front.endpoint(), &["app"])
        .await
        .expect_err("throttled");

    assert_eq!(reasons(&failures), [("app", &Reason::Throttled)]);
    assert_eq!(front.requests(), 5);
}

#[tokio::test]
async fn a_denied_secret_is_asked_for_once_and_the_reason_is_passed_on() {
    let front = Front::alone(Fault::Denied);

    let failures = read(&front.endpoint(), &["app"]).await.expect_err("denied");

    assert_eq!(
        reasons(&failures),
        [(
            "app",
            &Reason::Denied("the role may not do that".to_owned())
        )]
    );
    assert_eq!(front.requests(), 1);
}

#[tokio::test]
async fn silence_ends_with_the_deadline() {
    let front = Front::alone(Fault::Silent);
    let start = Instant::now();

    let failures = read_within(
        Duration::from_millis(300),
        &front.endpoint(),
        &["app", "database"],
    )
    .await
    .expect_err("silence");

    assert_eq!(
        reasons(&failures),
        [("app", &Reason::Slow), ("database", &Reason::Slow)]
    );
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_told_from_a_slow_one() {
    let endpoint = nobody();

    let failures = read(&endpoint, &["app"]).await.expect_err("nobody");

    let [("app", Reason::Unreachable(detail))] = reasons(&failures)[..] else {
        panic!("{failures}");
    };
    assert!(detail.contains("refused"), "{detail}");
}
