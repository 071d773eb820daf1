use std::time::{Duration, Instant};

use taskhub::testing::wait_for;

use crate::{
    proxy::Proxy,
    site::{PATIENCE, Site},
    smtp::MailServer,
};

#[tokio::test]
async fn a_worker_that_stops_finishes_what_runs() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let mut worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("the letter is on its way", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    worker.process.signal(nix::sys::signal::Signal::SIGTERM);
    wait_for("it stops", PATIENCE, async || {
        worker
            .get("/health")
            .is_some_and(|health| health.contains("503"))
    })
    .await;
    let late = site.greeting(site.register("late").await).await;
    server.release();
    assert_eq!(worker.end().await.code(), Some(0));
    assert_eq!(site.job(job).await.state, "done");
    assert_eq!(site.job(late).await.state, "ready");
}

#[tokio::test]
async fn a_worker_that_stops_hands_back_what_it_cannot_finish() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let variables = [
        ("MAIL_URL", server.url()),
        ("WORKER_GRACE_SECONDS", "0".to_owned()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut worker = site.worker_with(&variables);
    wait_for("the letter is on its way", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    assert_eq!(worker.stop().await.code(), Some(0));
    let row = site.job(job).await;
    assert_eq!(
        (row.state.as_str(), row.attempt, row.crashes),
        ("ready", 0, 0)
    );
    assert!(site.outcomes(job).await.is_empty());

    // The leadership was given up as well: nobody has to wait for it to run out.
    server.release();
    let _next = site.worker_with(&variables);
    site.wait_for_state(job, "done").await;
    assert_eq!(site.job(job).await.attempt, 1);
}

#[tokio::test]
async fn an_idle_worker_stops_at_once() {
    let site = Site::new().await;
    let mut worker = site.worker();
    wait_for("the worker serves", PATIENCE, async || {
        worker.get("/health").is_some()
    })
    .await;
    assert_eq!(worker.stop().await.code(), Some(0));
}

#[tokio::test]
async fn a_worker_stops_in_time_without_postgresql() {
    let (site, server) = (Site::new().await, MailServer::start());
    let proxy = Proxy::before(&site.database).await;
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let variables = [
        ("DATABASE_URL", proxy.url(&site.database)),
        ("MAIL_URL", server.url()),
        ("WORKER_GRACE_SECONDS", "1".to_owned()),
        // So that the job is still in hand at the end.
        ("JOB_LEASE_SECONDS", "60".to_owned()),
    ];
    let variables = variables
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let mut worker = site.worker_with(&variables);
    wait_for("the letter is on its way", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    proxy.swallow();
    let told = Instant::now();
    assert_eq!(worker.stop().await.code(), Some(0));
    // The grace time, and five seconds.
    assert!(
        told.elapsed() < Duration::from_millis(6500),
        "{:?}",
        told.elapsed()
    );
    assert_eq!(site.job(job).await.state, "running");
}
