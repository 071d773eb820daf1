//! What a worker works in: a database, a Redis server, a place for its mail.

use std::{
    collections::HashMap,
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use nix::sys::signal::Signal;
use secrecy::ExposeSecret;
use taskhub::{
    jobs::{self, Job},
    passwords::Hasher,
    queue,
    testing::{Database, Process, Redis, free_port, wait_for},
    users::{self, NewUser, Registration},
};
use tempfile::TempDir;
use uuid::Uuid;

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A history of successes that does not come from the code which is tried.
const SUCCESSES: &str = "
    create table success (job_id bigint not null);
    create function succeeded() returns trigger language plpgsql security definer as
        'begin insert into success (job_id) values (new.id); return null; end';
    create trigger succeeded after update of state on job
        for each row when (new.state = 'done') execute function succeeded();
";

pub(crate) struct Site {
    pub(crate) database: Database,
    pub(crate) redis: Redis,
    pub(crate) mail: TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::with_redis(Redis::start().await).await
    }

    pub(crate) async fn with_redis(redis: Redis) -> Self {
        let database = Database::create().await;
        sqlx::raw_sql(SUCCESSES)
            .execute(&database.pool)
            .await
            .expect("a history");
        Self {
            database,
            redis,
            mail: tempfile::tempdir().expect("a directory"),
        }
    }

    /// A worker that captures its mail, with a lease of three seconds.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_with(&[])
    }

    pub(crate) fn worker_with(&self, variables: &[(&str, &str)]) -> Worker {
        let (mut command, port) = self.command(variables);
        Worker {
            process: Process::start(&mut command),
            port,
        }
    }

    /// A worker whose log is written to `file`.
    pub(crate) fn worker_logging_to(&self, file: &Path) -> Worker {
        let (mut command, port) = self.command(&[]);
        command.stdout(fs::File::create(file).expect("a file"));
        Worker {
            process: Process::start(&mut command),
            port,
        }
    }

    /// Whether jobs are done, as it is asked after a deployment.
    pub(crate) fn smoke(&self, seconds: &str) -> ExitStatus {
        let (mut command, _) = self.command(&[]);
        command.args(["smoke", "--seconds", seconds]);
        command.status().expect("the program")
    }

    fn command(&self, variables: &[(&str, &str)]) -> (Command, u16) {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskhub-worker"));
        command
            .env_clear()
            // Where no `.env` is.
            .current_dir(self.mail.path())
            .env("APP_ENV", "test")
            .env("DATABASE_URL", self.database.url.expose_secret())
            .env("DATABASE_MAX_CONNECTIONS", "5")
            .env("REDIS_BROKER", self.redis.url())
            .env("MAIL_URL", format!("file://{}", self.mail.path().display()))
            .env("MAIL_FROM", "TaskHub <taskhub@example.org>")
            .env("METRICS_ADDRESS", format!("127.0.0.1:{port}"))
            .env("JOB_LEASE_SECONDS", "3")
            .envs(variables.iter().copied());
        (command, port)
    }

    /// Someone who registers, with an e-mail address made of the name.
    pub(crate) async fn register(&self, username: &str) -> Uuid {
        let registration = Registration {
            username: username.to_owned(),
            password: "correct horse battery".to_owned().into(),
            email: Some(format!("{username}@example.org")),
        };
        let hasher = Hasher::fast_for_tests().expect("a hasher");
        let new = NewUser::prepare(&hasher, registration)
            .await
            .expect("a valid registration");
        let mut transaction = self.database.pool.begin().await.expect("a transaction");
        let user = users::register(&mut transaction, &new, None)
            .await
            .expect("a new user");
        transaction.commit().await.expect("a commit");
        user.id
    }

    /// The job that greets `user_id`.
    pub(crate) async fn greeting(&self, user_id: Uuid) -> Uuid {
        let mut db = self.database.pool.acquire().await.expect("a connection");
        jobs::enqueue(&mut db, &Job::WelcomeEmail { user_id })
            .await
            .expect("the job there is")
    }

    pub(crate) async fn job(&self, public_id: Uuid) -> JobRow {
        sqlx::query_as!(
            JobRow,
            "
            select state, attempt, crashes, last_error, run_at > now() as \"is_later!\"
            from job where public_id = $1
            ",
            public_id,
        )
        .fetch_one(&self.database.pool)
        .await
        .expect("a job")
    }

    pub(crate) async fn wait_for_state(&self, public_id: Uuid, state: &str) {
        wait_for(&format!("the job is {state}"), PATIENCE, async || {
            self.job(public_id).await.state == state
        })
        .await;
    }

    /// How each of its attempts ended, oldest first.
    pub(crate) async fn outcomes(&self, public_id: Uuid) -> Vec<String> {
        let attempts = jobs::attempts(&self.database.pool, public_id)
            .await
            .expect("a log");
        attempts
            .into_iter()
            .map(|attempt| attempt.outcome)
            .collect()
    }

    /// Waits until `count` jobs are done that the clock did not ask for, then makes sure that each succeeded once.
    pub(crate) async fn wait_until_done_once(&self, count: usize) {
        let done = async || {
            sqlx::query_scalar!(
                r#"
                select count(*) as "count!" from job
                where state = 'done' and not coalesce(unique_key like 'periodic:%', false)
                "#
            )
            .fetch_one(&self.database.pool)
            .await
            .is_ok_and(|done| usize::try_from(done) == Ok(count))
        };
        wait_for(&format!("{count} jobs are done"), PATIENCE, done).await;
        let successes: Vec<i64> = sqlx::query_scalar(
            "
            select count(*) from success join job on job.id = job_id
            where not coalesce(unique_key like 'periodic:%', false)
            group by job_id
            ",
        )
        .fetch_all(&self.database.pool)
        .await
        .expect("the successes");
        assert_eq!(successes, vec![1; count]);
    }

    /// As if the time of every lease and of the leadership had passed, so that a killed worker is
    /// missed at once.
    pub(crate) async fn let_leases_run_out(&self) {
        sqlx::raw_sql(
            "
            update job set lease_until = now() - interval '1 second' where state = 'running';
            update leader set lease_until = now() - interval '1 second';
            ",
        )
        .execute(&self.database.pool)
        .await
        .expect("an update");
    }

    /// How many tickets the leader has issued since Redis started.
    pub(crate) async fn tickets_issued(&self) -> f64 {
        let keys = queue::Keys::new("", queue::DEFAULT);
        let client = redis::Client::open(self.redis.url()).expect("a URL");
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .expect("Redis answers");
        let stream: redis::RedisResult<HashMap<String, redis::Value>> = redis::cmd("XINFO")
            .arg("STREAM")
            .arg(&keys.tickets)
            .query_async(&mut connection)
            .await;
        // Before the first worker has looked, there is no stream.
        stream.map_or(0.0, |stream| {
            redis::from_redis_value_ref(&stream["entries-added"]).expect("a number")
        })
    }

    /// The names of the captured letters.
    pub(crate) fn letters(&self) -> Vec<String> {
        fs::read_dir(self.mail.path())
            .expect("a directory")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect()
    }
}

#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) state: String,
    pub(crate) attempt: i32,
    pub(crate) crashes: i32,
    pub(crate) last_error: Option<String>,
    pub(crate) is_later: bool,
}

pub(crate) struct Worker {
    pub(crate) process: Process,
    port: u16,
}

impl Worker {
    /// As its container would ask.
    pub(crate) fn health_check(&self) -> ExitStatus {
        Command::new(env!("CARGO_BIN_EXE_taskhub-worker"))
            .arg("healthcheck")
            .env("METRICS_ADDRESS", format!("0.0.0.0:{}", self.port))
            .status()
            .expect("the program")
    }

    pub(crate) fn pause(&self) {
        self.process.signal(Signal::SIGSTOP);
    }

    pub(crate) fn resume(&self) {
        self.process.signal(Signal::SIGCONT);
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.process.signal(Signal::SIGTERM);
        self.end().await
    }

    pub(crate) async fn end(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the worker ends", PATIENCE, async || {
            status = self.process.ended().expect("a child's state");
            status.is_some()
        })
        .await;
        status.expect("it has ended")
    }

    /// A metric's value, or zero where there is none such as `jobs_claimed_total{source="redis"}`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let Some(text) = self.get("/metrics") else {
            return 0.0;
        };
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// The response as text; none where the worker does not answer (yet).
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        Some(response)
    }
}
