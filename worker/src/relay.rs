//! Issues tickets for due jobs; one worker does it for all, for each queue.

use std::{sync::Arc, time::Duration};

use taskhub::{
    jobs::waiting::{self, Due},
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

/// While the window is full, and while more jobs are due than it takes.
const FULL_PAUSE: Duration = Duration::from_millis(100);
const MORE_PAUSE: Duration = Duration::from_millis(5);

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
}

impl Relay {
    async fn open(worker: Arc<Worker>, queue: String) -> Self {
        let keys = Keys::new("", &queue);
        let redis = &worker.options.redis;
        Self {
            issuer: Issuer::open(redis.clone(), keys.clone()).await,
            bell: Listener::new(redis.clone(), &keys),
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
        let due = match self.due().await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "the due jobs are unknown");
                return POLL;
            }
        };
        if due.ids.is_empty() {
            return POLL;
        }
        match self.issuer.issue(&due.ids).await {
            Some(0) if due.more => FULL_PAUSE,
            Some(_) if due.more => MORE_PAUSE,
            _ => POLL,
        }
    }

    async fn due(&self) -> anyhow::Result<Due> {
        let control = &self.worker.options.control;
        let promoted = within(STATEMENT_LIMIT, waiting::promote(control, &self.queue)).await?;
        let mut due = within(STATEMENT_LIMIT, waiting::due(control, &self.queue, WINDOW)).await?;
        due.more |= promoted >= waiting::PROMOTION.unsigned_abs();
        Ok(due)
    }
}
