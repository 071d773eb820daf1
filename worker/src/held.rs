//! The leases in this worker's hands, and the heartbeat that keeps them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use taskhub::jobs::leases::{self, Lease};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use uuid::Uuid;

use crate::{Worker, within};

/// A handler stops this long before its lease runs out, or a quarter of a short lease, so that the
/// next one finds nothing moving.
const MARGIN: Duration = Duration::from_secs(1);

/// By token. The times are this process's own and count from before the statement that granted
/// them, so they end before the database's.
pub(crate) struct Held {
    lease: Duration,
    leases: Mutex<HashMap<Uuid, Holding>>,
}

#[derive(Clone, Copy)]
struct Holding {
    job_id: i64,
    until: Instant,
}

impl Held {
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            lease,
            leases: Mutex::default(),
        }
    }

    /// Adds a lease that was asked for at `asked`.
    pub(crate) fn add(&self, lease: &Lease, asked: Instant) {
        let holding = Holding {
            job_id: lease.id,
            until: asked + self.lease,
        };
        self.leases().insert(lease.token, holding);
    }

    pub(crate) fn remove(&self, lease: &Lease) {
        self.leases().remove(&lease.token);
    }

    pub(crate) fn len(&self) -> usize {
        self.leases().len()
    }

    /// Job ids and tokens.
    pub(crate) fn list(&self) -> Vec<(i64, Uuid)> {
        self.leases()
            .iter()
            .map(|(token, holding)| (holding.job_id, *token))
            .collect()
    }

    /// Resolves when work under this lease must stop.
    pub(crate) async fn ending(&self, lease: &Lease) {
        loop {
            let until = self.leases().get(&lease.token).map(|holding| holding.until);
            let Some(until) = until else { return };
            let end = until - MARGIN.min(self.lease / 4);
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }

    fn extend(&self, job_ids: &[i64], asked: Instant) {
        for holding in self.leases().values_mut() {
            if job_ids.contains(&holding.job_id) {
                holding.until = asked + self.lease;
            }
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Uuid, Holding>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Extends all leases three times in their life. Where it fails, they end by themselves.
pub(crate) async fn beat(worker: Arc<Worker>) {
    let rhythm = worker.options.lease / 3;
    let mut beats = interval(rhythm);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let held = worker.held.list();
        metrics::gauge!("jobs_in_hand").set(u32::try_from(held.len()).unwrap_or(u32::MAX));
        if held.is_empty() {
            continue;
        }
        let asked = Instant::now();
        let extension = leases::extend(&worker.options.control, &held, worker.options.lease);
        match within(rhythm, extension).await {
            Ok(job_ids) => worker.held.extend(&job_ids, asked),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "leases were not extended"),
        }
    }
}
