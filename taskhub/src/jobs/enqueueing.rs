//! How a job comes to be.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Job, Uniqueness};
use crate::{Result, trace::TraceContext};

/// How many are added by one statement.
const BATCH: usize = 1000;

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

impl When {
    /// A time, or else the pause until then.
    fn at_and_delay(self) -> (Option<DateTime<Utc>>, Duration) {
        match self {
            Self::Now => (None, Duration::ZERO),
            Self::After(delay) => (None, delay),
            Self::At(at) => (Some(at), Duration::ZERO),
        }
    }
}

/// Adds `job` in the caller's transaction, due at once, and gives its public id. Where an equal one
/// exists already (see [`Uniqueness`]) nothing is added and that one's id is given; where it waits for
/// later, or is less urgent, it becomes due as soon and as urgent as the new one would have been.
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
    one(db, New::of(job), options).await
}

/// As [`enqueue`] for each of `jobs`, whose ids are given in the same order, and for a fraction of what
/// that costs.
///
/// # Errors
/// Where the database fails.
pub async fn enqueue_all(db: &mut PgConnection, jobs: &[Job]) -> Result<Vec<Uuid>> {
    let mut ids = Vec::with_capacity(jobs.len());
    for batch in jobs.chunks(BATCH) {
        let batch: Vec<New<'_>> = batch.iter().map(New::of).collect();
        ids.extend(insert(db, &batch, &Options::default()).await?);
    }
    Ok(ids)
}

/// The job of a slot of the clock, of which there is one for ever.
pub(super) async fn enqueue_slot(db: &mut PgConnection, job: &Job, slot: &str) -> Result<Uuid> {
    let unique_key = format!("periodic:{slot}");
    let new = New {
        job,
        unique_key,
        forever: true,
    };
    one(db, new, &Options::default()).await
}

/// A job to be added, unless one of its key exists.
struct New<'a> {
    job: &'a Job,
    unique_key: String,
    forever: bool,
}

impl<'a> New<'a> {
    fn of(job: &'a Job) -> Self {
        Self {
            job,
            unique_key: job.unique_key(),
            forever: job.rules().uniqueness == Uniqueness::Forever,
        }
    }
}

async fn one(db: &mut PgConnection, new: New<'_>, options: &Options) -> Result<Uuid> {
    let ids = insert(db, &[new], options).await?;
    Ok(ids[0])
}

/// Gives an id for each of `all`, in the same order.
async fn insert(db: &mut PgConnection, all: &[New<'_>], options: &Options) -> Result<Vec<Uuid>> {
    // No statement may come upon a row twice.
    let mut keys = HashSet::new();
    let mut missing: Vec<&New<'_>> = all
        .iter()
        .filter(|new| keys.insert(new.unique_key.as_str()))
        .collect();
    let mut ids: HashMap<String, Uuid> = HashMap::new();
    // An equal job may end between the two statements, and then there is room for a new one.
    while !missing.is_empty() {
        ids.extend(add(db, &missing, options).await?);
        missing.retain(|new| !ids.contains_key(&new.unique_key));
        if !missing.is_empty() {
            ids.extend(hasten(db, &missing, options).await?);
            missing.retain(|new| !ids.contains_key(&new.unique_key));
        }
    }
    Ok(all.iter().map(|new| ids[&new.unique_key]).collect())
}

/// Adds those that have no equal, and gives their keys and ids.
async fn add(
    db: &mut PgConnection,
    all: &[&New<'_>],
    options: &Options,
) -> Result<Vec<(String, Uuid)>> {
    let rows = Rows::of(all, options);
    let (at, delay) = options.when.at_and_delay();
    let added = sqlx::query!(
        r#"
        insert into job (
            public_id, kind, args_version, args, queue, priority, workspace_id, user_id, unique_key, unique_forever,
            max_attempts, trace_context, run_at, state
        )
        select new.*, $12, due.at, case when due.at > now() then 'scheduled' else 'ready' end
        from unnest(
                $1::uuid[], $2::text[], $3::smallint[], $4::jsonb[], $5::text[], $6::smallint[], $7::uuid[], $8::uuid[],
                $9::text[], $10::boolean[], $11::integer[]
            ) as new,
            (select coalesce($13, now() + make_interval(secs => $14)) as at) as due
        on conflict (unique_key) where state in ('scheduled', 'ready', 'running') or unique_forever do nothing
        returning unique_key as "unique_key!", public_id
        "#,
        &rows.public_ids,
        &rows.kinds as &[&str],
        &rows.args_versions,
        &rows.args,
        &rows.queues as &[&str],
        &rows.priorities,
        &rows.workspace_ids as &[Option<Uuid>],
        &rows.user_ids as &[Option<Uuid>],
        &rows.unique_keys as &[&str],
        &rows.forever,
        &rows.max_attempts,
        TraceContext::current().map(|trace| trace.to_string()),
        at,
        delay.as_secs_f64(),
    )
    .fetch_all(db)
    .await?;
    Ok(added
        .into_iter()
        .map(|row| (row.unique_key, row.public_id))
        .collect())
}

/// Gives the keys and ids of the jobs that stand for `all`. One that waits is locked until the caller's
/// transaction ends, so that it sees what that has changed; it becomes as urgent as the new one, and due
/// as soon. One that runs is not touched: its worker must be able to keep and to end its lease.
async fn hasten(
    db: &mut PgConnection,
    all: &[&New<'_>],
    options: &Options,
) -> Result<Vec<(String, Uuid)>> {
    let rows = Rows::of(all, options);
    let (at, delay) = options.when.at_and_delay();
    let equal = sqlx::query!(
        r#"
        with wish as (
            select new.*, coalesce($3, now() + make_interval(secs => $4)) as at
            from unnest($1::text[], $2::smallint[]) as new (unique_key, priority)
        ), waiting as materialized (
            select id, unique_key from job
            where unique_key = any($1) and state in ('scheduled', 'ready')
            order by unique_key
            for no key update
        ), hastened as (
            update job
            set run_at = least(job.run_at, wish.at), priority = least(job.priority, wish.priority),
                state = case when least(job.run_at, wish.at) <= now() then 'ready' else job.state end
            from waiting join wish using (unique_key)
            where job.id = waiting.id and (job.run_at > wish.at or job.priority > wish.priority)
        )
        select unique_key as "unique_key!", public_id from job
        where unique_key = any($1) and (state in ('scheduled', 'ready', 'running') or unique_forever)
            -- So that the jobs are locked, also where none of them is changed.
            and (select count(*) from waiting) >= 0
        "#,
        &rows.unique_keys as &[&str],
        &rows.priorities,
        at,
        delay.as_secs_f64(),
    )
    .fetch_all(db)
    .await?;
    Ok(equal
        .into_iter()
        .map(|row| (row.unique_key, row.public_id))
        .collect())
}

/// Column by column.
#[derive(Default)]
struct Rows<'a> {
    public_ids: Vec<Uuid>,
    kinds: Vec<&'a str>,
    args_versions: Vec<i16>,
    args: Vec<Value>,
    queues: Vec<&'a str>,
    priorities: Vec<i16>,
    workspace_ids: Vec<Option<Uuid>>,
    user_ids: Vec<Option<Uuid>>,
    unique_keys: Vec<&'a str>,
    forever: Vec<bool>,
    max_attempts: Vec<i32>,
}

impl<'a> Rows<'a> {
    fn of(all: &[&'a New<'a>], options: &'a Options) -> Self {
        let mut rows = Self::default();
        for new in all {
            let (job, rules) = (new.job, new.job.rules());
            // Of rising value, so that the end of the index takes them all.
            rows.public_ids.push(Uuid::now_v7());
            rows.kinds.push(rules.kind);
            rows.args_versions.push(rules.args_version);
            rows.args.push(job.args());
            rows.queues
                .push(options.queue.as_deref().unwrap_or(rules.queue));
            rows.priorities
                .push(options.priority.unwrap_or(rules.priority));
            let subject = job.subject();
            rows.workspace_ids.push(subject.workspace_id);
            rows.user_ids.push(subject.user_id);
            rows.unique_keys.push(&new.unique_key);
            rows.forever.push(new.forever);
            rows.max_attempts.push(rules.max_attempts);
        }
        rows
    }
}
