//! PostgreSQL: the pool, the embedded migrations, and whether a schema is the one this program knows.

mod migration_turn;
mod pooler;
mod service_role;

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, PgPool,
    migrate::{Migrate, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};

pub use pooler::look;

/// Every migration there is, embedded in the program.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// The longest wait for a free connection; then the request is shed.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long an idle connection counts as alive.
const TRUST: Duration = Duration::from_secs(1);

/// What the server is told at the start of each connection: its own deadlines, the first of which ends a
/// statement before the request that waits for it is given up. Plans are kept, and tables
/// grow faster than PostgreSQL counts their rows: what was planned for a hundred must do for a million,
/// so no table is read from end to end where there is an index. The values are as the server shows them.
const SETTINGS: [(&str, &str); 6] = [
    ("statement_timeout", "20s"),
    ("lock_timeout", "5s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("client_connection_check_interval", "2s"),
    ("timezone", "UTC"),
    ("enable_seqscan", "off"),
];

/// How to connect, with [`SETTINGS`].
///
/// # Errors
/// Where `url` is not a PostgreSQL URL; the message does not repeat it.
pub fn connect_options(url: &SecretString, application: &str) -> anyhow::Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        .map_err(|_| anyhow::anyhow!("DATABASE_URL is not a PostgreSQL URL"))?;
    Ok(options.application_name(application).options(SETTINGS))
}

/// A pool that connects when it is first used.
pub fn pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    pool_options(max_connections).connect_lazy_with(options)
}

/// As [`pool`], for whoever tries again by itself: each connection is tried when it comes back, and before
/// its next use only where it has been idle since. That spares most statements a round trip.
pub fn trusting_pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    pool_options(max_connections)
        .test_before_acquire(false)
        .before_acquire(|connection, past| {
            Box::pin(async move {
                if past.idle_for > TRUST {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

fn pool_options(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .max_lifetime(Duration::from_secs(600))
}

/// Whether PostgreSQL would answer the same however often it were asked, such as to a text that it cannot
/// store. Everything that an outage, a failover or another transaction may cause is not of that kind.
pub fn refuses_for_good(error: &crate::Error) -> bool {
    let crate::Error::Database(error) = error else {
        return false;
    };
    if let sqlx::Error::Database(error) = error {
        // SQLSTATE classes: unsupported, bad data, broken constraints, bad statements and missing rights,
        // limits of the program.
        let classes = ["0A", "21", "22", "23", "42", "54"];
        return error
            .code()
            .is_some_and(|code| classes.iter().any(|class| code.starts_with(class)));
    }
    matches!(
        error,
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. }
    )
}

/// Brings the schema up to date and gives the versions that were applied. `service`, if given, is the
/// URL that the services sign in with: its role is made, or given that password, with the right to read
/// and write rows and no other. Two at once: one works, the other waits for its advisory lock and finds
/// nothing to do. One that was interrupted is repeated from the migration that did not end.
///
/// # Errors
/// Where the database cannot be reached, a migration fails (its name is in the message), the
/// database holds a migration that this program does not know, or the role cannot be made.
pub async fn migrate(
    options: &PgConnectOptions,
    service: Option<&SecretString>,
) -> anyhow::Result<Vec<i64>> {
    // A migration may take longer than a request may.
    let options = options
        .clone()
        .options([("statement_timeout", "0"), ("lock_timeout", "0")]);
    let mut db = PgConnection::connect_with(&options).await?;
    migration_turn::take(&mut db).await?;
    // What earlier releases ask for.
    db.lock().await?;
    migration_turn::drop_unfinished_indexes(&mut db).await?;
    let before = applied(&mut db).await?;
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    // The lock is held already, so that `before` is what this run found.
    migrator.set_locking(false);
    migrator.run(&mut db).await?;
    if let Some(service) = service {
        service_role::grant(&mut db, service).await?;
    }
    db.unlock().await?;
    db.close().await?;
    Ok(MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .filter(|version| !before.contains(version))
        .collect())
}

/// How a database's schema relates to this program.
#[derive(Debug, PartialEq)]
pub enum Schema {
    Current,
    /// A later release has added these versions and left everything that this program uses.
    Newer(Vec<i64>),
    /// Migrations are missing: these versions.
    Older(Vec<i64>),
    /// These versions are not known, and may have taken away what this program uses.
    Unknown(Vec<i64>),
    /// Not PostgreSQL itself answers but a connection pooler, see [`look`].
    Pooled,
}

impl Schema {
    /// Lets only a program start that fits the schema; that the schema is ahead is logged.
    ///
    /// # Errors
    /// Where it does not fit, with what to do.
    pub fn check(self) -> anyhow::Result<()> {
        match self {
            Self::Current => {}
            Self::Newer(versions) => tracing::info!(
                ?versions,
                "the schema is that of a newer release, which this one still fits"
            ),
            Self::Older(missing) => anyhow::bail!(
                "the database lacks the migrations {missing:?}: run `taskhub-api migrate` first"
            ),
            Self::Unknown(versions) => anyhow::bail!(
                "the database has the migrations {versions:?}, which this release neither knows nor fits: start a newer release"
            ),
            Self::Pooled => anyhow::bail!(
                "DATABASE_URL leads to a connection pooler, such as PgBouncer, that does not pass on the settings of a \
                 connection: name PostgreSQL itself (see \"Connection poolers\" in docs/deployment.md)"
            ),
        }
        Ok(())
    }
}

/// Compares the schema with the embedded migrations, without changing anything.
///
/// # Errors
/// Where the database cannot be reached.
pub async fn schema(db: &mut PgConnection) -> anyhow::Result<Schema> {
    let applied = applied(db).await?;
    let known: Vec<i64> = MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect();
    let missing: Vec<i64> = known
        .iter()
        .copied()
        .filter(|v| !applied.contains(v))
        .collect();
    let unknown: Vec<i64> = applied.into_iter().filter(|v| !known.contains(v)).collect();
    Ok(match (unknown.is_empty(), missing.is_empty()) {
        (true, true) => Schema::Current,
        (true, false) => Schema::Older(missing),
        (false, true) if known.last() >= Some(&floor(db).await?) => Schema::Newer(unknown),
        (false, _) => Schema::Unknown(unknown),
    })
}

/// The newest migration that a program must know to fit the schema.
async fn floor(db: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!("select version from schema_floor")
        .fetch_one(db)
        .await
}

/// The versions the database has, oldest first; none where it was never migrated.
async fn applied(db: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    let exists =
        sqlx::query_scalar!(r#"select to_regclass('_sqlx_migrations') is not null as "exists!""#)
            .fetch_one(&mut *db)
            .await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("select version from _sqlx_migrations where success order by version")
        .fetch_all(db)
        .await
}
