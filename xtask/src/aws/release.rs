//! What the ledger says of one release.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::release::verdict::Verdict;

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// The services are changing, or whoever watched them is gone.
    Rolling,
    /// Healthy targets run it.
    Ok,
    /// It failed, and the former one runs.
    RolledBack,
    /// It failed, and nobody knows what runs.
    Failed,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Ok => "ok",
            Self::RolledBack => "rolled back",
            Self::Failed => "failed",
        }
    }
}

/// One release of one environment.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Release {
    /// UTC time and short commit, so that they sort by time.
    pub(crate) id: String,
    pub(crate) commit: String,
    /// `sha256:…`
    pub(crate) digest: String,
    /// Who deployed it, as AWS names them.
    pub(crate) who: String,
    /// The release that it takes back to, where it is a rollback.
    pub(crate) rollback_to: Option<String>,
    /// The names of the migrations that the database has had.
    pub(crate) migrations: Vec<String>,
    /// What `cargo xtask release check` said of it, if it was asked.
    pub(crate) verdict: Option<Verdict>,
    /// What ran before: its release and its digest.
    pub(crate) former: Option<(String, String)>,
    pub(crate) started: DateTime<Utc>,
    pub(crate) ended: Option<DateTime<Utc>>,
    pub(crate) outcome: Outcome,
    /// Why it failed.
    pub(crate) reason: Option<String>,
}

#[cfg(feature = "aws")]
impl Release {
    /// When, which, what came of it, of which image and by whom.
    pub(crate) fn line(&self) -> String {
        let took = self.ended.map_or_else(String::new, |ended| {
            format!(" in {} s", (ended - self.started).num_seconds())
        });
        let back = self
            .rollback_to
            .as_ref()
            .map_or_else(String::new, |id| format!(", back to {id}"));
        let why = self
            .reason
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        let safe = match &self.verdict {
            Some(verdict) if verdict.rollback_safe => ", rollback safe",
            Some(_) | None => "",
        };
        format!(
            "{}  {}{took}{back}{safe}  {}  {}{why}",
            self.id,
            self.outcome.as_str(),
            self.digest.get(..19).unwrap_or(&self.digest),
            self.who
        )
    }
}
