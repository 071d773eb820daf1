//! Jobs, as those see them whom they concern.

pub mod admin;
mod wire;

use poem_openapi::{ApiResponse, OpenApi, param::Path, payload::Json, types::ToJSON as _};
use sha2::{Digest as _, Sha256};
use sqlx::PgPool;
use taskhub::jobs;
use uuid::Uuid;

use self::wire::Job;
use crate::{context::Caller, problem::Problem, tags::Tags};

#[derive(ApiResponse)]
enum Shown {
    /// The job as it is now.
    #[oai(status = 200)]
    Job(
        Json<Job>,
        /// Changes with every change of the job.
        #[oai(header = "ETag")]
        String,
    ),
}

/// One's own jobs.
pub struct Api {
    pub db: PgPool,
}

#[OpenApi(prefix_path = "/v1/jobs", tag = "Tags::Jobs")]
impl Api {
    /// Show a job
    ///
    /// Work that was asked for and is done later. Ask again until `finished_at` is set, with the `ETag`
    /// to make it cheap. Finished jobs are kept for a week at least, unless this instance says
    /// otherwise.
    #[oai(path = "/:job_id", method = "get", operation_id = "get_job")]
    async fn get(
        &self,
        caller: Caller,
        /// One that concerns you, or a workspace of yours.
        job_id: Path<Uuid>,
    ) -> Result<Shown, Problem> {
        let job = jobs::get_for(&self.db, caller.user_id, job_id.0).await?;
        let job = Job::from(job);
        let tag = entity_tag(&job);
        Ok(Shown::Job(Json(job), tag))
    }
}

/// A job has no version: its worker reports progress without one.
fn entity_tag(job: &Job) -> String {
    let digest = Sha256::digest(job.to_json_string());
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("\"{hex}\"")
}
