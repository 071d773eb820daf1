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
    /// How often somebody else, such as a mail server, asked for more time. Such an attempt is not counted.
    pub deferrals: i32,
    pub cancel_requested: bool,
    pub worker_id: Option<String>,
    pub progress: Option<Value>,
    pub result: Option<Value>,
    pub last_error: Option<String>,
    /// W3C `traceparent` of what caused it.
    pub trace_context: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
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

/// Which jobs are meant: those that fit everything that is given.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Filter {
    pub state: Option<State>,
    pub kind: Option<String>,
    pub queue: Option<String>,
    /// A username, or a user's id.
    pub user: Option<String>,
    /// A part of the arguments, which are read as JSON text; upper and lower case are the same.
    pub args: Option<String>,
    /// A part of the last error; upper and lower case are the same.
    pub error: Option<String>,
    /// Enqueued at that time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Enqueued before.
    pub created_before: Option<DateTime<Utc>>,
    /// Done, given up or cancelled at that time or later.
    pub finished_after: Option<DateTime<Utc>>,
    /// Done, given up or cancelled before.
    pub finished_before: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether nothing can fit: no stored text holds U+0000, and the database does not even take it.
    pub(super) fn is_impossible(&self) -> bool {
        let texts = [&self.kind, &self.queue, &self.user, &self.args, &self.error];
        texts.into_iter().flatten().any(|text| text.contains('\0'))
    }
}

/// Some jobs, the newest first.
#[derive(Debug, Default, Serialize)]
pub struct Page {
    pub jobs: Vec<Record>,
    /// What to list [`after`](list) for the next page, if there may be one.
    pub next: Option<i64>,
}

/// So many jobs are looked at for one page: a page of a rare thing ends early, and the next goes on.
const SCAN: i64 = 10_000;

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
            run_at, attempt, max_attempts, crashes, deferrals, cancel_requested, worker_id, progress, result, last_error,
            trace_context, created_at, finished_at
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

/// Up to `limit` jobs that were enqueued before `after`, a [`Page::next`]. At most ten thousand are looked
/// at, so that a page may hold fewer, or none, and others still follow.
///
/// # Errors
/// Where the database fails.
pub async fn list(db: &PgPool, filter: &Filter, after: Option<i64>, limit: usize) -> Result<Page> {
    if filter.is_impossible() {
        return Ok(Page::default());
    }
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let by_state_alone = Filter {
        state: filter.state,
        ..Filter::default()
    };
    let (mut ids, rest) = if *filter == by_state_alone {
        (scan(db, filter.state, None, after, one_more).await?, None)
    } else {
        let user = match &filter.user {
            Some(user) => match user_id(db, user).await? {
                Some(user) => Some(user),
                None => return Ok(Page::default()),
            },
            None => None,
        };
        let looked_at = scan(db, filter.state, user, after, SCAN).await?;
        let is_cut = i64::try_from(looked_at.len()).is_ok_and(|count| count >= SCAN);
        let rest = looked_at.last().copied().filter(|_| is_cut);
        (matching(db, &looked_at, filter, one_more).await?, rest)
    };
    let more = ids.len() > limit;
    ids.truncate(limit);
    Ok(Page {
        next: if more { ids.last().copied() } else { rest },
        jobs: records(db, &ids).await?,
    })
}

/// The user of that name or id.
pub(super) async fn user_id(db: &PgPool, user: &str) -> Result<Option<Uuid>> {
    if let Ok(id) = user.parse() {
        return Ok(Some(id));
    }
    let id = sqlx::query_scalar!(
        "select id from user_account where username = lower($1)",
        user
    );
    Ok(id.fetch_optional(db).await?)
}

/// The newest `limit` jobs before `after`: those of a person, or else in a state, or else all. Each in the
/// order of an index of its own, which is asked for in a form that no other suits: by their ids one could
/// read a million of other states first.
async fn scan(
    db: &PgPool,
    state: Option<State>,
    user: Option<Uuid>,
    after: Option<i64>,
    limit: i64,
) -> Result<Vec<i64>> {
    let after = after.unwrap_or(i64::MAX);
    let ids = match (user, state) {
        (Some(user), _) => {
            sqlx::query_scalar!(
                "
            select id from job
            where user_id >= $1 and (user_id, id) < ($1, $2)
            order by user_id desc, id desc
            limit $3
            ",
                user,
                after,
                limit,
            )
            .fetch_all(db)
            .await?
        }
        (None, Some(state)) => {
            sqlx::query_scalar!(
                "
            select id from job
            where state >= $1 and (state, id) < ($1, $2)
            order by state desc, id desc
            limit $3
            ",
                state.name(),
                after,
                limit,
            )
            .fetch_all(db)
            .await?
        }
        (None, None) => {
            sqlx::query_scalar!(
                "select id from job where id < $1 order by id desc limit $2",
                after,
                limit,
            )
            .fetch_all(db)
            .await?
        }
    };
    Ok(ids)
}

/// Up to `limit` of `ids` that fit the filter, the newest first. The user must be given by id.
pub(super) async fn matching(
    db: &PgPool,
    ids: &[i64],
    filter: &Filter,
    limit: i64,
) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "
        select id from job
        where id = any($1)
            and ($2::text is null or state = $2)
            and ($3::text is null or kind = $3)
            and ($4::text is null or queue = $4)
            and ($5::text is null or strpos(lower(args::text), lower($5)) > 0)
            and ($6::text is null or strpos(lower(last_error), lower($6)) > 0)
            and ($7::timestamptz is null or created_at >= $7)
            and ($8::timestamptz is null or created_at < $8)
            and ($9::timestamptz is null or finished_at >= $9)
            and ($10::timestamptz is null or finished_at < $10)
            and ($11::uuid is null or user_id = $11)
        order by id desc
        limit $12
        ",
        ids,
        filter.state.map(State::name),
        filter.kind,
        filter.queue,
        filter.args,
        filter.error,
        filter.created_after,
        filter.created_before,
        filter.finished_after,
        filter.finished_before,
        filter
            .user
            .as_deref()
            .and_then(|user| user.parse::<Uuid>().ok()),
        limit,
    )
    .fetch_all(db)
    .await?)
}

/// These, the newest first.
async fn records(db: &PgPool, ids: &[i64]) -> Result<Vec<Record>> {
    Ok(sqlx::query_as!(
        Record,
        r#"
        select public_id, kind, args_version, args, queue, priority, state as "state: State", workspace_id, user_id,
            run_at, attempt, max_attempts, crashes, deferrals, cancel_requested, worker_id, progress, result, last_error,
            trace_context, created_at, finished_at
        from job
        where id = any($1)
        order by id desc
        "#,
        ids,
    )
    .fetch_all(db)
    .await?)
}
