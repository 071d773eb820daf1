//! How often something is done that may become expensive.

use std::time::Duration;

use tokio::time::Instant;

/// Leaves so long between two times that all of them together take a small part of the time.
///
/// While a long transaction keeps old rows, what looks for jobs from the beginning of an index reads the
/// entries of every job that has ended since.
#[derive(Debug)]
pub(crate) struct Pace {
    shortest: Duration,
    longest: Duration,
    /// The pause after each time, as a multiple of how long that took.
    factor: u32,
    next: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(shortest: Duration, longest: Duration, factor: u32) -> Self {
        Self {
            shortest,
            longest,
            factor,
            next: None,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.next.is_none_or(|next| next <= Instant::now())
    }

    /// It was done, beginning at `began`.
    pub(crate) fn done(&mut self, began: Instant) {
        let pause = began.elapsed().saturating_mul(self.factor);
        self.next = Some(Instant::now() + pause.clamp(self.shortest, self.longest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_done_seldom() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second / 2, 30 * second, 100);
        assert!(pace.is_due());
        for (took, pause) in [
            (second / 1000, second / 2),
            (second / 10, 10 * second),
            (second, 30 * second),
        ] {
            let began = Instant::now();
            tokio::time::advance(took).await;
            pace.done(began);
            tokio::time::advance(pause - second / 1000).await;
            assert!(!pace.is_due(), "{took:?}");
            tokio::time::advance(second / 1000).await;
            assert!(pace.is_due(), "{took:?}");
        }
    }
}
