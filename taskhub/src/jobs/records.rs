//! Jobs as people see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{Refusal, Result};

/// Where a job stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// For later, or waiting for its next attempt.
    Scheduled,
    /// Due.
    Ready,
    Running,
    Done,
    /// Given up after its last attempt; it can be [retried](super::retry).
    Dead,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 6] = [
        Self::Scheduled,
        Self::Ready,
        Self::Running,
        Self::Done,
        Self::Dead,
        Self::Cancelled,
    ];

    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job with everything that can be told of it. Its arguments and its last error may say more than a
/// user should read.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Across all attempts, and the idempotency key of its effects elsewhere.
    #[serde(rename = "id")]
    pub public_id: Uuid,
    pub kind: String,
    pub args_version: i16,
    pub args: Value,
    pub queue: String,
    /// Lower is sooner.
    pub priority: i16,
    pub state: State,
    pub workspace_id: Option<Uuid>,
    pub user_id: Option<Uuid>,
    /// When it is or was due, or will be tried again.
    pub run_at: DateTime<Utc>,
    /// How many attempts have begun.
    pub attempt: i32,
    pub max_attempts: i32,
    /// How many of them ended with the worker's death.
    pub crashes: i32,
    pub cancel_requested: bool,
    pub worker_id: Option<String>,
    pub progress: Option<Value>,
    pub result: Option<Value>,
    pub last_error: Option<String>,
    /// W3C `traceparent` of what caused it.
    pub trace_context: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Its place in a list.
    #[serde(skip)]
    pub place: i64,
}

/// How an attempt ended, or what was done to the job.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attempt {
    pub attempt: i32,
    /// `succeeded`, `failed`, `lost`, `dead`, `cancelled` or `replayed`.
    pub outcome: String,
    pub worker_id: Option<String>,
    pub error: Option<String>,
    pub at: DateTime<Utc>,
}

/// Which jobs to list; without anything, all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
    pub kind: Option<String>,
    pub queue: Option<String>,
}

/// Some jobs, the newest first.
#[derive(Debug, Serialize)]
pub struct Page {
    pub jobs: Vec<Record>,
    /// What to list [`after`](list) for the next page, if there is one.
    pub next: Option<i64>,
}

/// # Errors
/// [`Refusal::NotFound`].
pub async fn get(db: &PgPool, public_id: Uuid) -> Result<Record> {
    find(db, public_id, None).await
}

/// A job that concerns `user_id`: that names them, or that concerns a workspace of theirs.
///
/// # Errors
/// [`Refusal::NotFound`], also for a job that does not concern them.
pub async fn get_for(db: &PgPool, user_id: Uuid, public_id: Uuid) -> Result<Record> {
    find(db, public_id, Some(user_id)).await
}

async fn find(db: &PgPool, public_id: Uuid, reader: Option<Uuid>) -> Result<Record> {
    sqlx::query_as!(
        Record,
        r#"
        select public_id, kind, args_version, args, queue, priority, state as "state: State", workspace_id, user_id,
            run_at, attempt, max_attempts, crashes, cancel_requested, worker_id, progress, result, last_error,
            trace_context, created_at, finished_at, id as place
        from job
        where public_id = $1 and (
            $2::uuid is null or user_id = $2
            or workspace_id in (select workspace.id from workspace where owner_id = $2)
        )
        "#,
        public_id,
        reader,
    )
    .fetch_optional(db)
    .await?
    .ok_or(Refusal::NotFound.into())
}

/// How its attempts ended, oldest first.
///
/// # Errors
/// Where the database fails; a job that does not exist had none.
pub async fn attempts(db: &PgPool, public_id: Uuid) -> Result<Vec<Attempt>> {
    Ok(sqlx::query_as!(
        Attempt,
        r#"
        with wanted as (
            select id, state, attempt, worker_id, finished_at from job where public_id = $1
        ), log as (
            select job_log.id as place, job_log.attempt, outcome, job_log.worker_id, error, at
            from job_log join wanted on wanted.id = job_log.job_id
            union all
            -- Success is told by the job's own row; older workers logged it as well.
            select 9223372036854775807, attempt, 'succeeded', worker_id, null, finished_at
            from wanted
            where state = 'done' and not exists (
                select from job_log where job_id = wanted.id and outcome = 'succeeded' and at = finished_at
            )
        )
        select attempt as "attempt!", outcome as "outcome!", worker_id, error, at as "at!"
        from log
        order by place
        limit 1000
        "#,
        public_id,
    )
    .fetch_all(db)
    .await?)
}

/// Up to `limit` jobs that were enqueued before `after`, a [`Page::next`].
///
/// # Errors
/// Where the database fails.
pub async fn list(db: &PgPool, filter: &Filter, after: Option<i64>, limit: usize) -> Result<Page> {
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut jobs = match filter.state {
        Some(state) => in_state(db, state, filter, after, one_more).await?,
        None => in_any_state(db, filter, after, one_more).await?,
    };
    let more = jobs.len() > limit;
    jobs.truncate(limit);
    Ok(Page {
        next: jobs.last().filter(|_| more).map(|job| job.place),
        jobs,
    })
}

/// In the order of an index of its own, which is asked for in a form that no other suits: by their ids one
/// could read a million of other states first.
async fn in_state(
    db: &PgPool,
    state: State,
    filter: &Filter,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Record>> {
    Ok(sqlx::query_as!(
        Record,
        r#"
        select public_id, kind, args_version, args, queue, priority, state as "state: State", workspace_id, user_id,
            run_at, attempt, max_attempts, crashes, cancel_requested, worker_id, progress, result, last_error,
            trace_context, created_at, finished_at, id as place
        from job
        where state >= $1 and (state, id) < ($1, $2)
            and ($3::text is null or kind = $3) and ($4::text is null or queue = $4)
        order by state desc, id desc
        limit $5
        "#,
        state.name(),
        after.unwrap_or(i64::MAX),
        filter.kind,
        filter.queue,
        limit,
    )
    .fetch_all(db)
    .await?)
}

async fn in_any_state(
    db: &PgPool,
    filter: &Filter,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<Record>> {
    Ok(sqlx::query_as!(
        Record,
        r#"
        select public_id, kind, args_version, args, queue, priority, state as "state: State", workspace_id, user_id,
            run_at, attempt, max_attempts, crashes, cancel_requested, worker_id, progress, result, last_error,
            trace_context, created_at, finished_at, id as place
        from job
        where id < $1 and ($2::text is null or kind = $2) and ($3::text is null or queue = $3)
        order by id desc
        limit $4
        "#,
        after.unwrap_or(i64::MAX),
        filter.kind,
        filter.queue,
        limit,
    )
    .fetch_all(db)
    .await?)
}
