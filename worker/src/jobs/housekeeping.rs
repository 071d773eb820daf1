//! The removal of what nobody needs any more, a bounded number of rows in each transaction.

use serde_json::json;
use sqlx::PgPool;
use taskhub::{
    idempotency,
    jobs::{
        housekeeping,
        leases::{self, Completed, Lease},
    },
    sessions, trash, users,
};

use crate::Options;

/// Rows in one transaction, so that none holds its locks for long.
const BATCH: i64 = 1000;

pub(super) async fn remove_old_sessions(db: &PgPool, lease: &Lease) -> anyhow::Result<Completed> {
    remove(db, lease, || async move {
        Ok(sessions::prune(db, BATCH).await? + users::prune_resets(db, BATCH).await?)
    })
    .await
}

pub(super) async fn remove_old_jobs(options: &Options, lease: &Lease) -> anyhow::Result<Completed> {
    let db = &options.db;
    remove(db, lease, || {
        housekeeping::remove_finished(db, options.keep_jobs, BATCH)
    })
    .await
}

pub(super) async fn remove_old_idempotency_keys(
    db: &PgPool,
    lease: &Lease,
) -> anyhow::Result<Completed> {
    remove(db, lease, || idempotency::remove_expired(db, BATCH)).await
}

pub(super) async fn empty_trash(options: &Options, lease: &Lease) -> anyhow::Result<Completed> {
    let db = &options.db;
    remove(db, lease, || trash::empty(db, options.keep_trash, BATCH)).await
}

/// Calls `batch` until it removes nothing more. What was removed stays so, however the attempt ends.
async fn remove<F>(db: &PgPool, lease: &Lease, batch: impl Fn() -> F) -> anyhow::Result<Completed>
where
    F: Future<Output = taskhub::Result<u64>>,
{
    let mut removed = 0;
    loop {
        let count = batch().await?;
        if count == 0 {
            break;
        }
        removed += count;
        leases::report(db, lease, &json!({ "removed": removed })).await?;
    }
    leases::complete_with(db.begin().await?, lease, &json!({ "removed": removed })).await
}
