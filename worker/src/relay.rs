//! Issues tickets for due jobs; one worker does it for all, for each queue.

use std::{sync::Arc, time::Duration};

use taskhub::{
    jobs::waiting::{self, Due},
    queue::{
        Keys, Listener,
        tickets::{Issuer, Unissued, WINDOW},
    },
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    STATEMENT_LIMIT, Worker,
    consumer::RATE_PAUSE,
    leadership::{Leadership, TERM},
    measures,
    pace::Pace,
    within,
};

/// Between two looks at the table when nobody rings: what fell due by the clock waits this long.
const POLL: Duration = Duration::from_millis(500);

/// A job may be seen this long after it became due, because its transaction went on. What comes later than
/// that waits for the next look at everything.
const LATENESS: Duration = Duration::from_secs(1);

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
            worker.tickets_refused.send_replace(false);
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
    /// Looks at everything that is due; in between, at what has just become so.
    looks: Pace,
    /// From when on the next look has to see what became due, if the last one saw all there was.
    looked: Option<Instant>,
    promotions: Pace,
}

impl Relay {
    async fn open(worker: Arc<Worker>, queue: String) -> Self {
        let keys = Keys::new("", &queue);
        let redis = &worker.options.redis;
        Self {
            issuer: Issuer::open(redis.clone(), keys.clone()).await,
            bell: Listener::new(redis.clone(), &keys),
            pause: SHORTEST_PAUSE,
            looks: Pace::new(POLL, Duration::from_secs(5), 100),
            looked: None,
            promotions: Pace::new(Duration::ZERO, Duration::from_secs(2), 20),
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
        if !self.promotions.is_due() {
            return pause;
        }
        // Afterwards, so that what was enqueued for now does not wait for it.
        let control = &self.worker.options.control;
        let (began, promotion) = (Instant::now(), waiting::promote(control, &self.queue));
        let promotion = within(STATEMENT_LIMIT, promotion).await;
        self.promotions.done(began);
        match promotion {
            Ok(promoted) if promoted > 0 && pause == POLL => SHORTEST_PAUSE,
            Ok(_) | Err(_) => pause,
        }
    }

    /// At all that is due, or only at what has become so since the last look, where that is enough.
    async fn look(&mut self) -> taskhub::Result<Due> {
        let (control, began) = (&self.worker.options.control, Instant::now());
        if let (Some(looked), false) = (self.looked.take(), self.looks.is_due()) {
            let since = looked.elapsed() + LATENESS;
            if let Some(due) = waiting::recent(control, &self.queue, since, WINDOW).await? {
                // What has not been claimed by then is seen again.
                self.looked = Some(began.checked_sub(due.age).unwrap_or(began));
                return Ok(due);
            }
        }
        let due = waiting::due(control, &self.queue, WINDOW).await?;
        self.looks.done(began);
        // What a rate limit holds back is not new when it may begin.
        self.looked = (!due.more && due.again.is_none()).then_some(began);
        Ok(due)
    }

    async fn issue_due(&mut self) -> Duration {
        let due = match within(STATEMENT_LIMIT, self.look()).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "the due jobs are unknown");
                return POLL;
            }
        };
        // A kind that has reached its rate limit goes on in time.
        let poll = due
            .again
            .map_or(POLL, |again| again.clamp(RATE_PAUSE, POLL));
        if due.ids.is_empty() {
            return poll;
        }
        let issued = self.issuer.issue(&due.ids).await;
        self.tell_refusal(&issued);
        let (Ok(issued), true) = (issued, due.more) else {
            self.pause = SHORTEST_PAUSE;
            return poll;
        };
        self.pause = next_pause(self.pause, issued);
        self.pause
    }
}

impl Relay {
    /// Where Redis refuses to issue tickets, this worker takes its jobs from PostgreSQL at once.
    fn tell_refusal(&self, issued: &Result<usize, Unissued>) {
        let refusal = match issued {
            Err(Unissued::Refused(error)) => Some(error),
            Ok(_) | Err(Unissued::Away) => None,
        };
        if let Some(error) = refusal {
            measures::tickets_refused();
            if !*self.worker.tickets_refused.borrow() {
                tracing::warn!(
                    queue = self.queue,
                    %error,
                    "Redis refuses to issue tickets; jobs are claimed from PostgreSQL"
                );
            }
        }
        self.worker.tickets_refused.send_replace(refusal.is_some());
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
