//! One slot that only urgent jobs use, so that a password reset never waits for slots which long work has
//! taken.

use std::{sync::Arc, time::Duration};

use taskhub::jobs::{
    leases::{self, Claim, Past},
    waiting,
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

use crate::{
    STATEMENT_LIMIT, Worker, attempt,
    measures::{self, Source},
    within,
};

/// Between two looks, at the slots of this worker and, where all are taken, at the table.
const PAUSE: Duration = Duration::from_millis(250);

/// Serves `queue` with it until the worker stops. As long as another slot is free, nobody asks PostgreSQL.
pub(crate) async fn consume(worker: Arc<Worker>, queue: String) {
    let stop = worker.stop.clone();
    while stop.run_until_cancelled(sleep(PAUSE)).await.is_some() {
        if worker.slots.available_permits() > 0 {
            continue;
        }
        let slot = worker.urgent_slot.clone().acquire_owned();
        let Some(Ok(slot)) = stop.run_until_cancelled(slot).await else {
            return;
        };
        if let Err(error) = take_one(&worker, &queue, slot).await {
            worker.postgres.down(format_args!("{error:#}"));
        }
    }
}

async fn take_one(
    worker: &Arc<Worker>,
    queue: &str,
    slot: OwnedSemaphorePermit,
) -> anyhow::Result<()> {
    let options = &worker.options;
    let ids = within(STATEMENT_LIMIT, waiting::urgent(&options.control, queue)).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let asked = Instant::now();
    let claim = Claim {
        worker: &options.worker_id,
        past: Past::Clean,
        limit: 1,
        lease: options.lease,
    };
    let claim = leases::claim(&options.control, &ids, None, claim);
    let claimed = within(STATEMENT_LIMIT, claim).await?;
    measures::claimed(Source::Postgres, &claimed);
    if let Some(lease) = claimed.into_iter().next() {
        worker.held.add(&lease, asked);
        attempt::spawn(worker, lease, slot);
    }
    Ok(())
}
