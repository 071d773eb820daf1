//! What one worker does for all, whatever the queue: takes back the jobs of workers that died,
//! enqueues what the clock asks for, and counts.

use std::{sync::Arc, time::Duration};

use taskhub::jobs::{
    counts::{self, Totals},
    leases, limits,
    periodic::{self, PERIODIC},
};
use tokio::time::Instant;

use crate::{
    STATEMENT_LIMIT, Worker, held,
    leadership::{Leadership, TERM},
    measures::Gauges,
    pace::Pace,
    within,
};

/// A job that would be dead of the loss of its worker is left for so long, in case the worker was only cut
/// off and says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// A PostgreSQL that is slow all the time puts the rescue of jobs off for so long.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

const COUNT_INTERVAL: Duration = Duration::from_secs(10);
const LIMIT_INTERVAL: Duration = Duration::from_secs(60);
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Keeps things up whenever nobody else does, until the worker stops.
pub(crate) async fn lead(worker: Arc<Worker>) {
    let mut leadership = Leadership::new(worker.clone(), "jobs".to_owned());
    let mut upkeep = Upkeep::new(worker.clone());
    while !worker.stop.is_cancelled() {
        if leadership.won().await {
            upkeep.turn().await;
        } else {
            // Only the leader counts, so that the sum over all workers is right.
            upkeep = Upkeep::new(worker.clone());
        }
        leadership.pause().await;
    }
    leadership.resign().await;
}

/// A leader at work.
struct Upkeep {
    worker: Arc<Worker>,
    synchronised: bool,
    /// When the rate limits were last made those of this worker's settings.
    limited: Option<Instant>,
    rescued: Instant,
    rescues: Pace,
    counts: Pace,
    logged: Option<Instant>,
    gauges: Gauges,
}

impl Upkeep {
    fn new(worker: Arc<Worker>) -> Self {
        Self {
            worker,
            synchronised: false,
            limited: None,
            rescued: Instant::now(),
            rescues: Pace::new(Duration::ZERO, Duration::from_secs(10), 50),
            counts: Pace::new(COUNT_INTERVAL, LOG_INTERVAL, 200),
            logged: None,
            gauges: Gauges::default(),
        }
    }

    async fn turn(&mut self) {
        self.rescue().await;
        if let Err(error) = self.ask_the_clock().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "periodic jobs were not enqueued"
            );
        }
        self.limit().await;
        self.count().await;
    }

    /// Again and again, because a worker of a former release may have started last.
    async fn limit(&mut self) {
        if self
            .limited
            .is_some_and(|last| last.elapsed() < LIMIT_INTERVAL)
        {
            return;
        }
        let options = &self.worker.options;
        let limits = limits::synchronise(&options.control, &options.rates);
        match within(STATEMENT_LIMIT, limits).await {
            Ok(()) => self.limited = Some(Instant::now()),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the rate limits of jobs were not set"
                );
            }
        }
    }

    /// Not right after PostgreSQL was silent, which all workers may have outlived: each of them first
    /// has the time of a heartbeat to say so.
    async fn rescue(&mut self) {
        let heartbeat = held::rhythm(&self.worker) + TERM;
        if !self.rescues.is_due() {
            return;
        }
        if !self.worker.contact.has_lasted(heartbeat) && self.rescued.elapsed() < LONGEST_WAIT {
            return;
        }
        self.rescued = Instant::now();
        let rescue = leases::rescue_after(&self.worker.options.control, PATIENCE);
        let rescued = within(STATEMENT_LIMIT, rescue).await;
        self.rescues.done(self.rescued);
        match rescued {
            Ok(rescued) => {
                for (kind, setback) in rescued {
                    tracing::warn!(kind, ?setback, "took a job back whose lease had run out");
                    crate::measures::rescued(&kind, setback);
                }
            }
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "no job was taken back from workers that vanished"
            ),
        }
    }

    async fn ask_the_clock(&mut self) -> anyhow::Result<()> {
        let control = &self.worker.options.control;
        if !self.synchronised {
            within(STATEMENT_LIMIT, periodic::synchronise(control, PERIODIC)).await?;
            self.synchronised = true;
        }
        let enqueued = within(STATEMENT_LIMIT, periodic::enqueue_due(control, PERIODIC)).await?;
        if !enqueued.is_empty() {
            tracing::info!(count = enqueued.len(), "enqueued periodic jobs");
        }
        Ok(())
    }

    async fn count(&mut self) {
        if !self.counts.is_due() {
            return;
        }
        let began = Instant::now();
        let counts = within(STATEMENT_LIMIT, counts::count(&self.worker.options.control)).await;
        self.counts.done(began);
        let counts = match counts {
            Ok(counts) => counts,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the jobs were not counted");
                return;
            }
        };
        let totals = Totals::of(&counts);
        self.gauges.show(&counts, &totals);
        if self
            .logged
            .is_none_or(|last| last.elapsed() >= LOG_INTERVAL)
        {
            self.logged = Some(Instant::now());
            for count in counts.iter().filter(|count| !count.served) {
                tracing::warn!(
                    queue = count.queue,
                    kind = count.kind,
                    jobs = count.due + count.scheduled,
                    "no worker serves this queue"
                );
            }
            // Operators' alarms read this line: its words stay as they are.
            tracing::info!(
                due = totals.due,
                scheduled = totals.scheduled,
                running = totals.running,
                dead = totals.dead,
                unserved = totals.unserved,
                oldest_seconds = totals.oldest.as_secs_f64(),
                paused = totals.paused,
                paused_oldest_seconds = totals.paused_oldest.as_secs_f64(),
                "jobs counted"
            );
        }
    }
}
