//! Whether this worker gets anything done.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Since when everything that was tried has failed. An idle worker has tried nothing.
#[derive(Debug, Default)]
pub struct Progress {
    failing_since: Mutex<Option<Instant>>,
}

impl Progress {
    /// A job was done.
    pub(crate) fn made(&self) {
        *self.lock() = None;
    }

    /// An attempt did not succeed, its end could not be stored, or no job could be claimed.
    pub(crate) fn failed(&self) {
        self.lock().get_or_insert_with(Instant::now);
    }

    /// For how long something has been tried and nothing has been done; zero where the last attempt
    /// succeeded.
    pub fn nothing_done_for(&self) -> Duration {
        self.lock().map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_counts_from_its_first_failure_until_something_is_done() {
        let progress = Progress::default();
        assert_eq!(progress.nothing_done_for(), Duration::ZERO);
        progress.failed();
        tokio::time::advance(Duration::from_secs(5)).await;
        progress.failed();
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(progress.nothing_done_for(), Duration::from_secs(10));
        progress.made();
        assert_eq!(progress.nothing_done_for(), Duration::ZERO);
    }
}
