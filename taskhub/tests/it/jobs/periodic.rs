use chrono_tz::Tz;
use sqlx::PgPool;
use taskhub::{
    jobs::{
        Job,
        periodic::{PERIODIC, Periodic, enqueue_due, synchronise},
    },
    testing::Database,
};

fn trash(schedule: &'static str) -> [Periodic; 1] {
    [Periodic {
        name: "trash",
        schedule,
        time_zone: Tz::UTC,
        job: Job::EmptyTrash {},
    }]
}

async fn make_due(db: &PgPool, interval: &str) {
    sqlx::query("update periodic set next_at = date_trunc('hour', now()) - $1::text::interval")
        .bind(interval)
        .execute(db)
        .await
        .unwrap();
}

async fn keys(db: &PgPool) -> Vec<String> {
    sqlx::query_scalar!(r#"select unique_key as "key!" from job order by id"#)
        .fetch_all(db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_slot_yields_one_job_however_many_ask() {
    let database = Database::create().await;
    let db = &database.pool;
    synchronise(db, PERIODIC).await.unwrap();
    assert!(enqueue_due(db, PERIODIC).await.unwrap().is_empty());
    for round in 1..=3 {
        make_due(db, &format!("{} hours", 10 - round)).await;
        let asked = futures_util::future::join_all((0..8).map(|_| enqueue_due(db, PERIODIC))).await;
        let jobs: usize = asked.into_iter().map(|ids| ids.unwrap().len()).sum();
        assert_eq!(jobs, PERIODIC.len());
        assert_eq!(keys(db).await.len(), round * PERIODIC.len());
    }
}

#[tokio::test]
async fn slots_that_nobody_was_there_for_yield_one_job_together() {
    let database = Database::create().await;
    let db = &database.pool;
    let trash = trash("0 * * * *");
    synchronise(db, &trash).await.unwrap();
    make_due(db, "3 days").await;
    assert_eq!(enqueue_due(db, &trash).await.unwrap().len(), 1);
    assert!(enqueue_due(db, &trash).await.unwrap().is_empty());
    let next = sqlx::query_scalar!(
        r#"select next_at > now() and next_at <= now() + interval '1 hour' as "soon!" from periodic"#
    );
    assert!(next.fetch_one(db).await.unwrap());
}

#[tokio::test]
async fn a_slot_that_comes_again_is_the_same_job() {
    let database = Database::create().await;
    let db = &database.pool;
    let trash = trash("0 * * * *");
    synchronise(db, &trash).await.unwrap();
    // As if the table had been restored from a backup.
    for _ in 0..2 {
        make_due(db, "1 hour").await;
        enqueue_due(db, &trash).await.unwrap();
        sqlx::query!("update job set state = 'done', finished_at = now()")
            .execute(db)
            .await
            .unwrap();
    }
    let keys = keys(db).await;
    assert_eq!(keys.len(), 1);
    assert!(keys[0].starts_with("periodic:trash:20"), "{keys:?}");
}

#[tokio::test]
async fn another_schedule_counts_from_now_and_the_same_one_changes_nothing() {
    let database = Database::create().await;
    let db = &database.pool;
    synchronise(db, &trash("0 3 * * *")).await.unwrap();
    make_due(db, "1 hour").await;
    synchronise(db, &trash("0 3 * * *")).await.unwrap();
    assert_eq!(enqueue_due(db, &trash("0 3 * * *")).await.unwrap().len(), 1);
    make_due(db, "1 hour").await;
    synchronise(db, &trash("0 4 * * *")).await.unwrap();
    assert!(
        enqueue_due(db, &trash("0 4 * * *"))
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_only_another_program_knows_is_left_to_it() {
    let database = Database::create().await;
    let db = &database.pool;
    synchronise(db, &trash("0 * * * *")).await.unwrap();
    synchronise(db, PERIODIC).await.unwrap();
    make_due(db, "1 hour").await;
    assert_eq!(
        enqueue_due(db, PERIODIC).await.unwrap().len(),
        PERIODIC.len()
    );
    assert_eq!(enqueue_due(db, &trash("0 * * * *")).await.unwrap().len(), 1);
}
