//! A job in one worker's hands: claimed, held, and given back in one of four ways.
//!
//! Every claim draws a fresh token, and whatever ends the attempt must show it. A worker that was
//! paused past its lease can therefore finish nothing that another has taken over. All times are
//! the database's.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::{Job, KINDS};
use crate::Result;

/// The wait before attempt n + 1 is random up to the lesser of `RETRY_CAP` and `RETRY_BASE · 2ⁿ`.
const RETRY_BASE: Duration = Duration::from_secs(5);
const RETRY_CAP: Duration = Duration::from_secs(3600);

/// A job that takes its worker down this often is dead.
const MAX_CRASHES: i32 = 3;

/// A claimed job.
#[derive(Clone, Debug)]
pub struct Lease {
    pub id: i64,
    /// Identifies the job to the outside world, across all its attempts.
    pub public_id: Uuid,
    pub token: Uuid,
    /// The first is 1.
    pub attempt: i32,
    pub kind: String,
    pub args: serde_json::Value,
    /// From being due to being claimed.
    pub waited: Duration,
}

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
}

/// Which of the due jobs a claim takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Past {
    /// No worker has died with it.
    Clean,
    /// A worker has died with it in hand, perhaps because of it.
    Suspect,
}

impl Lease {
    /// What is to be done.
    ///
    /// # Errors
    /// Where the stored arguments are not those of the kind.
    pub fn job(&self) -> anyhow::Result<Job> {
        let tagged = serde_json::json!({ "kind": self.kind, "args": self.args });
        Ok(serde_json::from_value(tagged)?)
    }
}

/// Takes up to `limit` jobs of those `ids` that are due, have that `past`, and are of a kind and version
/// that this program knows, the most urgent first. What another worker is just claiming is skipped.
///
/// # Errors
/// Where the database fails.
pub async fn claim(
    db: &PgPool,
    ids: &[i64],
    past: Past,
    limit: usize,
    lease: Duration,
    worker: &str,
) -> Result<Vec<Lease>> {
    let (kinds, versions) = known();
    let rows = sqlx::query!(
        r#"
        with due as materialized (
            select id
            from job
            where id = any($1) and state = 'ready' and run_at <= now() and (crashes > 0) = $2
                and exists (
                    select from unnest($3::text[], $4::smallint[]) as known (kind, version)
                    where known.kind = job.kind and known.version >= job.args_version
                )
            order by priority, run_at, id
            limit $5
            for update skip locked
        )
        update job
        set state = 'running', attempt = attempt + 1, lease_token = gen_random_uuid(),
            lease_until = now() + make_interval(secs => $6), worker_id = $7
        from due
        where job.id = due.id
        returning job.id, public_id, lease_token as "token!", attempt, kind, args,
            extract(epoch from now() - run_at)::float8 as "waited!"
        "#,
        ids,
        past == Past::Suspect,
        &kinds as &[&str],
        &versions,
        i64::try_from(limit).unwrap_or(i64::MAX),
        lease.as_secs_f64(),
        worker,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Lease {
            id: row.id,
            public_id: row.public_id,
            token: row.token,
            attempt: row.attempt,
            kind: row.kind,
            args: row.args,
            waited: Duration::try_from_secs_f64(row.waited).unwrap_or_default(),
        })
        .collect())
}

/// Those of `ids` that wait for a worker to take them [alone](Past::Suspect).
///
/// # Errors
/// Where the database fails.
pub async fn suspects(db: &PgPool, ids: &[i64]) -> Result<Vec<i64>> {
    let (kinds, versions) = known();
    Ok(sqlx::query_scalar!(
        r#"
        select id
        from job
        where id = any($1) and state = 'ready' and run_at <= now() and crashes > 0
            and exists (
                select from unnest($2::text[], $3::smallint[]) as known (kind, version)
                where known.kind = job.kind and known.version >= job.args_version
            )
        "#,
        ids,
        &kinds as &[&str],
        &versions,
    )
    .fetch_all(db)
    .await?)
}

/// Makes all of these leases last `lease` from now and gives the ids for which that was possible.
///
/// # Errors
/// Where the database fails.
pub async fn extend(db: &PgPool, held: &[(i64, Uuid)], lease: Duration) -> Result<Vec<i64>> {
    let (ids, tokens): (Vec<i64>, Vec<Uuid>) = held.iter().copied().unzip();
    Ok(sqlx::query_scalar!(
        r#"
        update job
        set lease_until = now() + make_interval(secs => $3)
        from unnest($1::bigint[], $2::uuid[]) as held (id, token)
        where job.id = held.id and lease_token = held.token
        returning job.id
        "#,
        &ids,
        &tokens,
        lease.as_secs_f64(),
    )
    .fetch_all(db)
    .await?)
}

/// Commits `effects`, a transaction, together with the job's successful end. The lease is checked
/// last, so that the job's row is locked for a moment only.
///
/// # Errors
/// [`LeaseLost`], and then the effects are rolled back; or where the database fails, and then the
/// commit may or may not have happened, which the next attempt finds out.
pub async fn complete(
    mut effects: sqlx::PgTransaction<'_>,
    lease: &Lease,
) -> anyhow::Result<Completed> {
    let ended = sqlx::query!(
        r#"
        with ended as (
            update job
            set state = 'done', lease_token = null, lease_until = null, finished_at = now(), last_error = null
            where id = $1 and lease_token = $2
            returning id, attempt, worker_id
        )
        insert into job_log (job_id, attempt, outcome, worker_id)
        select id, attempt, 'succeeded', worker_id from ended
        "#,
        lease.id,
        lease.token,
    )
    .execute(&mut *effects)
    .await?;
    if ended.rows_affected() == 0 {
        effects.rollback().await?;
        return Err(LeaseLost.into());
    }
    effects.commit().await?;
    Ok(Completed(()))
}

/// Ends a failed attempt: the job waits for its next one, or is dead after the last. None where the
/// lease was lost.
///
/// # Errors
/// Where the database fails.
pub async fn fail(db: &PgPool, lease: &Lease, error: &str) -> Result<Option<Setback>> {
    Ok(sqlx::query_scalar!(
        r#"
        with ended as (
            update job
            set state = case when attempt < max_attempts then 'ready' else 'dead' end,
                run_at = now() + random() * make_interval(secs => least($4, $5 * 2 ^ least(attempt, 30))),
                finished_at = case when attempt < max_attempts then null else now() end,
                lease_token = null, lease_until = null, last_error = $3
            where id = $1 and lease_token = $2
            returning id, attempt, worker_id, state
        )
        insert into job_log (job_id, attempt, outcome, worker_id, error)
        select id, attempt, case state when 'dead' then 'dead' else 'failed' end, worker_id, $3 from ended
        returning outcome as "setback: Setback"
        "#,
        lease.id,
        lease.token,
        error,
        RETRY_CAP.as_secs_f64(),
        RETRY_BASE.as_secs_f64(),
    )
    .fetch_optional(db)
    .await?)
}

/// Gives jobs back that this worker will not finish, as if it had never claimed them.
///
/// # Errors
/// Where the database fails.
pub async fn hand_back(db: &PgPool, held: &[(i64, Uuid)]) -> Result<u64> {
    let (ids, tokens): (Vec<i64>, Vec<Uuid>) = held.iter().copied().unzip();
    Ok(sqlx::query!(
        r#"
        update job
        set state = 'ready', attempt = attempt - 1, lease_token = null, lease_until = null, worker_id = null
        from unnest($1::bigint[], $2::uuid[]) as held (id, token)
        where job.id = held.id and lease_token = held.token
        "#,
        &ids,
        &tokens,
    )
    .execute(db)
    .await?
    .rows_affected())
}

/// Takes back up to 100 jobs whose lease ran out, and gives their kinds and what becomes of them.
/// Several may do this at once.
///
/// # Errors
/// Where the database fails.
pub async fn rescue(db: &PgPool) -> Result<Vec<(String, Setback)>> {
    let rows = sqlx::query!(
        r#"
        with expired as materialized (
            select id
            from job
            where state = 'running' and lease_until < now()
            order by lease_until
            limit 100
            for update skip locked
        ), rescued as (
            update job
            set state = case when crashes + 1 < $1 then 'ready' else 'dead' end,
                finished_at = case when crashes + 1 < $1 then null else now() end,
                crashes = crashes + 1, lease_token = null, lease_until = null,
                last_error = 'its worker ' || worker_id || ' died or was paused beyond the lease'
            from expired
            where job.id = expired.id
            returning job.id, kind, attempt, worker_id, state, last_error
        ), logged as (
            insert into job_log (job_id, attempt, outcome, worker_id, error)
            select id, attempt, case state when 'dead' then 'dead' else 'lost' end, worker_id, last_error
            from rescued
        )
        select kind, case state when 'dead' then 'dead' else 'lost' end as "setback!: Setback" from rescued
        "#,
        MAX_CRASHES,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.kind, row.setback))
        .collect())
}

/// The kinds this program knows, and up to which version of their arguments.
pub(super) fn known() -> (Vec<&'static str>, Vec<i16>) {
    KINDS
        .iter()
        .map(|rules| (rules.kind, rules.args_version))
        .unzip()
}
