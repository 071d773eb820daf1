//! What each kind of job does.

mod housekeeping;
mod password_reset_email;
#[cfg(feature = "probe")]
mod probe;
mod welcome_email;

use std::time::Duration;

use sqlx::PgConnection;
#[cfg(feature = "probe")]
use taskhub::jobs::probe::Mode;
use taskhub::{
    jobs::{
        Job,
        leases::{self, Completed, Lease, LeaseLost},
    },
    users,
};
use tokio::time::sleep;

use crate::{Worker, attempt};

/// Between two attempts to write an end down.
const PAUSE: Duration = Duration::from_millis(500);

/// Does the job. A handler commits its effects in the database together with the job's end, which
/// is what [`Completed`] proves. An effect outside of it carries [`Lease::public_id`] as its key,
/// because it may be repeated. A handler is dropped where it stands when its lease or its time ends,
/// and when the job is cancelled.
pub(crate) async fn handle(worker: &Worker, lease: &Lease) -> anyhow::Result<Completed> {
    let options = &worker.options;
    let db = &options.db;
    match lease.job()? {
        Job::WelcomeEmail { user_id } => welcome_email::run(worker, lease, user_id).await,
        Job::PasswordResetEmail { email } => password_reset_email::run(worker, lease, email).await,
        Job::RemoveOldSessions {} => housekeeping::remove_old_sessions(db, lease).await,
        Job::RemoveOldJobs {} => housekeeping::remove_old_jobs(options, lease).await,
        Job::RemoveOldIdempotencyKeys {} => {
            housekeeping::remove_old_idempotency_keys(db, lease).await
        }
        Job::EmptyTrash {} => housekeeping::empty_trash(options, lease).await,
        Job::IndexTasks {} => housekeeping::index_tasks(db, lease).await,
        #[cfg(feature = "probe")]
        Job::Probe(probe) if probe.mode != Mode::Database => probe::run(db, lease, &probe).await,
        job => {
            let mut transaction = db.begin().await?;
            effects(&mut transaction, &[(lease, job)]).await?;
            leases::complete(transaction, lease).await
        }
    }
}

/// The effects of [batchable](Job::is_batchable) jobs, in the transaction of their end. A kind of which
/// there are many is better done in one statement for all of them.
pub(crate) async fn effects(db: &mut PgConnection, jobs: &[(&Lease, Job)]) -> anyhow::Result<()> {
    #[cfg(feature = "probe")]
    let mut probes = Vec::new();
    for (lease, job) in jobs {
        match job {
            Job::EraseAccount { user_id } => {
                users::erase(&mut *db, *user_id).await?;
            }
            Job::SmokeTest { .. } => {}
            #[cfg(feature = "probe")]
            Job::Probe(probe) => probes.push((*lease, probe)),
            Job::WelcomeEmail { .. }
            | Job::PasswordResetEmail { .. }
            | Job::RemoveOldSessions {}
            | Job::RemoveOldJobs {}
            | Job::RemoveOldIdempotencyKeys {}
            | Job::EmptyTrash {}
            | Job::IndexTasks {} => {
                anyhow::bail!("a {} does not go into a batch", lease.rules.kind);
            }
        }
    }
    #[cfg(feature = "probe")]
    taskhub::jobs::probe::record(db, &probes).await?;
    Ok(())
}

/// Ends a job whose effect is outside the database and done: trying until it is written down
/// repeats less than trying the job again. What PostgreSQL refuses for good is a failure.
async fn complete(worker: &Worker, lease: &Lease) -> anyhow::Result<Completed> {
    let db = &worker.options.db;
    loop {
        let completed = async { leases::complete(db.begin().await?, lease).await };
        match completed.await {
            Err(error) if !error.is::<LeaseLost>() && !attempt::is_for_good(&error) => {
                attempt::unwritten(worker, &error);
                sleep(PAUSE).await;
            }
            decided => return decided,
        }
    }
}
