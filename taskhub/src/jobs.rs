//! What can be asked of the worker, and how it is asked: in the transaction of its cause.

pub mod bulk;
mod control;
pub mod counts;
pub mod deferrals;
mod enqueueing;
pub mod housekeeping;
pub mod leadership;
pub mod leases;
pub mod limits;
pub mod pauses;
pub mod periodic;
#[cfg(feature = "probe")]
pub mod probe;
mod records;
mod rules;
mod stats;
pub mod waiting;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use control::{Cancelled, call_off, cancel, retry};
pub use enqueueing::{Options, When, enqueue, enqueue_all, enqueue_with};
pub use records::{Attempt, Filter, Page, Record, State, attempts, get, get_for, list};
pub use rules::{Backoff, KINDS, Rules, Uniqueness};
pub use stats::{KindStats, Stats, stats};

/// Everything the worker can do.
///
/// Variants and fields are stored, and an older program may read them: both only grow, and a change
/// of a kind's fields raises its `args_version`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "args", rename_all = "snake_case")]
pub enum Job {
    /// Greets a new user by e-mail, once in their life.
    WelcomeEmail { user_id: Uuid },
    /// Sends a code to whoever has an account with this address, by which they choose a new password.
    PasswordResetEmail { email: String },
    /// Erases an account whose grace time is over.
    EraseAccount { user_id: Uuid },
    /// Removes sessions and codes that are of no use any more.
    RemoveOldSessions {},
    /// Removes jobs that were done or cancelled long ago.
    RemoveOldJobs {},
    /// Removes answers kept for repeated requests, once their time is over.
    RemoveOldIdempotencyKeys {},
    /// Removes tasks that were deleted long ago.
    EmptyTrash {},
    /// Does nothing, to show that jobs are done.
    SmokeTest { id: Uuid },
    /// Makes the words by which search finds tasks, where a program of an earlier release wrote them.
    IndexTasks {},
    /// Leaves a trace in a table that a test made.
    #[cfg(feature = "probe")]
    Probe(probe::Probe),
}

impl Job {
    /// Such as `welcome_email:<user id>`.
    fn unique_key(&self) -> String {
        format!("{}:{}", self.rules().kind, self.subject().identity)
    }

    /// Whether it only touches the database, and as a rule for moments: such jobs are done many to a
    /// transaction, as far as they are claimed together.
    pub fn is_batchable(&self) -> bool {
        match self {
            Self::EraseAccount { .. } | Self::SmokeTest { .. } => true,
            Self::WelcomeEmail { .. }
            | Self::PasswordResetEmail { .. }
            | Self::RemoveOldSessions {}
            | Self::RemoveOldJobs {}
            | Self::RemoveOldIdempotencyKeys {}
            | Self::EmptyTrash {}
            | Self::IndexTasks {} => false,
            #[cfg(feature = "probe")]
            Self::Probe(probe) => probe.mode == probe::Mode::Database,
        }
    }

    /// The arguments as they are stored.
    fn args(&self) -> serde_json::Value {
        let mut tagged = serde_json::to_value(self).expect("a job is plain JSON");
        tagged["args"].take()
    }

    /// The job that was stored as `args` of `kind` in that version.
    ///
    /// # Errors
    /// Where these are not arguments of the kind.
    pub(crate) fn from_stored(
        kind: &str,
        version: i16,
        args: &serde_json::Value,
    ) -> anyhow::Result<Self> {
        let args = upgraded(kind, version, args.clone());
        let tagged = serde_json::json!({ "kind": kind, "args": args });
        Ok(serde_json::from_value(tagged)?)
    }
}

/// Arguments of any older version, as the present one would have stored them. A kind whose version
/// rises adds an arm that makes version n + 1 of version n:
///
/// ```ignore
/// ("welcome_email", 1) => args["language"] = json!("en"),
/// ```
fn upgraded(kind: &str, version: i16, args: serde_json::Value) -> serde_json::Value {
    // So far every kind is at its first version, and the probe at its second.
    #[cfg(feature = "probe")]
    if (kind, version) == ("probe", 1) {
        return probe::upgraded_from_1(args);
    }
    let _ = (kind, version);
    args
}
