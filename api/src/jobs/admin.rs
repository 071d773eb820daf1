//! Jobs, as operators see and steer them.

mod wire;

use std::sync::Arc;

use futures_util::FutureExt as _;
use poem::Request;
use poem_openapi::{
    ApiResponse, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use sqlx::PgPool;
use taskhub::{
    idempotency,
    jobs::{self, Filter},
    queue::Doorbell,
    tokens::Keys,
};
use uuid::Uuid;

use self::wire::{AdminJob, AdminJobPage, AdminJobState, DeadJobs, JobStats, RetriedJobs};
use crate::{
    context::{Caller, Context},
    cursor::List,
    problem::Problem,
    response::Replayed,
    tags::Tags,
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
    /// All that are kept, the newest first.
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

    /// Retry dead jobs
    ///
    /// Has every dead job tried anew, or those of one kind. Left out is whose equal waits or runs.
    /// Repeating it is safe: a job that was retried is not dead any more.
    #[oai(path = "/retry", method = "post", operation_id = "retry_dead_jobs")]
    async fn retry_dead(
        &self,
        _caller: Caller,
        body: Json<DeadJobs>,
    ) -> Result<Json<RetriedJobs>, Problem> {
        let kind = body.0.kind;
        let retried = jobs::retry_all(&self.db, kind.as_deref()).await?;
        self.doorbell.ring();
        tracing::info!(kind, retried, "an operator retried dead jobs");
        Ok(Json(RetriedJobs::new(retried)))
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
}

fn fifty() -> u8 {
    50
}
