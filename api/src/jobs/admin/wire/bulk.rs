//! Orders about many jobs at once, as they travel.

use poem_openapi::{Enum, Object};
use serde::{Deserialize, Serialize};
use taskhub::{
    Error,
    jobs::{
        Filter, State,
        bulk::{Done, Mode, Position},
    },
};

use crate::timestamp::Timestamp;

/// The states from which jobs are retried.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(in crate::jobs::admin) enum RetryableState {
    Dead,
    Cancelled,
}

/// The states in which jobs can be cancelled.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(in crate::jobs::admin) enum CancellableState {
    /// For later, or waiting for the next attempt.
    Scheduled,
    /// Due.
    Ready,
    /// The workers are asked to end them.
    Running,
}

/// Which jobs are retried: those that fit everything that is given.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(in crate::jobs::admin) struct JobsToRetry {
    /// In this state; dead ones if it is left out.
    state: Option<RetryableState>,
    /// Of this kind.
    #[oai(validator(min_length = 1, max_length = 100))]
    kind: Option<String>,
    /// In this queue.
    #[oai(validator(min_length = 1, max_length = 50))]
    queue: Option<String>,
    /// Of this person: a username, or a user's id.
    #[oai(validator(min_length = 1, max_length = 100))]
    user: Option<String>,
    /// The arguments hold this text, such as an e-mail address. Upper and lower case are the same.
    #[oai(validator(min_length = 1, max_length = 200))]
    args: Option<String>,
    /// The last error holds this text. Upper and lower case are the same.
    #[oai(validator(min_length = 1, max_length = 200))]
    error: Option<String>,
    /// Enqueued at this time or later.
    created_after: Option<Timestamp>,
    /// Enqueued before this time.
    created_before: Option<Timestamp>,
    /// Given up or cancelled at this time or later.
    finished_after: Option<Timestamp>,
    /// Given up or cancelled before this time.
    finished_before: Option<Timestamp>,
    /// Only count what fits, and change nothing.
    #[oai(default)]
    pub(in crate::jobs::admin) dry_run: bool,
    /// `next_cursor` of the answer before, with the same filter.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub(in crate::jobs::admin) cursor: Option<String>,
}

/// Which jobs are cancelled: those that fit everything that is given. At least one field beside `state`,
/// `dry_run` and `cursor` is required.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(in crate::jobs::admin) struct JobsToCancel {
    /// In this state; `scheduled` and `ready` ones if it is left out.
    state: Option<CancellableState>,
    /// Of this kind.
    #[oai(validator(min_length = 1, max_length = 100))]
    kind: Option<String>,
    /// In this queue.
    #[oai(validator(min_length = 1, max_length = 50))]
    queue: Option<String>,
    /// Of this person: a username, or a user's id.
    #[oai(validator(min_length = 1, max_length = 100))]
    user: Option<String>,
    /// The arguments hold this text, such as an e-mail address. Upper and lower case are the same.
    #[oai(validator(min_length = 1, max_length = 200))]
    args: Option<String>,
    /// The last error holds this text. Upper and lower case are the same.
    #[oai(validator(min_length = 1, max_length = 200))]
    error: Option<String>,
    /// Enqueued at this time or later.
    created_after: Option<Timestamp>,
    /// Enqueued before this time.
    created_before: Option<Timestamp>,
    /// Only count what fits, and change nothing.
    #[oai(default)]
    pub(in crate::jobs::admin) dry_run: bool,
    /// `next_cursor` of the answer before, with the same filter.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub(in crate::jobs::admin) cursor: Option<String>,
}

/// What became of the jobs that were to be retried.
#[derive(Object)]
pub(in crate::jobs::admin) struct RetriedJobs {
    /// How many jobs fit the filter.
    matched: i64,
    /// How many of them are tried again. Jobs whose duplicate is queued or running are skipped.
    retried: i64,
    /// Whether other jobs may follow: an answer is about ten thousand jobs at most, and not all of them fit.
    has_more: bool,
    /// Send it as `cursor`, with the same filter, to go on.
    next_cursor: Option<String>,
}

/// What became of the jobs that were to be cancelled.
#[derive(Object)]
pub(in crate::jobs::admin) struct CancelledJobs {
    /// How many jobs fit the filter.
    matched: i64,
    /// How many of them are cancelled; of running ones, how many workers were asked to end them.
    cancelled: i64,
    /// Whether other jobs may follow: an answer is about ten thousand jobs at most, and not all of them fit.
    has_more: bool,
    /// Send it as `cursor`, with the same filter, to go on.
    next_cursor: Option<String>,
}

/// A [`Position`] in a cursor.
#[derive(Deserialize, Serialize)]
pub(in crate::jobs::admin) struct Place {
    state: String,
    after: i64,
}

impl JobsToRetry {
    pub(in crate::jobs::admin) fn filter(&self) -> Filter {
        Filter {
            state: self.state.map(|state| match state {
                RetryableState::Dead => State::Dead,
                RetryableState::Cancelled => State::Cancelled,
            }),
            kind: self.kind.clone(),
            queue: self.queue.clone(),
            user: self.user.clone(),
            args: self.args.clone(),
            error: self.error.clone(),
            created_after: self.created_after.map(|time| time.0),
            created_before: self.created_before.map(|time| time.0),
            finished_after: self.finished_after.map(|time| time.0),
            finished_before: self.finished_before.map(|time| time.0),
        }
    }
}

impl JobsToCancel {
    /// # Errors
    /// Where nothing says which jobs are meant.
    pub(in crate::jobs::admin) fn filter(&self) -> Result<Filter, Error> {
        let filter = Filter {
            kind: self.kind.clone(),
            queue: self.queue.clone(),
            user: self.user.clone(),
            args: self.args.clone(),
            error: self.error.clone(),
            created_after: self.created_after.map(|time| time.0),
            created_before: self.created_before.map(|time| time.0),
            ..Filter::default()
        };
        if filter == Filter::default() {
            let detail = "say which jobs: at least one of kind, queue, user, args, error, created_after and created_before";
            return Err(Error::invalid("", "filter-required", detail));
        }
        let state = self.state.map(|state| match state {
            CancellableState::Scheduled => State::Scheduled,
            CancellableState::Ready => State::Ready,
            CancellableState::Running => State::Running,
        });
        Ok(Filter { state, ..filter })
    }
}

impl RetriedJobs {
    pub(in crate::jobs::admin) fn new(done: Done, next_cursor: Option<String>) -> Self {
        Self {
            matched: number(done.matched),
            retried: number(done.changed),
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

impl CancelledJobs {
    pub(in crate::jobs::admin) fn new(done: Done, next_cursor: Option<String>) -> Self {
        Self {
            matched: number(done.matched),
            cancelled: number(done.changed),
            has_more: next_cursor.is_some(),
            next_cursor,
        }
    }
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self {
            state: position.state.name().to_owned(),
            after: position.after,
        }
    }
}

impl Place {
    pub(in crate::jobs::admin) fn position(&self) -> Option<Position> {
        let state = State::ALL
            .into_iter()
            .find(|state| state.name() == self.state)?;
        Some(Position {
            state,
            after: self.after,
        })
    }
}

pub(in crate::jobs::admin) fn mode(dry_run: bool) -> Mode {
    if dry_run { Mode::Count } else { Mode::Change }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
