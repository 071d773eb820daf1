//! Operators pause and resume while workers run.

use std::time::{Duration, Instant};

use taskhub::{
    jobs::pauses::{self, Target},
    testing::{Redis, wait_for},
};
use uuid::Uuid;

use crate::site::{PATIENCE, Site};

/// How long a pause and a resumption may take to be felt.
const SOON: Duration = Duration::from_secs(5);

async fn pause_and_resume(site: Site, target: Target) {
    let workers = [(); 2].map(|()| site.worker());
    let before = site.greeting(site.register("before").await).await;
    site.wait_for_state(before, "done").await;

    let mut db = site.database.pool.acquire().await.unwrap();
    pauses::pause(&mut db, &target, Uuid::now_v7(), None)
        .await
        .unwrap();
    let mut held = Vec::new();
    for number in 0..20 {
        let user = site.register(&format!("held{number}")).await;
        held.push(site.greeting(user).await);
    }
    // The leader counts them; until then nobody has begun one.
    wait_for("they are counted as paused", PATIENCE, async || {
        workers
            .iter()
            .any(|worker| worker.metric(r#"jobs{state="paused"}"#) == 20.0)
    })
    .await;
    for worker in &workers {
        assert_eq!(worker.metric("jobs_oldest_seconds"), 0.0);
    }
    for job in &held {
        let row = site.job(*job).await;
        assert_eq!((row.state.as_str(), row.attempt), ("ready", 0));
    }

    assert!(pauses::resume(&mut db, &target).await.unwrap());
    let resumed = Instant::now();
    site.wait_until_done_once(21).await;
    assert!(resumed.elapsed() < SOON, "{:?}", resumed.elapsed());
}

#[tokio::test]
async fn a_paused_kind_waits_until_it_is_resumed() {
    pause_and_resume(Site::new().await, Target::Kind("welcome_email".to_owned())).await;
}

#[tokio::test]
async fn a_paused_queue_waits_without_redis_too() {
    let site = Site::with_redis(Redis::stopped()).await;
    pause_and_resume(site, Target::Queue("default".to_owned())).await;
}
