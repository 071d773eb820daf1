use std::fs;

use taskhub::{
    jobs::{self, Job},
    testing::wait_for,
    trace::TraceContext,
};

use crate::site::{PATIENCE, Site};

/// The first line with this message.
fn line(log: &str, message: &str) -> Option<serde_json::Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find(|line| line["message"] == message)
}

#[tokio::test]
async fn the_leader_says_how_many_jobs_there_are() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    sqlx::query!(
        "
        insert into job (kind, args_version, args, state, run_at, finished_at)
        values ('from_the_future', 1, '{}', 'ready', now() - interval '1 minute', null),
            ('from_the_future', 1, '{}', 'scheduled', now() + interval '1 hour', null),
            ('from_the_future', 1, '{}', 'scheduled', now() + interval '1 hour', null),
            ('from_the_future', 1, '{}', 'dead', now(), now())
        "
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    let worker = site.worker_logging_to(&file);
    wait_for("the jobs are counted", PATIENCE, async || {
        line(&fs::read_to_string(&file).unwrap(), "jobs counted").is_some()
    })
    .await;
    let line = line(&fs::read_to_string(&file).unwrap(), "jobs counted").unwrap();
    // Alarms read these fields.
    assert_eq!(line["level"], "INFO");
    for (field, value) in [("due", 1), ("scheduled", 2), ("running", 0), ("dead", 1)] {
        assert_eq!(line[field], value, "{line}");
    }
    assert!(line["oldest_seconds"].as_f64().unwrap() >= 60.0, "{line}");

    let labels = r#"queue="default",kind="from_the_future",version="1""#;
    assert_eq!(
        worker.metric(&format!(r#"jobs_by_kind{{{labels},state="due"}}"#)),
        1.0
    );
    assert!(worker.metric(&format!("jobs_by_kind_oldest_seconds{{{labels}}}")) >= 60.0);
}

#[tokio::test]
async fn what_a_job_logs_carries_the_trace_of_its_cause() {
    let site = Site::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    let trace = TraceContext::random();
    // An address that no letter can be sent to.
    let mut db = site.database.pool.acquire().await.unwrap();
    let user_id = site.register("ada").await;
    sqlx::raw_sql("delete from job; update user_account set email = 'not an address'")
        .execute(&mut *db)
        .await
        .unwrap();
    let job = Job::WelcomeEmail { user_id };
    let id = trace.scope(jobs::enqueue(&mut db, &job)).await.unwrap();
    let _worker = site.worker_logging_to(&file);
    let message = "the job failed and will be tried again";
    wait_for("it fails", PATIENCE, async || {
        line(&fs::read_to_string(&file).unwrap(), message).is_some()
    })
    .await;
    let line = line(&fs::read_to_string(&file).unwrap(), message).unwrap();
    let span = &line["span"];
    assert_eq!(
        span["trace_id"],
        format!("{:032x}", trace.trace_id),
        "{line}"
    );
    assert_eq!(span["id"], id.to_string());
}
