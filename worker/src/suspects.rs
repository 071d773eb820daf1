//! Jobs that have lost a worker: one at a time, so that what kills a worker is found out and takes no
//! other suspect with it.
//!
//! A suspect runs in one slot, beside whatever else runs. One that has lost two workers has its last chance,
//! after which it is dead, so it should be alone then: it waits a while for a moment in which all slots are
//! free, and holds none meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use taskhub::jobs::{
    Rules,
    leases::{self, Claim, Left, Past},
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    time::{Instant, sleep},
};

use crate::{
    STATEMENT_LIMIT, Worker, attempt,
    measures::{self, Source},
    within,
};

/// So many are remembered; others come back by their tickets.
const MOST: usize = 512;

/// The longest a last chance waits for all slots to be free.
const SOLITUDE: Duration = Duration::from_secs(20);

/// Between two looks whether they are.
const PAUSE: Duration = Duration::from_millis(50);

/// The suspects that this worker came upon, by their ids, with the last chances behind the others.
#[derive(Default)]
pub(crate) struct Suspects {
    waiting: Mutex<BTreeMap<(bool, i64), &'static Rules>>,
    news: Notify,
}

impl Suspects {
    /// Takes note of those among `left`.
    pub(crate) fn note(&self, left: &[Left]) {
        let mut waiting = self.waiting();
        for one in left {
            if let (Past::Suspect, Some(rules)) = (one.past, one.rules)
                && waiting.len() < MOST
            {
                waiting.insert((one.last_chance, one.id), rules);
                self.news.notify_one();
            }
        }
    }

    fn next(&self) -> Option<((bool, i64), &'static Rules)> {
        self.waiting().pop_first()
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(bool, i64), &'static Rules>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs one suspect after the other until the worker stops.
pub(crate) async fn run(worker: Arc<Worker>) {
    let stop = worker.stop.clone();
    while let Some(()) = stop
        .run_until_cancelled(worker.suspects.news.notified())
        .await
    {
        while let Some(((last_chance, id), rules)) = worker.suspects.next() {
            let Some(slots) = stop.run_until_cancelled(slots(&worker, last_chance)).await else {
                return;
            };
            if let Err(error) = try_one(&worker, id, rules, slots).await {
                worker.postgres.down(format_args!("{error:#}"));
            }
        }
    }
}

/// One slot, or for a last chance all of them, if they are free at any moment within a while.
async fn slots(worker: &Worker, last_chance: bool) -> OwnedSemaphorePermit {
    let slots = &worker.slots;
    let all = u32::try_from(worker.options.concurrency).unwrap_or(u32::MAX);
    let end = Instant::now() + SOLITUDE;
    while last_chance && Instant::now() < end {
        if let Ok(all) = slots.clone().try_acquire_many_owned(all) {
            return all;
        }
        sleep(PAUSE).await;
    }
    let one = slots.clone().acquire_owned().await;
    one.expect("nobody closes the semaphore")
}

/// Claims the job, where nobody else has by now, and waits until its attempt has ended.
async fn try_one(
    worker: &Arc<Worker>,
    id: i64,
    rules: &'static Rules,
    slots: OwnedSemaphorePermit,
) -> anyhow::Result<()> {
    let options = &worker.options;
    let asked = Instant::now();
    let claim = Claim {
        worker: &options.worker_id,
        past: Past::Suspect,
        limit: 1,
        lease: options.lease,
    };
    let ids = [id];
    let claim = leases::claim(&options.control, &ids, Some(rules), claim);
    let claimed = within(STATEMENT_LIMIT, claim).await?;
    measures::claimed(Source::Postgres, &claimed);
    if let Some(lease) = claimed.into_iter().next() {
        worker.held.add(&lease, asked);
        // Where it panics outside of its handler, there is nothing to wait for either.
        let _ = attempt::spawn(worker, lease, slots).await;
    }
    Ok(())
}
