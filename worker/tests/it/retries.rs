use std::time::{Duration, Instant};

use taskhub::testing::wait_for;

use crate::{
    site::{PATIENCE, Site},
    smtp::MailServer,
};

/// Nobody listens there: the port of discard.
const NOBODY: &str = "smtp://127.0.0.1:9";

#[tokio::test]
async fn what_fails_is_tried_again_later_and_is_dead_in_the_end() {
    let site = Site::new().await;
    let job = site.greeting(site.register("ada").await).await;
    let worker = site.worker_with(&[("MAIL_URL", NOBODY)]);
    for attempt in 1..10 {
        wait_for("the attempt failed", PATIENCE, async || {
            site.outcomes(job).await.len() == attempt
        })
        .await;
        let row = site.job(job).await;
        assert_eq!(row.state, "scheduled");
        assert!(row.last_error.unwrap().contains("the letter was not taken"));
        assert_eq!(row.crashes, 0);
        if row.is_later {
            let hurry = sqlx::query!("update job set run_at = now()");
            hurry.execute(&site.database.pool).await.unwrap();
        }
    }
    site.wait_for_state(job, "dead").await;
    let mut outcomes = site.outcomes(job).await;
    assert_eq!(outcomes.pop().as_deref(), Some("dead"));
    assert_eq!(outcomes, ["failed"; 9]);
    assert_eq!(
        worker.metric(r#"jobs_ended_total{kind="welcome_email",outcome="failed"}"#),
        9.0
    );
    assert_eq!(
        worker.metric(r#"jobs_ended_total{kind="welcome_email",outcome="dead"}"#),
        1.0
    );
}

#[tokio::test]
async fn what_only_a_newer_worker_knows_is_left_for_it() {
    let site = Site::new().await;
    sqlx::query!(
        "
        insert into job (kind, args_version, args)
        values ('from_the_future', 1, '{}'), ('welcome_email', 2, '{}')
        "
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    let job = site.greeting(site.register("ada").await).await;
    let worker = site.worker();
    site.wait_for_state(job, "done").await;
    wait_for("they are counted", PATIENCE, async || {
        worker.metric(r#"jobs{state="unknown"}"#) == 2.0
    })
    .await;
    let untouched = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job where state = 'ready' and attempt = 0"#,
    );
    assert_eq!(untouched.fetch_one(&site.database.pool).await.unwrap(), 2);
}

#[tokio::test]
async fn what_nobody_can_take_yet_keeps_nobody_busy() {
    let site = Site::new().await;
    sqlx::query!(
        "insert into job (kind, args_version, args) select 'from_the_future', 1, '{}' from generate_series(1, 300)"
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    let _worker = site.worker();
    // An eighth of the window at a time.
    let first = async || site.tickets_issued().await >= 64.0;
    wait_for("they are issued", PATIENCE, first).await;
    let issued = Instant::now();

    let again = async || site.tickets_issued().await >= 128.0;
    wait_for("they are issued again", PATIENCE, again).await;

    assert!(issued.elapsed() > Duration::from_secs(3));
}

#[tokio::test]
async fn an_error_that_postgresql_cannot_store_ends_the_attempt() {
    let (site, server) = (Site::new().await, MailServer::start());
    server.refuse("550 5.7.1 no such\0user");
    let job = site.greeting(site.register("ada").await).await;
    let worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("the attempt failed", PATIENCE, async || {
        site.outcomes(job).await == ["failed"]
    })
    .await;
    let row = site.job(job).await;
    assert_eq!(row.state, "scheduled");
    assert!(row.last_error.unwrap().contains("no such\u{fffd}user"));

    // That nothing gets done is told, and is no reason for a restart.
    wait_for("it is told", PATIENCE, async || {
        worker.metric("jobs_nothing_done_seconds") > 1.0
    })
    .await;
    let health = worker.get("/health").unwrap();
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    let (_, body) = health.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["status"], "ok");
    assert!(body["nothing_done_seconds"].as_u64().unwrap() > 0, "{body}");
    assert!(worker.health_check().success());
}

#[tokio::test]
async fn an_end_that_postgresql_refuses_is_not_tried_for_ever() {
    let (site, server) = (Site::new().await, MailServer::start());
    server.refuse("550 5.7.1 no such user");
    let job = site.greeting(site.register("ada").await).await;
    // Whatever is wrong with the words of the mail server.
    sqlx::raw_sql("alter table job_log add constraint odd check (error not like '%no such user%')")
        .execute(&site.database.pool)
        .await
        .unwrap();
    let worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("the attempt failed", PATIENCE, async || {
        site.outcomes(job).await == ["failed"]
    })
    .await;
    let error = site.job(job).await.last_error.unwrap();
    assert!(error.contains("PostgreSQL refused"), "{error}");
    assert_eq!(
        worker.metric(r#"jobs_ends_unwritten_total{reason="refused"}"#),
        1.0
    );

    // Nor where it refuses every end: the lease is let go, and the job is dead after the third time.
    sqlx::raw_sql(
        "
        alter table job_log add constraint odder check (outcome <> 'failed') not valid;
        update job set run_at = now();
        ",
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    wait_for("it is taken back", PATIENCE, async || {
        site.outcomes(job).await == ["failed", "lost"]
    })
    .await;
    assert_eq!(site.job(job).await.crashes, 1);
}
