//! How fast letters leave, whatever the number of workers, and what a server that refuses some costs.

use taskhub::testing::{Redis, wait_for};

use crate::{
    site::{PATIENCE, Site},
    smtp::MailServer,
};

/// What the mail server takes within a second.
const RATE: usize = 50;

/// Enqueues the greetings of so many people.
async fn greetings(site: &Site, count: i32) {
    sqlx::query(
        "
        with person as (
            insert into user_account (id, username, email, password_hash)
            select gen_random_uuid(), 'user' || n, 'user' || n || '@example.org', 'x'
            from generate_series(1, $1) as n
            returning id
        )
        insert into job (kind, args_version, args, user_id, unique_key, unique_forever)
        select 'welcome_email', 1, jsonb_build_object('user_id', id), id, 'welcome_email:' || id, true from person
        ",
    )
    .bind(count)
    .execute(&site.database.pool)
    .await
    .unwrap();
}

async fn states(site: &Site) -> Vec<(String, i32, i64)> {
    sqlx::query_as(
        "
        select state, attempt, count(*) from job where kind = 'welcome_email'
        group by state, attempt order by state, attempt
        ",
    )
    .fetch_all(&site.database.pool)
    .await
    .unwrap()
}

/// Two workers send the letters as fast as they may.
async fn send(site: &Site, letters: i32) {
    let server = MailServer::start();
    server.allow_per_second(RATE);
    greetings(site, letters).await;
    let variables = [
        ("MAIL_URL", server.url()),
        ("JOB_RATES", format!("mail={RATE}/1s")),
    ];
    let variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let workers = [(); 2].map(|()| site.worker_with(&variables));
    let count = usize::try_from(letters).unwrap();
    wait_for("all letters are sent", PATIENCE, async || {
        server.taken().len() + server.refused() >= count
    })
    .await;
    wait_for("all jobs are done", PATIENCE, async || {
        states(site).await == [("done".to_owned(), 1, i64::from(letters))]
    })
    .await;
    assert_eq!(server.refused(), 0);
    assert!(server.most_within_a_second() <= RATE);
    // And the rate is used: a busy machine costs some of it.
    let rate = (letters - 1) as f64 / server.span().as_secs_f64();
    assert!(rate > RATE as f64 * 0.4, "{rate} letters a second");
    drop(workers);
}

#[tokio::test]
async fn two_workers_together_send_no_faster_than_the_server_takes() {
    send(&Site::new().await, 150).await;
}

#[tokio::test]
async fn without_redis_they_send_no_faster_either() {
    send(&Site::with_redis(Redis::stopped()).await, 150).await;
}

#[tokio::test]
async fn a_server_that_refuses_for_now_costs_no_attempt() {
    let (site, server) = (Site::new().await, MailServer::start());
    server.allow_per_second(0);
    let job = site.greeting(site.register("ada").await).await;
    let worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    for refused in 1..=15 {
        wait_for("it is put off", PATIENCE, async || {
            server.refused() == refused && site.job(job).await.state == "scheduled"
        })
        .await;
        let row = site.job(job).await;
        assert_eq!((row.attempt, row.is_later), (0, true));
        let error = row.last_error.unwrap();
        assert!(error.contains("try again later"), "{error}");
        assert!(error.contains("Throttling failure"), "{error}");
        // The server takes it with the last of more tries than a job has attempts.
        if refused == 15 {
            server.allow_per_second(RATE);
        }
        let hurry = sqlx::query!("update job set run_at = now() where state = 'scheduled'");
        hurry.execute(&site.database.pool).await.unwrap();
    }
    site.wait_for_state(job, "done").await;
    assert_eq!(site.outcomes(job).await, ["succeeded"]);
    let deferred = worker.metric(r#"jobs_ended_total{kind="welcome_email",outcome="deferred"}"#);
    assert_eq!(deferred, 15.0);
}
