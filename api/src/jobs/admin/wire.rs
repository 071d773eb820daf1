//! Jobs as operators get them: everything there is.

pub(super) mod bulk;
pub(super) mod pauses;

use poem_openapi::{Enum, Object};
use serde_json::Value;
use taskhub::{jobs, trace::TraceContext};
use uuid::Uuid;

use self::pauses::JobPause;
use crate::timestamp::Timestamp;

/// Where a job stands, as metrics and logs say it.
#[derive(Clone, Copy, Enum, Eq, PartialEq)]
#[oai(rename_all = "snake_case")]
pub(super) enum AdminJobState {
    /// For later, or waiting for its next attempt.
    Scheduled,
    /// Due.
    Ready,
    Running,
    Done,
    /// Given up after its last attempt.
    Dead,
    Cancelled,
}

impl From<AdminJobState> for jobs::State {
    fn from(state: AdminJobState) -> Self {
        match state {
            AdminJobState::Scheduled => Self::Scheduled,
            AdminJobState::Ready => Self::Ready,
            AdminJobState::Running => Self::Running,
            AdminJobState::Done => Self::Done,
            AdminJobState::Dead => Self::Dead,
            AdminJobState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<jobs::State> for AdminJobState {
    fn from(state: jobs::State) -> Self {
        match state {
            jobs::State::Scheduled => Self::Scheduled,
            jobs::State::Ready => Self::Ready,
            jobs::State::Running => Self::Running,
            jobs::State::Done => Self::Done,
            jobs::State::Dead => Self::Dead,
            jobs::State::Cancelled => Self::Cancelled,
        }
    }
}

/// A job with everything that is known of it.
#[derive(Object)]
pub(super) struct AdminJob {
    /// Across all attempts. E-mails carry it in their `Message-ID`.
    id: Uuid,
    kind: String,
    args_version: i32,
    /// In the form of that version of its kind.
    args: Value,
    queue: String,
    /// Lower is sooner.
    priority: i32,
    state: AdminJobState,
    /// The workspace that it concerns.
    workspace_id: Option<Uuid>,
    /// The person that it concerns.
    user_id: Option<Uuid>,
    /// When it is or was due, or will be tried again.
    due_at: Timestamp,
    /// How many attempts have begun.
    attempt: i32,
    max_attempts: i32,
    /// How many attempts ended with the worker's death. The third is the last.
    crashes: i32,
    /// How often somebody else, such as a mail server, asked for more time. Such an attempt is not counted.
    deferrals: i32,
    /// Whether its worker was asked to end it.
    cancel_requested: bool,
    /// Who has it, or had it last.
    worker_id: Option<String>,
    progress: Option<Value>,
    result: Option<Value>,
    /// Why its last unsuccessful attempt ended.
    last_error: Option<String>,
    /// What its log lines, and those of the request that caused it, carry as `trace_id`.
    trace_id: Option<String>,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    /// How its attempts ended, oldest first; `null` in lists.
    log: Option<Vec<JobAttempt>>,
}

/// How an attempt ended, or what was done to the job.
#[derive(Object)]
struct JobAttempt {
    /// Its number; 0 for what was done between attempts.
    attempt: i32,
    /// `succeeded`, `failed`, `lost` (its worker vanished), `dead`, `cancelled` or `replayed` (retried).
    outcome: String,
    worker_id: Option<String>,
    error: Option<String>,
    at: Timestamp,
}

impl AdminJob {
    pub(super) fn with(self, log: Vec<jobs::Attempt>) -> Self {
        Self {
            log: Some(log.into_iter().map(JobAttempt::from).collect()),
            ..self
        }
    }
}

impl From<jobs::Record> for AdminJob {
    fn from(job: jobs::Record) -> Self {
        let jobs::Record {
            public_id,
            kind,
            args_version,
            args,
            queue,
            priority,
            state,
            workspace_id,
            user_id,
            run_at,
            attempt,
            max_attempts,
            crashes,
            deferrals,
            cancel_requested,
            worker_id,
            progress,
            result,
            last_error,
            trace_context,
            created_at,
            finished_at,
        } = job;
        Self {
            id: public_id,
            kind,
            args_version: args_version.into(),
            args,
            queue,
            priority: priority.into(),
            state: state.into(),
            workspace_id,
            user_id,
            due_at: run_at.into(),
            attempt,
            max_attempts,
            crashes,
            deferrals,
            cancel_requested,
            worker_id,
            progress,
            result,
            last_error,
            trace_id: trace_context
                .and_then(|trace| trace.parse().ok())
                .map(|trace: TraceContext| format!("{:032x}", trace.trace_id)),
            created_at: created_at.into(),
            finished_at: finished_at.map(Timestamp::from),
            log: None,
        }
    }
}

impl From<jobs::Attempt> for JobAttempt {
    fn from(attempt: jobs::Attempt) -> Self {
        let jobs::Attempt {
            attempt,
            outcome,
            worker_id,
            error,
            at,
        } = attempt;
        Self {
            attempt,
            outcome,
            worker_id,
            error,
            at: at.into(),
        }
    }
}

/// One page of jobs.
#[derive(Object)]
pub(super) struct AdminJobPage {
    pub(super) data: Vec<AdminJob>,
    /// Send it as `cursor`, with the same filters, for the next page.
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
}

/// How the job system is doing.
#[derive(Object)]
pub(super) struct JobStats {
    /// The time over which ended attempts are counted: the last five minutes, or less where there were
    /// more than ten thousand attempts.
    period_seconds: i64,
    /// All kinds that have jobs waiting, running or dead, or had attempts.
    data: Vec<JobKindStats>,
    /// The queues and kinds that are paused.
    pauses: Vec<JobPause>,
    /// The rate limits of kinds, from the workers' setting `JOB_RATES`.
    limits: Vec<JobLimit>,
}

/// How many jobs of some kinds may begin within a period, over all workers.
#[derive(Object)]
struct JobLimit {
    /// A kind, or `mail` for all kinds that send an e-mail.
    name: String,
    jobs: i64,
    period_seconds: i64,
}

/// One kind of job in one queue.
#[derive(Object)]
struct JobKindStats {
    queue: String,
    kind: String,
    /// Due, and free to begin.
    due: i64,
    /// Due, and held back because the queue or the kind is paused.
    paused: i64,
    /// For later, or waiting for its next attempt.
    scheduled: i64,
    running: i64,
    dead: i64,
    /// How long the first of the due or paused ones has been waiting.
    oldest_seconds: i64,
    /// Attempts within the period that succeeded.
    succeeded: i64,
    /// Attempts that failed and are made again.
    failed: i64,
    /// Attempts whose worker vanished.
    lost: i64,
    /// Jobs that were given up within the period.
    died: i64,
}

impl From<jobs::Stats> for JobStats {
    fn from(stats: jobs::Stats) -> Self {
        let jobs::Stats {
            period_seconds,
            kinds,
            pauses,
            limits,
        } = stats;
        Self {
            // Never 0, because people divide by it.
            period_seconds: seconds(period_seconds).max(1),
            data: kinds.into_iter().map(JobKindStats::from).collect(),
            pauses: pauses.into_iter().map(JobPause::from).collect(),
            limits: limits.into_iter().map(JobLimit::from).collect(),
        }
    }
}

impl From<jobs::limits::Limit> for JobLimit {
    fn from(limit: jobs::limits::Limit) -> Self {
        let jobs::limits::Limit { name, jobs, period } = limit;
        Self {
            name,
            jobs: jobs.into(),
            period_seconds: seconds(period.as_secs_f64()),
        }
    }
}

impl From<jobs::KindStats> for JobKindStats {
    fn from(stats: jobs::KindStats) -> Self {
        let jobs::KindStats {
            queue,
            kind,
            due,
            paused,
            scheduled,
            running,
            dead,
            oldest_seconds,
            succeeded,
            failed,
            lost,
            died,
        } = stats;
        Self {
            queue,
            kind,
            due,
            paused,
            scheduled,
            running,
            dead,
            oldest_seconds: seconds(oldest_seconds),
            succeeded,
            failed,
            lost,
            died,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a cast to an integer ends at its bounds"
)]
fn seconds(seconds: f64) -> i64 {
    seconds.round() as i64
}
