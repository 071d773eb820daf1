//! The leases in this worker's hands, and the heartbeat that keeps them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use taskhub::jobs::leases::{self, Extended, Hold, Lease};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Worker, measures, within};

/// A handler stops this long before its lease runs out, or a quarter of a short lease, so that the
/// next one finds nothing moving.
const MARGIN: Duration = Duration::from_secs(1);

/// The longest between two heartbeats, which also tell what was cancelled.
const RHYTHM: Duration = Duration::from_secs(5);

/// By token. The times are this process's own and count from before the statement that granted
/// them, so they end before the database's.
#[derive(Default)]
pub(crate) struct Held {
    leases: Mutex<HashMap<Uuid, Holding>>,
    /// Whether a heartbeat waits for its answer.
    asking: AtomicBool,
    /// Leases that ran out while PostgreSQL was silent.
    lost: Mutex<Vec<Hold>>,
}

#[derive(Clone)]
struct Holding {
    hold: Hold,
    until: Instant,
    /// Whether the last heartbeat had no answer.
    unheard: bool,
    cancelled: CancellationToken,
}

/// Why work under a lease must stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ending {
    /// The lease is about to run out.
    Lease,
    /// Somebody cancelled the job.
    Cancelled,
}

impl Held {
    /// Adds a lease that was asked for at `asked`.
    pub(crate) fn add(&self, lease: &Lease, asked: Instant) {
        let holding = Holding {
            hold: lease.hold(),
            until: asked + lease.length,
            unheard: false,
            cancelled: CancellationToken::new(),
        };
        self.leases().insert(lease.token, holding);
    }

    pub(crate) fn remove(&self, lease: &Lease) {
        self.leases().remove(&lease.token);
    }

    /// To be called where a lease ended before its job. A process that was paused has itself to blame, but
    /// one that asked for its leases and was not answered has not died, and tells so later.
    pub(crate) fn lose(&self, lease: &Lease) {
        let unheard = self
            .leases()
            .get(&lease.token)
            .is_some_and(|holding| holding.unheard);
        if unheard || self.asking.load(Ordering::Relaxed) {
            self.lost().push(lease.hold());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.leases().len()
    }

    pub(crate) fn list(&self) -> Vec<Hold> {
        self.leases().values().map(|holding| holding.hold).collect()
    }

    /// Resolves when work under this lease must stop.
    pub(crate) async fn ending(&self, lease: &Lease) -> Ending {
        loop {
            let holding = self.leases().get(&lease.token).cloned();
            let Some(holding) = holding else {
                return Ending::Lease;
            };
            let end = holding.until - MARGIN.min(lease.length / 4);
            tokio::select! {
                biased;
                () = holding.cancelled.cancelled() => return Ending::Cancelled,
                () = fence(end) => {}
            }
            // It may have been extended meanwhile.
            let until = self.leases().get(&lease.token).map(|now| now.until);
            if until.is_none_or(|until| until == holding.until) {
                return Ending::Lease;
            }
        }
    }

    fn extend(&self, extended: &[Extended], asked: Instant) {
        let extended: HashMap<i64, bool> = extended
            .iter()
            .map(|one| (one.id, one.cancel_requested))
            .collect();
        for holding in self.leases().values_mut() {
            let Some(cancel_requested) = extended.get(&holding.hold.id) else {
                continue;
            };
            holding.until = asked + holding.hold.length;
            holding.unheard = false;
            if *cancel_requested {
                holding.cancelled.cancel();
            }
        }
    }

    fn unheard(&self) {
        for holding in self.leases().values_mut() {
            holding.unheard = true;
        }
    }

    fn lost(&self) -> MutexGuard<'_, Vec<Hold>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Uuid, Holding>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(feature = "unfenced"))]
async fn fence(end: Instant) {
    tokio::time::sleep_until(end).await;
}

/// Nothing stops a handler whose lease is lost.
#[cfg(feature = "unfenced")]
async fn fence(_end: Instant) {
    std::future::pending().await
}

/// How long the shortest of all leases lasts.
fn shortest(worker: &Worker) -> Duration {
    taskhub::jobs::KINDS
        .iter()
        .filter_map(|rules| rules.lease)
        .fold(worker.options.lease, Duration::min)
}

/// Between two heartbeats of each worker: at least three in the life of the shortest lease.
pub(crate) fn rhythm(worker: &Worker) -> Duration {
    (shortest(worker) / 3).min(RHYTHM)
}

/// Extends all leases again and again. Where that fails, they end by themselves.
pub(crate) async fn beat(worker: Arc<Worker>) {
    let rhythm = rhythm(&worker);
    let patience = rhythm.max(shortest(&worker) / 3);
    let mut beats = interval(rhythm);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let held = worker.held.list();
        metrics::gauge!("jobs_in_hand").set(u32::try_from(held.len()).unwrap_or(u32::MAX));
        if !held.is_empty() {
            extend(&worker, &held, patience).await;
        }
        tell_survival(&worker, patience).await;
    }
}

async fn extend(worker: &Worker, held: &[Hold], patience: Duration) {
    let asked = Instant::now();
    worker.held.asking.store(true, Ordering::Relaxed);
    let extension = leases::extend(&worker.options.control, held);
    let answer = within(patience, extension).await;
    worker.contact.heard(asked, answer.is_ok());
    match answer {
        Ok(extended) => worker.held.extend(&extended, asked),
        Err(error) => {
            worker.held.unheard();
            tracing::warn!(error = format!("{error:#}"), "leases were not extended");
        }
    }
    worker.held.asking.store(false, Ordering::Relaxed);
}

/// Tells of the leases that ran out in a silence of PostgreSQL, until it hears of it.
async fn tell_survival(worker: &Worker, patience: Duration) {
    let lost = worker.held.lost().clone();
    if lost.is_empty() {
        return;
    }
    let options = &worker.options;
    let survival = leases::survived(&options.control, &options.worker_id, &lost);
    match within(patience, survival).await {
        Ok(back) => {
            worker.held.lost().drain(..lost.len());
            tracing::info!(
                lost = lost.len(),
                given_back = back.len(),
                "this worker outlived a loss of contact"
            );
            for (kind, setback) in back {
                measures::rescued(&kind, setback);
            }
        }
        Err(error) => tracing::debug!(
            error = format!("{error:#}"),
            "nobody knows yet that this worker lives"
        ),
    }
}
