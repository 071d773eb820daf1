//! The jobs that wait: which of them are due, and in which order they are done.
//!
//! The urgent go first. Among equally urgent ones every kind and every workspace has its turn: of the
//! due jobs that nobody has claimed, the first of each workspace stands before the second of any. So
//! another's job waits for as many claims as tickets may be out, however many jobs one workspace has
//! enqueued before it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{KINDS, Rules, limits::Allowance};
use crate::Result;

/// How many jobs are moved at a time.
const PROMOTION: i64 = 1000;

/// So many due jobs are had with one look, which lets a job that has just been enqueued begin sooner.
const FEW: usize = 16;

/// Jobs of this priority or a lower one have a slot of their own in each worker.
pub const URGENT: i16 = 50;

/// What is due, as far as one look tells.
#[derive(Debug, Default)]
pub struct Due {
    /// Of jobs, those that are to be done first at the beginning.
    pub ids: Vec<i64>,
    /// Whether there are others beside them.
    pub more: bool,
    /// When the next job of a kind may begin that has reached its rate limit.
    pub again: Option<Duration>,
    /// How long ago the first of them became due; only a look at what is [recent] tells.
    pub age: Duration,
}

/// All due jobs of a kind and version that are equally urgent.
struct Group {
    priority: i16,
    kind: String,
    args_version: i16,
    is_paused: bool,
    has_rate: bool,
}

/// Moves up to a thousand jobs whose time has come to those that are due, the urgent ones first, and
/// tells how many. Several may do this at once.
///
/// # Errors
/// Where the database fails.
pub async fn promote(db: &PgPool, queue: &str) -> Result<u64> {
    Ok(sqlx::query!(
        "
        with recursive family (priority, kind, args_version) as (
            (
                select priority, kind, args_version from job
                where queue = $1 and state = 'scheduled'
                order by priority, kind, args_version
                limit 1
            )
            union all
            select next.priority, next.kind, next.args_version
            from family cross join lateral (
                select job.priority, job.kind, job.args_version from job
                where queue = $1 and state = 'scheduled'
                    and (job.priority, job.kind, job.args_version)
                        > (family.priority, family.kind, family.args_version)
                order by job.priority, job.kind, job.args_version
                limit 1
            ) as next
        ), head as (
            select due.id, family.priority, due.run_at
            from family cross join lateral (
                select job.id, job.run_at from job
                where queue = $1 and state = 'scheduled' and job.priority = family.priority
                    and job.kind = family.kind and job.args_version = family.args_version and run_at <= now()
                order by job.run_at
                limit $2
            ) as due
            order by family.priority, due.run_at
            limit $2
        ), due as materialized (
            select id from job
            -- In a form that no other index suits than that of `id`.
            where id = any(array(select id from head)) and case state when 'scheduled' then run_at <= now() end
            for update skip locked
        )
        update job set state = 'ready' from due where job.id = due.id
        ",
        queue,
        PROMOTION,
    )
    .execute(db)
    .await?
    .rows_affected())
}

/// A few due jobs of those that are [urgent](URGENT) and not paused, in the order in which they are to be
/// done.
///
/// # Errors
/// Where the database fails.
pub async fn urgent(db: &PgPool, queue: &str) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "
        select id from (
            select id, kind, queue from job
            where queue = $1 and state = 'ready' and priority <= $2 and run_at <= now()
            order by priority, kind, args_version, share, run_at, id
            limit 512
        ) as urgent
        where kind <> all(array(select name from job_pause where scope = 'kind'))
            and queue <> all(array(select name from job_pause where scope = 'queue'))
        limit 16
        ",
        queue,
        URGENT,
    )
    .fetch_all(db)
    .await?)
}

/// Up to `limit` due jobs. Of those that only a newer program may know there are an eighth as many, of
/// all their kinds together, so that they do not crowd out the rest; of a limited kind, as many as may run
/// or begin; of what is paused, none.
///
/// Each group of jobs is one range of the index, of which the beginning is read: neither jobs for
/// later nor a long queue make it slower.
///
/// # Errors
/// Where the database fails.
pub async fn due(db: &PgPool, queue: &str, limit: usize) -> Result<Due> {
    if let Some(ids) = few(db, queue, FEW.min(limit)).await? {
        return Ok(Due {
            ids,
            ..Due::default()
        });
    }
    let mut groups = groups(db, queue).await?;
    groups.retain(|group| !group.is_paused);
    let room = room(db, &groups).await?;
    let mut allowance = if groups.iter().any(|group| group.has_rate) {
        Allowance::look(db).await?
    } else {
        Allowance::default()
    };
    let mut due = Due {
        again: groups
            .iter()
            .filter_map(|group| allowance.wait(&group.kind))
            .min(),
        ..Due::default()
    };
    let mut unknown = Unknown {
        room: limit / 8,
        groups: groups.iter().filter(|group| !group.is_known()).count(),
    };
    for level in groups.chunk_by(|one, other| one.priority == other.priority) {
        if due.ids.len() >= limit {
            due.more = true;
            break;
        }
        let quotas: Vec<usize> = level
            .iter()
            .map(|group| group.quota(limit, &room, &allowance, &mut unknown))
            .collect();
        let equal = equally_urgent(db, queue, level, &quotas, limit).await?;
        for job in equal {
            due.ids.push(job.id);
            due.more |= job.more;
            allowance.spend(&job.kind);
        }
    }
    Ok(due)
}

/// One of a few due jobs.
struct One {
    id: i64,
    priority: i16,
    kind: String,
    args_version: i16,
    share: i64,
    run_at: DateTime<Utc>,
    /// Seconds since it became due; below zero where it is not yet.
    age: f64,
    /// Whether it is paused or has a rate limit.
    is_steered: bool,
}

impl One {
    /// Whether no pause, no limit and no newer program has to be thought of.
    fn is_plain(&self) -> bool {
        !self.is_steered
            && Rules::know(&self.kind, self.args_version)
            && Rules::of(&self.kind).is_some_and(|rules| rules.concurrency.is_none())
    }
}

/// All due jobs, unless there are more than `most` or of some none or only a number may begin.
async fn few(db: &PgPool, queue: &str, most: usize) -> Result<Option<Vec<i64>>> {
    let rows = sqlx::query_as!(
        One,
        r#"
        select id, priority, kind, args_version, share as "share!", run_at, extract(epoch from now() - run_at)::float8 as "age!",
            kind = any(array(
                select unnest(kinds) from job_limit where name > ''
                union all select name from job_pause where scope = 'kind'
            )) or queue = any(array(select name from job_pause where scope = 'queue')) as "is_steered!"
        from job
        where queue = $1 and state = 'ready'
        order by priority, kind, args_version, share, run_at, id
        limit $2
        "#,
        queue,
        i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1),
    )
    .fetch_all(db)
    .await?;
    if rows.len() > most || !rows.iter().all(One::is_plain) {
        return Ok(None);
    }
    Ok(Some(in_turn(&rows)))
}

/// The due jobs that have become so within the last `time`, where there are no more than `limit` and none of
/// them is paused, limited or unknown; otherwise everything has to be looked at.
///
/// It begins where the last look ended: before that there may be the entries of very many jobs that are
/// done and cannot be removed yet.
///
/// # Errors
/// Where the database fails.
pub async fn recent(db: &PgPool, queue: &str, time: Duration, limit: usize) -> Result<Option<Due>> {
    let mut rows = sqlx::query_as!(
        One,
        r#"
        select id, priority, kind, args_version, share as "share!", run_at, extract(epoch from now() - run_at)::float8 as "age!",
            kind = any(array(
                select unnest(kinds) from job_limit where name > ''
                union all select name from job_pause where scope = 'kind'
            )) or queue = any(array(select name from job_pause where scope = 'queue')) as "is_steered!"
        from job
        -- In the form of job_new_idx, which no other index suits: a plan that was made for few jobs is kept.
        where queue = $1 and case state when 'ready' then true end and run_at > now() - make_interval(secs => $2)
        order by run_at, id
        limit $3
        "#,
        queue,
        time.as_secs_f64(),
        i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1),
    )
    .fetch_all(db)
    .await?;
    if rows.len() > limit || !rows.iter().all(One::is_plain) {
        return Ok(None);
    }
    let age = rows.first().map_or(0.0, |first| first.age);
    rows.sort_by(|one, other| {
        let share = |one: &One| {
            (
                one.priority,
                one.args_version,
                one.share,
                one.run_at,
                one.id,
            )
        };
        (&one.kind, share(one)).cmp(&(&other.kind, share(other)))
    });
    Ok(Some(Due {
        ids: in_turn(&rows),
        age: Duration::try_from_secs_f64(age).unwrap_or_default(),
        ..Due::default()
    }))
}

/// As for many: the first of each share stands before the second of any. `rows` are ordered by share.
fn in_turn(rows: &[One]) -> Vec<i64> {
    let shares = rows.chunk_by(|one, other| {
        (one.priority, &one.kind, one.args_version, one.share)
            == (other.priority, &other.kind, other.args_version, other.share)
    });
    let mut places: Vec<_> = shares
        .flat_map(|share| share.iter().filter(|row| row.age >= 0.0).enumerate())
        .map(|(rank, row)| (row.priority, rank, row.run_at, row.id))
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(.., id)| id).collect()
}

impl Group {
    fn is_known(&self) -> bool {
        Rules::know(&self.kind, self.args_version)
    }

    /// How many of it there may be among `limit` due jobs.
    fn quota(
        &self,
        limit: usize,
        room: &[(&str, usize)],
        allowance: &Allowance,
        unknown: &mut Unknown,
    ) -> usize {
        if !self.is_known() {
            return unknown.share();
        }
        let room = room.iter().find(|(kind, _)| *kind == self.kind);
        let room = room.map_or(limit, |(_, room)| limit.min(*room));
        allowance
            .left(&self.kind)
            .map_or(room, |left| room.min(left))
    }
}

/// What is left for groups that this program does not know.
struct Unknown {
    room: usize,
    groups: usize,
}

impl Unknown {
    /// The share of the next of them.
    fn share(&mut self) -> usize {
        let share = self.room.div_ceil(self.groups.max(1));
        self.room -= share;
        self.groups = self.groups.saturating_sub(1);
        share
    }
}

/// Jumps through the index from one group to the next.
async fn groups(db: &PgPool, queue: &str) -> Result<Vec<Group>> {
    Ok(sqlx::query_as!(
        Group,
        r#"
        with recursive waiting (priority, kind, args_version) as (
            (
                select priority, kind, args_version from job
                where queue = $1 and state = 'ready'
                order by priority, kind, args_version
                limit 1
            )
            union all
            select next.priority, next.kind, next.args_version
            from waiting cross join lateral (
                select job.priority, job.kind, job.args_version from job
                where queue = $1 and state = 'ready'
                    and (job.priority, job.kind, job.args_version)
                        > (waiting.priority, waiting.kind, waiting.args_version)
                order by job.priority, job.kind, job.args_version
                limit 1
            ) as next
        )
        select priority as "priority!", kind as "kind!", args_version as "args_version!",
            kind = any(array(select name from job_pause where scope = 'kind'))
                or $1 = any(array(select name from job_pause where scope = 'queue')) as "is_paused!",
            kind = any(array(select unnest(kinds) from job_limit where name > '')) as "has_rate!"
        from waiting
        "#,
        queue,
    )
    .fetch_all(db)
    .await?)
}

/// How many more of each limited kind may run.
async fn room(db: &PgPool, groups: &[Group]) -> Result<Vec<(&'static str, usize)>> {
    let limited: Vec<&Rules> = KINDS
        .iter()
        .copied()
        .filter(|rules| rules.concurrency.is_some())
        .filter(|rules| groups.iter().any(|group| group.kind == rules.kind))
        .collect();
    if limited.is_empty() {
        return Ok(Vec::new());
    }
    let kinds: Vec<&str> = limited.iter().map(|rules| rules.kind).collect();
    let running = sqlx::query!(
        r#"
        select kind, count(*) as "count!" from job
        where kind = any($1) and state = 'running'
        group by kind
        "#,
        &kinds as &[&str],
    )
    .fetch_all(db)
    .await?;
    let room = limited.into_iter().map(|rules| {
        let running = running.iter().find(|row| row.kind == rules.kind);
        let room = i64::from(rules.concurrency.unwrap_or_default())
            - running.map_or(0, |running| running.count);
        (rules.kind, usize::try_from(room).unwrap_or(0))
    });
    Ok(room.collect())
}

/// A job that is to be done soon.
struct Chosen {
    id: i64,
    kind: String,
    /// Whether others like it may stand behind it.
    more: bool,
}

/// The beginnings of all shares of `groups`, in turn. Where there are more shares than `limit`, it
/// begins with another one each time.
async fn equally_urgent(
    db: &PgPool,
    queue: &str,
    groups: &[Group],
    quotas: &[usize],
    limit: usize,
) -> Result<Vec<Chosen>> {
    let Some(first) = groups.first() else {
        return Ok(Vec::new());
    };
    let kinds: Vec<&str> = groups.iter().map(|group| group.kind.as_str()).collect();
    let versions: Vec<i16> = groups.iter().map(|group| group.args_version).collect();
    let quotas: Vec<i64> = quotas
        .iter()
        .map(|quota| i64::try_from(*quota).unwrap_or(i64::MAX))
        .collect();
    Ok(sqlx::query_as!(
        Chosen,
        r#"
        with recursive family as (
            select *
            from unnest($3::text[], $4::smallint[], $5::bigint[]) as family (kind, version, quota),
                (select ((random() - 0.5) * 1.8e19)::bigint as start) as chance
            where quota > 0
        ), turn (kind, version, quota, start, share, upto, place) as (
            select family.*, next.share, next.upto, 1
            from family cross join lateral (
                (
                    select job.share, 9223372036854775807 as upto from job
                    where queue = $1 and state = 'ready' and priority = $2 and job.kind = family.kind
                        and args_version = family.version and job.share >= family.start
                    order by job.share limit 1
                ) union all (
                    select job.share, family.start - 1 from job
                    where queue = $1 and state = 'ready' and priority = $2 and job.kind = family.kind
                        and args_version = family.version and job.share < family.start
                    order by job.share limit 1
                )
                order by upto desc limit 1
            ) as next
            union all
            select turn.kind, turn.version, turn.quota, turn.start, next.share, next.upto, turn.place + 1
            from turn cross join lateral (
                (
                    select job.share, turn.upto as upto from job
                    where queue = $1 and state = 'ready' and priority = $2 and job.kind = turn.kind
                        and args_version = turn.version and job.share > turn.share and job.share <= turn.upto
                    order by job.share limit 1
                ) union all (
                    -- Past the highest it goes on at the lowest, once.
                    select job.share, turn.start - 1 from job
                    where queue = $1 and state = 'ready' and priority = $2 and job.kind = turn.kind
                        and args_version = turn.version and job.share < turn.start and turn.start <= turn.upto
                    order by job.share limit 1
                )
                order by upto desc limit 1
            ) as next
            where turn.place < least($6, turn.quota)
        ), portion as (
            select ceil($6::float8 / greatest(count(*), 1))::bigint as size from turn
        ), head as (
            select turn.kind, turn.version, turn.quota, due.id, due.run_at, portion.size,
                row_number() over (partition by turn.kind, turn.version, turn.share order by due.run_at, due.id) as rank
            from turn cross join portion cross join lateral (
                select job.id, job.run_at from job
                where queue = $1 and state = 'ready' and priority = $2 and job.kind = turn.kind
                    and args_version = turn.version and job.share = turn.share and run_at <= now()
                order by job.run_at, job.id
                limit portion.size
            ) as due
        ), chosen as (
            select id, kind, rank, run_at, quota, size,
                row_number() over (partition by kind, version order by rank, run_at, id) as place
            from head
        )
        select id as "id!", kind as "kind!",
            rank >= size or place >= quota or row_number() over (order by rank, run_at, id) >= $6 as "more!"
        from chosen
        where place <= quota
        order by rank, run_at, id
        limit $6
        "#,
        queue,
        first.priority,
        &kinds as &[&str],
        &versions,
        &quotas,
        i64::try_from(limit).unwrap_or(i64::MAX),
    )
    .fetch_all(db)
    .await?)
}
