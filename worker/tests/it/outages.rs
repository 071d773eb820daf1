use taskhub::testing::{Redis, wait_for};

use crate::site::{PATIENCE, Site, Worker};

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
