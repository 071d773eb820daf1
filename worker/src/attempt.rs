//! One attempt at one job, from claim to end.

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use taskhub::{
    database,
    jobs::{
        deferrals,
        leases::{self, Completed, Lease, LeaseLost, Setback},
    },
    trace::TraceContext,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::Instrument;

use crate::{STATEMENT_LIMIT, Worker, held::Ending, jobs, mailer::TryLater, measures, within};

/// Between two attempts to write an end down.
const PAUSE: Duration = Duration::from_millis(500);

/// How an attempt ended, as this worker sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Succeeded,
    Failed,
    /// Put off by somebody else; the attempt does not count.
    Deferred,
    Dead,
    Cancelled,
    /// The lease ended first. What becomes of the job is for others to decide.
    Lost,
    /// The worker stops and hands the job back.
    Abandoned,
}

/// What is stored where PostgreSQL refuses the error itself.
const REFUSED: &str = "the attempt failed, and PostgreSQL refused to store why; the log has it";

/// Runs the job in a task of its own, which frees the slot at its end.
pub(crate) fn spawn(
    worker: &Arc<Worker>,
    lease: Lease,
    slot: OwnedSemaphorePermit,
) -> JoinHandle<()> {
    // The trace of what caused it goes on here, and in the jobs that it causes itself.
    let trace = lease
        .trace_context
        .as_deref()
        .and_then(|trace| trace.parse().ok())
        .map_or_else(TraceContext::random, TraceContext::child);
    let span = tracing::info_span!(
        "job",
        id = %lease.public_id,
        kind = lease.rules.kind,
        attempt = lease.attempt,
        trace_id = format!("{:032x}", trace.trace_id),
    );
    let owned = worker.clone();
    let attempt = async move {
        trace.scope(run(&owned, &lease)).await;
        drop(slot);
    };
    worker.running.spawn(attempt.instrument(span))
}

async fn run(worker: &Worker, lease: &Lease) {
    let started = Instant::now();
    // The first two are looked at before each step of the handler, so that a process that was
    // paused beyond its lease does not go on with it.
    let outcome = tokio::select! {
        biased;
        ending = worker.held.ending(lease) => end_early(worker, lease, ending).await,
        () = worker.abandon.cancelled() => Outcome::Abandoned,
        outcome = handle(worker, lease) => outcome,
    };
    // An abandoned job stays in hand until it is handed back.
    if outcome != Outcome::Abandoned {
        worker.held.remove(lease);
    }
    match outcome {
        Outcome::Succeeded => worker.options.progress.made(),
        Outcome::Failed | Outcome::Deferred | Outcome::Dead | Outcome::Lost => {
            worker.options.progress.failed();
        }
        Outcome::Cancelled | Outcome::Abandoned => {}
    }
    measures::ended(lease.rules.kind, outcome, started.elapsed());
}

async fn end_early(worker: &Worker, lease: &Lease, ending: Ending) -> Outcome {
    let cancelled = async {
        let control = &worker.options.control;
        within(STATEMENT_LIMIT, leases::cancelled(control, lease)).await
    };
    if ending == Ending::Cancelled && matches!(cancelled.await, Ok(true)) {
        tracing::info!("the job was cancelled");
        return Outcome::Cancelled;
    }
    tracing::warn!("the lease ended before the job did");
    worker.held.lose(lease);
    Outcome::Lost
}

async fn handle(worker: &Worker, lease: &Lease) -> Outcome {
    let error = match sheltered(jobs::handle(worker, lease), lease.rules.timeout).await {
        Ok(_completed) => return Outcome::Succeeded,
        Err(error) if error.is::<LeaseLost>() => {
            tracing::warn!("the lease was lost before the job was done");
            return Outcome::Lost;
        }
        Err(error) => {
            let text = format!("{error:#}");
            if error.is::<TryLater>() && defer(worker, lease, &text).await {
                tracing::info!(error = text, "the job was put off");
                return Outcome::Deferred;
            }
            text
        }
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
        Some(Setback::Cancelled) => Outcome::Cancelled,
        Some(Setback::Lost) | None => Outcome::Lost,
    }
}

/// Turns what takes too long, and what panics, into errors.
pub(crate) async fn sheltered(
    work: impl Future<Output = anyhow::Result<Completed>>,
    limit: Duration,
) -> anyhow::Result<Completed> {
    match timeout(limit, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => anyhow::bail!("the handler panicked: {}", said(&*panic)),
        Err(_) => anyhow::bail!("the attempt took longer than {} s", limit.as_secs_f32()),
    }
}

/// What a panic says; as a rule that is a text.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

/// Where this fails, the attempt has.
async fn defer(worker: &Worker, lease: &Lease, reason: &str) -> bool {
    let deferral = deferrals::defer(&worker.options.control, lease, reason);
    matches!(within(STATEMENT_LIMIT, deferral).await, Ok(true))
}

/// Writes the failure down, however long an outage lasts; the lease's end bounds it. An error that
/// PostgreSQL refuses is replaced, and where it refuses that as well, the job is left to be taken back.
async fn fail(worker: &Worker, lease: &Lease, error: &str) -> Option<Setback> {
    let mut text = error;
    loop {
        let failure = leases::fail(&worker.options.control, lease, text);
        match within(STATEMENT_LIMIT, failure).await {
            Ok(setback) => return setback,
            Err(refusal) => {
                unwritten(worker, &refusal);
                if !is_for_good(&refusal) {
                    sleep(PAUSE).await;
                } else if text == REFUSED {
                    tracing::error!(error, "the attempt's end is refused; the job is let go");
                    return None;
                } else {
                    tracing::error!(error, "the attempt's error is refused");
                    text = REFUSED;
                }
            }
        }
    }
}

/// Whether trying again would meet the same refusal.
pub(crate) fn is_for_good(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<taskhub::Error>()
        .is_some_and(database::refuses_for_good)
}

/// An end could not be stored: by an outage, or because PostgreSQL refuses it.
pub(crate) fn unwritten(worker: &Worker, error: &anyhow::Error) {
    worker.options.progress.failed();
    measures::unwritten(is_for_good(error));
    tracing::warn!(
        error = format!("{error:#}"),
        "the attempt's end is not stored yet"
    );
}

#[cfg(test)]
mod tests {
    use std::future;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_a_failure() {
        let error = sheltered(future::pending(), LIMIT)
            .await
            .expect_err("an end");
        assert_eq!(error.to_string(), "the attempt took longer than 60 s");
    }

    #[tokio::test]
    async fn what_panics_is_a_failure() {
        let work = async { panic!("a mistake") };
        let error = sheltered(work, LIMIT).await.expect_err("an end");
        assert_eq!(error.to_string(), "the handler panicked: a mistake");
        let work = async { panic!("mistake {}", 2) };
        let error = sheltered(work, LIMIT).await.expect_err("an end");
        assert_eq!(error.to_string(), "the handler panicked: mistake 2");
    }
}
