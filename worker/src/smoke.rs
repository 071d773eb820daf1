//! `taskhub-worker smoke`: whether jobs are done, tried on a job of its own that does nothing.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use sqlx::PgPool;
use taskhub::{
    database,
    jobs::{self, Job, Record, State},
    settings::Worker,
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::APPLICATION;

/// Between two looks at the job.
const PAUSE: Duration = Duration::from_millis(200);

/// Enqueues the job, which goes before all others, and waits for `patience` until a worker has done it.
pub(crate) async fn run(settings: &Worker, patience: Duration) -> anyhow::Result<()> {
    let connect = database::connect_options(&settings.database_url, APPLICATION)?;
    let db = database::pool(connect, 1);
    let begun = Instant::now();
    let id = enqueue(&db).await?;
    let Ok(ended) = timeout(patience, ended(&db, id)).await else {
        let job = jobs::get(&db, id).await?;
        anyhow::bail!(
            "the job {id} is {} after {} s{}",
            job.state.name(),
            patience.as_secs(),
            because(&job)
        );
    };
    let job = ended?;
    ensure!(
        job.state == State::Done,
        "the job {id} is {}{}",
        job.state.name(),
        because(&job)
    );
    tracing::info!(
        job = %id,
        worker = job.worker_id,
        milliseconds = u64::try_from(begun.elapsed().as_millis())?,
        "a worker has done a job"
    );
    Ok(())
}

/// A new job each time: none that waits or fails already can stand for it.
async fn enqueue(db: &PgPool) -> anyhow::Result<Uuid> {
    let mut db = db.acquire().await.context("PostgreSQL does not answer")?;
    let job = Job::SmokeTest { id: Uuid::now_v7() };
    Ok(jobs::enqueue(&mut db, &job).await?)
}

async fn ended(db: &PgPool, id: Uuid) -> anyhow::Result<Record> {
    loop {
        let job = jobs::get(db, id).await?;
        if matches!(job.state, State::Done | State::Dead | State::Cancelled) {
            return Ok(job);
        }
        sleep(PAUSE).await;
    }
}

fn because(job: &Record) -> String {
    let error = job.last_error.as_deref();
    error.map_or_else(String::new, |error| format!(": {error}"))
}
