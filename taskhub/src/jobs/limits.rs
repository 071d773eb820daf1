//! Rate limits: how many jobs of some kinds may begin within a period, over all workers.
//!
//! Each limit is a token bucket in PostgreSQL. The statement that claims jobs of a limited kind takes
//! their tokens, so the limit holds for all workers together, and while Redis is away. A job for which
//! there is no token stays where it is: it loses no attempt and no place in the order. Kinds without a
//! limit are claimed by another statement, which never waits for a bucket.
//!
//! Statements that read the few rows of the table say `name > ''`, so that an index suits them: reading a
//! table from end to end counts as so expensive here (see [`crate::database::connect_options`]) that
//! PostgreSQL would compile the statement first, for longer than it takes.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgExecutor, PgPool};

use super::{
    KINDS, Rules,
    leases::{Claim, Lease, Past, Row},
};
use crate::Result;

/// The group of all kinds that send an e-mail: a mail server counts them together.
pub const MAIL: &str = "mail";

/// A limit, as it is set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// A kind, or a group of kinds that share the limit, see [`kinds_of`].
    pub name: String,
    /// So many may begin within any `period`.
    pub jobs: u32,
    #[serde(skip)]
    pub period: Duration,
}

/// The kinds that a limit of this name is for; none where the name is unknown.
pub fn kinds_of(name: &str) -> Vec<&'static str> {
    let named = |rules: &&&Rules| rules.kind == name || rules.limit_group == Some(name);
    KINDS.iter().filter(named).map(|rules| rules.kind).collect()
}

impl Limit {
    /// How many may begin at once after a pause: a tenth, so that jobs spread over the period.
    fn burst(&self) -> f64 {
        (f64::from(self.jobs) / 10.0).max(1.0)
    }

    /// How many may begin after those, each second. With the burst that is never more than the limit in
    /// any period, wherever it begins.
    fn per_second(&self) -> f64 {
        let jobs = f64::from(self.jobs);
        let spread = if jobs < 10.0 { jobs } else { jobs * 0.9 };
        spread / self.period.as_secs_f64()
    }
}

/// Makes `limits` the limits of all workers. What a limit has allowed lately still counts.
///
/// # Errors
/// Where the database fails.
pub async fn synchronise(db: &PgPool, limits: &[Limit]) -> Result<()> {
    let names: Vec<&str> = limits.iter().map(|limit| limit.name.as_str()).collect();
    let kinds: Vec<String> = names.iter().map(|name| kinds_of(name).join(",")).collect();
    let jobs: Vec<i32> = limits
        .iter()
        .map(|limit| i32::try_from(limit.jobs).unwrap_or(i32::MAX))
        .collect();
    let column = |number: fn(&Limit) -> f64| limits.iter().map(number).collect::<Vec<f64>>();
    sqlx::query!(
        "
        with gone as (
            delete from job_limit where name > '' and name <> all($1)
        )
        insert into job_limit (name, kinds, jobs, period_seconds, burst, per_second, tokens, counted_at)
        select name, string_to_array(kinds, ','), jobs, period, burst, per_second, burst, now()
        from unnest($1::text[], $2::text[], $3::integer[], $4::float8[], $5::float8[], $6::float8[])
            as new (name, kinds, jobs, period, burst, per_second)
        on conflict (name) do update
        set kinds = excluded.kinds, jobs = excluded.jobs, period_seconds = excluded.period_seconds,
            burst = excluded.burst, per_second = excluded.per_second
        where (job_limit.kinds, job_limit.jobs, job_limit.period_seconds)
            is distinct from (excluded.kinds, excluded.jobs, excluded.period_seconds)
        ",
        &names as &[&str],
        &kinds,
        &jobs,
        &column(|limit| limit.period.as_secs_f64()),
        &column(Limit::burst),
        &column(Limit::per_second),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The limits that hold.
///
/// # Errors
/// Where the database fails.
pub async fn list(db: &PgPool) -> Result<Vec<Limit>> {
    let rows = sqlx::query!(
        "select name, jobs, period_seconds from job_limit where name > '' order by name"
    )
    .fetch_all(db)
    .await?;
    let limits = rows.into_iter().map(|row| Limit {
        name: row.name,
        jobs: row.jobs.unsigned_abs(),
        period: Duration::try_from_secs_f64(row.period_seconds).unwrap_or_default(),
    });
    Ok(limits.collect())
}

/// Takes jobs as [`claim`](super::leases::claim) does, of one kind, and no more than its limits allow.
/// One statement, so that a worker that is stopped in the middle holds up nobody.
pub(super) async fn take(
    db: impl PgExecutor<'_>,
    ids: &[i64],
    kind: &'static Rules,
    claim: Claim<'_>,
) -> Result<Vec<Lease>> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        with bucket as materialized (
            -- Tokens grow back with time. A clock that was set back by more than a moment fills the bucket.
            select name, clock_timestamp() as at, case
                    when counted_at > clock_timestamp() + interval '1 minute' then burst
                    else least(burst, tokens
                        + per_second * greatest(extract(epoch from clock_timestamp() - counted_at), 0))
                end as tokens
            from job_limit
            where name > '' and $3 = any(kinds)
            order by name
            for update
        ), due as materialized (
            select id
            from job
            where id = any($1)
                -- In a form that no other index suits than that of `id`.
                and case state when 'ready' then run_at <= now() and (crashes > 0) = $2 end
                and kind = $3 and args_version <= $4
                and kind <> all(array(select name from job_pause where scope = 'kind'))
                and queue <> all(array(select name from job_pause where scope = 'queue'))
            order by array_position($1, id)
            limit least($6, (select floor(min(tokens))::bigint from bucket))
            for update skip locked
        ), spent as (
            update job_limit
            set tokens = bucket.tokens - (select count(*) from due), counted_at = bucket.at
            from bucket
            where job_limit.name = bucket.name
        )
        update job
        set state = 'running', attempt = attempt + 1, lease_token = gen_random_uuid(),
            lease_until = now() + make_interval(secs => $5), worker_id = $7, progress = null
        from due
        where job.id = due.id
        returning job.id, public_id, lease_token as "token!", attempt, job.kind, args_version, args, trace_context,
            extract(epoch from now() - run_at)::float8 as "waited!"
        "#,
        ids,
        claim.past == Past::Suspect,
        kind.kind,
        kind.args_version,
        kind.lease.unwrap_or(claim.lease).as_secs_f64(),
        i64::try_from(claim.limit).unwrap_or(i64::MAX),
        claim.worker,
    )
    .fetch_all(db)
    .await?;
    Ok(Row::leases(rows, claim.lease))
}

/// What the buckets hold, as far as one look tells.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    kinds: Vec<String>,
    tokens: f64,
    per_second: f64,
}

impl Allowance {
    /// # Errors
    /// Where the database fails.
    pub(super) async fn look(db: &PgPool) -> Result<Self> {
        let buckets = sqlx::query_as!(
            Bucket,
            r#"
            select kinds, per_second, case
                    when counted_at > clock_timestamp() + interval '1 minute' then burst
                    else least(burst, tokens
                        + per_second * greatest(extract(epoch from clock_timestamp() - counted_at), 0))
                end as "tokens!"
            from job_limit
            where name > ''
            "#
        )
        .fetch_all(db)
        .await?;
        Ok(Self { buckets })
    }

    /// How many of `kind` may begin now; none where it has no limit.
    pub(super) fn left(&self, kind: &str) -> Option<usize> {
        self.of(kind).map(Bucket::whole).min()
    }

    /// When the next of `kind` may begin, where none may now.
    pub(super) fn wait(&self, kind: &str) -> Option<Duration> {
        self.of(kind)
            .filter(|bucket| bucket.tokens < 1.0)
            .map(Bucket::next)
            .max()
    }

    /// Counts one of `kind` as begun.
    pub(super) fn spend(&mut self, kind: &str) {
        for bucket in &mut self.buckets {
            if bucket.is_for(kind) {
                bucket.tokens -= 1.0;
            }
        }
    }

    fn of(&self, kind: &str) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter().filter(|bucket| bucket.is_for(kind))
    }
}

impl Bucket {
    fn is_for(&self, kind: &str) -> bool {
        self.kinds.iter().any(|other| other == kind)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast to an integer ends at its bounds"
    )]
    fn whole(&self) -> usize {
        self.tokens.floor() as usize
    }

    fn next(&self) -> Duration {
        Duration::try_from_secs_f64((1.0 - self.tokens) / self.per_second).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_period_holds_more_than_the_limit_wherever_it_begins() {
        for jobs in (1..=2000).chain([10_000, 1_000_000]) {
            for seconds in [1, 60, 3600] {
                let limit = Limit {
                    name: MAIL.to_owned(),
                    jobs,
                    period: Duration::from_secs(seconds),
                };
                let period = limit.period.as_secs_f64();
                // A half-open period begins with the burst at most, and what grows in it is less than
                // all of it at its end.
                let most = (limit.burst() + limit.per_second() * period - 1e-9).ceil() - 1.0;
                let most = most.max(limit.burst().floor());
                assert!(most <= f64::from(jobs), "{limit:?}: {most}");
                assert!(limit.per_second() * period > f64::from(jobs) * 0.89);
            }
        }
    }

    #[test]
    fn a_group_has_the_kinds_that_send_mail() {
        assert_eq!(kinds_of(MAIL), ["welcome_email", "password_reset_email"]);
        assert_eq!(kinds_of("welcome_email"), ["welcome_email"]);
        assert!(kinds_of("no_such_kind").is_empty());
    }

    #[test]
    fn a_kind_with_two_limits_keeps_both() {
        let bucket = |kinds: &[&str], tokens, per_second| Bucket {
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
            tokens,
            per_second,
        };
        let mut allowance = Allowance {
            buckets: vec![bucket(&["a", "b"], 2.5, 10.0), bucket(&["a"], 1.5, 0.5)],
        };
        assert_eq!(
            (allowance.left("a"), allowance.left("b")),
            (Some(1), Some(2))
        );
        assert_eq!((allowance.left("c"), allowance.wait("a")), (None, None));
        allowance.spend("a");
        assert_eq!(
            (allowance.left("a"), allowance.left("b")),
            (Some(0), Some(1))
        );
        assert_eq!(allowance.wait("a"), Some(Duration::from_secs(1)));
    }
}
