//! What keeps the tables in order, a bounded number of rows in each transaction.

use serde_json::json;
use sqlx::PgPool;
use taskhub::{
    idempotency,
    jobs::{
        housekeeping,
        leases::{self, Completed, Lease},
    },
    search::filling,
    sessions, trash, users,
};

use crate::Options;

/// Rows in one transaction, so that none holds its locks for long.
const BATCH: i64 = 1000;

pub(super) async fn remove_old_sessions(db: &PgPool, lease: &Lease) -> anyhow::Result<Completed> {
    repeat(db, lease, "removed", || async move {
        Ok(sessions::prune(db, BATCH).await? + users::prune_resets(db, BATCH).await?)
    })
    .await
}

pub(super) async fn remove_old_jobs(options: &Options, lease: &Lease) -> anyhow::Result<Completed> {
    let db = &options.db;
    repeat(db, lease, "removed", || {
        housekeeping::remove_finished(db, options.keep_jobs, BATCH)
    })
    .await
}

pub(super) async fn remove_old_idempotency_keys(
    db: &PgPool,
    lease: &Lease,
) -> anyhow::Result<Completed> {
    repeat(db, lease, "removed", || {
        idempotency::remove_expired(db, BATCH)
    })
    .await
}

pub(super) async fn empty_trash(options: &Options, lease: &Lease) -> anyhow::Result<Completed> {
    let db = &options.db;
    repeat(db, lease, "removed", || {
        trash::empty(db, options.keep_trash, BATCH)
    })
    .await
}

pub(super) async fn index_tasks(db: &PgPool, lease: &Lease) -> anyhow::Result<Completed> {
    repeat(db, lease, "indexed", || filling::fill(db, BATCH)).await
}

/// Calls `batch` until it does nothing more, and reports how much it `did`. That stays done, however the attempt
/// ends.
async fn repeat<F>(
    db: &PgPool,
    lease: &Lease,
    did: &str,
    batch: impl Fn() -> F,
) -> anyhow::Result<Completed>
where
    F: Future<Output = taskhub::Result<u64>>,
{
    let mut rows = 0;
    loop {
        let count = batch().await?;
        if count == 0 {
            break;
        }
        rows += count;
        leases::report(db, lease, &json!({ did: rows })).await?;
    }
    leases::complete_with(db.begin().await?, lease, &json!({ did: rows })).await
}
