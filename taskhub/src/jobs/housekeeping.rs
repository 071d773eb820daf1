//! The removal of jobs that nobody asks for any more.

use std::time::Duration;

use sqlx::PgPool;

use crate::Result;

/// Removes up to `limit` jobs that were done or cancelled before the last `keep`, and tells how many.
/// A job that stands for every later wish for the same stays, and so does a dead one: somebody has yet
/// to decide about it.
///
/// # Errors
/// Where the database fails.
pub async fn remove_finished(db: &PgPool, keep: Duration, limit: i64) -> Result<u64> {
    Ok(sqlx::query!(
        "
        delete from job where id in (
            select id from job
            where state in ('done', 'cancelled') and finished_at < now() - make_interval(secs => $1)
                and (not unique_forever or unique_key like 'periodic:%')
            order by finished_at
            limit $2
            for update skip locked
        )
        ",
        keep.as_secs_f64(),
        limit,
    )
    .execute(db)
    .await?
    .rows_affected())
}
