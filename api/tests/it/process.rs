//! The built program itself: its commands, exit codes, logs and stopping.

use std::{
    io::Read as _,
    process::{Command, Output, Stdio},
    time::Duration,
};

use nix::{sys::signal::Signal, sys::signal::kill, unistd::Pid};
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use taskhub::testing::{Database, free_port, wait_for};

use crate::support::{JWT_SECRET, PASSWORD, redis_url};

const SOON: Duration = Duration::from_secs(20);

/// The program, with nothing from the outside but what a test gives it.
pub(crate) fn program(database: &Database, command: &str) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_taskhub-api"));
    program
        .arg(command)
        .env_clear()
        .env("APP_ENV", "test")
        .env("DATABASE_URL", database.url.expose_secret())
        .env("REDIS_BROKER", redis_url())
        .env("JWT_SECRET", JWT_SECRET)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    program
}

fn run(mut program: Command) -> Output {
    program.output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A serving process that is killed with its test.
pub(crate) struct Server {
    child: std::process::Child,
    pub(crate) url: String,
    metrics: String,
    pub(crate) client: reqwest::Client,
}

impl Server {
    pub(crate) async fn start(mut program: Command) -> Self {
        let (port, metrics) = (free_port(), free_port());
        program
            .env("LISTEN_ADDRESS", format!("127.0.0.1:{port}"))
            .env("METRICS_ADDRESS", format!("127.0.0.1:{metrics}"));
        let server = Self {
            child: program.spawn().unwrap(),
            url: format!("http://127.0.0.1:{port}"),
            metrics: format!("http://127.0.0.1:{metrics}/metrics"),
            client: crate::support::client(),
        };
        wait_for("the server is healthy", SOON, async || {
            server.health().await == Some(StatusCode::OK)
        })
        .await;
        server
    }

    async fn health(&self) -> Option<StatusCode> {
        let answer = self.client.get(format!("{}/health", self.url)).send().await;
        answer.ok().map(|answer| answer.status())
    }

    fn terminate(&self) {
        kill(
            Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
    }

    /// The exit code and all that was logged.
    async fn end(mut self) -> (Option<i32>, String) {
        let mut status = None;
        wait_for("the server ends", SOON, async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        let mut log = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        (status.unwrap().code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn two_migrations_at_once_both_succeed() {
    let database = Database::create_empty().await;
    let first = program(&database, "migrate").spawn().unwrap();
    let second = program(&database, "migrate").spawn().unwrap();
    for run in [first, second] {
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
    }
    let count: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert_eq!(
        usize::try_from(count).unwrap(),
        taskhub::database::MIGRATIONS.iter().count()
    );
}

#[tokio::test]
async fn an_unmigrated_database_is_not_served() {
    let database = Database::create_empty().await;
    let output = run(program(&database, "serve"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors(&output).contains("taskhub-api migrate"),
        "{}",
        errors(&output)
    );
}

/// As if a later release had migrated the database, after which programs must know `floor`.
async fn migrated_by_a_later_release(floor: i64) -> Database {
    let database = Database::create().await;
    sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9999, 'later', true, '', 0)")
        .execute(&database.pool)
        .await
        .unwrap();
    sqlx::query("update schema_floor set version = $1")
        .bind(floor)
        .execute(&database.pool)
        .await
        .unwrap();
    database
}

#[tokio::test]
async fn a_database_to_which_a_later_release_has_added_is_served() {
    let newest = taskhub::database::MIGRATIONS.iter().last().unwrap();
    let database = migrated_by_a_later_release(newest.version).await;
    let server = Server::start(program(&database, "serve")).await;
    let ready = server.client.get(format!("{}/health/ready", server.url));
    assert_eq!(ready.send().await.unwrap().status(), StatusCode::OK);
    server.terminate();
    let (code, log) = server.end().await;
    assert_eq!(code, Some(0));
    assert!(log.contains("9999"), "{log}");
}

#[tokio::test]
async fn a_database_from_which_a_later_release_has_taken_away_is_not_served() {
    let database = migrated_by_a_later_release(9999).await;
    let output = run(program(&database, "serve"));
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("9999"), "{}", errors(&output));
}

#[tokio::test]
async fn all_wrong_settings_are_named_at_once_without_their_values() {
    let database = Database::create_empty().await;
    let mut program = program(&database, "serve");
    program
        .env_remove("REDIS_BROKER")
        .env("DATABASE_URL", "sentinel-value")
        .env("DRAIN_SECONDS", "sentinel-value");
    let output = run(program);
    assert_eq!(output.status.code(), Some(2));
    let message = errors(&output);
    for name in ["REDIS_BROKER", "DATABASE_URL", "DRAIN_SECONDS"] {
        assert!(message.contains(name), "{message}");
    }
    assert!(!message.contains("sentinel-value"), "{message}");
}

#[tokio::test]
async fn secrets_that_cannot_be_read_stop_the_start() {
    let database = Database::create_empty().await;
    let mut program = program(&database, "serve");
    program
        .env("TASKHUB_SECRETS", "taskhub/app")
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let output = run(program);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        errors(&output).contains("taskhub/app"),
        "{}",
        errors(&output)
    );
}

#[tokio::test]
async fn the_health_check_tells_a_server_from_silence() {
    let database = Database::create().await;
    let server = Server::start(program(&database, "serve")).await;
    let check = |url: &str| {
        let mut check = program(&database, "healthcheck");
        check.env("LISTEN_ADDRESS", url.trim_start_matches("http://"));
        run(check)
    };
    assert!(check(&server.url).status.success());
    let output = check(&format!("http://127.0.0.1:{}", free_port()));
    assert_eq!(output.status.code(), Some(1));
}

#[tokio::test]
async fn a_terminated_server_drains_while_it_still_answers_and_exits_cleanly() {
    let database = Database::create().await;
    let mut program = program(&database, "serve");
    program.env("DRAIN_SECONDS", "2");
    let server = Server::start(program).await;
    server.terminate();
    wait_for("health checks fail", SOON, async || {
        server.health().await == Some(StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
    // Load balancers take a while to notice; until then requests are served as ever.
    let answer = server
        .client
        .get(format!("{}/v1/meta", server.url))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["connection"], "close");
    let (code, log) = server.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn logs_are_json_with_request_ids_and_without_secrets() {
    let database = Database::create().await;
    let server = Server::start(program(&database, "serve")).await;
    let post = async |path: &str, body: Value| {
        let request = server
            .client
            .post(format!("{}{path}", server.url))
            .json(&body);
        request
            .header("x-request-id", "the-one-to-find")
            .send()
            .await
            .unwrap()
    };
    let credentials =
        json!({ "username": "logged", "password": PASSWORD, "email": "logged@example.org" });
    assert_eq!(
        post("/v1/auth/register", credentials).await.status(),
        StatusCode::CREATED
    );
    let credentials = json!({ "username": "logged", "password": PASSWORD });
    let tokens: Value = post("/v1/auth/login", credentials)
        .await
        .json()
        .await
        .unwrap();
    let (access, refresh) = (
        tokens["access_token"].as_str().unwrap(),
        tokens["refresh_token"].as_str().unwrap(),
    );
    post("/v1/auth/refresh", json!({ "refresh_token": refresh })).await;
    post(
        "/v1/auth/forgot-password",
        json!({ "email": "forgot@example.org" }),
    )
    .await;
    let reset = json!({ "code": "thp_sentinel-code", "new_password": "a sentinel password" });
    post("/v1/auth/reset-password", reset).await;
    let search = format!("{}/v1/tasks?q=sentinel-query", server.url);
    server
        .client
        .get(search)
        .bearer_auth(access)
        .send()
        .await
        .unwrap();
    let metrics = server
        .client
        .get(&server.metrics)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("http_requests_total"), "{metrics}");

    server.terminate();
    let (code, log) = server.end().await;
    assert_eq!(code, Some(0));
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .any(|line| line.to_string().contains("the-one-to-find")),
        "{log}"
    );
    for secret in [
        PASSWORD,
        access,
        refresh,
        JWT_SECRET,
        "logged@example.org",
        "sentinel-query",
        "forgot@example.org",
        "thp_sentinel-code",
        "a sentinel password",
    ] {
        assert!(
            !log.contains(secret) && !metrics.contains(secret),
            "{secret} is in the log or the metrics"
        );
    }
}

#[tokio::test]
async fn a_request_can_be_followed_from_its_line_in_the_log_to_the_job_it_caused() {
    let database = Database::create().await;
    let server = Server::start(program(&database, "serve")).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (username, traceparent) in [("traced", Some(traceparent)), ("untraced", None)] {
        let body =
            json!({ "username": username, "password": PASSWORD, "email": "ada@example.org" });
        let register = format!("{}/v1/auth/register", server.url);
        let mut request = server.client.post(register).json(&body);
        request = request.header("X-Request-Id", username);
        if let Some(traceparent) = traceparent {
            request = request.header("Traceparent", traceparent);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
    }
    server.terminate();
    let (_, log) = server.end().await;

    for username in ["traced", "untraced"] {
        let line = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["span"]["request_id"] == username)
            .unwrap_or_else(|| panic!("{username} is not in the log: {log}"));
        let trace_id = line["span"]["trace_id"].as_str().unwrap();
        if username == "traced" {
            assert_eq!(trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        }
        // The worker's lines about a job carry the trace that stands in its row.
        let trace: String = sqlx::query_scalar(
            "
            select trace_context from job join user_account on user_account.id = user_id
            where username = $1 and kind = 'welcome_email'
            ",
        )
        .bind(username)
        .fetch_one(&database.pool)
        .await
        .unwrap();
        assert!(trace.contains(trace_id), "{trace} and {trace_id}");
        assert!(!trace.contains("00f067aa0ba902b7"), "{trace} is no child");
    }
}
