//! The queue's door: takes jobs as they fall due, runs each under a lease, and never trusts Redis
//! with more than the news that there is something to do.

mod attempt;
mod availability;
mod batch;
mod consumer;
mod endpoint;
mod held;
mod jobs;
mod leadership;
pub mod mailer;
mod measures;
mod pace;
mod progress;
mod relay;
mod suspects;
mod upkeep;
mod urgent;

use std::{sync::Arc, time::Duration};

use sqlx::PgPool;
use taskhub::jobs::{
    leases,
    limits::{self, Limit},
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

pub use endpoint::serve as serve_metrics;
pub use progress::Progress;

use crate::{
    availability::{Availability, Contact},
    held::Held,
    mailer::Mailer,
    suspects::Suspects,
};

/// The longest that one statement about leases may take before it counts as failed.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);

/// How long a stop may take beyond the grace time: for handing back what is left. What is not handed
/// back by then, because PostgreSQL is away, belongs to nobody once its lease runs out.
const FAREWELL: Duration = Duration::from_secs(4);

/// Everything a worker needs, from outside.
#[derive(Debug)]
pub struct Options {
    /// Names this process in the database: who holds a lease, who leads.
    pub worker_id: String,
    /// For the handlers.
    pub db: PgPool,
    /// For claims, heartbeats and the leader, so that busy handlers cannot cost them their leases.
    pub control: PgPool,
    pub redis: redis::Client,
    /// The queues that this worker serves.
    pub queues: Vec<String>,
    pub mailer: Mailer,
    /// Where people find what e-mails are about: their app, or the service's own pages. Ends with a slash.
    pub home_url: Url,
    /// How many jobs run at a time.
    pub concurrency: usize,
    /// How long a claim lasts without a heartbeat; by the database's clock.
    pub lease: Duration,
    /// How many jobs of some kinds may begin within a period, over all workers.
    pub rates: Vec<Limit>,
    /// How long running jobs may go on after the stop.
    pub grace: Duration,
    /// How long jobs are kept that were done or cancelled.
    pub keep_jobs: Duration,
    /// How long deleted tasks are kept.
    pub keep_trash: Duration,
    /// What came of the attempts so far, for whoever asks.
    pub progress: Arc<Progress>,
}

/// What the parts of a running worker share.
struct Worker {
    options: Options,
    /// One permit for each job that may run.
    slots: Arc<Semaphore>,
    /// One more, for an urgent job where all others are taken.
    urgent_slot: Arc<Semaphore>,
    held: Held,
    suspects: Suspects,
    running: TaskTracker,
    postgres: Availability,
    contact: Contact,
    /// Whether Redis refuses this worker, as a leader, to issue tickets.
    tickets_refused: watch::Sender<bool>,
    /// No new work.
    stop: CancellationToken,
    /// The grace time is over: running jobs are dropped where they stand.
    abandon: CancellationToken,
}

/// Works until `stop`, then lets running jobs finish within the grace time and hands back the rest.
/// No absence of PostgreSQL or Redis ends it.
pub async fn run(options: Options, stop: CancellationToken) {
    let worker = Arc::new(Worker {
        slots: Arc::new(Semaphore::new(options.concurrency)),
        urgent_slot: Arc::new(Semaphore::new(1)),
        held: Held::default(),
        suspects: Suspects::default(),
        running: TaskTracker::new(),
        postgres: Availability::new("PostgreSQL"),
        contact: Contact::default(),
        tickets_refused: watch::Sender::new(false),
        abandon: CancellationToken::new(),
        stop,
        options,
    });
    // Before the first claim. Where it fails, the leader does it.
    let rates = limits::synchronise(&worker.options.control, &worker.options.rates);
    if let Err(error) = within(STATEMENT_LIMIT, rates).await {
        worker.postgres.down(format_args!("{error:#}"));
    }
    let heartbeat = tokio::spawn(held::beat(worker.clone()));
    let mut leaders = JoinSet::new();
    leaders.spawn(upkeep::lead(worker.clone()));
    for queue in &worker.options.queues {
        leaders.spawn(relay::lead(worker.clone(), queue.clone()));
        let consumer = consumer::consume(worker.clone(), queue.clone());
        worker.running.spawn(consumer);
        let urgent = urgent::consume(worker.clone(), queue.clone());
        worker.running.spawn(urgent);
    }
    worker.running.spawn(suspects::run(worker.clone()));
    tracing::info!(
        worker = worker.options.worker_id,
        queues = worker.options.queues.join(","),
        "ready for jobs"
    );

    worker.stop.cancelled().await;
    tracing::info!(running = worker.held.len(), "stopping");
    worker.running.close();
    let grace = worker.options.grace;
    let end = Instant::now() + grace + FAREWELL;
    if timeout(grace, worker.running.wait()).await.is_err() {
        worker.abandon.cancel();
    }
    let farewell = async {
        worker.running.wait().await;
        heartbeat.abort();
        worker.hand_back().await;
        while let Some(leader) = leaders.join_next().await {
            if leader.is_err() {
                tracing::error!("a leader panicked");
            }
        }
    };
    if timeout_at(end, farewell).await.is_err() {
        tracing::warn!("stopped without an answer from PostgreSQL");
    }
}

impl Worker {
    /// Where this fails, the leases run out instead.
    async fn hand_back(&self) {
        let left = self.held.list();
        if left.is_empty() {
            return;
        }
        match within(
            STATEMENT_LIMIT,
            leases::hand_back(&self.options.control, &left),
        )
        .await
        {
            Ok(count) => tracing::info!(count, "handed jobs back"),
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "jobs could not be handed back"
            ),
        }
    }
}

/// Bounds what a database that is cut off, rather than down, can hold up.
async fn within<T, E>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    match timeout(limit, work).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => anyhow::bail!("no answer within {} s", limit.as_secs_f32()),
    }
}
