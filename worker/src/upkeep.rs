//! What one worker does for all, whatever the queue: takes back the jobs of workers that died,
//! enqueues what the clock asks for, and counts.

use std::{sync::Arc, time::Duration};

use taskhub::jobs::{
    counts::{self, Totals},
    leases,
    periodic::{self, PERIODIC},
};
use tokio::time::Instant;

use crate::{STATEMENT_LIMIT, Worker, leadership::Leadership, measures::Gauges, within};

const COUNT_INTERVAL: Duration = Duration::from_secs(10);
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
    counted: Option<Instant>,
    logged: Option<Instant>,
    gauges: Gauges,
}

impl Upkeep {
    fn new(worker: Arc<Worker>) -> Self {
        Self {
            worker,
            synchronised: false,
            counted: None,
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
        self.count().await;
    }

    async fn rescue(&self) {
        let rescue = leases::rescue(&self.worker.options.control);
        match within(STATEMENT_LIMIT, rescue).await {
            Ok(rescued) => {
                for (kind, setback) in rescued {
                    tracing::warn!(kind, ?setback, "took a job back whose lease had run out");
                    crate::measures::rescued(&kind, setback);
                }
            }
            Err(error) => tracing::debug!(error = format!("{error:#}"), "nothing was rescued"),
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
        let due =
            |last: Option<Instant>, interval| last.is_none_or(|last| last.elapsed() >= interval);
        if !due(self.counted, COUNT_INTERVAL) {
            return;
        }
        let count = counts::count(&self.worker.options.control);
        let Ok(counts) = within(STATEMENT_LIMIT, count).await else {
            return;
        };
        self.counted = Some(Instant::now());
        let totals = Totals::of(&counts);
        self.gauges.show(&counts, &totals);
        if due(self.logged, LOG_INTERVAL) {
            self.logged = Some(Instant::now());
            // Operators' alarms read this line: its words stay as they are.
            tracing::info!(
                due = totals.due,
                scheduled = totals.scheduled,
                running = totals.running,
                dead = totals.dead,
                oldest_seconds = totals.oldest.as_secs_f64(),
                "jobs counted"
            );
        }
    }
}
