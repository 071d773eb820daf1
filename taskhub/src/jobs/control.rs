//! What people do to jobs: call them off, and have them tried anew.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Job;
use crate::{Error, Refusal, Result};

/// What a cancellation came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cancelled {
    /// It will not run.
    AtOnce,
    /// It runs; its worker is to end it within seconds. Where it is done before that, it is done.
    Requested,
}

/// Calls off the job equal to `job` that still waits, if there is one.
///
/// # Errors
/// Where the database fails.
pub async fn call_off(db: &mut PgConnection, job: &Job) -> Result<()> {
    sqlx::query!(
        "
        with cancelled as (
            update job set state = 'cancelled', finished_at = now()
            where unique_key = $1 and state in ('scheduled', 'ready')
            returning id, attempt
        )
        insert into job_log (job_id, attempt, outcome) select id, attempt, 'cancelled' from cancelled
        ",
        job.unique_key(),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Cancels a job that waits, or asks the worker that has it to end it.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::InvalidTransition`] where it is finished.
pub async fn cancel(db: &mut PgConnection, public_id: Uuid) -> Result<Cancelled> {
    let state = sqlx::query_scalar!(
        "
        with cancelled as (
            update job
            set state = case state when 'running' then state else 'cancelled' end,
                finished_at = case state when 'running' then null else now() end,
                cancel_requested = state = 'running'
            where public_id = $1 and state in ('scheduled', 'ready', 'running')
            returning id, attempt, state
        ), logged as (
            insert into job_log (job_id, attempt, outcome)
            select id, attempt, 'cancelled' from cancelled where state = 'cancelled'
        )
        select state from cancelled
        ",
        public_id,
    )
    .fetch_optional(&mut *db)
    .await?;
    match state.as_deref() {
        Some("running") => Ok(Cancelled::Requested),
        Some(_) => Ok(Cancelled::AtOnce),
        None => Err(refusal(db, public_id, "it is finished already").await?),
    }
}

/// Has a job tried anew from its first attempt, under the same id: a dead or cancelled one, or one
/// that was done and is [unique for ever](super::Uniqueness::Forever), so that no second one can be.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::InvalidTransition`] where it waits, runs or was done, or where
/// an equal one waits or runs.
pub async fn retry(db: &mut PgConnection, public_id: Uuid) -> Result<()> {
    let retried = sqlx::query_scalar!(
        r#"
        with finished as materialized (
            select id, state, attempt, worker_id, finished_at from job
            where public_id = $1 and (state in ('dead', 'cancelled') or state = 'done' and unique_forever)
            for update
        ), replayed as (
            update job
            set state = 'ready', run_at = now(), attempt = 0, crashes = 0, deferrals = 0, finished_at = null, worker_id = null,
                progress = null, result = null, cancel_requested = false
            from finished
            where job.id = finished.id
            returning job.id
        )
        insert into job_log (job_id, attempt, outcome, worker_id, at)
        -- A success is told by the job's row until now, when it is made anew. Older workers logged it.
        select id, attempt, 'succeeded', worker_id, finished_at from finished
        where state = 'done' and not exists (
            select from job_log where job_id = finished.id and outcome = 'succeeded' and at = finished_at
        )
        union all
        select id, 0, 'replayed', null, now() from replayed
        returning id
        "#,
        public_id,
    )
    .fetch_optional(&mut *db)
    .await
    .map_err(equal_is_live)?;
    match retried {
        Some(_) => Ok(()),
        None => Err(refusal(db, public_id, "it waits, runs or is done").await?),
    }
}

/// An equal job came in between.
pub(super) fn equal_is_live(error: sqlx::Error) -> Error {
    match error
        .as_database_error()
        .and_then(|error| error.constraint())
    {
        Some("job_unique_key_key") => invalid("an equal job waits or runs"),
        _ => error.into(),
    }
}

async fn refusal(db: &mut PgConnection, public_id: Uuid, detail: &str) -> Result<Error> {
    let exists = sqlx::query_scalar!(
        r#"select exists (select from job where public_id = $1) as "exists!""#,
        public_id,
    )
    .fetch_one(db)
    .await?;
    Ok(if exists {
        invalid(detail)
    } else {
        Refusal::NotFound.into()
    })
}

fn invalid(detail: &str) -> Error {
    Refusal::InvalidTransition {
        detail: detail.to_owned(),
    }
    .into()
}
