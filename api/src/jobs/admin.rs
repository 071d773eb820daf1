//! Jobs, as operators see and steer them.

mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem::{Request, http::Uri};
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use sqlx::PgPool;
use taskhub::{
    Error, idempotency,
    jobs::{
        self, Filter,
        bulk::{self, Done, Mode, Position},
        pauses,
    },
    queue::Doorbell,
    tokens::Keys,
};
use uuid::Uuid;

use self::wire::{
    AdminJob, AdminJobPage, AdminJobState, JobStats,
    bulk::{CancelledJobs, JobsToCancel, JobsToRetry, Place, RetriedJobs, mode},
    pauses::{JobPause, JobPauses, JobTarget, NewJobPause},
};
use crate::{
    context::{Caller, Context},
    cursor::List,
    problem::Problem,
    response::Replayed,
    tags::Tags,
    timestamp::Timestamp,
};

#[derive(ApiResponse)]
enum Listed {
    /// A page of the list.
    #[oai(status = 200)]
    Page(
        Json<AdminJobPage>,
        /// The next page, where there is one.
        #[oai(header = "Link")]
        Option<String>,
    ),
}

#[derive(ApiResponse)]
enum Steered {
    /// The job as it is now.
    #[oai(status = 200)]
    Job(
        Json<AdminJob>,
        /// Present and true where this repeats an earlier answer.
        #[oai(header = "Idempotency-Replayed")]
        Replayed,
    ),
}

/// All jobs.
pub struct Api {
    pub db: PgPool,
    /// Seal the cursors.
    pub keys: Arc<Keys>,
    pub doorbell: Doorbell,
}

#[OpenApi(prefix_path = "/v1/admin/jobs", tag = "Tags::Operations")]
impl Api {
    /// List jobs
    ///
    /// All that are kept and fit every filter, the newest first. A page looks at ten thousand jobs at most:
    /// with a filter that few jobs fit it may hold less than `limit`, or nothing, although `has_more` is true.
    /// Go on with `next_cursor`.
    #[oai(path = "/", method = "get", operation_id = "list_jobs")]
    #[expect(
        clippy::too_many_arguments,
        reason = "a query parameter is an argument"
    )]
    async fn list(
        &self,
        request: &Request,
        caller: Caller,
        /// How many jobs a page has at most.
        #[oai(
            default = "fifty",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        limit: Query<u8>,
        /// `next_cursor` of the page before, with the same filters.
        #[oai(validator(min_length = 1))]
        cursor: Query<Option<String>>,
        /// In this state.
        state: Query<Option<AdminJobState>>,
        /// Of this kind.
        #[oai(validator(min_length = 1, max_length = 100))]
        kind: Query<Option<String>>,
        /// In this queue.
        #[oai(validator(min_length = 1, max_length = 50))]
        queue: Query<Option<String>>,
        /// Of this person: a username, or a user's id.
        #[oai(validator(min_length = 1, max_length = 100))]
        user: Query<Option<String>>,
        /// The arguments hold this text, such as an e-mail address. Upper and lower case are the same.
        #[oai(validator(min_length = 1, max_length = 200))]
        args: Query<Option<String>>,
        /// The last error holds this text. Upper and lower case are the same.
        #[oai(validator(min_length = 1, max_length = 200))]
        error: Query<Option<String>>,
        /// Enqueued at this time or later.
        created_after: Query<Option<Timestamp>>,
        /// Enqueued before this time.
        created_before: Query<Option<Timestamp>>,
        /// Done, given up or cancelled at this time or later.
        finished_after: Query<Option<Timestamp>>,
        /// Done, given up or cancelled before this time.
        finished_before: Query<Option<Timestamp>>,
    ) -> Result<Listed, Problem> {
        let list = List::new(caller.id(), request.original_uri());
        let after = cursor
            .0
            .map(|cursor| list.position::<i64>(&self.keys, &cursor))
            .transpose()?;
        let filter = Filter {
            state: state.0.map(jobs::State::from),
            kind: kind.0,
            queue: queue.0,
            user: user.0,
            args: args.0,
            error: error.0,
            created_after: created_after.0.map(|time| time.0),
            created_before: created_before.0.map(|time| time.0),
            finished_after: finished_after.0.map(|time| time.0),
            finished_before: finished_before.0.map(|time| time.0),
        };
        let page = jobs::list(&self.db, &filter, after, limit.0.into()).await?;
        let next_cursor = page.next.map(|place| list.cursor(&self.keys, &place));
        let link = next_cursor.as_ref().map(|cursor| list.link(cursor));
        let page = AdminJobPage {
            data: page.jobs.into_iter().map(AdminJob::from).collect(),
            has_more: next_cursor.is_some(),
            next_cursor,
        };
        Ok(Listed::Page(Json(page), link))
    }

    /// Count jobs
    ///
    /// What waits, runs and is dead, and how attempts ended lately, by queue and kind. Counts of what
    /// waits end at ten thousand.
    #[oai(path = "/stats", method = "get", operation_id = "count_jobs")]
    async fn stats(&self, _caller: Caller) -> Result<Json<JobStats>, Problem> {
        Ok(Json(jobs::stats(&self.db).await?.into()))
    }

    /// Retry jobs
    ///
    /// Has the dead jobs that fit a filter tried again from their first attempts, or the cancelled ones; all
    /// dead ones without a filter. Jobs whose duplicate is queued or running are skipped. With `dry_run` it
    /// only counts them. One answer is about ten thousand jobs at most; go on with `next_cursor` while
    /// `has_more` is true. Repeating it is safe: a job that was retried is not dead any more.
    #[oai(path = "/retry", method = "post", operation_id = "retry_dead_jobs")]
    async fn retry_all(
        &self,
        request: &Request,
        caller: Caller,
        body: Json<JobsToRetry>,
    ) -> Result<Json<RetriedJobs>, Problem> {
        let (filter, mode) = (body.0.filter(), mode(body.0.dry_run));
        let list = Sweep::new(&caller, request.original_uri(), &filter);
        let from = list.position(&self.keys, body.0.cursor.as_deref())?;
        let done = bulk::retry(&self.db, &filter, from, mode).await?;
        self.doorbell.ring();
        report(mode, &filter, &done, "an operator retried jobs");
        let next = list.cursor(&self.keys, &done);
        Ok(Json(RetriedJobs::new(done, next)))
    }

    /// Cancel jobs
    ///
    /// Cancels the waiting jobs that fit a filter, or those in the given state. The workers of running ones are
    /// asked to end them, which takes seconds. With `dry_run` it only counts them. One answer is about ten
    /// thousand jobs at most; go on with `next_cursor` while `has_more` is true. Repeating it is safe.
    #[oai(path = "/cancel", method = "post", operation_id = "cancel_jobs")]
    async fn cancel_all(
        &self,
        request: &Request,
        caller: Caller,
        body: Json<JobsToCancel>,
    ) -> Result<Json<CancelledJobs>, Problem> {
        let (filter, mode) = (body.0.filter()?, mode(body.0.dry_run));
        let list = Sweep::new(&caller, request.original_uri(), &filter);
        let from = list.position(&self.keys, body.0.cursor.as_deref())?;
        let done = bulk::cancel(&self.db, &filter, from, mode).await?;
        report(mode, &filter, &done, "an operator cancelled jobs");
        let next = list.cursor(&self.keys, &done);
        Ok(Json(CancelledJobs::new(done, next)))
    }

    /// Pause a queue or a kind
    ///
    /// From now on none of its jobs begins, in any worker. Jobs that are running finish. New jobs are
    /// accepted and wait. Pausing what is paused already changes nothing, neither the operator nor the reason.
    /// The answer lists all pauses.
    #[oai(path = "/pause", method = "post", operation_id = "pause_jobs")]
    async fn pause(
        &self,
        caller: Caller,
        context: Context,
        body: Json<NewJobPause>,
    ) -> Result<Json<JobPauses>, Problem> {
        let (target, reason) = (body.0.target(), body.0.reason);
        let operator = caller.id();
        let pausing = target.clone();
        idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { pauses::pause(db, &pausing, operator, reason.as_deref()).await }.boxed()
        })
        .await?;
        tracing::info!(?target, "an operator paused jobs");
        self.pauses().await
    }

    /// Resume a queue or a kind
    ///
    /// Its jobs begin again. A job whose queue and kind are both paused waits until both are resumed. Resuming
    /// what is not paused changes nothing. The answer lists the pauses that are left.
    #[oai(path = "/resume", method = "post", operation_id = "resume_jobs")]
    async fn resume(
        &self,
        _caller: Caller,
        context: Context,
        body: Json<JobTarget>,
    ) -> Result<Json<JobPauses>, Problem> {
        let target = body.0.target();
        let resuming = target.clone();
        idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { pauses::resume(db, &resuming).await.map(drop) }.boxed()
        })
        .await?;
        self.doorbell.ring();
        tracing::info!(?target, "an operator resumed jobs");
        self.pauses().await
    }

    /// Show any job
    ///
    /// With its arguments and how each of its attempts ended. Both may hold personal data.
    #[oai(path = "/:job_id", method = "get", operation_id = "inspect_job")]
    async fn get(
        &self,
        _caller: Caller,
        /// Any job.
        job_id: Path<Uuid>,
    ) -> Result<Json<AdminJob>, Problem> {
        Ok(Json(self.look(job_id.0).await?))
    }

    /// Retry a job
    ///
    /// Has a dead or cancelled job tried anew from its first attempt, under the same id; or one that is
    /// done and of which there is only one for ever. Any other is 409.
    #[oai(path = "/:job_id/retry", method = "post", operation_id = "retry_job")]
    async fn retry(
        &self,
        _caller: Caller,
        context: Context,
        /// Any job.
        job_id: Path<Uuid>,
    ) -> Result<Steered, Problem> {
        let id = job_id.0;
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { jobs::retry(db, id).await }.boxed()
        })
        .await?;
        self.doorbell.ring();
        tracing::info!(job = %id, "an operator retried a job");
        Ok(Steered::Job(
            Json(self.look(id).await?),
            done.replayed.then_some(true),
        ))
    }

    /// Cancel a job
    ///
    /// One that waits is cancelled at once. Of one that runs, the worker is asked to end it, which takes
    /// seconds (`cancel_requested`); where it is done before that, it is done. A finished one is 409.
    #[oai(path = "/:job_id/cancel", method = "post", operation_id = "cancel_job")]
    async fn cancel(
        &self,
        _caller: Caller,
        context: Context,
        /// Any job.
        job_id: Path<Uuid>,
    ) -> Result<Steered, Problem> {
        let id = job_id.0;
        let done = idempotency::once(&self.db, context.idempotency.as_ref(), |db| {
            async move { jobs::cancel(db, id).await.map(drop) }.boxed()
        })
        .await?;
        tracing::info!(job = %id, "an operator cancelled a job");
        Ok(Steered::Job(
            Json(self.look(id).await?),
            done.replayed.then_some(true),
        ))
    }
}

impl Api {
    async fn look(&self, id: Uuid) -> Result<AdminJob, Problem> {
        let job = jobs::get(&self.db, id).await?;
        let log = jobs::attempts(&self.db, id).await?;
        Ok(AdminJob::from(job).with(log))
    }

    async fn pauses(&self) -> Result<Json<JobPauses>, Problem> {
        let pauses = pauses::list(&self.db).await?;
        let data = pauses.into_iter().map(JobPause::from).collect();
        Ok(Json(JobPauses { data }))
    }
}

/// The jobs that an order is about, which is given in parts.
struct Sweep(List);

impl Sweep {
    fn new(caller: &Caller, uri: &Uri, filter: &Filter) -> Self {
        Self(List::about(caller.id(), uri, filter))
    }

    fn position(&self, keys: &Keys, cursor: Option<&str>) -> Result<Option<Position>, Problem> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let place: Place = self.0.position(keys, cursor)?;
        Ok(Some(place.position().ok_or(Error::InvalidCursor)?))
    }

    fn cursor(&self, keys: &Keys, done: &Done) -> Option<String> {
        Some(self.0.cursor(keys, &Place::from(done.next?)))
    }
}

/// Nothing is logged of what only counted.
fn report(mode: Mode, filter: &Filter, done: &Done, what: &str) {
    if mode == Mode::Change {
        let filter = serde_json::json!(filter);
        tracing::info!(%filter, matched = done.matched, changed = done.changed, "{what}");
    }
}

fn fifty() -> u8 {
    50
}
