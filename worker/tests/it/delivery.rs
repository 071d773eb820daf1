use std::{fs, time::Duration};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use taskhub::{
    queue::{self, Doorbell},
    testing::wait_for,
};

use uuid::Uuid;

use crate::site::{PATIENCE, Site};

#[tokio::test]
async fn who_registers_is_greeted_once() {
    let site = Site::new().await;
    let user = site.register("ada").await;
    let job = site.greeting(user).await;
    let _worker = site.worker();
    site.wait_for_state(job, "done").await;
    assert_eq!(site.letters(), [format!("{job}.eml")]);
    let letter = fs::read_to_string(site.mail.path().join(format!("{job}.eml"))).unwrap();
    assert!(letter.contains("To: ada@example.org\r\n"), "{letter}");
    assert!(
        letter.contains(&format!("Message-ID: <{job}@example.org>\r\n")),
        "{letter}"
    );
    assert_eq!(site.outcomes(job).await, ["succeeded"]);

    // A second wish is the first one, which is done.
    assert_eq!(site.greeting(user).await, job);
    assert_eq!(site.job(job).await.state, "done");
}

#[tokio::test]
async fn whoever_deleted_the_account_is_not_greeted_any_more() {
    let site = Site::new().await;
    let user = site.register("ada").await;
    sqlx::query!("update user_account set deleted_at = now()")
        .execute(&site.database.pool)
        .await
        .unwrap();
    let job = site.greeting(user).await;
    let _worker = site.worker();
    site.wait_for_state(job, "done").await;
    assert!(site.letters().is_empty());
}

#[tokio::test]
async fn an_account_is_erased_when_its_time_is_over() {
    let site = Site::new().await;
    let user = site.register("ada").await;
    let mut db = site.database.pool.acquire().await.unwrap();
    taskhub::users::request_deletion(&mut db, user, &[])
        .await
        .unwrap();
    let worker = site.worker();
    site.wait_until_done_once(1).await;
    let state = sqlx::query_scalar!("select state from job where kind = 'erase_account'");
    assert_eq!(state.fetch_one(&mut *db).await.unwrap(), "scheduled");

    sqlx::raw_sql(
        "
        update user_account set deleted_at = deleted_at - interval '7 days';
        update job set run_at = run_at - interval '7 days' where kind = 'erase_account';
        ",
    )
    .execute(&mut *db)
    .await
    .unwrap();
    site.wait_until_done_once(2).await;
    let account = sqlx::query!("select username, email, erased_at from user_account");
    let account = account.fetch_one(&mut *db).await.unwrap();
    assert_eq!((account.username.as_str(), account.email), ("ada", None));
    assert!(account.erased_at.is_some());
    assert_eq!(
        worker.metric(r#"jobs_ended_total{kind="erase_account",outcome="succeeded"}"#),
        1.0
    );
}

#[tokio::test]
async fn two_workers_share_the_jobs_and_do_each_once() {
    let site = Site::new().await;
    for number in 0..200 {
        site.register(&format!("user{number}")).await;
    }
    let workers = [site.worker(), site.worker()];
    site.wait_until_done_once(200).await;
    assert_eq!(site.letters().len(), 200);
    let name = r#"jobs_ended_total{kind="welcome_email",outcome="succeeded"}"#;
    assert_eq!(
        workers
            .iter()
            .map(|worker| worker.metric(name))
            .sum::<f64>(),
        200.0
    );
}

#[tokio::test]
async fn two_leaders_at_once_do_no_harm() {
    let site = Site::new().await;
    let workers = [site.worker(), site.worker()];
    let database = site.database.pool.clone();
    // Whoever asks is the leader.
    let usurper = tokio::spawn(async move {
        loop {
            let _ = sqlx::query!("update leader set lease_until = now()")
                .execute(&database)
                .await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    wait_for("both have led", PATIENCE, async || {
        let term = sqlx::query_scalar!("select term from leader where name = 'jobs:default'");
        term.fetch_optional(&site.database.pool)
            .await
            .is_ok_and(|term| term > Some(1))
    })
    .await;
    for number in 0..100 {
        site.register(&format!("user{number}")).await;
    }
    site.wait_until_done_once(100).await;
    usurper.abort();
    assert_eq!(site.letters().len(), 100);
    drop(workers);
}

#[tokio::test]
async fn a_job_whose_bell_is_rung_starts_at_once() {
    let site = Site::new().await;
    let worker = site.worker();
    let client = redis::Client::open(site.redis.url()).unwrap();
    let config = ConnectionManagerConfig::new();
    let manager = ConnectionManager::new_lazy_with_config(client, config).unwrap();
    let bell = Doorbell::new(manager, &queue::Keys::new("", queue::DEFAULT));
    let first = site.register("first").await;
    site.wait_for_state(site.greeting(first).await, "done")
        .await;

    let mut waits = Vec::new();
    for number in 0..9 {
        let user = site.register(&format!("user{number}")).await;
        bell.ring();
        let job = site.greeting(user).await;
        site.wait_for_state(job, "done").await;
        let wait = sqlx::query_scalar!(
            r#"select extract(epoch from finished_at - run_at)::float8 as "wait!" from job where public_id = $1"#,
            job,
        );
        waits.push(wait.fetch_one(&site.database.pool).await.unwrap());
    }
    waits.sort_by(f64::total_cmp);
    // Half the poll interval; a few milliseconds on a machine that has nothing else to do.
    assert!(waits[4] < 0.25, "{waits:?}");
    assert_eq!(
        worker.metric(r#"jobs_claimed_total{source="postgres"}"#),
        0.0
    );
}

#[tokio::test]
async fn a_flood_delays_anothers_job_by_no_more_than_the_tickets_that_are_out() {
    let site = Site::new().await;
    let pool = &site.database.pool;
    let [flooder, other] = [Uuid::now_v7(), Uuid::now_v7()];
    let enqueue = async |workspace_id: Uuid, count: i32| {
        // Of people who are gone, so that there is little to do.
        sqlx::query!(
            "
            insert into job (kind, args_version, args, workspace_id)
            select 'welcome_email', 1, jsonb_build_object('user_id', gen_random_uuid()), $1
            from generate_series(1, $2)
            ",
            workspace_id,
            count,
        )
        .execute(pool)
        .await
        .unwrap();
    };
    enqueue(flooder, 3000).await;
    let _worker = site.worker();
    let done = async |workspace_id: Uuid| {
        sqlx::query_scalar!(
            r#"select count(*) as "count!" from job where workspace_id = $1 and state = 'done'"#,
            workspace_id,
        )
        .fetch_one(pool)
        .await
        .unwrap()
    };
    wait_for("the flood is under way", PATIENCE, async || {
        done(flooder).await > 100
    })
    .await;
    enqueue(other, 1).await;
    wait_for("another's job is done", PATIENCE, async || {
        done(other).await == 1
    })
    .await;
    let overtaken = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from job, (select * from job where workspace_id = $1) as late
        where job.workspace_id <> $1 and job.finished_at between late.created_at and late.finished_at
        "#,
        other,
    );
    let overtaken = overtaken.fetch_one(pool).await.unwrap();
    // Those whose tickets were out when it came, and those that ran.
    assert!(overtaken <= 512 + 2 * 16, "{overtaken}");
    assert!(done(flooder).await < 3000);
}
