//! A job in one worker's hands: claimed, held, and given back in one of several ways.
//!
//! Every claim draws a fresh token, and whatever ends the attempt must show it. A worker that was
//! paused past its lease can therefore finish nothing that another has taken over. All times are
//! the database's.

mod claims;
mod ends;
mod losses;

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Job, Rules};
use crate::Result;

pub(super) use claims::Row;
pub use claims::{Claim, Left, claim, left};
pub(super) use ends::stored;
pub use ends::{
    Completed, LeaseLost, Setback, cancelled, complete, complete_all, complete_with, fail,
    hand_back,
};
pub use losses::{rescue, rescue_after, survived};

/// A claimed job.
#[derive(Clone, Debug)]
pub struct Lease {
    pub id: i64,
    /// Identifies the job to the outside world, across all its attempts.
    pub public_id: Uuid,
    pub token: Uuid,
    /// The first is 1.
    pub attempt: i32,
    pub rules: &'static Rules,
    pub args_version: i16,
    pub args: Value,
    /// W3C `traceparent` of what caused it.
    pub trace_context: Option<String>,
    /// From being due to being claimed.
    pub waited: Duration,
    /// How long a claim or a heartbeat keeps it.
    pub length: Duration,
}

/// Which of the due jobs a claim takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Past {
    /// No worker has died with it.
    Clean,
    /// A worker has died with it in hand, perhaps because of it.
    Suspect,
}

/// What keeps hold of a job: its id, its token, which attempt it is, and how long a heartbeat keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Hold {
    pub id: i64,
    pub token: Uuid,
    pub attempt: i32,
    pub length: Duration,
}

/// A lease that a heartbeat has kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Extended {
    pub id: i64,
    /// Somebody cancelled the job: its attempt is to end.
    pub cancel_requested: bool,
}

impl Lease {
    /// What is to be done.
    ///
    /// # Errors
    /// Where the stored arguments are not those of the kind.
    pub fn job(&self) -> anyhow::Result<Job> {
        Job::from_stored(self.rules.kind, self.args_version, &self.args)
    }

    pub fn hold(&self) -> Hold {
        Hold {
            id: self.id,
            token: self.token,
            attempt: self.attempt,
            length: self.length,
        }
    }
}

/// Makes all of these leases last on from now and gives those for which that was possible. A job that
/// is just being ended is passed over: waiting for it could hold up all the others.
///
/// # Errors
/// Where the database fails.
pub async fn extend(db: &PgPool, held: &[Hold]) -> Result<Vec<Extended>> {
    let (ids, tokens) = ids_and_tokens(held);
    let lengths: Vec<f64> = held.iter().map(|hold| hold.length.as_secs_f64()).collect();
    Ok(sqlx::query_as!(
        Extended,
        r#"
        with held as materialized (
            select id from job
            where id = any($1) and (id, lease_token) in (select * from unnest($1::bigint[], $2::uuid[]))
            for no key update skip locked
        )
        update job
        set lease_until = now() + make_interval(secs => ($3::float8[])[array_position($1, job.id)])
        from held
        where job.id = held.id
        returning job.id, cancel_requested
        "#,
        &ids,
        &tokens,
        &lengths,
    )
    .fetch_all(db)
    .await?)
}

/// Tells everybody how far the job is, in whatever form suits its kind; until the next word.
///
/// # Errors
/// [`LeaseLost`], or where the database fails.
pub async fn report(db: &PgPool, lease: &Lease, progress: &Value) -> anyhow::Result<()> {
    let reported = sqlx::query!(
        "update job set progress = $3 where id = $1 and lease_token = $2",
        lease.id,
        lease.token,
        progress,
    )
    .execute(db)
    .await?;
    if reported.rows_affected() == 0 {
        return Err(LeaseLost.into());
    }
    Ok(())
}

fn ids_and_tokens(held: &[Hold]) -> (Vec<i64>, Vec<Uuid>) {
    held.iter().map(|hold| (hold.id, hold.token)).unzip()
}
