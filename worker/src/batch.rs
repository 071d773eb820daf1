//! Many small jobs in one transaction: each one's effect and end, and all of them or none.
//!
//! A commit is most of what a small job costs. Where anything goes wrong, be it with one of them, the
//! transaction is undone and each is tried by itself, so that no job suffers from its neighbours.

use std::{sync::Arc, time::Duration};

use futures_util::future::select_all;
use taskhub::jobs::leases::{self, Completed, Hold, Lease};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::{Worker, attempt, jobs, measures};

/// How many jobs share a transaction. More would gain little and lose more to one that fails.
pub(crate) const SIZE: usize = 100;

/// The longest a batch may take: its jobs are meant to take moments.
const LIMIT: Duration = Duration::from_secs(5);

/// Runs the jobs in a task of their own, which frees the slots, one for each, at its end.
pub(crate) fn spawn(worker: &Arc<Worker>, leases: Vec<Lease>, slots: OwnedSemaphorePermit) {
    let owned = worker.clone();
    worker
        .running
        .spawn(async move { run(&owned, leases, slots).await });
}

async fn run(worker: &Arc<Worker>, leases: Vec<Lease>, mut slots: OwnedSemaphorePermit) {
    let started = Instant::now();
    let together = attempt::sheltered(together(worker, &leases), LIMIT);
    let completed = tokio::select! {
        biased;
        () = any_ending(worker, &leases) => None,
        // They stay in hand until they are handed back.
        () = worker.abandon.cancelled() => return,
        completed = together => completed.ok(),
    };
    for lease in leases {
        if completed.is_some() {
            worker.held.remove(&lease);
            worker.options.progress.made();
            measures::ended(
                lease.rules.kind,
                attempt::Outcome::Succeeded,
                started.elapsed(),
            );
        } else if let Some(slot) = slots.split(1) {
            attempt::spawn(worker, lease, slot);
        }
    }
}

async fn together(worker: &Worker, leases: &[Lease]) -> anyhow::Result<Completed> {
    let jobs = leases
        .iter()
        .map(|lease| Ok((lease, lease.job()?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut transaction = worker.options.db.begin().await?;
    jobs::effects(&mut transaction, &jobs).await?;
    let held: Vec<Hold> = leases.iter().map(Lease::hold).collect();
    leases::complete_all(transaction, &held).await
}

async fn any_ending(worker: &Worker, leases: &[Lease]) {
    let endings = leases
        .iter()
        .map(|lease| Box::pin(worker.held.ending(lease)));
    select_all(endings).await;
}
