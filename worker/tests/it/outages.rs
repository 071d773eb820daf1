use std::time::{Duration, Instant};

use taskhub::testing::{Redis, wait_for};

use crate::{
    proxy::Proxy,
    site::{PATIENCE, Site, Worker},
    smtp::MailServer,
};

const VIA_REDIS: &str = r#"jobs_claimed_total{source="redis"}"#;
const VIA_POSTGRES: &str = r#"jobs_claimed_total{source="postgres"}"#;

/// Registers one person after the other until `worker` claims such a job in the way of `metric`.
async fn register_until(site: &Site, worker: &Worker, metric: &str, name: &str) -> usize {
    let before = worker.metric(metric);
    let mut registered = 0;
    wait_for(&format!("{metric} grows"), PATIENCE, async || {
        site.register(&format!("{name}{registered}")).await;
        registered += 1;
        worker.metric(metric) > before
    })
    .await;
    registered
}

#[tokio::test]
async fn nothing_is_lost_when_redis_is_stopped_flushed_and_restarted_during_work() {
    let mut site = Site::new().await;
    let worker = site.worker();
    let mut registered = register_until(&site, &worker, VIA_REDIS, "before").await;
    site.redis.flush().await;
    registered += register_until(&site, &worker, VIA_REDIS, "flushed").await;
    site.redis.stop();
    registered += register_until(&site, &worker, VIA_POSTGRES, "stopped").await;
    site.redis.restart().await;
    registered += register_until(&site, &worker, VIA_REDIS, "restarted").await;
    site.redis.flush().await;
    site.wait_until_done_once(registered).await;
    assert_eq!(site.letters().len(), registered);
}

#[tokio::test]
async fn a_redis_that_hangs_is_gone_around() {
    let site = Site::new().await;
    let worker = site.worker();
    let mut registered = register_until(&site, &worker, VIA_REDIS, "before").await;
    site.redis.pause();
    registered += register_until(&site, &worker, VIA_POSTGRES, "paused").await;
    assert_eq!(worker.metric(r#"server_up{server="Redis"}"#), 0.0);
    site.redis.resume();
    registered += register_until(&site, &worker, VIA_REDIS, "resumed").await;
    site.wait_until_done_once(registered).await;
    assert_eq!(worker.metric(r#"server_up{server="Redis"}"#), 1.0);
}

#[tokio::test]
async fn a_worker_starts_without_redis_and_takes_to_it_later() {
    let mut site = Site::with_redis(Redis::stopped()).await;
    let worker = site.worker();
    let mut registered = register_until(&site, &worker, VIA_POSTGRES, "without").await;
    site.redis.restart().await;
    registered += register_until(&site, &worker, VIA_REDIS, "with").await;
    site.wait_until_done_once(registered).await;
}

#[tokio::test]
async fn a_worker_outlives_the_absence_of_postgresql() {
    let site = Site::new().await;
    let mut worker = site.worker();
    let mut registered = register_until(&site, &worker, VIA_REDIS, "before").await;
    let job = site.greeting(site.register("during").await).await;
    registered += 1;
    site.database.close_to_all().await;
    wait_for("the worker notices", PATIENCE, async || {
        worker.metric(r#"server_up{server="PostgreSQL"}"#) == 0.0
    })
    .await;
    site.database.open().await;
    site.wait_for_state(job, "done").await;
    registered += register_until(&site, &worker, VIA_REDIS, "after").await;
    site.wait_until_done_once(registered).await;
    assert!(worker.process.ended().unwrap().is_none());
}

#[tokio::test]
async fn a_leader_that_issues_nothing_delays_a_job_by_seconds() {
    let site = Site::new().await;
    sqlx::query!(
        "
        insert into leader (name, holder, lease_until)
        values ('jobs:default', 'someone who is cut off from Redis', now() + interval '1 hour')
        "
    )
    .execute(&site.database.pool)
    .await
    .unwrap();
    let worker = site.worker();
    for number in 0..50 {
        site.register(&format!("user{number}")).await;
    }
    site.wait_until_done_once(50).await;
    assert_eq!(worker.metric(VIA_POSTGRES), 50.0);
    assert_eq!(worker.metric(r#"server_up{server="Redis"}"#), 1.0);
}

#[tokio::test]
async fn jobs_in_hand_while_postgresql_is_silent_are_no_crashes() {
    let (site, server) = (Site::new().await, MailServer::start());
    let proxy = Proxy::before(&site.database).await;
    let mut all = Vec::new();
    for number in 0..8 {
        all.push(
            site.greeting(site.register(&format!("user{number}")).await)
                .await,
        );
    }
    server.hold("");
    let _worker = site.worker_with(&[
        ("MAIL_URL", &server.url()),
        ("DATABASE_URL", &proxy.url(&site.database)),
    ]);
    wait_for("all are under way", PATIENCE, async || {
        server.waiting() == 8
    })
    .await;
    // Thrice the lease, as a failover may take.
    proxy.hold(true);
    tokio::time::sleep(Duration::from_secs(9)).await;
    proxy.hold(false);
    server.release();
    for job in all {
        site.wait_for_state(job, "done").await;
        assert_eq!(site.job(job).await.crashes, 0);
        assert_eq!(site.outcomes(job).await, ["failed", "succeeded"]);
    }
}

#[tokio::test]
async fn a_worker_that_was_cut_off_alone_says_that_it_lives() {
    let (site, server) = (Site::new().await, MailServer::start());
    let proxy = Proxy::before(&site.database).await;
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let cut_off = site.worker_with(&[
        ("MAIL_URL", &server.url()),
        ("DATABASE_URL", &proxy.url(&site.database)),
    ]);
    wait_for("it is under way", PATIENCE, async || server.waiting() == 1).await;
    proxy.hold(true);
    // Another one knows no better than to take it for dead.
    let _other = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("it is taken back", PATIENCE, async || {
        site.job(job).await.crashes == 1
    })
    .await;
    proxy.hold(false);
    wait_for("it is no crash", PATIENCE, async || {
        site.job(job).await.crashes == 0
    })
    .await;
    server.release();
    site.wait_for_state(job, "done").await;
    drop(cut_off);
}

#[tokio::test]
async fn a_redis_that_lets_nobody_issue_tickets_delays_nothing() {
    let site = Site::new().await;
    let client = redis::Client::open(site.redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut user = redis::cmd("ACL");
    user.arg(&[
        "SETUSER",
        "simple",
        "on",
        ">secret",
        "~*",
        "&*",
        "+@all",
        "-@scripting",
    ]);
    user.query_async::<()>(&mut connection).await.unwrap();
    let url = site
        .redis
        .url()
        .replace("redis://", "redis://simple:secret@");
    let worker = site.worker_with(&[("REDIS_BROKER", &url)]);
    for number in 0..5 {
        let job = site
            .greeting(site.register(&format!("user{number}")).await)
            .await;
        let enqueued = Instant::now();
        site.wait_for_state(job, "done").await;
        // Not only after it has waited for a ticket.
        if number > 0 {
            assert!(enqueued.elapsed() < Duration::from_secs(3));
        }
    }
    assert_eq!(worker.metric(VIA_POSTGRES), 5.0);
    assert!(worker.metric("jobs_tickets_refused_total") >= 1.0);
}
