use std::fs;

use taskhub::{
    jobs::{self, Job},
    testing::wait_for,
};

use crate::{
    site::{PATIENCE, Site, Worker},
    smtp::MailServer,
};

#[tokio::test]
async fn a_worker_killed_before_the_job_loses_nothing() {
    let site = Site::new().await;
    let mut worker = site.worker();
    wait_for("the worker serves", PATIENCE, async || {
        worker.get("/health").is_some()
    })
    .await;
    worker.pause();
    let job = site.greeting(site.register("ada").await).await;
    worker.process.kill();
    assert_eq!(site.job(job).await.state, "ready");
    let _worker = site.worker();
    site.wait_for_state(job, "done").await;
    assert_eq!(site.letters(), [format!("{job}.eml")]);
}

#[tokio::test]
async fn a_worker_killed_while_it_claims_loses_nothing() {
    let site = Site::new().await;
    let job = site.greeting(site.register("ada").await).await;
    // Whoever claims a job waits for a lock, after having changed its row.
    sqlx::raw_sql(
        "
        create function wait() returns trigger language plpgsql as
            'begin perform pg_advisory_xact_lock(1); return null; end';
        create trigger wait after update on job
            for each row when (new.state = 'running' and old.state = 'ready') execute function wait();
        ",
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    let mut claims = site.database.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(1)")
        .execute(&mut *claims)
        .await
        .unwrap();
    let mut worker = site.worker();
    wait_for("a claim waits", PATIENCE, async || {
        let waits = sqlx::query_scalar!(
            r#"
            select exists (
                select from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock'
                    and query like '%lease_token = gen_random_uuid()%'
            ) as "waits!"
            "#
        );
        waits.fetch_one(&site.database.pool).await.unwrap()
    })
    .await;
    worker.process.kill();
    // The server may still carry the claim out, for nobody.
    claims.rollback().await.unwrap();
    let _worker = site.worker();
    site.wait_for_state(job, "done").await;
    assert_eq!(site.letters(), [format!("{job}.eml")]);
    let outcomes = site.outcomes(job).await;
    assert_eq!(outcomes.last().map(String::as_str), Some("succeeded"));
    assert!(outcomes.len() <= 2, "{outcomes:?}");
}

#[tokio::test]
async fn a_worker_killed_during_the_job_leaves_it_to_the_next() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let mut worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("the letter is on its way", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    assert_eq!(site.job(job).await.state, "running");
    worker.process.kill();
    site.let_leases_run_out().await;
    let _worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("it is sent again", PATIENCE, async || server.waiting() == 2).await;
    server.release();
    site.wait_for_state(job, "done").await;
    assert_eq!(site.outcomes(job).await, ["lost", "succeeded"]);
    assert_eq!(site.job(job).await.attempt, 2);
    // Both under one identity, by which receivers tell that they are the same.
    wait_for("both are taken", PATIENCE, async || {
        server.taken().len() == 2
    })
    .await;
    for letter in server.taken() {
        assert!(
            letter.contains(&format!("Message-ID: <{job}@example.org>")),
            "{letter}"
        );
    }
}

#[tokio::test]
async fn a_worker_killed_after_the_effect_does_not_double_it() {
    let site = Site::new().await;
    let job = site.greeting(site.register("ada").await).await;
    let pool = &site.database.pool;
    // Stops the handler before it looks at the user.
    let mut accounts = pool.begin().await.unwrap();
    sqlx::query("lock table user_account in access exclusive mode")
        .execute(&mut *accounts)
        .await
        .unwrap();
    let mut worker = site.worker();
    site.wait_for_state(job, "running").await;
    // Stops it before its end can be written down.
    let mut end = pool.begin().await.unwrap();
    sqlx::query!("select id from job for update")
        .fetch_all(&mut *end)
        .await
        .unwrap();
    accounts.rollback().await.unwrap();
    wait_for("the letter is there", PATIENCE, async || {
        site.letters().len() == 1
    })
    .await;
    let file = site.mail.path().join(format!("{job}.eml"));
    let first = fs::metadata(&file).unwrap().modified().unwrap();
    worker.process.kill();
    end.rollback().await.unwrap();
    assert_eq!(site.job(job).await.state, "running");

    site.let_leases_run_out().await;
    let _worker = site.worker();
    site.wait_for_state(job, "done").await;
    assert_eq!(site.outcomes(job).await, ["lost", "succeeded"]);
    assert_eq!(site.letters(), [format!("{job}.eml")]);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), first);
}

#[tokio::test]
async fn a_worker_paused_beyond_its_lease_cannot_complete_what_another_has_done() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let first = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("the letter is on its way", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    first.pause();
    // Nothing is hurried here: the lease and the leadership run out by themselves.
    let _second = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("another sends it", PATIENCE, async || server.waiting() == 2).await;
    server.release();
    site.wait_for_state(job, "done").await;
    first.resume();
    wait_for("the first works on", PATIENCE, async || {
        first.metric("jobs_in_hand") == 0.0 && first.get("/health").is_some()
    })
    .await;
    assert_eq!(site.outcomes(job).await, ["lost", "succeeded"]);
    assert_eq!(
        first.metric(r#"jobs_ended_total{kind="welcome_email",outcome="succeeded"}"#),
        0.0
    );
    assert_eq!(site.job(job).await.attempt, 2);
}

#[tokio::test]
async fn a_poison_job_dies_after_three_crashes_and_hurts_no_other() {
    let (site, server) = (Site::new().await, MailServer::start());
    let poison = site.greeting(site.register("poison").await).await;
    let mut others = Vec::new();
    for number in 0..5 {
        others.push(
            site.greeting(site.register(&format!("user{number}")).await)
                .await,
        );
    }
    server.hold("");
    // Whoever has the poison job in hand dies of it, with all that runs beside it.
    for crash in 1..=3 {
        let mut worker = site.worker_with(&[("MAIL_URL", &server.url())]);
        site.wait_for_state(poison, "running").await;
        if crash == 1 {
            wait_for("all are under way", PATIENCE, async || {
                server.waiting() == 6
            })
            .await;
            server.hold("poison@example.org");
        }
        worker.process.kill();
        site.let_leases_run_out().await;
        wait_for("the dead are missed", PATIENCE, async || {
            taskhub::jobs::leases::rescue(&site.database.pool)
                .await
                .is_ok()
                && site.job(poison).await.crashes == crash
        })
        .await;
    }
    assert_eq!(site.job(poison).await.state, "dead");
    server.release();
    let _worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    for other in others {
        site.wait_for_state(other, "done").await;
        assert!(site.job(other).await.crashes <= 1);
    }
    assert_eq!(site.job(poison).await.state, "dead");
}

#[tokio::test]
async fn what_a_killed_worker_had_in_hand_is_done_within_seconds() {
    let (site, server) = (Site::new().await, MailServer::start());
    for number in 0..30 {
        site.register(&format!("user{number}")).await;
    }
    server.hold("");
    let variables = [
        ("MAIL_URL", server.url()),
        ("WORKER_CONCURRENCY", "30".to_owned()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut worker = site.worker_with(&variables);
    wait_for("all are under way", PATIENCE, async || {
        server.waiting() == 30
    })
    .await;
    worker.process.kill();
    server.release();
    site.let_leases_run_out().await;
    // Each by itself, for any of them may have killed it; but one right after the other.
    let started = std::time::Instant::now();
    let _next = site.worker_with(&variables);
    site.wait_until_done_once(30).await;
    assert!(started.elapsed() < PATIENCE / 3, "{:?}", started.elapsed());
}

/// A worker with two slots, one of which a letter holds for as long as the server likes.
async fn with_a_long_job(site: &Site, server: &MailServer, slots: &str) -> Worker {
    let long = site.greeting(site.register("long").await).await;
    server.hold("long@example.org");
    let variables = [("MAIL_URL", server.url())];
    let [(name, url)] = &variables;
    let worker = site.worker_with(&[(name, url.as_str()), ("WORKER_CONCURRENCY", slots)]);
    wait_for("the long one runs", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    assert_eq!(site.job(long).await.state, "running");
    worker
}

#[tokio::test]
async fn a_suspect_does_not_wait_until_everything_else_has_ended() {
    let (site, server) = (Site::new().await, MailServer::start());
    let _worker = with_a_long_job(&site, &server, "2").await;
    let mut suspects = Vec::new();
    for (name, crashes) in [("first", 1), ("second", 1), ("last", 2)] {
        let user = site.register(name).await;
        let job = site.greeting(user).await;
        sqlx::query!(
            "update job set crashes = $2 where public_id = $1",
            job,
            crashes
        )
        .execute(&site.database.pool)
        .await
        .unwrap();
        suspects.push(job);
    }
    // The last chance is not taken in company at once, but taken.
    for job in suspects {
        site.wait_for_state(job, "done").await;
    }
    assert_eq!(server.waiting(), 1);
    server.release();
}

#[tokio::test]
async fn a_reset_does_not_wait_for_slots_that_long_work_has_taken() {
    let (site, server) = (Site::new().await, MailServer::start());
    let _worker = with_a_long_job(&site, &server, "1").await;
    let mut db = site.database.pool.acquire().await.unwrap();
    let other = site.greeting(site.register("other").await).await;
    let email = "long@elsewhere.org".to_owned();
    let reset = jobs::enqueue(&mut db, &Job::PasswordResetEmail { email })
        .await
        .unwrap();
    site.wait_for_state(reset, "done").await;
    assert_eq!(site.job(other).await.state, "ready");
    assert_eq!(server.waiting(), 1);
    server.release();
    site.wait_for_state(other, "done").await;
}
