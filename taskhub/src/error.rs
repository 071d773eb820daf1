//! Why something could not be done, free of any transport.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{tasks::Task, users::User};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong inside the application. Each door decides what a variant means to
/// its users; a new variant does not compile until every door has.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request was understood and the state of things forbids it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The same, as it was said to the first request with this idempotency key.
    #[error(transparent)]
    RefusedBefore(Refusal),
    /// The input breaks rules; all of them are listed.
    #[error("the input is invalid")]
    Invalid(Vec<Violation>),
    #[error("this page position belongs to another list")]
    InvalidCursor,
    /// The username is unknown or the password is wrong; which of them is nobody's business.
    #[error("the username or the password is wrong")]
    InvalidLogin,
    #[error("the token is not valid")]
    InvalidToken,
    #[error("the token has expired")]
    ExpiredToken,
    #[error("the session of this token has ended")]
    RevokedToken,
    /// Another request with the same key is still at work.
    #[error("a request with this idempotency key is in progress")]
    IdempotencyInProgress,
    #[error("this idempotency key was used for a different request")]
    IdempotencyKeyReused,
    /// More work is waiting than can be done soon, such as password hashing.
    #[error("too busy, try again in {} s", retry_after.as_secs())]
    Busy { retry_after: Duration },
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("Redis failed")]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

/// A verdict about existing things. Serialised, because an idempotent request that was refused is
/// refused the same way when it is repeated.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Refusal {
    /// It never existed, is deleted, or belongs to somebody else; these look the same.
    #[error("it does not exist")]
    NotFound,
    #[error("{what} is taken{}", by_what(.deleted.as_ref()))]
    AlreadyExists {
        what: String,
        /// Set where the caller's own thing, deleted and restorable, has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deleted: Option<Deleted>,
    },
    /// The caller's condition names another version than the present one.
    #[error("it is at version {current_version} by now")]
    VersionMismatch {
        current_version: i64,
        current: Current,
    },
    /// The thing's present state does not allow this, such as deleting what cannot go away.
    #[error("{detail}")]
    InvalidTransition { detail: String },
}

/// A task in the trash.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Deleted {
    pub task_id: Uuid,
    pub at: DateTime<Utc>,
}

fn by_what(deleted: Option<&Deleted>) -> &'static str {
    deleted.map_or("", |_| " by a task in the trash")
}

/// The present state of a thing that has another version than the caller thinks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Current {
    Task(Box<Task>),
    User(Box<User>),
}

/// One broken rule of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// RFC 6901 JSON pointer into the input.
    pub pointer: String,
    /// Stable, for programs: `too-long`, `unknown-field`, …
    pub code: &'static str,
    /// For people. Never repeats the value.
    pub detail: String,
}

impl Error {
    /// One broken rule.
    pub fn invalid(
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self::Invalid(vec![Violation {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }])
    }
}
