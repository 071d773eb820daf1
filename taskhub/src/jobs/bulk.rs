//! What operators do to many jobs at once: to all that fit a filter.
//!
//! One call looks at ten thousand jobs at most, and changes them a thousand to a transaction, so that it
//! neither takes long nor holds locks for long. Where others may follow it says so, and the next call
//! goes on from there. What a call has changed fits the filter no more, so repeating it is safe.

use sqlx::PgPool;

use super::{
    Filter, State,
    control::equal_is_live,
    records::{matching, user_id},
};
use crate::Result;

/// So many are looked at by one call.
const SCAN: i64 = 10_000;

/// So many are looked at, and changed, in one transaction.
const BATCH: i64 = 1000;

/// Whether anything is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Only counts what fits.
    Count,
    Change,
}

/// What came of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Done {
    /// How many fit the filter.
    pub matched: u64,
    /// How many of them were changed.
    pub changed: u64,
    /// Where the next call goes on, if other jobs follow.
    pub next: Option<Position>,
}

/// How far a call has come: everything up to this job of the state was looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    pub state: State,
    pub after: i64,
}

/// What is done to the jobs that fit.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Retry,
    Cancel,
}

/// Has the dead jobs that fit `filter` tried anew, or the cancelled ones where it names that state; the
/// oldest first. Jobs whose equal is queued or running are skipped.
///
/// # Errors
/// Where the database fails; what was retried until then stays so.
pub async fn retry(
    db: &PgPool,
    filter: &Filter,
    from: Option<Position>,
    mode: Mode,
) -> Result<Done> {
    let states = [filter.state.unwrap_or(State::Dead)];
    sweep(db, Order::Retry, filter, &states, from, mode).await
}

/// Cancels the jobs that fit `filter` and wait, or those in the state that it names. The workers of running
/// ones are asked to end them. A job that begins in that moment is left alone.
///
/// # Errors
/// Where the database fails; what was cancelled until then stays so.
pub async fn cancel(
    db: &PgPool,
    filter: &Filter,
    from: Option<Position>,
    mode: Mode,
) -> Result<Done> {
    // In the direction in which jobs move, so that none slips through.
    let waiting = [State::Scheduled, State::Ready];
    let named = filter.state.map(|state| [state]);
    let states = named.as_ref().map_or(&waiting[..], |named| &named[..]);
    sweep(db, Order::Cancel, filter, states, from, mode).await
}

async fn sweep(
    db: &PgPool,
    order: Order,
    filter: &Filter,
    states: &[State],
    from: Option<Position>,
    mode: Mode,
) -> Result<Done> {
    let mut done = Done::default();
    if filter.is_impossible() {
        return Ok(done);
    }
    let mut filter = filter.clone();
    if let Some(user) = &filter.user {
        let Some(id) = user_id(db, user).await? else {
            return Ok(done);
        };
        filter.user = Some(id.to_string());
    }
    let first = from.and_then(|from| states.iter().position(|state| *state == from.state));
    let mut after = first.and(from).map_or(0, |from| from.after);
    let mut scanned = 0;
    for state in &states[first.unwrap_or(0)..] {
        filter.state = Some(*state);
        loop {
            if scanned >= SCAN {
                done.next = Some(Position {
                    state: *state,
                    after,
                });
                return Ok(done);
            }
            let ids = page(db, *state, after).await?;
            let Some(last) = ids.last() else { break };
            scanned += i64::try_from(ids.len()).unwrap_or(BATCH);
            after = *last;
            let fitting = matching(db, &ids, &filter, BATCH).await?;
            done.matched += fitting.len() as u64;
            if mode == Mode::Change && !fitting.is_empty() {
                done.changed += match order {
                    Order::Retry => retry_these(db, &fitting, *state).await?,
                    Order::Cancel => cancel_these(db, &fitting, *state).await?,
                };
            }
        }
        after = 0;
    }
    Ok(done)
}

/// In the order of the index by state, which is asked for in a form that no other suits.
async fn page(db: &PgPool, state: State, after: i64) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar!(
        "
        select id from job
        where state <= $1 and (state, id) > ($1, $2)
        order by state, id
        limit $3
        ",
        state.name(),
        after,
        BATCH,
    )
    .fetch_all(db)
    .await?)
}

async fn retry_these(db: &PgPool, ids: &[i64], state: State) -> Result<u64> {
    let retried = sqlx::query_scalar!(
        r#"
        with page as materialized (
            select id, unique_key from job
            where id = any($1) and state = $2
            for update skip locked
        ), finished as (
            -- Of several with one key, the newest.
            select max(id) as id from page group by coalesce(unique_key, id::text)
        ), replayed as (
            update job
            set state = 'ready', run_at = now(), attempt = 0, crashes = 0, deferrals = 0, finished_at = null,
                worker_id = null, progress = null, result = null, cancel_requested = false
            from finished
            where job.id = finished.id and (
                job.unique_forever or not exists (
                    select from job as twin
                    where twin.unique_key = job.unique_key and twin.state in ('scheduled', 'ready', 'running')
                )
            )
            returning job.id
        ), logged as (
            insert into job_log (job_id, attempt, outcome) select id, 0, 'replayed' from replayed
        )
        select count(*) as "count!" from replayed
        "#,
        ids,
        state.name(),
    )
    .fetch_one(db)
    .await
    .map_err(equal_is_live)?;
    Ok(u64::try_from(retried).unwrap_or_default())
}

async fn cancel_these(db: &PgPool, ids: &[i64], state: State) -> Result<u64> {
    let cancelled = sqlx::query_scalar!(
        r#"
        with page as materialized (
            select id from job
            where id = any($1) and state = $2 and not cancel_requested
            for no key update skip locked
        ), cancelled as (
            update job
            set state = case state when 'running' then state else 'cancelled' end,
                finished_at = case state when 'running' then null else now() end,
                cancel_requested = state = 'running'
            from page
            where job.id = page.id
            returning job.id, attempt, state
        ), logged as (
            insert into job_log (job_id, attempt, outcome)
            select id, attempt, 'cancelled' from cancelled where state = 'cancelled'
        )
        select count(*) as "count!" from cancelled
        "#,
        ids,
        state.name(),
    )
    .fetch_one(db)
    .await?;
    Ok(u64::try_from(cancelled).unwrap_or_default())
}
