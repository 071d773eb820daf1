//! How jobs come into a worker's hands.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Lease, Past, losses::MAX_CRASHES};
use crate::{
    Result,
    jobs::{KINDS, Rules, limits},
};

/// Who claims, and how.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub worker: &'a str,
    pub past: Past,
    pub limit: usize,
    /// For kinds that set no length of their own.
    pub lease: Duration,
}

/// Jobs that a claim has left where they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Left {
    pub id: i64,
    pub past: Past,
    /// Whether another crash would be its death.
    pub last_chance: bool,
    /// None of a kind or version that this program does not know.
    pub rules: Option<&'static Rules>,
    /// Whether its kind has to be asked for.
    pub is_limited: bool,
}

/// A row that was claimed.
pub(in crate::jobs) struct Row {
    pub(in crate::jobs) id: i64,
    pub(in crate::jobs) public_id: Uuid,
    pub(in crate::jobs) token: Uuid,
    pub(in crate::jobs) attempt: i32,
    pub(in crate::jobs) kind: String,
    pub(in crate::jobs) args_version: i16,
    pub(in crate::jobs) args: Value,
    pub(in crate::jobs) trace_context: Option<String>,
    /// In seconds.
    pub(in crate::jobs) waited: f64,
}

/// Takes those of `ids` that are due, are of that [`Past`] and of a kind and version that this program
/// knows, in the order of `ids`. Of a kind that limits how many run at a time, or how many begin in a
/// period, none is taken without being asked for by `kind`, and then as many as the limits allow. What is
/// paused is left alone, and what another worker is just claiming is skipped.
///
/// # Errors
/// Where the database fails.
pub async fn claim(
    db: &PgPool,
    ids: &[i64],
    kind: Option<&'static Rules>,
    claim: Claim<'_>,
) -> Result<Vec<Lease>> {
    let Some(kind) = kind else {
        let unlimited: Vec<&Rules> = KINDS
            .iter()
            .copied()
            .filter(|rules| rules.concurrency.is_none())
            .collect();
        return take(db, ids, &unlimited, claim).await;
    };
    let Some(most) = kind.concurrency else {
        return limits::take(db, ids, kind, claim).await;
    };
    let mut transaction = db.begin().await?;
    // One claim of the kind at a time; a statement of its own, so that the next one sees what the
    // last claim has committed.
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('job kind ' || $1::text, 0))",
        kind.kind
    )
    .execute(&mut *transaction)
    .await?;
    let running = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job where kind = $1 and state = 'running'"#,
        kind.kind,
    )
    .fetch_one(&mut *transaction)
    .await?;
    let room = usize::try_from(i64::from(most) - running).unwrap_or(0);
    let claim = Claim {
        limit: claim.limit.min(room),
        ..claim
    };
    let leases = limits::take(&mut *transaction, ids, kind, claim).await?;
    transaction.commit().await?;
    Ok(leases)
}

async fn take(
    db: &PgPool,
    ids: &[i64],
    kinds: &[&'static Rules],
    claim: Claim<'_>,
) -> Result<Vec<Lease>> {
    let names: Vec<&str> = kinds.iter().map(|rules| rules.kind).collect();
    let versions: Vec<i16> = kinds.iter().map(|rules| rules.args_version).collect();
    let lengths: Vec<f64> = kinds
        .iter()
        .map(|rules| rules.lease.unwrap_or(claim.lease).as_secs_f64())
        .collect();
    let rows = sqlx::query_as!(
        Row,
        r#"
        with due as materialized (
            select id
            from job
            where id = any($1)
                -- In a form that no other index suits than that of `id`.
                and case state when 'ready' then run_at <= now() and (crashes > 0) = $2 end
                and args_version <= ($4::smallint[])[array_position($3::text[], kind)]
                and kind <> all(array(
                    select unnest(kinds) from job_limit where name > ''
                union all select name from job_pause where scope = 'kind'
                ))
                and queue <> all(array(select name from job_pause where scope = 'queue'))
            order by array_position($1, id)
            limit $6
            for update skip locked
        )
        update job
        set state = 'running', attempt = attempt + 1, lease_token = gen_random_uuid(),
            lease_until = now() + make_interval(secs => ($5::float8[])[array_position($3::text[], kind)]),
            worker_id = $7, progress = null
        from due
        where job.id = due.id
        returning job.id, public_id, lease_token as "token!", attempt, job.kind, args_version, args, trace_context,
            extract(epoch from now() - run_at)::float8 as "waited!"
        "#,
        ids,
        claim.past == Past::Suspect,
        &names as &[&str],
        &versions,
        &lengths,
        i64::try_from(claim.limit).unwrap_or(i64::MAX),
        claim.worker,
    )
    .fetch_all(db)
    .await?;
    Ok(Row::leases(rows, claim.lease))
}

impl Row {
    /// With `length` for kinds that set none of their own.
    pub(in crate::jobs) fn leases(rows: Vec<Self>, length: Duration) -> Vec<Lease> {
        let leases = rows.into_iter().filter_map(|row| {
            let rules = Rules::of(&row.kind)?;
            Some(Lease {
                id: row.id,
                public_id: row.public_id,
                token: row.token,
                attempt: row.attempt,
                rules,
                args_version: row.args_version,
                args: row.args,
                trace_context: row.trace_context,
                waited: Duration::try_from_secs_f64(row.waited).unwrap_or_default(),
                length: rules.lease.unwrap_or(length),
            })
        });
        leases.collect()
    }
}

/// Those of `ids` that a [`claim`] without a kind leaves: they wait for a worker to take them
/// [alone](Past::Suspect), their kind is limited, or only a newer program knows them. What is paused is
/// not among them.
///
/// # Errors
/// Where the database fails.
pub async fn left(db: &PgPool, ids: &[i64]) -> Result<Vec<Left>> {
    let rows = sqlx::query!(
        r#"
        select id, kind, args_version, crashes,
            kind = any(array(select unnest(kinds) from job_limit where name > '')) as "has_rate!"
        from job
        where id = any($1) and case state when 'ready' then run_at <= now() end
            and kind <> all(array(select name from job_pause where scope = 'kind'))
            and queue <> all(array(select name from job_pause where scope = 'queue'))
        order by array_position($1, id)
        "#,
        ids,
    )
    .fetch_all(db)
    .await?;
    let left = rows.into_iter().map(|row| {
        let rules = Rules::of(&row.kind).filter(|rules| rules.args_version >= row.args_version);
        Left {
            id: row.id,
            past: if row.crashes > 0 {
                Past::Suspect
            } else {
                Past::Clean
            },
            last_chance: row.crashes + 1 >= MAX_CRASHES,
            is_limited: row.has_rate || rules.is_some_and(|rules| rules.concurrency.is_some()),
            rules,
        }
    });
    Ok(left.collect())
}
