//! One migration at a time, and what an interrupted one left behind.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};

use super::MIGRATIONS;

/// How long to wait before asking for the lock again.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes the lock of those who migrate, which the connection keeps until it closes.
///
/// It is asked for again and again, because a statement that waits for it would hold a snapshot, and
/// `create index concurrently` of the one who has the lock waits for all older snapshots: neither
/// would ever end.
pub(super) async fn take(db: &mut PgConnection) -> sqlx::Result<()> {
    let take = "select pg_try_advisory_lock(hashtextextended('taskhub migrate', 0))";
    while !sqlx::query_scalar::<_, bool>(take)
        .fetch_one(&mut *db)
        .await?
    {
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Drops indexes of our migrations that `create index concurrently` did not finish, because it was
/// interrupted. They have the name that the repeated migration wants, and no query uses them.
pub(super) async fn drop_unfinished_indexes(db: &mut PgConnection) -> sqlx::Result<()> {
    let names: Vec<String> = sqlx::query_scalar(
        "select relname::text
         from pg_index join pg_class on pg_class.oid = indexrelid
         where not indisvalid and relnamespace = current_schema()::regnamespace",
    )
    .fetch_all(&mut *db)
    .await?;
    let ours = |name: &&String| {
        let mut migrations = MIGRATIONS.iter();
        migrations.any(|migration| migration.sql.as_str().contains(&format!(" {name} on ")))
    };
    for name in names.iter().filter(ours) {
        tracing::warn!(name, "dropping an index that was not finished");
        let drop = format!("drop index concurrently {name}");
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *db).await?;
    }
    Ok(())
}
