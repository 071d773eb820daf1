//! What was deleted and can still be brought back, until its time is over.

use std::time::Duration;

use sqlx::PgPool;

use crate::Result;

/// Removes up to `limit` tasks for good that were deleted before the last `keep`, and tells how many.
///
/// A task that has subtasks stays as long as they do, for they would go with it. Its deletion stands
/// in `change`, to which this adds nothing.
///
/// # Errors
/// Where the database fails.
pub async fn empty(db: &PgPool, keep: Duration, limit: i64) -> Result<u64> {
    Ok(sqlx::query!(
        "
        delete from task where id in (
            select id from task
            where deleted_at < now() - make_interval(secs => $1)
                and not exists (select from task as subtask where subtask.parent_id = task.id)
            order by deleted_at
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
