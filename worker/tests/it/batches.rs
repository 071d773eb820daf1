//! Small jobs that share a transaction.

use sqlx::PgPool;
use taskhub::testing::wait_for;
use uuid::Uuid;

use crate::site::{PATIENCE, Site};

/// Accounts whose grace time is over, each with its job.
async fn due_erasures(site: &Site, count: usize) -> Vec<Uuid> {
    let pool = &site.database.pool;
    let mut users = Vec::new();
    for number in 0..count {
        let user = site.register(&format!("user{number}")).await;
        let mut db = pool.acquire().await.unwrap();
        taskhub::users::request_deletion(&mut db, user, &[])
            .await
            .unwrap();
        users.push(user);
    }
    sqlx::raw_sql(
        "
        update user_account set deleted_at = deleted_at - interval '7 days';
        update job set run_at = now() - interval '1 second', state = 'ready' where kind = 'erase_account';
        delete from job where kind = 'welcome_email';
        ",
    )
    .execute(pool)
    .await
    .unwrap();
    users
}

async fn erased(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from user_account where erased_at is not null"#
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn small_jobs_share_their_transactions() {
    let site = Site::new().await;
    let pool = &site.database.pool;
    due_erasures(&site, 40).await;
    let worker = site.worker();
    site.wait_until_done_once(40).await;
    assert_eq!(erased(pool).await, 40);
    // The time of a transaction is that of its beginning.
    let transactions = sqlx::query_scalar!(
        r#"select count(distinct finished_at) as "count!" from job where kind = 'erase_account'"#
    );
    let transactions = transactions.fetch_one(pool).await.unwrap();
    assert!(transactions < 20, "{transactions}");
    wait_for("all are counted", PATIENCE, async || {
        worker.metric(r#"jobs_ended_total{kind="erase_account",outcome="succeeded"}"#) == 40.0
    })
    .await;
}

#[tokio::test]
async fn one_that_fails_harms_none_of_its_neighbours() {
    let site = Site::new().await;
    let pool = &site.database.pool;
    due_erasures(&site, 20).await;
    sqlx::raw_sql(
        "
        create function refuse() returns trigger language plpgsql as
            'begin raise exception ''not this one''; end';
        create trigger refuse before update on user_account
            for each row when (new.username = 'user7' and new.erased_at is not null) execute function refuse();
        ",
    )
    .execute(pool)
    .await
    .unwrap();
    let _worker = site.worker();
    site.wait_until_done_once(19).await;
    assert_eq!(erased(pool).await, 19);
    let failed = sqlx::query_scalar!(
        "select public_id from job where state <> 'done' and kind = 'erase_account'"
    );
    let failed = failed.fetch_one(pool).await.unwrap();
    let job = site.job(failed).await;
    assert!(job.last_error.unwrap().contains("not this one"));
    assert_eq!(job.crashes, 0);

    sqlx::query("drop trigger refuse on user_account")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query!("update job set run_at = now() where public_id = $1", failed)
        .execute(pool)
        .await
        .unwrap();
    site.wait_until_done_once(20).await;
    assert_eq!(erased(pool).await, 20);
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_leaves_all_or_nothing() {
    let site = Site::new().await;
    let pool = &site.database.pool;
    due_erasures(&site, 10).await;
    // Stops the batch where its end is to be written down.
    sqlx::raw_sql(
        "
        create function hold() returns trigger language plpgsql as
            'begin perform pg_advisory_xact_lock(1); return new; end';
        create trigger hold before update on job
            for each row when (new.state = 'done') execute function hold();
        ",
    )
    .execute(pool)
    .await
    .unwrap();
    let mut end = pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock(1)")
        .execute(&mut *end)
        .await
        .unwrap();
    let mut worker = site.worker();
    wait_for("the end is to be written down", PATIENCE, async || {
        let waits = sqlx::query_scalar!(
            r#"
            select exists (
                select from pg_stat_activity
                where datname = current_database() and wait_event = 'advisory'
            ) as "waits!"
            "#
        );
        waits.fetch_one(pool).await.unwrap()
    })
    .await;
    worker.process.kill();
    end.rollback().await.unwrap();
    // The server may still have carried the last statement out, but nobody has committed it.
    assert_eq!(erased(pool).await, 0);
    let _next = site.worker();
    site.wait_until_done_once(10).await;
    assert_eq!(erased(pool).await, 10);
}
