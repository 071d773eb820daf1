//! The removal of jobs that nobody asks for any more, and of those that tell of a person who has gone.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::Job;
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

/// Removes every job equal to one of `jobs`, with its history, unless it runs. Of one that was done and
/// stands for all later ones, only what its failed attempts said goes.
///
/// Only for kinds that concern people, whose finished jobs have an index for it (`job_person_idx`).
///
/// # Errors
/// Where the database fails.
pub async fn forget(db: &mut PgConnection, jobs: &[Job]) -> Result<()> {
    let keys: Vec<String> = jobs.iter().map(Job::unique_key).collect();
    sqlx::query!(
        "
        with known as materialized (
            select id, state = 'done' and unique_forever as stays from job
            where unique_key = any($1) and state in ('done', 'dead', 'cancelled')
                and (user_id is not null or kind = 'password_reset_email')
            union all
            select id, false from job
            where unique_key = any($1) and state in ('scheduled', 'ready')
        ), silenced as (
            update job_log set error = null
            where job_id in (select id from known where stays) and error is not null
        )
        delete from job where id in (select id from known where not stays)
        ",
        &keys,
    )
    .execute(db)
    .await?;
    Ok(())
}
