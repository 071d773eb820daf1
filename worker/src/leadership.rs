//! What one worker is enough for. Every worker is ready to lead, and no harm is done when several do.

use std::{sync::Arc, time::Duration};

use taskhub::jobs::leadership;
use tokio::time::{Instant, sleep};

use crate::{STATEMENT_LIMIT, Worker, within};

/// The next leader waits this long for one that vanished.
const LEADERSHIP: Duration = Duration::from_secs(5);

/// How long a leader works before it renews its leadership, and others wait before they try.
pub(crate) const TERM: Duration = Duration::from_millis(1500);

/// One of the things to lead in.
pub(crate) struct Leadership {
    worker: Arc<Worker>,
    name: String,
    held: bool,
}

impl Leadership {
    pub(crate) fn new(worker: Arc<Worker>, name: String) -> Self {
        Self {
            worker,
            name,
            held: false,
        }
    }

    /// Whether this worker is to lead for a term.
    pub(crate) async fn won(&mut self) -> bool {
        let options = &self.worker.options;
        let campaign =
            leadership::campaign(&options.control, &self.name, &options.worker_id, LEADERSHIP);
        let asked = Instant::now();
        let answer = within(STATEMENT_LIMIT, campaign).await;
        self.worker.contact.heard(asked, answer.is_ok());
        let won = match answer {
            Ok(won) => {
                self.worker.postgres.up();
                won
            }
            Err(error) => {
                self.worker.postgres.down(format_args!("{error:#}"));
                false
            }
        };
        if won && !self.held {
            tracing::info!(worker = options.worker_id, name = self.name, "leads");
        }
        self.held = won;
        won
    }

    /// Waits until it is worth trying again.
    pub(crate) async fn pause(&self) {
        let stop = &self.worker.stop;
        stop.run_until_cancelled(sleep(TERM)).await;
    }

    /// Lets another lead at once.
    pub(crate) async fn resign(self) {
        if !self.held {
            return;
        }
        let options = &self.worker.options;
        let resignation = leadership::resign(&options.control, &self.name, &options.worker_id);
        if within(STATEMENT_LIMIT, resignation).await.is_err() {
            tracing::debug!("the leadership was not given up and runs out");
        }
    }
}
