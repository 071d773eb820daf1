//! One attempt at one job, from claim to end.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use taskhub::jobs::leases::{self, Lease, LeaseLost, Setback};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};
use tracing::Instrument;

use crate::{STATEMENT_LIMIT, Worker, jobs, measures, within};

/// How an attempt ended, as this worker sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    Dead,
    /// The lease ended first. What becomes of the job is for others to decide.
    Lost,
    /// The worker stops and hands the job back.
    Abandoned,
}

/// Runs the job in a task of its own, which frees the slot at its end.
pub(crate) fn spawn(worker: &Arc<Worker>, lease: Lease, slot: OwnedSemaphorePermit) {
    let span = tracing::info_span!("job", id = %lease.public_id, kind = lease.kind, attempt = lease.attempt);
    let owned = worker.clone();
    let attempt = async move {
        run(&owned, &lease).await;
        drop(slot);
    };
    worker.running.spawn(attempt.instrument(span));
}

async fn run(worker: &Worker, lease: &Lease) {
    let started = Instant::now();
    // The first two are looked at before each step of the handler, so that a process that was
    // paused beyond its lease does not go on with it.
    let outcome = tokio::select! {
        biased;
        () = worker.held.ending(lease) => Outcome::Lost,
        () = worker.abandon.cancelled() => Outcome::Abandoned,
        outcome = handle(worker, lease) => outcome,
    };
    // An abandoned job stays in hand until it is handed back.
    if outcome != Outcome::Abandoned {
        worker.held.remove(lease);
    }
    if outcome == Outcome::Lost {
        tracing::warn!("the lease ended before the job did");
    }
    measures::ended(&lease.kind, outcome, started.elapsed());
}

async fn handle(worker: &Worker, lease: &Lease) -> Outcome {
    let handler = AssertUnwindSafe(jobs::handle(worker, lease)).catch_unwind();
    let error = match handler.await {
        Ok(Ok(_completed)) => return Outcome::Succeeded,
        Ok(Err(error)) if error.is::<LeaseLost>() => return Outcome::Lost,
        Ok(Err(error)) => format!("{error:#}"),
        Err(_panic) => "the handler panicked".to_owned(),
    };
    match fail(worker, lease, &error).await {
        Some(Setback::Dead) => {
            tracing::error!(error, "the job is dead");
            Outcome::Dead
        }
        Some(Setback::Failed) => {
            tracing::warn!(error, "the job failed and will be tried again");
            Outcome::Failed
        }
        Some(Setback::Lost) | None => Outcome::Lost,
    }
}

/// Writes the failure down, however long that takes; the lease's end bounds it.
async fn fail(worker: &Worker, lease: &Lease, error: &str) -> Option<Setback> {
    loop {
        match within(
            STATEMENT_LIMIT,
            leases::fail(&worker.options.control, lease, error),
        )
        .await
        {
            Ok(setback) => return setback,
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
    }
}
