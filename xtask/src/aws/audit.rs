//! What people did by hand: one object of the state bucket for each act, `audit/<environment>/<time>-<verb>.json`,
//! beside the ledger of releases. Pipelines and people may add to it and not delete from it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{account::Account, holder, state};

/// One act.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    at: DateTime<Utc>,
    /// As AWS names them.
    who: String,
    /// The machine and the process, or the pipeline's run.
    place: String,
    verb: &'static str,
    /// `api`, `worker` or `migrate`.
    service: &'static str,
    command: Vec<String>,
    /// Why, where that was asked for.
    pub(crate) reason: Option<String>,
    /// ARN of the task that it was done in, once it is known.
    pub(crate) task: Option<String>,
    /// Once it is known.
    pub(crate) exit_code: Option<i32>,
}

impl Entry {
    pub(crate) fn new(
        account: &Account,
        verb: &'static str,
        service: &'static str,
        command: Vec<String>,
    ) -> Self {
        Self {
            at: Utc::now(),
            who: account.caller.clone(),
            place: holder::place(),
            verb,
            service,
            command,
            reason: None,
            task: None,
            exit_code: None,
        }
    }

    /// Names the act, so that it can be told apart from others.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.at.format("%Y%m%dT%H%M%S%3fZ"), self.verb)
    }

    /// Writes what is known of it by now.
    ///
    /// # Errors
    /// Where AWS does not take it: then nothing should be done either.
    pub(crate) async fn write(&self, account: &Account) -> anyhow::Result<()> {
        let bucket = state::bucket(account).await?;
        let key = format!("audit/{}/{}.json", account.environment().name, self.id());
        state::put(account, &bucket, &key, serde_json::to_string_pretty(self)?).await
    }
}
