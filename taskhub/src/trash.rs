//! What was deleted and can still be brought back, until its time is over.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::Result;

/// Removes tasks for good that were deleted before the last `keep`, and tells how many. It goes through all
/// of them once, and each transaction looks at `limit` of them.
///
/// A task that has subtasks stays as long as they do, for they would go with it: where subtasks were
/// removed, it may go the next time. Its deletion stands in `change`, to which this adds nothing.
///
/// # Errors
/// Where the database fails; what was removed until then stays so.
pub async fn empty(db: &PgPool, keep: Duration, limit: i64) -> Result<u64> {
    let mut removed = 0;
    let mut after = None;
    loop {
        let page = sweep(db, keep, after, limit).await?;
        removed += page.removed;
        if page.last.is_none() {
            return Ok(removed);
        }
        after = page.last;
    }
}

/// What came of one page.
struct Page {
    removed: u64,
    /// When the last one was deleted, and its id; none where there was none.
    last: Option<(DateTime<Utc>, Uuid)>,
}

/// Looks at the next `limit` after `after`, so that those that stay are looked at once, however many.
async fn sweep(
    db: &PgPool,
    keep: Duration,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Result<Page> {
    let (time, id) = after.unzip();
    let row = sqlx::query!(
        r#"
        with page as materialized (
            select id, deleted_at from task
            where deleted_at < now() - make_interval(secs => $1)
                and deleted_at >= coalesce($2::timestamptz, '-infinity') and ($2::timestamptz is null or (deleted_at, id) > ($2, $3::uuid))
            order by deleted_at, id
            limit $4
        ), removed as (
            delete from task where id in (
                select task.id from task join page on page.id = task.id
                where task.deleted_at = page.deleted_at
                    and not exists (select from task as subtask where subtask.parent_id = task.id)
                for update of task skip locked
            )
            returning id
        )
        select (select count(*) from removed) as "removed!", last.deleted_at as "deleted_at?", last.id as "id?"
        from (values (0)) as always
        left join (select deleted_at, id from page order by deleted_at desc, id desc limit 1) as last on true
        "#,
        keep.as_secs_f64(),
        time,
        id,
        limit,
    )
    .fetch_one(db)
    .await?;
    Ok(Page {
        removed: u64::try_from(row.removed).unwrap_or_default(),
        last: row.deleted_at.zip(row.id),
    })
}
