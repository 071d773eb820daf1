//! The jobs that wait: which are due, and how many there are.

use std::time::Duration;

use sqlx::PgPool;

use super::leases::known;
use crate::Result;

/// Counting stops here, so that a long queue does not make counting it a burden.
const COUNT_LIMIT: i64 = 100_000;

/// The ids of up to `limit` due jobs that this program knows, the most urgent first, and of up to an
/// eighth as many that only a newer program may know, so that these do not crowd out the rest.
///
/// Each priority's due jobs are one range of the index, of which the beginning is read: neither jobs
/// for later nor a long queue make it slower.
///
/// # Errors
/// Where the database fails.
pub async fn due(db: &PgPool, queue: &str, limit: usize) -> Result<Vec<i64>> {
    let (kinds, versions) = known();
    Ok(sqlx::query_scalar!(
        r#"
        with recursive level (priority) as (
            (select job.priority from job where queue = $1 and state = 'ready' order by job.priority limit 1)
            union all
            select (
                select job.priority from job
                where queue = $1 and state = 'ready' and job.priority > level.priority
                order by job.priority limit 1
            )
            from level
            where level.priority is not null
        ), known (kind, version) as (
            select * from unnest($3::text[], $4::smallint[])
        )
        select due.id as "id!"
        from level cross join lateral (
            (
                select id, run_at from job
                where queue = $1 and state = 'ready' and job.priority = level.priority and run_at <= now()
                    and exists (select from known where known.kind = job.kind and version >= args_version)
                order by run_at, id
                limit $2
            ) union all (
                select id, run_at from (
                    select id, run_at, kind, args_version from job
                    where queue = $1 and state = 'ready' and job.priority = level.priority and run_at <= now()
                    order by run_at, id
                    limit $2
                ) as head
                where not exists (select from known where known.kind = head.kind and version >= args_version)
                order by run_at, id
                limit $2 / 8
            )
        ) as due
        order by level.priority, due.run_at, due.id
        limit $2 + $2 / 8
        "#,
        queue,
        i64::try_from(limit).unwrap_or(i64::MAX),
        &kinds as &[&str],
        &versions,
    )
    .fetch_all(db)
    .await?)
}

/// How much there is to do, as far as one glance tells.
#[derive(Debug, Default)]
pub struct Counts {
    pub due: i64,
    /// For later: delayed, or waiting for its next attempt.
    pub scheduled: i64,
    pub running: i64,
    pub dead: i64,
    /// Of the due ones: those this program does not know.
    pub unknown: i64,
    /// How long the first of the due ones has been waiting.
    pub oldest: Duration,
}

/// Counts the jobs of all queues, up to a hundred thousand in each state.
///
/// # Errors
/// Where the database fails.
pub async fn count(db: &PgPool) -> Result<Counts> {
    let (kinds, versions) = known();
    let row = sqlx::query!(
        r#"
        with ready as materialized (
            select kind, args_version, run_at from job where state = 'ready' limit $1
        )
        select count(*) filter (where run_at <= now()) as "due!",
            count(*) filter (where run_at > now()) as "scheduled!",
            count(*) filter (where run_at <= now() and not exists (
                select from unnest($2::text[], $3::smallint[]) as known (kind, version)
                where known.kind = ready.kind and known.version >= ready.args_version
            )) as "unknown!",
            coalesce(greatest(extract(epoch from now() - min(run_at)), 0), 0)::float8 as "oldest!",
            (select count(*) from (select from job where state = 'running' limit $1) as running) as "running!",
            (select count(*) from (select from job where state = 'dead' limit $1) as dead) as "dead!"
        from ready
        "#,
        COUNT_LIMIT,
        &kinds as &[&str],
        &versions,
    )
    .fetch_one(db)
    .await?;
    Ok(Counts {
        due: row.due,
        scheduled: row.scheduled,
        running: row.running,
        dead: row.dead,
        unknown: row.unknown,
        oldest: Duration::try_from_secs_f64(row.oldest).unwrap_or_default(),
    })
}
