//! Takes work as slots become free: by tickets, or from PostgreSQL where there are none.

use std::{sync::Arc, time::Duration};

use taskhub::{
    jobs::{
        leases::{self, Past},
        waiting,
    },
    queue::tickets::{Taker, WINDOW},
};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

use crate::{
    STATEMENT_LIMIT, Worker, attempt, availability::Availability, measures, measures::Source,
    within,
};

/// Between two looks at the table while Redis is away, and while PostgreSQL is.
const PAUSE: Duration = Duration::from_millis(250);

/// After so long without a ticket, a look at the table: the leader may be unable to issue any.
const SILENCE: Duration = Duration::from_secs(5);

/// Works until the worker stops.
pub(crate) async fn consume(worker: Arc<Worker>) {
    Consumer::open(worker).await.work().await;
}

struct Consumer {
    worker: Arc<Worker>,
    taker: Taker,
    redis: Availability,
    last_ticket: Instant,
}

impl Consumer {
    async fn open(worker: Arc<Worker>) -> Self {
        let options = &worker.options;
        let taker = Taker::open(options.redis.clone(), options.keys.clone()).await;
        Self {
            worker,
            taker,
            redis: Availability::new("Redis"),
            last_ticket: Instant::now(),
        }
    }

    async fn work(mut self) {
        // A claim under way is not cut short: what it claims nobody would know of.
        let stop = self.worker.stop.clone();
        while let Some(slots) = stop.run_until_cancelled(self.free_slots()).await {
            if let Err(error) = self.take_up(slots).await {
                self.worker.postgres.down(format_args!("{error:#}"));
                sleep(PAUSE).await;
            }
        }
    }

    /// All that are free, once there is one.
    async fn free_slots(&self) -> OwnedSemaphorePermit {
        let slots = &self.worker.slots;
        let mut free = slots
            .clone()
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        let more = u32::try_from(slots.available_permits()).unwrap_or(u32::MAX);
        if let Ok(more) = slots.clone().try_acquire_many_owned(more) {
            free.merge(more);
        }
        free
    }

    async fn take_up(&mut self, slots: OwnedSemaphorePermit) -> anyhow::Result<()> {
        if self.last_ticket.elapsed() > SILENCE {
            // Again and again while there is something.
            if !self.look_up(slots).await? {
                self.last_ticket = Instant::now();
            }
            return Ok(());
        }
        let taking = self.taker.take(slots.num_permits());
        let Some(taken) = self.worker.stop.run_until_cancelled(taking).await else {
            return Ok(());
        };
        let Some(tickets) = taken else {
            self.redis
                .down("no tickets; jobs are claimed from PostgreSQL");
            if !self.look_up(slots).await? {
                sleep(PAUSE).await;
            }
            return Ok(());
        };
        self.redis.up();
        if !tickets.is_empty() {
            self.last_ticket = Instant::now();
            let ids: Vec<i64> = tickets.iter().map(|ticket| ticket.job_id).collect();
            self.claim(&ids, slots, Source::Redis).await?;
            self.taker.settle(&tickets).await;
        }
        Ok(())
    }

    /// Looks for due jobs in the table and tells whether it found one to run.
    async fn look_up(&self, slots: OwnedSemaphorePermit) -> anyhow::Result<bool> {
        let options = &self.worker.options;
        let due = waiting::due(&options.control, &options.queue, WINDOW);
        let ids = within(STATEMENT_LIMIT, due).await?;
        if ids.is_empty() {
            return Ok(false);
        }
        self.claim(&ids, slots, Source::Postgres).await
    }

    /// Claims what it can of `ids`, starts it, and tells whether there was any.
    async fn claim(
        &self,
        ids: &[i64],
        mut slots: OwnedSemaphorePermit,
        source: Source,
    ) -> anyhow::Result<bool> {
        let claimed = self.start(ids, Past::Clean, &mut slots, source).await?;
        drop(slots);
        if claimed == ids.len() {
            return Ok(true);
        }
        let suspects = leases::suspects(&self.worker.options.control, ids);
        let Some(suspect) = within(STATEMENT_LIMIT, suspects).await?.pop() else {
            return Ok(claimed > 0);
        };
        // What may kill its worker runs alone, so that it can take no other job with it.
        let all = u32::try_from(self.worker.options.concurrency).unwrap_or(u32::MAX);
        let idle = self.worker.slots.clone().acquire_many_owned(all);
        let Some(slots) = self.worker.stop.run_until_cancelled(idle).await else {
            return Ok(claimed > 0);
        };
        let mut slots = slots.expect("nobody closes the semaphore");
        let claimed_suspects = self
            .start(&[suspect], Past::Suspect, &mut slots, source)
            .await?;
        Ok(claimed + claimed_suspects > 0)
    }

    /// A clean job gets one slot, a suspect all of them.
    async fn start(
        &self,
        ids: &[i64],
        past: Past,
        slots: &mut OwnedSemaphorePermit,
        source: Source,
    ) -> anyhow::Result<usize> {
        let options = &self.worker.options;
        let (share, limit) = match past {
            Past::Clean => (1, slots.num_permits()),
            Past::Suspect => (slots.num_permits(), 1),
        };
        let asked = Instant::now();
        let claim = leases::claim(
            &options.control,
            ids,
            past,
            limit,
            options.lease,
            &options.worker_id,
        );
        let claimed = within(STATEMENT_LIMIT, claim).await?;
        measures::claimed(source, &claimed);
        let count = claimed.len();
        for lease in claimed {
            self.worker.held.add(&lease, asked);
            let slot = slots.split(share).expect("no more jobs than slots");
            attempt::spawn(&self.worker, lease, slot);
        }
        Ok(count)
    }
}
