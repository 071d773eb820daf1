//! How a job comes to be.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Job, Uniqueness};
use crate::{Result, trace::TraceContext};

/// What differs from the rules of the job's kind.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub when: When,
    /// Lower is sooner.
    pub priority: Option<i16>,
    pub queue: Option<String>,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum When {
    #[default]
    Now,
    /// So long after the transaction began, by the database's clock.
    After(Duration),
    At(DateTime<Utc>),
}

/// Adds `job` in the caller's transaction, due at once, and gives its public id. Where an equal one
/// exists already (see [`Uniqueness`]) nothing is added and that one's id is given.
///
/// # Errors
/// Where the database fails.
pub async fn enqueue(db: &mut PgConnection, job: &Job) -> Result<Uuid> {
    enqueue_with(db, job, &Options::default()).await
}

/// As [`enqueue`], with options. The job carries on the trace in which it is called, see [`crate::trace`].
///
/// # Errors
/// Where the database fails.
pub async fn enqueue_with(db: &mut PgConnection, job: &Job, options: &Options) -> Result<Uuid> {
    let forever = job.rules().uniqueness == Uniqueness::Forever;
    insert(db, job, options, &job.unique_key(), forever).await
}

/// The job of a slot of the clock, of which there is one for ever.
pub(super) async fn enqueue_slot(db: &mut PgConnection, job: &Job, slot: &str) -> Result<Uuid> {
    let unique_key = format!("periodic:{slot}");
    insert(db, job, &Options::default(), &unique_key, true).await
}

async fn insert(
    db: &mut PgConnection,
    job: &Job,
    options: &Options,
    unique_key: &str,
    forever: bool,
) -> Result<Uuid> {
    let rules = job.rules();
    let (at, delay) = match options.when {
        When::Now => (None, Duration::ZERO),
        When::After(delay) => (None, delay),
        When::At(at) => (Some(at), Duration::ZERO),
    };
    // An update that changes nothing, because `do nothing` would give no id.
    let public_id = sqlx::query_scalar!(
        r#"
        insert into job (
            kind, args_version, args, queue, priority, workspace_id, user_id, unique_key, unique_forever,
            max_attempts, trace_context, run_at, state
        )
        select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, due.at,
            case when due.at > now() then 'scheduled' else 'ready' end
        from (select coalesce($12, now() + make_interval(secs => $13)) as at) as due
        on conflict (unique_key) where state in ('scheduled', 'ready', 'running') or unique_forever
        do update set unique_key = excluded.unique_key
        returning public_id
        "#,
        rules.kind,
        rules.args_version,
        job.args(),
        options.queue.as_deref().unwrap_or(rules.queue),
        options.priority.unwrap_or(rules.priority),
        job.workspace_id(),
        job.user_id(),
        unique_key,
        forever,
        rules.max_attempts,
        TraceContext::current().map(|trace| trace.to_string()),
        at,
        delay.as_secs_f64(),
    )
    .fetch_one(db)
    .await?;
    Ok(public_id)
}
