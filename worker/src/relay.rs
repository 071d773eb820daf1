//! Issues tickets for due jobs; one worker does it for all, for each queue.

use std::{sync::Arc, time::Duration};

use taskhub::{
    jobs::waiting,
    queue::{
        Keys, Listener,
        tickets::{Issuer, WINDOW},
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    STATEMENT_LIMIT, Worker,
    leadership::{Leadership, TERM},
    within,
};

/// Between two looks at the table when nobody rings: what fell due by the clock waits this long.
const POLL: Duration = Duration::from_millis(500);

/// The shortest and the longest time in which a part of the window empties, while more jobs are due than
/// it takes.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How much of it should have become free by then: a look costs the same however little is issued, and
/// the rest keeps the workers busy meanwhile.
const PART: usize = WINDOW / 2;

/// Issues whenever nobody else does, until the worker stops.
pub(crate) async fn lead(worker: Arc<Worker>, queue: String) {
    let mut leadership = Leadership::new(worker.clone(), format!("jobs:{queue}"));
    let mut relay: Option<Relay> = None;
    while !worker.stop.is_cancelled() {
        if leadership.won().await {
            match &mut relay {
                Some(relay) => relay.term().await,
                None => {
                    relay
                        .insert(Relay::open(worker.clone(), queue.clone()).await)
                        .term()
                        .await;
                }
            }
        } else {
            relay = None;
            leadership.pause().await;
        }
    }
    leadership.resign().await;
}

/// A leader at work.
struct Relay {
    worker: Arc<Worker>,
    queue: String,
    issuer: Issuer,
    bell: Listener,
    /// While more is due than the window takes, the time in which about a [`PART`] of it empties.
    pause: Duration,
}

impl Relay {
    async fn open(worker: Arc<Worker>, queue: String) -> Self {
        let keys = Keys::new("", &queue);
        let redis = &worker.options.redis;
        Self {
            issuer: Issuer::open(redis.clone(), keys.clone()).await,
            bell: Listener::new(redis.clone(), &keys),
            pause: SHORTEST_PAUSE,
            queue,
            worker,
        }
    }

    /// Works for the time until the leadership has to be renewed.
    async fn term(&mut self) {
        let end = Instant::now() + TERM;
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
        let pause = self.issue_due().await;
        // Afterwards, so that what was enqueued for now does not wait for it.
        let control = &self.worker.options.control;
        let promotion = waiting::promote(control, &self.queue);
        match within(STATEMENT_LIMIT, promotion).await {
            Ok(promoted) if promoted > 0 && pause == POLL => SHORTEST_PAUSE,
            Ok(_) | Err(_) => pause,
        }
    }

    async fn issue_due(&mut self) -> Duration {
        let control = &self.worker.options.control;
        let due = waiting::due(control, &self.queue, WINDOW);
        let due = match within(STATEMENT_LIMIT, due).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "the due jobs are unknown");
                return POLL;
            }
        };
        if due.ids.is_empty() {
            return POLL;
        }
        let Some(issued) = self.issuer.issue(&due.ids).await.filter(|_| due.more) else {
            self.pause = SHORTEST_PAUSE;
            return POLL;
        };
        self.pause = next_pause(self.pause, issued);
        self.pause
    }
}

/// The pause after one in which so many tickets were used up.
fn next_pause(pause: Duration, issued: usize) -> Duration {
    let part = u32::try_from(PART).unwrap_or(u32::MAX);
    let issued = u32::try_from(issued.max(1)).unwrap_or(u32::MAX);
    (pause * part / issued).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_looks_again_when_half_the_window_is_free() {
        let pause = Duration::from_millis(20);
        assert_eq!(next_pause(pause, PART), pause);
        assert_eq!(next_pause(pause, PART / 2), pause * 2);
        assert_eq!(next_pause(pause, PART * 2), pause / 2);
    }

    #[test]
    fn its_pauses_stay_within_bounds() {
        assert_eq!(next_pause(SHORTEST_PAUSE, WINDOW), SHORTEST_PAUSE);
        assert_eq!(next_pause(LONGEST_PAUSE, 0), LONGEST_PAUSE);
        assert_eq!(next_pause(SHORTEST_PAUSE, 0), LONGEST_PAUSE);
    }
}
