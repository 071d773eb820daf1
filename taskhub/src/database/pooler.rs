//! Connection poolers such as `PgBouncer`, which these programs do not work with.
//!
//! Every connection gets settings at its start (`statement_timeout` and others), keeps prepared statements,
//! and takes its turn in migrations with a lock of its session. A pooler refuses the settings or drops them,
//! and hands prepared statements to whoever comes next. The programs have pools of their own.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};

use super::{SETTINGS, Schema, schema};

/// What `PgBouncer` says of a start with settings (SQLSTATE 08P01), and of a statement that another client
/// has prepared under the same name.
const REFUSALS: [&str; 2] = ["08P01", "42P05"];

/// Connects for a moment and compares the schema with the embedded migrations.
///
/// # Errors
/// Where PostgreSQL does not answer; it is worth trying again. That a pooler answers in its place is no
/// error but [`Schema::Pooled`], which stays so.
pub async fn look(options: &PgConnectOptions) -> anyhow::Result<Schema> {
    let mut db = match PgConnection::connect_with(options).await {
        Err(error) if is_poolers(&error) => return Ok(Schema::Pooled),
        connected => connected?,
    };
    if !has_settings(&mut db).await? {
        return Ok(Schema::Pooled);
    }
    let schema = schema(&mut db).await?;
    db.close().await?;
    Ok(schema)
}

fn is_poolers(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| REFUSALS.contains(&code.as_ref()))
}

/// Whether the server has got what was set at the start of the connection.
async fn has_settings(db: &mut PgConnection) -> anyhow::Result<bool> {
    for (name, value) in SETTINGS {
        // Without a prepared statement, which a pooler may take for another one's.
        let row = sqlx::raw_sql(AssertSqlSafe(format!("show {name}")))
            .fetch_one(&mut *db)
            .await
            .with_context(|| format!("the setting {name}"))?;
        if row.try_get::<String, _>(0)? != value {
            return Ok(false);
        }
    }
    Ok(true)
}
