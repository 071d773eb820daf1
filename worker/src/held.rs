//! The leases in this worker's hands, and the heartbeat that keeps them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use taskhub::jobs::leases::{self, Extended, Hold, Lease};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Worker, within};

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
}

#[derive(Clone)]
struct Holding {
    hold: Hold,
    until: Instant,
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
            cancelled: CancellationToken::new(),
        };
        self.leases().insert(lease.token, holding);
    }

    pub(crate) fn remove(&self, lease: &Lease) {
        self.leases().remove(&lease.token);
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
            if *cancel_requested {
                holding.cancelled.cancel();
            }
        }
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

/// Extends all leases at least three times in the life of the shortest. Where it fails, they end by
/// themselves.
pub(crate) async fn beat(worker: Arc<Worker>) {
    let shortest = taskhub::jobs::KINDS
        .iter()
        .filter_map(|rules| rules.lease)
        .fold(worker.options.lease, Duration::min);
    let rhythm = (shortest / 3).min(RHYTHM);
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
        let extension = leases::extend(&worker.options.control, &held);
        match within(rhythm.max(shortest / 3), extension).await {
            Ok(extended) => worker.held.extend(&extended, asked),
            Err(error) => tracing::warn!(error = format!("{error:#}"), "leases were not extended"),
        }
    }
}
