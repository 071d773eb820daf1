//! Takes work as slots become free: by tickets, or from PostgreSQL where there are none.

use std::{sync::Arc, time::Duration};

use taskhub::{
    jobs::{
        Rules,
        leases::{self, Claim, Lease, Left, Past},
        waiting,
    },
    queue::{
        Keys,
        tickets::{Taker, WINDOW},
    },
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep},
};

use crate::{
    STATEMENT_LIMIT, Worker, attempt, availability::Availability, batch, measures,
    measures::Source, within,
};

/// Between two looks at the table while Redis is away, and while PostgreSQL is.
const PAUSE: Duration = Duration::from_millis(250);

/// The shortest wait for a job that its kind's rate limit holds back.
pub(crate) const RATE_PAUSE: Duration = Duration::from_millis(10);

/// After so long without a ticket, a look at the table: the leader may be unable to issue any.
const SILENCE: Duration = Duration::from_secs(5);

/// Works on `queue` until the worker stops.
pub(crate) async fn consume(worker: Arc<Worker>, queue: String) {
    Consumer::open(worker, queue).await.work().await;
}

struct Consumer {
    worker: Arc<Worker>,
    queue: String,
    taker: Taker,
    redis: Availability,
    last_ticket: Instant,
    /// Whether this worker leads and Redis lets it issue no tickets.
    tickets_refused: watch::Receiver<bool>,
    /// How long there is nothing to look for: less than the usual pause where a rate limit lets the next
    /// job begin before that.
    pause: Duration,
}

/// What came of a claim.
#[derive(Debug, Default)]
struct Claimed {
    /// How many jobs were started.
    count: usize,
    /// Those that may not be asked for again at once.
    stuck: Vec<i64>,
}

impl Consumer {
    async fn open(worker: Arc<Worker>, queue: String) -> Self {
        let keys = Keys::new("", &queue);
        let taker = Taker::open(worker.options.redis.clone(), keys).await;
        Self {
            tickets_refused: worker.tickets_refused.subscribe(),
            worker,
            queue,
            taker,
            redis: Availability::new("Redis"),
            last_ticket: Instant::now(),
            pause: PAUSE,
        }
    }

    async fn work(mut self) {
        // A claim under way is not cut short: what it claims nobody would know of.
        let stop = self.worker.stop.clone();
        while let Some(free) = stop.run_until_cancelled(self.free_slots()).await {
            if let Err(error) = self.take_up(free).await {
                self.worker.postgres.down(format_args!("{error:#}"));
                self.worker.options.progress.failed();
                stop.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
    }

    /// How many are free, once there is one. None is held while tickets are waited for, because other
    /// queues may have work for them.
    async fn free_slots(&self) -> usize {
        let slots = &self.worker.slots;
        let one = slots.acquire().await.expect("nobody closes the semaphore");
        one.num_permits() + slots.available_permits()
    }

    /// Up to so many, or one where there is only one.
    async fn slots(&self, count: usize) -> OwnedSemaphorePermit {
        let slots = &self.worker.slots;
        let mut held = slots
            .clone()
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        let more = slots.available_permits().min(count.saturating_sub(1));
        if let Ok(more) = slots.clone().try_acquire_many_owned(number(more)) {
            held.merge(more);
        }
        held
    }

    async fn take_up(&mut self, free: usize) -> anyhow::Result<()> {
        if self.last_ticket.elapsed() > SILENCE {
            // Again and again while there is something.
            if !self.look_up().await? {
                self.last_ticket = Instant::now();
            }
            return Ok(());
        }
        let stop = self.worker.stop.clone();
        let taken = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            _ = self.tickets_refused.wait_for(|refused| *refused) => None,
            taken = self.taker.take(free) => {
                match taken {
                    Some(_) => self.redis.up(),
                    None => self.redis.down("no tickets; jobs are claimed from PostgreSQL"),
                }
                taken
            }
        };
        let Some(tickets) = taken else {
            if !self.look_up().await? {
                stop.run_until_cancelled(sleep(self.pause)).await;
            }
            return Ok(());
        };
        if !tickets.is_empty() {
            self.last_ticket = Instant::now();
            let ids: Vec<i64> = tickets.iter().map(|ticket| ticket.job_id).collect();
            let claimed = self.claim(&ids, Source::Redis).await?;
            self.taker.settle(&tickets, &claimed.stuck).await;
        }
        Ok(())
    }

    /// Looks for due jobs in the table and tells whether it found one to run.
    async fn look_up(&mut self) -> anyhow::Result<bool> {
        let control = &self.worker.options.control;
        // Whoever leads may be cut off from the table, or there may be nobody.
        within(STATEMENT_LIMIT, waiting::promote(control, &self.queue)).await?;
        let due = within(STATEMENT_LIMIT, waiting::due(control, &self.queue, WINDOW)).await?;
        self.pause = due
            .again
            .map_or(PAUSE, |again| again.clamp(RATE_PAUSE, PAUSE));
        if due.ids.is_empty() {
            return Ok(false);
        }
        let claimed = self.claim(&due.ids, Source::Postgres).await?;
        Ok(claimed.count > 0)
    }

    /// Claims what it can of `ids` and starts it.
    async fn claim(&self, ids: &[i64], source: Source) -> anyhow::Result<Claimed> {
        let mut slots = self.slots(ids.len()).await;
        let mut claimed = Claimed::default();
        if self.worker.stop.is_cancelled() {
            return Ok(claimed);
        }
        claimed.count = self.start(ids, None, &mut slots, source).await?;
        if claimed.count == ids.len() {
            return Ok(claimed);
        }
        let left = leases::left(&self.worker.options.control, ids);
        let left = within(STATEMENT_LIMIT, left).await?;
        claimed.stuck = stuck(&left);
        self.worker.suspects.note(&left);
        // Each limited kind is asked for by itself.
        let mut limited: Vec<&'static Rules> = left
            .iter()
            .filter(|left| left.is_limited)
            .filter_map(|left| left.rules)
            .collect();
        limited.dedup_by_key(|rules| rules.kind);
        for kind in limited {
            if slots.num_permits() > 0 {
                claimed.count += self.start(ids, Some(kind), &mut slots, source).await?;
            }
        }
        Ok(claimed)
    }

    /// Claims no more than there are slots.
    async fn start(
        &self,
        ids: &[i64],
        kind: Option<&'static Rules>,
        slots: &mut OwnedSemaphorePermit,
        source: Source,
    ) -> anyhow::Result<usize> {
        let options = &self.worker.options;
        let asked = Instant::now();
        let claim = Claim {
            worker: &options.worker_id,
            past: Past::Clean,
            limit: slots.num_permits(),
            lease: options.lease,
        };
        let claim = leases::claim(&options.control, ids, kind, claim);
        let claimed = within(STATEMENT_LIMIT, claim).await?;
        measures::claimed(source, &claimed);
        for lease in &claimed {
            self.worker.held.add(lease, asked);
        }
        let count = claimed.len();
        self.spawn(claimed, slots);
        Ok(count)
    }

    /// Small jobs run together, others by themselves.
    fn spawn(&self, claimed: Vec<Lease>, slots: &mut OwnedSemaphorePermit) {
        let (mut small, single): (Vec<Lease>, Vec<Lease>) = claimed
            .into_iter()
            .partition(|lease| lease.job().is_ok_and(|job| job.is_batchable()));
        while !small.is_empty() {
            let batch: Vec<Lease> = small.drain(..small.len().min(batch::SIZE)).collect();
            let share = split(slots, batch.len());
            batch::spawn(&self.worker, batch, share);
        }
        for lease in single {
            attempt::spawn(&self.worker, lease, split(slots, 1));
        }
    }
}

/// What only a newer program knows, what is limited and perhaps at its limit, and suspects, which take
/// turns: asked for again at once, they would keep everybody busy with nothing.
fn stuck(left: &[Left]) -> Vec<i64> {
    let is_stuck = |left: &&Left| {
        left.past == Past::Suspect || left.rules.is_none_or(|rules| rules.concurrency.is_some())
    };
    left.iter().filter(is_stuck).map(|left| left.id).collect()
}

fn split(slots: &mut OwnedSemaphorePermit, count: usize) -> OwnedSemaphorePermit {
    slots.split(count).expect("no more jobs than slots")
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
