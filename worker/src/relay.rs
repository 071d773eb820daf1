//! What one worker does for all: issues tickets for due jobs, and takes back the jobs of workers
//! that died. Every worker is ready to lead, and no harm is done when several do.

use std::{sync::Arc, time::Duration};

use taskhub::{
    jobs::{
        leadership, leases,
        waiting::{self, Counts},
    },
    queue::{
        Listener,
        tickets::{Issuer, WINDOW},
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::{STATEMENT_LIMIT, Worker, measures, within};

/// The next leader waits this long for one that vanished.
const LEADERSHIP: Duration = Duration::from_secs(5);
const TERM: Duration = Duration::from_millis(1500);

/// Between two looks at the table when nobody rings: what fell due by the clock waits this long.
const POLL: Duration = Duration::from_millis(500);

/// While the window is full, and while more jobs are due than it takes.
const FULL_PAUSE: Duration = Duration::from_millis(100);
const MORE_PAUSE: Duration = Duration::from_millis(5);

const COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// Leads whenever nobody else does, until the worker stops.
pub(crate) async fn lead(worker: Arc<Worker>) {
    let options = &worker.options;
    let name = format!("jobs:{}", options.queue);
    let mut office: Option<Office> = None;
    while !worker.stop.is_cancelled() {
        let campaign =
            leadership::campaign(&options.control, &name, &options.worker_id, LEADERSHIP);
        let leads = match within(STATEMENT_LIMIT, campaign).await {
            Ok(leads) => {
                worker.postgres.up();
                leads
            }
            Err(error) => {
                worker.postgres.down(format_args!("{error:#}"));
                false
            }
        };
        if leads {
            match &mut office {
                Some(office) => office.term().await,
                None => {
                    office
                        .insert(Office::take(worker.clone()).await)
                        .term()
                        .await
                }
            }
        } else {
            if office.take().is_some() {
                measures::counted(&Counts::default());
            }
            let _ = worker.stop.run_until_cancelled(sleep(TERM)).await;
        }
    }
    if office.is_some() {
        let resignation = leadership::resign(&options.control, &name, &options.worker_id);
        if within(STATEMENT_LIMIT, resignation).await.is_err() {
            tracing::debug!("the leadership was not given up and runs out");
        }
    }
}

/// A leader at work.
struct Office {
    worker: Arc<Worker>,
    issuer: Issuer,
    bell: Listener,
    counted: Option<Instant>,
}

impl Office {
    async fn take(worker: Arc<Worker>) -> Self {
        tracing::info!(worker = worker.options.worker_id, "leads");
        let options = &worker.options;
        Self {
            issuer: Issuer::open(options.redis.clone(), options.keys.clone()).await,
            bell: Listener::new(options.redis.clone(), &options.keys),
            counted: None,
            worker,
        }
    }

    /// Works for the time until the leadership has to be renewed.
    async fn term(&mut self) {
        let end = Instant::now() + TERM;
        self.rescue().await;
        self.count().await;
        while Instant::now() < end && !self.worker.stop.is_cancelled() {
            let pause = self.issue().await;
            let bell = async {
                // While more waits than the window takes, a ring says nothing new.
                if pause < POLL {
                    sleep(pause).await;
                } else {
                    let _ = timeout(pause, self.bell.heard()).await;
                }
            };
            let _ = self.worker.stop.run_until_cancelled(bell).await;
        }
    }

    /// Issues tickets for what is due and gives the pause until the next time.
    async fn issue(&mut self) -> Duration {
        let options = &self.worker.options;
        let due = waiting::due(&options.control, &options.queue, WINDOW);
        let ids = match within(STATEMENT_LIMIT, due).await {
            Ok(ids) => ids,
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "the due jobs are unknown");
                return POLL;
            }
        };
        if ids.is_empty() {
            return POLL;
        }
        let issued = self.issuer.issue(&ids).await;
        match issued {
            Some(0) if ids.len() >= WINDOW => FULL_PAUSE,
            Some(_) if ids.len() >= WINDOW => MORE_PAUSE,
            _ => POLL,
        }
    }

    async fn rescue(&self) {
        match within(
            STATEMENT_LIMIT,
            leases::rescue(&self.worker.options.control),
        )
        .await
        {
            Ok(rescued) => {
                for (kind, setback) in rescued {
                    tracing::warn!(kind, ?setback, "took a job back whose lease had run out");
                    measures::rescued(&kind, setback);
                }
            }
            Err(error) => tracing::debug!(error = format!("{error:#}"), "nothing was rescued"),
        }
    }

    async fn count(&mut self) {
        if self
            .counted
            .is_some_and(|last| last.elapsed() < COUNT_INTERVAL)
        {
            return;
        }
        if let Ok(counts) = within(
            STATEMENT_LIMIT,
            waiting::count(&self.worker.options.control),
        )
        .await
        {
            measures::counted(&counts);
            self.counted = Some(Instant::now());
        }
    }
}
