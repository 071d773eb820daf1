//! How the job system is doing, for whoever operates it.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::PgPool;

use super::{
    counts,
    limits::{self, Limit},
    pauses::{self, Pause},
};
use crate::Result;

/// How far back attempts are counted: so many minutes, and so many attempts.
const MINUTES: i32 = 5;
const ATTEMPTS: i64 = 10_000;

/// One kind of job in one queue. Counts end at ten thousand.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct KindStats {
    pub queue: String,
    pub kind: String,
    /// Without those that are paused.
    pub due: i64,
    /// Due, and an operator has paused the queue or the kind.
    pub paused: i64,
    pub scheduled: i64,
    pub running: i64,
    pub dead: i64,
    /// How long the first of the due or paused ones has been waiting.
    pub oldest_seconds: f64,
    /// Within the last minutes, see [`Stats`].
    pub succeeded: i64,
    /// Attempts that failed and are made again.
    pub failed: i64,
    /// Attempts whose worker vanished.
    pub lost: i64,
    /// Jobs that were given up.
    pub died: i64,
}

/// All kinds that have jobs or had attempts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// The time that attempts are counted over; less than five minutes where there were very many.
    pub period_seconds: f64,
    pub kinds: Vec<KindStats>,
    /// What operators hold back.
    pub pauses: Vec<Pause>,
    /// How many jobs of some kinds may begin in a period.
    pub limits: Vec<Limit>,
}

/// # Errors
/// Where the database fails.
pub async fn stats(db: &PgPool) -> Result<Stats> {
    let mut kinds: BTreeMap<(String, String), KindStats> = BTreeMap::new();
    for count in counts::count(db).await? {
        let kind = entry(&mut kinds, &count.queue, &count.kind);
        if count.is_paused {
            kind.paused += count.due;
        } else {
            kind.due += count.due;
        }
        kind.scheduled += count.scheduled;
        kind.running += count.running;
        kind.dead += count.dead;
        kind.oldest_seconds = kind.oldest_seconds.max(count.oldest.as_secs_f64());
    }
    // Success is told by the job itself, everything else by the log, whose newest rows have the highest
    // ids. Where one of the two is cut off, neither is counted beyond that.
    let attempts = sqlx::query!(
        r#"
        with log as materialized (
            select job_id, outcome, at from job_log order by id desc limit $1
        ), done as materialized (
            select queue, kind, finished_at as at from job
            where state = 'done' and finished_at > now() - make_interval(mins => $2)
            order by finished_at desc
            limit $1
        ), since as materialized (
            select greatest(
                now() - make_interval(mins => $2),
                (select min(at) from log having count(*) >= $1),
                (select min(at) from done having count(*) >= $1)
            ) as at
        ), ended as (
            select job.queue, job.kind, outcome, log.at from log join job on job.id = log.job_id
            where outcome <> 'succeeded'
            union all
            select queue, kind, 'succeeded', at from done
        )
        select queue as "queue!", kind as "kind!", outcome as "outcome!", count(*) as "count!",
            extract(epoch from now() - since.at)::float8 as "period!"
        from ended join since on ended.at >= since.at
        group by queue, kind, outcome, since.at
        "#,
        ATTEMPTS,
        MINUTES,
    )
    .fetch_all(db)
    .await?;
    let period_seconds = attempts
        .first()
        .map_or(f64::from(MINUTES) * 60.0, |row| row.period);
    for row in attempts {
        let kind = entry(&mut kinds, &row.queue, &row.kind);
        match row.outcome.as_str() {
            "succeeded" => kind.succeeded += row.count,
            "failed" => kind.failed += row.count,
            "lost" => kind.lost += row.count,
            "dead" => kind.died += row.count,
            _ => {}
        }
    }
    Ok(Stats {
        period_seconds,
        kinds: kinds.into_values().collect(),
        pauses: pauses::list(db).await?,
        limits: limits::list(db).await?,
    })
}

fn entry<'a>(
    kinds: &'a mut BTreeMap<(String, String), KindStats>,
    queue: &str,
    kind: &str,
) -> &'a mut KindStats {
    kinds
        .entry((queue.to_owned(), kind.to_owned()))
        .or_insert_with(|| KindStats {
            queue: queue.to_owned(),
            kind: kind.to_owned(),
            ..KindStats::default()
        })
}
