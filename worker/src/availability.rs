//! Whether a server answers, told when it changes and not each time.

use std::{
    fmt::Display,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// An answer that took longer than this may have kept other workers from their heartbeats as well.
const SLOW: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Availability {
    server: &'static str,
    up: AtomicBool,
}

impl Availability {
    pub(crate) fn new(server: &'static str) -> Self {
        Self {
            server,
            up: AtomicBool::new(true),
        }
    }

    pub(crate) fn up(&self) {
        metrics::gauge!("server_up", "server" => self.server).set(1);
        if !self.up.swap(true, Ordering::Relaxed) {
            tracing::info!(server = self.server, "answers again");
        }
    }

    pub(crate) fn down(&self, reason: impl Display) {
        metrics::gauge!("server_up", "server" => self.server).set(0);
        if self.up.swap(false, Ordering::Relaxed) {
            tracing::warn!(server = self.server, %reason, "does not answer");
        }
    }
}

/// Since when PostgreSQL has answered without a break.
#[derive(Debug, Default)]
pub(crate) struct Contact {
    broken: Mutex<Option<Instant>>,
}

impl Contact {
    /// PostgreSQL answered what was asked at `asked`, or did not.
    pub(crate) fn heard(&self, asked: Instant, answered: bool) {
        if !answered || asked.elapsed() > SLOW {
            *self.lock() = Some(Instant::now());
        }
    }

    /// Whether there was no break within the last `time`.
    pub(crate) fn has_lasted(&self, time: Duration) -> bool {
        self.lock().is_none_or(|broken| broken.elapsed() > time)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
