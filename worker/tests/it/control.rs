//! What operators do, and what the clock does.

use std::fs;

use taskhub::{
    jobs::{self, Cancelled, Job, Options},
    passwords::Hasher,
    testing::wait_for,
    users::{self, PasswordReset},
};

use crate::{
    site::{PATIENCE, Site},
    smtp::MailServer,
};

#[tokio::test]
async fn a_running_job_that_is_cancelled_ends_within_seconds() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    wait_for("the letter is on its way", PATIENCE, async || {
        server.waiting() == 1
    })
    .await;
    let mut db = site.database.pool.acquire().await.unwrap();
    let cancelled = jobs::cancel(&mut db, job).await.unwrap();
    assert_eq!(cancelled, Cancelled::Requested);
    // The answer never comes.
    site.wait_for_state(job, "cancelled").await;
    assert_eq!(site.outcomes(job).await, ["cancelled"]);
    wait_for("the slot is free", PATIENCE, async || {
        worker.metric("jobs_in_hand") == 0.0
            && worker.metric(r#"jobs_ended_total{kind="welcome_email",outcome="cancelled"}"#) == 1.0
    })
    .await;

    server.release();
    jobs::retry(&mut db, job).await.unwrap();
    site.wait_for_state(job, "done").await;
    assert_eq!(
        site.outcomes(job).await,
        ["cancelled", "replayed", "succeeded"]
    );
}

#[tokio::test]
async fn what_the_clock_asks_for_is_done_once_by_two_workers() {
    let site = Site::new().await;
    let _workers = [site.worker(), site.worker()];
    let pool = &site.database.pool;
    wait_for("the clock is set", PATIENCE, async || {
        let count = sqlx::query_scalar!(r#"select count(*) as "count!" from periodic"#);
        count.fetch_one(pool).await.unwrap() == 5
    })
    .await;
    sqlx::query!("update periodic set next_at = '2000-01-01T03:00:00Z'")
        .execute(pool)
        .await
        .unwrap();
    wait_for("all slots are done", PATIENCE, async || {
        let count = sqlx::query_scalar!(
            r#"
            select count(*) as "count!" from job
            where state = 'done' and unique_key like 'periodic:%:2000-01-01T03:00:00Z'
                and result in ('{"removed": 0}', '{"indexed": 0}')
            "#
        );
        count.fetch_one(pool).await.unwrap() == 5
    })
    .await;
}

#[tokio::test]
async fn a_worker_serves_the_queues_it_is_told_to() {
    let site = Site::new().await;
    let mut db = site.database.pool.acquire().await.unwrap();
    let mut enqueued = Vec::new();
    for queue in ["bulk", "slow", "other"] {
        let job = Job::WelcomeEmail {
            user_id: site.register(queue).await,
        };
        let options = Options {
            queue: Some(queue.to_owned()),
            ..Options::default()
        };
        // Not the one of the registration.
        sqlx::query!("delete from job where queue = 'default'")
            .execute(&mut *db)
            .await
            .unwrap();
        enqueued.push(jobs::enqueue_with(&mut db, &job, &options).await.unwrap());
    }
    let _worker = site.worker_with(&[("WORKER_QUEUES", "slow, bulk")]);
    site.wait_for_state(enqueued[0], "done").await;
    site.wait_for_state(enqueued[1], "done").await;
    assert_eq!(site.job(enqueued[2]).await.state, "ready");
}

#[tokio::test]
async fn whoever_forgot_their_password_is_sent_a_code_that_works_once() {
    let site = Site::new().await;
    let user = site.register("ada").await;
    site.register("eve").await;
    let pool = &site.database.pool;
    let mut db = pool.acquire().await.unwrap();
    users::request_password_reset(&mut db, "ADA@example.org")
        .await
        .unwrap();
    let job = sqlx::query_scalar!("select public_id from job where kind = 'password_reset_email'")
        .fetch_one(pool)
        .await
        .unwrap();
    let _worker = site.worker();
    site.wait_for_state(job, "done").await;
    let letter = fs::read_to_string(site.mail.path().join(format!("{job}.eml"))).unwrap();
    // Lines of a quoted-printable letter may be broken.
    let letter = letter.replace("=\r\n", "").replace("=3D", "=");
    let after = |label: &str| {
        let found = letter.lines().find_map(|line| line.strip_prefix(label));
        found.unwrap_or_else(|| panic!("{letter}"))
    };
    assert_eq!(after("Username: "), "ada");
    let code = after("Code, if you are asked for it: ");
    assert_eq!(
        after("Link: "),
        format!("http://localhost:8000/reset-password#code={code}")
    );
    assert!(!letter.contains("eve"), "{letter}");

    let hasher = Hasher::fast_for_tests().unwrap();
    let (code, new) = (code.to_owned().into(), "staple of another kind".to_owned());
    let reset = PasswordReset::prepare(pool, &hasher, &code, &new.into())
        .await
        .unwrap();
    assert_eq!(users::reset_password(&mut db, &reset).await.unwrap(), user);
    assert!(users::reset_password(&mut db, &reset).await.is_err());
}

#[tokio::test]
async fn letters_lead_to_the_app_where_there_is_one() {
    let site = Site::new().await;
    let user = site.register("ada").await;
    site.greeting(user).await;
    let mut db = site.database.pool.acquire().await.unwrap();
    users::request_password_reset(&mut db, "ada@example.org")
        .await
        .unwrap();
    let _worker = site.worker_with(&[("CLIENT_URL", "https://app.example.org/tasks")]);
    site.wait_until_done_once(2).await;
    let letters: Vec<_> = site
        .letters()
        .iter()
        .map(|name| fs::read_to_string(site.mail.path().join(name)).unwrap())
        .collect();
    let letters = letters.join("\n").replace("=\r\n", "").replace("=3D", "=");
    assert!(
        letters.contains("Sign in as ada:\r\nhttps://app.example.org/tasks/\r\n"),
        "{letters}"
    );
    let link = "Link: https://app.example.org/tasks/reset-password#code=thp_";
    assert!(letters.contains(link), "{letters}");
    assert!(!letters.contains("localhost"), "{letters}");
}

#[tokio::test]
async fn nobody_is_written_to_at_an_address_without_an_account() {
    let site = Site::new().await;
    let mut db = site.database.pool.acquire().await.unwrap();
    users::request_password_reset(&mut db, "nobody@example.org")
        .await
        .unwrap();
    let _worker = site.worker();
    site.wait_until_done_once(1).await;
    assert!(site.letters().is_empty());
}
