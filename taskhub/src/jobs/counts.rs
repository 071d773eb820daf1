//! How many jobs there are, for metrics and for the log.

use std::time::Duration;

use sqlx::PgPool;

use super::Rules;
use crate::Result;

/// Counting stops here in each group, so that a long queue does not make counting it a burden.
const COUNT_LIMIT: i64 = 10_000;

/// The jobs of one queue, kind and version, as far as one glance tells.
#[derive(Clone, Debug, Default)]
pub struct Count {
    pub queue: String,
    pub kind: String,
    pub args_version: i16,
    pub due: i64,
    /// For later: delayed, or waiting for its next attempt.
    pub scheduled: i64,
    pub running: i64,
    pub dead: i64,
    /// How long the first of the due ones has been waiting.
    pub oldest: Duration,
    /// Whether there is a worker for the queue.
    pub served: bool,
    /// Whether an operator has paused the queue or the kind, so that the due ones wait for that.
    pub is_paused: bool,
}

/// All of them together.
#[derive(Debug, Default)]
pub struct Totals {
    /// Without those that are paused.
    pub due: i64,
    /// Due, and an operator has paused their queue or kind.
    pub paused: i64,
    pub scheduled: i64,
    pub running: i64,
    pub dead: i64,
    /// Of the due ones: those this program does not know.
    pub unknown: i64,
    /// Those that wait, now or for later, in queues that no worker serves.
    pub unserved: i64,
    /// How long the first of the due ones has been waiting.
    pub oldest: Duration,
    /// How long the first of the paused ones has been waiting.
    pub paused_oldest: Duration,
}

impl Count {
    /// Whether this program does such jobs.
    pub fn is_known(&self) -> bool {
        Rules::know(&self.kind, self.args_version)
    }
}

impl Totals {
    pub fn of(counts: &[Count]) -> Self {
        let mut totals = Self::default();
        for count in counts {
            totals.scheduled += count.scheduled;
            totals.running += count.running;
            totals.dead += count.dead;
            if !count.served {
                totals.unserved += count.due + count.scheduled;
            }
            if count.is_paused {
                totals.paused += count.due;
                totals.paused_oldest = totals.paused_oldest.max(count.oldest);
                continue;
            }
            totals.due += count.due;
            totals.oldest = totals.oldest.max(count.oldest);
            if !count.is_known() {
                totals.unknown += count.due;
            }
        }
        totals
    }
}

/// Counts the jobs that are not done: of each group up to ten thousand in each state. All that run are
/// counted, of which there are no more than the workers have slots.
///
/// # Errors
/// Where the database fails.
pub async fn count(db: &PgPool) -> Result<Vec<Count>> {
    let rows = sqlx::query!(
        r#"
        with recursive family (queue, priority, kind, args_version) as (
            (
                select queue, priority, kind, args_version from job where state = 'ready'
                order by queue, priority, kind, args_version limit 1
            )
            union all
            select next.* from family cross join lateral (
                select job.queue, job.priority, job.kind, job.args_version from job
                where state = 'ready' and (job.queue, job.priority, job.kind, job.args_version)
                    > (family.queue, family.priority, family.kind, family.args_version)
                order by job.queue, job.priority, job.kind, job.args_version limit 1
            ) as next
        ), later_family (queue, priority, kind, args_version) as (
            (
                select queue, priority, kind, args_version from job where state = 'scheduled'
                order by queue, priority, kind, args_version limit 1
            )
            union all
            select next.* from later_family as family cross join lateral (
                select job.queue, job.priority, job.kind, job.args_version from job
                where state = 'scheduled' and (job.queue, job.priority, job.kind, job.args_version)
                    > (family.queue, family.priority, family.kind, family.args_version)
                order by job.queue, job.priority, job.kind, job.args_version limit 1
            ) as next
        ), dead_family (queue, kind, args_version) as (
            (
                select queue, kind, args_version from job where state = 'dead'
                order by queue, kind, args_version limit 1
            )
            union all
            select next.* from dead_family as family cross join lateral (
                select job.queue, job.kind, job.args_version from job
                where state = 'dead' and (job.queue, job.kind, job.args_version)
                    > (family.queue, family.kind, family.args_version)
                order by job.queue, job.kind, job.args_version limit 1
            ) as next
        ), counted as (
            select queue, kind, args_version, 'due' as state, ready.count, ready.oldest
            from family cross join lateral (
                select count(*), min(run_at) as oldest from (
                    select run_at from job
                    where state = 'ready' and queue = family.queue and priority = family.priority
                        and kind = family.kind and args_version = family.args_version
                    order by share, run_at
                    limit $1
                ) as capped
            ) as ready
            union all
            select queue, kind, args_version, 'scheduled', later.count, null
            from later_family as family cross join lateral (
                select count(*) from (
                    select from job
                    where state = 'scheduled' and queue = family.queue and priority = family.priority
                        and kind = family.kind and args_version = family.args_version
                    limit $1
                ) as capped
            ) as later
            union all
            select queue, kind, args_version, 'dead', dead.count, null
            from dead_family as family cross join lateral (
                select count(*) from (
                    select from job
                    where state = 'dead' and queue = family.queue
                        and kind = family.kind and args_version = family.args_version
                    limit $1
                ) as capped
            ) as dead
            union all
            select queue, kind, args_version, 'running', count(*), null from job
            where state = 'running'
            group by queue, kind, args_version
        )
        select queue as "queue!", kind as "kind!", args_version as "args_version!",
            coalesce(sum(count) filter (where state = 'due'), 0)::bigint as "due!",
            coalesce(sum(count) filter (where state = 'scheduled'), 0)::bigint as "scheduled!",
            coalesce(sum(count) filter (where state = 'running'), 0)::bigint as "running!",
            coalesce(sum(count) filter (where state = 'dead'), 0)::bigint as "dead!",
            coalesce(greatest(extract(epoch from now() - min(oldest)), 0), 0)::float8 as "oldest!",
            -- Whoever serves a queue is ready to lead it, so there is a leader.
            exists (
                select from leader
                where name = 'jobs:' || counted.queue and lease_until > now() - interval '10 seconds'
            ) as "served!",
            kind = any(array(select name from job_pause where scope = 'kind'))
                or queue = any(array(select name from job_pause where scope = 'queue')) as "is_paused!"
        from counted
        group by queue, kind, args_version
        order by queue, kind, args_version
        "#,
        COUNT_LIMIT,
    )
    .fetch_all(db)
    .await?;
    let counts = rows.into_iter().map(|row| Count {
        queue: row.queue,
        kind: row.kind,
        args_version: row.args_version,
        due: row.due,
        scheduled: row.scheduled,
        running: row.running,
        dead: row.dead,
        oldest: Duration::try_from_secs_f64(row.oldest).unwrap_or_default(),
        served: row.served,
        is_paused: row.is_paused,
    });
    Ok(counts.collect())
}
