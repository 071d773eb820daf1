//! Throw-away databases for the tests of every crate, on the server that `cargo xtask test` starts,
//! and servers of their own for those that stop them.

pub mod emulator;
pub mod locales;
mod postgres;
mod process;
mod redis;

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use secrecy::SecretString;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use uuid::Uuid;

pub use self::{
    emulator::Emulator,
    postgres::Postgres,
    process::Process,
    redis::{Redis, free_port},
};
use crate::database;

/// A migrated database of one test's own. It goes away with the server.
#[derive(Debug)]
pub struct Database {
    pub url: SecretString,
    pub pool: PgPool,
    maintenance: String,
}

impl Database {
    /// Copies a template that the first test to come migrates.
    ///
    /// # Panics
    /// Where `TEST_DATABASE_URL`, the maintenance database of a server that may be littered, is not
    /// set or does not answer.
    pub async fn create() -> Self {
        Self::create_on(variable("TEST_DATABASE_URL")).await
    }

    /// The same on a server of the test's own, given the URL of its maintenance database.
    ///
    /// # Panics
    /// Where it does not answer.
    pub async fn create_on(maintenance: String) -> Self {
        let template = migrated(&maintenance, "", "").await;
        Self::new(maintenance, &format!("template {template}")).await
    }

    /// A database without any table.
    ///
    /// # Panics
    /// As [`Database::create`].
    pub async fn create_empty() -> Self {
        Self::new(variable("TEST_DATABASE_URL"), "").await
    }

    async fn new(maintenance: String, options: &str) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        execute(&maintenance, &format!("create database {name} {options}")).await;
        let url = with_database(&maintenance, &name);
        let options = database::connect_options(&url, "test").expect("a PostgreSQL URL");
        Self {
            pool: database::pool(options, 10),
            url,
            maintenance,
        }
    }

    /// Cuts every connection and refuses new ones, as an outage would.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn close_to_all(&self) {
        let name = self.name();
        execute(
            &self.maintenance,
            &format!("alter database {name} allow_connections false"),
        )
        .await;
        execute(
            &self.maintenance,
            &format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
            ),
        )
        .await;
    }

    /// Ends what [`Database::close_to_all`] began.
    ///
    /// # Panics
    /// Where the server does not answer.
    pub async fn open(&self) {
        let name = self.name();
        execute(
            &self.maintenance,
            &format!("alter database {name} allow_connections true"),
        )
        .await;
    }

    fn name(&self) -> String {
        let options = self.pool.connect_options();
        options.get_database().expect("a name").to_owned()
    }
}

/// Looks again and again until `condition` holds.
///
/// # Panics
/// Where it does not hold within `limit`; the message says `what` was waited for.
pub async fn wait_for(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The name of the migrated template of this `kind`, made with `options` of `create database`. It is named for
/// the migrations it holds.
async fn migrated(maintenance: &str, kind: &str, options: &str) -> String {
    let checksum = database::MIGRATIONS
        .iter()
        .flat_map(|migration| migration.checksum.iter())
        .chain(kind.as_bytes())
        .fold(0_u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
    let name = format!("template_{checksum:016x}");
    let mut db = connect(maintenance).await;
    sqlx::query("select pg_advisory_lock(7283)")
        .execute(&mut db)
        .await
        .expect("the template's lock");
    let exists: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(&mut db)
            .await
            .expect("a list of databases");
    if !exists {
        // Migrated under another name, so that a run cut short leaves no half template.
        let draft = format!("draft_{}", Uuid::now_v7().simple());
        execute(maintenance, &format!("create database {draft} {options}")).await;
        let url = with_database(maintenance, &draft);
        let login = database::connect_options(&url, "test").expect("a PostgreSQL URL");
        database::migrate(&login, None)
            .await
            .expect("a migrated template");
        execute(
            maintenance,
            &format!("alter database {draft} rename to {name}"),
        )
        .await;
    }
    db.close().await.expect("a connection that closes");
    name
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the test servers are is no setting of the programs"
)]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the test programs are is no setting of the programs"
)]
fn variable_or(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn with_database(maintenance: &str, name: &str) -> SecretString {
    let mut url = url::Url::parse(maintenance).expect("a PostgreSQL URL");
    url.set_path(name);
    String::from(url).into()
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).expect("a PostgreSQL URL");
    PgConnection::connect_with(&options)
        .await
        .expect("the test server answers")
}

async fn execute(url: &str, statement: &str) {
    let done = try_execute(url, statement).await;
    done.expect("a statement about a test database");
}

async fn try_execute(url: &str, statement: &str) -> Result<(), sqlx::Error> {
    let mut db = connect(url).await;
    let statement = sqlx::AssertSqlSafe(statement.to_owned());
    let done = sqlx::raw_sql(statement).execute(&mut db).await;
    db.close().await.expect("a connection that closes");
    done.map(drop)
}
