//! Leases that ran out: because their worker died, or because it lost contact with PostgreSQL.
//!
//! The two look the same from here, so a lease that ran out counts as a crash of the job at first. A
//! worker that lives on tells so as soon as PostgreSQL answers it again, and the crash is taken back.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::{Hold, Setback, ids_and_tokens};
use crate::{Result, database};

/// A job that takes its worker down this often is dead.
pub(super) const MAX_CRASHES: i32 = 3;

/// How many are taken back with one statement.
const BATCH: i64 = 100;

/// What an attempt ended with whose worker lost contact.
const CONTACT_LOST: &str = "its worker lost contact with PostgreSQL beyond the lease";

/// Takes back up to 100 jobs whose lease ran out, and gives their kinds and what becomes of them.
/// Several may do this at once.
///
/// # Errors
/// Where the database fails.
pub async fn rescue(db: &PgPool) -> Result<Vec<(String, Setback)>> {
    rescue_after(db, Duration::ZERO).await
}

/// As [`rescue`], but a job whose crash would be its last is left for `patience` more: until then its
/// worker may say that it [lives](survived).
///
/// # Errors
/// Where the database fails. A job that PostgreSQL refuses to have taken back does not keep the others
/// from it.
pub async fn rescue_after(db: &PgPool, patience: Duration) -> Result<Vec<(String, Setback)>> {
    let expired = sqlx::query_scalar!(
        "
        select id from job
        where state = 'running' and lease_until < now()
            and (crashes + 1 < $1 or lease_until < now() - make_interval(secs => $2))
        order by lease_until
        limit $3
        ",
        MAX_CRASHES,
        patience.as_secs_f64(),
        BATCH,
    )
    .fetch_all(db)
    .await?;
    if expired.is_empty() {
        return Ok(Vec::new());
    }
    // The same one, because another may find the jobs still locked by a statement that failed.
    let mut db = db.acquire().await?;
    match take_back(&mut db, &expired).await {
        Err(error) if database::refuses_for_good(&error) => {}
        taken => return taken,
    }
    let mut rescued = Vec::new();
    for id in expired {
        match take_back(&mut db, &[id]).await {
            Err(error) if database::refuses_for_good(&error) => {
                tracing::error!(
                    id,
                    error = format!("{error:#}"),
                    "a job cannot be taken back from a worker that vanished"
                );
            }
            taken => rescued.extend(taken?),
        }
    }
    Ok(rescued)
}

async fn take_back(db: &mut PgConnection, ids: &[i64]) -> Result<Vec<(String, Setback)>> {
    let rows = sqlx::query!(
        r#"
        with expired as materialized (
            select id,
                case when crashes + 1 >= $1 then 'dead' when cancel_requested then 'cancelled' else 'ready' end as next
            from job
            -- In a form that no other index suits than that of `id`.
            where id = any($2) and case state when 'running' then lease_until < now() end
            for update skip locked
        ), rescued as (
            update job
            set state = next, finished_at = case next when 'ready' then null else now() end,
                crashes = crashes + 1, lease_token = null, lease_until = null, cancel_requested = false,
                last_error = 'its worker ' || worker_id || ' died or was paused beyond the lease'
            from expired
            where job.id = expired.id
            returning job.id, kind, attempt, worker_id, last_error,
                case state when 'ready' then 'lost' else state end as outcome
        ), logged as (
            insert into job_log (job_id, attempt, outcome, worker_id, error)
            select id, attempt, outcome, worker_id, last_error from rescued
        )
        select kind, outcome as "setback!: Setback" from rescued
        "#,
        MAX_CRASHES,
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.kind, row.setback))
        .collect())
}

/// Tells that `worker` lives and only lost contact while these leases ran out. Where a job was taken back
/// meanwhile, that is no crash of it any more; where it was not, it is given back now, or is dead after
/// its last attempt. Gives the kinds of those that were given back, and what became of them.
///
/// # Errors
/// Where the database fails.
pub async fn survived(db: &PgPool, worker: &str, lost: &[Hold]) -> Result<Vec<(String, Setback)>> {
    let (ids, tokens) = ids_and_tokens(lost);
    let attempts: Vec<i32> = lost.iter().map(|hold| hold.attempt).collect();
    let rows = sqlx::query!(
        r#"
        with back as (
            update job
            set state = case when cancel_requested then 'cancelled' when attempt < max_attempts then 'ready' else 'dead' end,
                finished_at = case when cancel_requested or attempt >= max_attempts then now() end,
                lease_token = null, lease_until = null, cancel_requested = false, last_error = $5
            where id = any($1) and (id, lease_token) in (select * from unnest($1::bigint[], $2::uuid[]))
            returning id, kind, attempt, case state when 'ready' then 'failed' else state end as outcome
        ), logged as (
            insert into job_log (job_id, attempt, outcome, worker_id, error)
            select id, attempt, outcome, $4, $5 from back
        ), told as (
            update job_log set error = $5
            from unnest($1::bigint[], $3::integer[]) as lost (id, attempt)
            where job_id = lost.id and job_log.attempt = lost.attempt and outcome = 'lost'
                and worker_id = $4 and error is distinct from $5
            returning job_id
        ), cleared as (
            update job set crashes = greatest(crashes - 1, 0)
            where id in (select job_id from told)
        )
        select kind, outcome as "setback!: Setback" from back
        "#,
        &ids,
        &tokens,
        &attempts,
        worker,
        CONTACT_LOST,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.kind, row.setback))
        .collect())
}
