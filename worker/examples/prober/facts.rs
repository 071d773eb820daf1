//! What the database says happened.

use serde_json::Value;
use sqlx::PgConnection;

/// Every row about a job, for `xtask/src/chaos/facts.rs` to read. Times are seconds since 1970.
pub(crate) async fn all(db: &mut PgConnection) -> anyhow::Result<Value> {
    Ok(sqlx::query_scalar(
        "
        select jsonb_build_object(
            'jobs', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'id', public_id, 'key', unique_key, 'probe', args -> 'id', 'mode', args -> 'mode',
                    'state', state, 'attempt', attempt, 'max_attempts', max_attempts, 'crashes', crashes
                )), '[]') from job
            ),
            'log', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'job', job, 'attempt', attempt, 'outcome', outcome,
                    'worker', worker_id, 'at', extract(epoch from at)
                ) order by at), '[]')
                from (
                    select public_id, job_log.attempt, outcome, job_log.worker_id, at
                    from job_log join job on job.id = job_id
                    union all
                    select job_id, attempt, 'succeeded', worker_id, at from probe_success
                ) as ended (job, attempt, outcome, worker_id, at)
            ),
            'effects', (
                select coalesce(jsonb_agg(jsonb_build_object('job', job_id, 'attempt', attempt)), '[]')
                from probe_effect
            ),
            'leases', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'job', job_id, 'attempt', attempt, 'worker', worker_id,
                    'begun', extract(epoch from begun_at), 'until', extract(epoch from until), 'ended', extract(epoch from ended_at)
                ) order by ended_at), '[]') from probe_lease
            ),
            'causes', (select coalesce(jsonb_agg(probe_id), '[]') from probe_cause)
        )
        ",
    )
    .fetch_one(db)
    .await?)
}
