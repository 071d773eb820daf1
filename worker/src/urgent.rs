//! One slot that only urgent jobs use, so that a password reset never waits for slots which long work has
//! taken.

use std::{sync::Arc, time::Duration};

use taskhub::jobs::{
    Rules,
    leases::{self, Claim, Lease, Past},
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
    let mut claimed = claim(worker, &ids, None).await?;
    if claimed.is_none() {
        // Each limited kind is asked for by itself.
        let left = within(STATEMENT_LIMIT, leases::left(&options.control, &ids)).await?;
        let limited = left.iter().find(|left| left.is_limited);
        if let Some(kind) = limited.and_then(|left| left.rules) {
            claimed = claim(worker, &ids, Some(kind)).await?;
        }
    }
    if let Some((lease, asked)) = claimed {
        worker.held.add(&lease, asked);
        attempt::spawn(worker, lease, slot);
    }
    Ok(())
}

/// At most one, and when it was asked for.
async fn claim(
    worker: &Worker,
    ids: &[i64],
    kind: Option<&'static Rules>,
) -> anyhow::Result<Option<(Lease, Instant)>> {
    let options = &worker.options;
    let asked = Instant::now();
    let claim = Claim {
        worker: &options.worker_id,
        past: Past::Clean,
        limit: 1,
        lease: options.lease,
    };
    let claim = leases::claim(&options.control, ids, kind, claim);
    let claimed = within(STATEMENT_LIMIT, claim).await?;
    measures::claimed(Source::Postgres, &claimed);
    Ok(claimed.into_iter().next().map(|lease| (lease, asked)))
}
