//! Pauses as they travel.

use poem_openapi::{Enum, Object};
use taskhub::jobs::pauses::{Pause, Target};
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// What can be paused.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(in crate::jobs::admin) enum JobScope {
    /// All jobs of a queue.
    Queue,
    /// All jobs of a kind, in whatever queue.
    Kind,
}

/// A queue or a kind of job.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(in crate::jobs::admin) struct JobTarget {
    scope: JobScope,
    /// The name of the queue or kind, such as `default` or `welcome_email`.
    #[oai(validator(pattern = "^[a-z0-9_-]{1,100}$"))]
    name: String,
}

/// A queue or a kind of job that is to be paused.
#[derive(Object)]
#[oai(deny_unknown_fields)]
pub(in crate::jobs::admin) struct NewJobPause {
    scope: JobScope,
    /// The name of the queue or kind, such as `default` or `welcome_email`.
    #[oai(validator(pattern = "^[a-z0-9_-]{1,100}$"))]
    name: String,
    /// Why, for the other operators.
    #[oai(validator(max_length = 500, pattern = "^[^\\x00]*$"))]
    pub(in crate::jobs::admin) reason: Option<String>,
}

/// A queue or kind of which no job begins.
#[derive(Object)]
pub(in crate::jobs::admin) struct JobPause {
    scope: JobScope,
    name: String,
    paused_at: Timestamp,
    /// The operator's user id.
    paused_by: Option<Uuid>,
    /// The operator's username.
    paused_by_username: Option<String>,
    reason: Option<String>,
}

/// What is paused now.
#[derive(Object)]
pub(in crate::jobs::admin) struct JobPauses {
    pub(in crate::jobs::admin) data: Vec<JobPause>,
}

impl JobTarget {
    pub(in crate::jobs::admin) fn target(&self) -> Target {
        target(self.scope, &self.name)
    }
}

impl NewJobPause {
    pub(in crate::jobs::admin) fn target(&self) -> Target {
        target(self.scope, &self.name)
    }
}

fn target(scope: JobScope, name: &str) -> Target {
    match scope {
        JobScope::Queue => Target::Queue(name.to_owned()),
        JobScope::Kind => Target::Kind(name.to_owned()),
    }
}

impl From<Pause> for JobPause {
    fn from(pause: Pause) -> Self {
        let Pause {
            target,
            paused_at,
            paused_by,
            paused_by_username,
            reason,
        } = pause;
        let (scope, name) = match target {
            Target::Queue(name) => (JobScope::Queue, name),
            Target::Kind(name) => (JobScope::Kind, name),
        };
        Self {
            scope,
            name,
            paused_at: paused_at.into(),
            paused_by,
            paused_by_username,
            reason,
        }
    }
}
