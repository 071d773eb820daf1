//! A job that leaves a trace, so that a benchmark and a chaos test can count what was done.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::leases::Lease;
use crate::Result;

/// The table that whoever enqueues probes creates first. It has no key, so that what is done twice
/// is seen.
pub const TABLE: &str = "
    create table if not exists probe_effect (
        probe_id uuid not null,
        job_id uuid not null,
        attempt integer not null,
        at timestamptz not null default clock_timestamp()
    )
";

/// Arguments of version 2; version 1 had no mode.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Probe {
    pub id: Uuid,
    pub mode: Mode,
    #[serde(default)]
    pub workspace_id: Option<Uuid>,
    /// Where [`Mode::External`] posts to, such as `http://127.0.0.1:4000/effects`.
    #[serde(default)]
    pub sink: Option<String>,
    /// How long [`Mode::Slow`] takes.
    #[serde(default)]
    pub milliseconds: u64,
}

/// What a probe does. All but the last two leave one row in the table.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Inserts its row and nothing else; done many to a transaction.
    Database,
    /// First posts its job's public id, as `Idempotency-Key`, to the sink.
    External,
    /// First waits.
    Slow,
    /// Fails each time.
    Fail,
    /// Takes its worker down each time.
    Crash,
}

pub(super) fn upgraded_from_1(mut args: serde_json::Value) -> serde_json::Value {
    args["mode"] = "database".into();
    args
}

/// Inserts the row of each, in one statement.
///
/// # Errors
/// Where the database fails or has no such table.
pub async fn record(db: &mut PgConnection, done: &[(&Lease, &Probe)]) -> Result<()> {
    let probe_ids: Vec<Uuid> = done.iter().map(|(_, probe)| probe.id).collect();
    let job_ids: Vec<Uuid> = done.iter().map(|(lease, _)| lease.public_id).collect();
    let attempts: Vec<i32> = done.iter().map(|(lease, _)| lease.attempt).collect();
    sqlx::query(
        "
        insert into probe_effect (probe_id, job_id, attempt)
        select * from unnest($1::uuid[], $2::uuid[], $3::integer[])
        ",
    )
    .bind(probe_ids)
    .bind(job_ids)
    .bind(attempts)
    .execute(db)
    .await?;
    Ok(())
}
