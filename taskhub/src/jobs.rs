//! What can be asked of the worker, and how it is asked: in the transaction of its cause.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;

/// Everything the worker can do. A variant's name and fields are stored, so they may only grow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "args", rename_all = "snake_case")]
pub enum Job {
    /// Greets a new user by e-mail.
    WelcomeEmail { user_id: Uuid },
    /// Erases an account whose grace time is over.
    EraseAccount { user_id: Uuid },
}

/// Adds `job` in the caller's transaction and gives its public id; an equal one that still waits or
/// runs is not doubled, its id is given instead.
pub async fn enqueue(db: &mut PgConnection, job: &Job) -> Result<Uuid> {
    let _ = (db, job);
    unimplemented!()
}
