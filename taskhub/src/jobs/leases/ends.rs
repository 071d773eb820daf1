//! How an attempt ends.

use serde_json::Value;
use sqlx::{PgConnection, PgPool, PgTransaction};

use super::{Hold, Lease, ids_and_tokens};
use crate::Result;

/// Of an error's text, so many characters are kept.
const ERROR_LENGTH: usize = 4000;

/// The attempt's lease ran out and the job is somebody else's by now, so nothing was changed.
#[derive(Debug, thiserror::Error)]
#[error("the lease was lost")]
pub struct LeaseLost;

/// Proof that a job's effects and its end are committed.
#[derive(Debug)]
pub struct Completed(());

/// What became of an attempt that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Setback {
    /// The handler failed; the job is tried again.
    Failed,
    /// The worker vanished; the job is tried again.
    Lost,
    /// There will be no further attempt.
    Dead,
    /// Somebody called it off meanwhile.
    Cancelled,
}

/// Commits `effects`, a transaction, together with the job's successful end. The lease is checked
/// last, so that the job's row is locked for a moment only.
///
/// # Errors
/// [`LeaseLost`], and then the effects are rolled back; or where the database fails, and then the
/// commit may or may not have happened, which the next attempt finds out.
pub async fn complete(effects: PgTransaction<'_>, lease: &Lease) -> anyhow::Result<Completed> {
    finish(effects, &[lease.hold()], None).await
}

/// As [`complete`], with a result that whoever asks for the job is told.
///
/// # Errors
/// As [`complete`].
pub async fn complete_with(
    effects: PgTransaction<'_>,
    lease: &Lease,
    result: &Value,
) -> anyhow::Result<Completed> {
    finish(effects, &[lease.hold()], Some(result)).await
}

/// As [`complete`], for the effects of several jobs in one transaction: all of them or none.
///
/// # Errors
/// [`LeaseLost`] where any of the leases is, and then nothing has happened; otherwise as [`complete`].
pub async fn complete_all(effects: PgTransaction<'_>, held: &[Hold]) -> anyhow::Result<Completed> {
    finish(effects, held, None).await
}

async fn finish(
    mut effects: PgTransaction<'_>,
    held: &[Hold],
    result: Option<&Value>,
) -> anyhow::Result<Completed> {
    if end(&mut effects, held, result).await? < held.len() as u64 {
        effects.rollback().await?;
        return Err(LeaseLost.into());
    }
    effects.commit().await?;
    Ok(Completed(()))
}

/// Ends them well, and tells how many. The job's own row says so; the log keeps what the row does not.
#[cfg(not(feature = "unfenced"))]
async fn end(db: &mut PgConnection, held: &[Hold], result: Option<&Value>) -> Result<u64> {
    let (ids, tokens) = ids_and_tokens(held);
    Ok(sqlx::query!(
        r#"
        update job
        set state = 'done', lease_token = null, lease_until = null, finished_at = now(),
            last_error = null, cancel_requested = false, result = $3
        where id = any($1) and (id, lease_token) in (select * from unnest($1::bigint[], $2::uuid[]))
        "#,
        &ids,
        &tokens,
        result,
    )
    .execute(db)
    .await?
    .rows_affected())
}

/// Without the fence, so that a test can show that it sees what the fence prevents.
#[cfg(feature = "unfenced")]
async fn end(db: &mut PgConnection, held: &[Hold], result: Option<&Value>) -> Result<u64> {
    let (ids, _) = ids_and_tokens(held);
    sqlx::query(
        "
        update job
        set state = 'done', lease_token = null, lease_until = null, finished_at = now(), result = $2
        where id = any($1)
        ",
    )
    .bind(&ids)
    .bind(result)
    .execute(db)
    .await?;
    Ok(held.len() as u64)
}

/// Ends a failed attempt: the job waits for its next one, or is dead after the last. None where the
/// lease was lost. Of `error`, what PostgreSQL can store is kept, up to 4,000 characters.
///
/// # Errors
/// Where the database fails.
pub async fn fail(db: &PgPool, lease: &Lease, error: &str) -> Result<Option<Setback>> {
    let error = stored(error);
    let backoff = lease.rules.backoff;
    Ok(sqlx::query_scalar!(
        r#"
        with ended as (
            update job
            set state = case when cancel_requested then 'cancelled' when attempt < max_attempts then 'scheduled' else 'dead' end,
                run_at = now() + random() * make_interval(secs => least($4, $5 * 2 ^ least(attempt, 30))),
                finished_at = case when attempt < max_attempts and not cancel_requested then null else now() end,
                lease_token = null, lease_until = null, last_error = $3, cancel_requested = false
            where id = $1 and lease_token = $2
            returning id, attempt, worker_id, case state when 'scheduled' then 'failed' else state end as outcome
        )
        insert into job_log (job_id, attempt, outcome, worker_id, error)
        select id, attempt, outcome, worker_id, $3 from ended
        returning outcome as "setback: Setback"
        "#,
        lease.id,
        lease.token,
        error,
        backoff.cap.as_secs_f64(),
        backoff.base.as_secs_f64(),
    )
    .fetch_optional(db)
    .await?)
}

/// A text as PostgreSQL takes it, which knows no U+0000, and no longer than anybody would read.
pub(in crate::jobs) fn stored(error: &str) -> String {
    let clean = error.chars().map(|c| {
        if c == '\0' {
            char::REPLACEMENT_CHARACTER
        } else {
            c
        }
    });
    let mut text: String = clean.take(ERROR_LENGTH + 1).collect();
    if let Some((end, _)) = text.char_indices().nth(ERROR_LENGTH) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Ends an attempt that was cancelled, and the job with it; false where the lease was lost.
///
/// # Errors
/// Where the database fails.
pub async fn cancelled(db: &PgPool, lease: &Lease) -> Result<bool> {
    let ended = sqlx::query!(
        "
        with ended as (
            update job
            set state = 'cancelled', lease_token = null, lease_until = null, finished_at = now(),
                cancel_requested = false
            where id = $1 and lease_token = $2
            returning id, attempt, worker_id
        )
        insert into job_log (job_id, attempt, outcome, worker_id)
        select id, attempt, 'cancelled', worker_id from ended
        ",
        lease.id,
        lease.token,
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected() > 0)
}

/// Gives jobs back that this worker will not finish, as if it had never claimed them; one that was
/// cancelled meanwhile ends so. Tells how many there were.
///
/// # Errors
/// Where the database fails.
pub async fn hand_back(db: &PgPool, held: &[Hold]) -> Result<u64> {
    let (ids, tokens) = ids_and_tokens(held);
    let count = sqlx::query_scalar!(
        r#"
        with back as (
            update job
            set state = case when cancel_requested then 'cancelled' else 'ready' end,
                finished_at = case when cancel_requested then now() end,
                attempt = case when cancel_requested then attempt else attempt - 1 end,
                worker_id = case when cancel_requested then worker_id end,
                lease_token = null, lease_until = null, cancel_requested = false
            where id = any($1) and (id, lease_token) in (select * from unnest($1::bigint[], $2::uuid[]))
            returning id, state, attempt, worker_id
        ), logged as (
            insert into job_log (job_id, attempt, outcome, worker_id)
            select id, attempt, 'cancelled', worker_id from back where state = 'cancelled'
        )
        select count(*) as "count!" from back
        "#,
        &ids,
        &tokens,
    )
    .fetch_one(db)
    .await?;
    Ok(u64::try_from(count).unwrap_or_default())
}
