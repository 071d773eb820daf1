//! The ordered record of what happened in a workspace (table `change`).
//!
//! There is nothing to call here for writers: each mutation inserts its row in its own statement, by
//! a common table expression that takes the next number with
//! `update workspace set last_seq = last_seq + 1 … returning last_seq`, last of all its locks.

use uuid::Uuid;

/// On whose behalf, and because of which request, something happens.
#[derive(Clone, Debug)]
pub struct Actor {
    pub user_id: Uuid,
    /// The request's id, as it stands in logs and answers.
    pub request_id: Option<String>,
}
