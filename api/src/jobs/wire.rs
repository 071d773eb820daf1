//! Jobs as they travel.

use poem_openapi::{Enum, Object};
use serde_json::Value;
use taskhub::jobs;
use uuid::Uuid;

use crate::timestamp::Timestamp;

/// Where a job stands.
#[derive(Clone, Copy, Debug, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(super) enum JobStatus {
    /// It waits for its turn, or for its time.
    Queued,
    Running,
    Succeeded,
    /// Its last attempt failed; it waits for the next.
    Failed,
    /// It was given up.
    Dead,
    Cancelled,
}

/// What became of a job that did not succeed.
#[derive(Object)]
pub(super) struct JobError {
    /// `attempt-failed` where it will be tried again, `given-up` where it will not, stable, for programs.
    code: String,
    /// For people.
    detail: String,
}

/// Work that is done later.
#[derive(Object)]
pub(super) struct Job {
    id: Uuid,
    /// What it does, such as `welcome_email`.
    kind: String,
    status: JobStatus,
    /// How far it is, in a form of its kind's own.
    progress: Option<Value>,
    /// What came of it, in a form of its kind's own.
    result: Option<Value>,
    error: Option<JobError>,
    /// How many attempts have begun.
    attempt: i32,
    /// How many attempts it has.
    max_attempts: i32,
    /// When it is or was due, or will be tried again.
    due_at: Timestamp,
    created_at: Timestamp,
    /// When it succeeded, was given up or was cancelled.
    finished_at: Option<Timestamp>,
}

impl JobStatus {
    fn of(job: &jobs::Record) -> Self {
        match job.state {
            jobs::State::Scheduled | jobs::State::Ready if job.attempt > 0 => Self::Failed,
            jobs::State::Scheduled | jobs::State::Ready => Self::Queued,
            jobs::State::Running => Self::Running,
            jobs::State::Done => Self::Succeeded,
            jobs::State::Dead => Self::Dead,
            jobs::State::Cancelled => Self::Cancelled,
        }
    }
}

impl JobError {
    /// What is known inside, such as an address or a server's answer, stays inside.
    fn of(status: JobStatus) -> Option<Self> {
        let (code, detail) = match status {
            JobStatus::Failed => (
                "attempt-failed",
                "the last attempt failed; the next is made at due_at",
            ),
            JobStatus::Dead => (
                "given-up",
                "every attempt failed; the operators of this instance can have it tried again",
            ),
            JobStatus::Queued
            | JobStatus::Running
            | JobStatus::Succeeded
            | JobStatus::Cancelled => return None,
        };
        Some(Self {
            code: code.to_owned(),
            detail: detail.to_owned(),
        })
    }
}

impl From<jobs::Record> for Job {
    fn from(job: jobs::Record) -> Self {
        let status = JobStatus::of(&job);
        let jobs::Record {
            public_id,
            kind,
            args_version: _,
            args: _,
            queue: _,
            priority: _,
            state: _,
            workspace_id: _,
            user_id: _,
            run_at,
            attempt,
            max_attempts,
            crashes: _,
            deferrals: _,
            cancel_requested: _,
            worker_id: _,
            progress,
            result,
            last_error: _,
            trace_context: _,
            created_at,
            finished_at,
        } = job;
        Self {
            id: public_id,
            kind,
            status,
            progress,
            result,
            error: JobError::of(status),
            attempt,
            max_attempts,
            due_at: run_at.into(),
            created_at: created_at.into(),
            finished_at: finished_at.map(Timestamp::from),
        }
    }
}
