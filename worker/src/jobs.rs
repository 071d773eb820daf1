//! What each kind of job does.

mod erase_account;
mod welcome_email;

use std::time::Duration;

use sqlx::PgPool;
use taskhub::jobs::{
    Job,
    leases::{self, Completed, Lease, LeaseLost},
};
use tokio::time::sleep;

use crate::Worker;

/// Between two attempts to write an end down.
const PAUSE: Duration = Duration::from_millis(500);

/// Does the job. A handler commits its effects in the database together with the job's end, which
/// is what [`Completed`] proves. An effect outside of it carries [`Lease::public_id`] as its key,
/// because it may be repeated. A handler is dropped where it stands when its lease ends.
pub(crate) async fn handle(worker: &Worker, lease: &Lease) -> anyhow::Result<Completed> {
    let db = &worker.options.db;
    match lease.job()? {
        Job::WelcomeEmail { user_id } => welcome_email::run(&worker.options, lease, user_id).await,
        Job::EraseAccount { user_id } => erase_account::run(db, lease, user_id).await,
    }
}

/// Ends a job whose effect is outside the database and done: trying until it is written down
/// repeats less than trying the job again.
async fn complete(db: &PgPool, lease: &Lease) -> anyhow::Result<Completed> {
    loop {
        let completed = async { leases::complete(db.begin().await?, lease).await };
        match completed.await {
            Err(error) if !error.is::<LeaseLost>() => {
                tracing::debug!(
                    error = format!("{error:#}"),
                    "the end is not written down yet"
                );
                sleep(PAUSE).await;
            }
            decided => return decided,
        }
    }
}
