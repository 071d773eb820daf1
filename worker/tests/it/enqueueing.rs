use std::time::Duration;

use sqlx::PgPool;
use taskhub::{
    jobs::{self, Job},
    testing::Database,
};
use uuid::Uuid;

async fn count(db: &PgPool) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "count!" from job"#)
        .fetch_one(db)
        .await
        .unwrap()
}

async fn end_all(db: &PgPool) {
    sqlx::query!("update job set state = 'done', finished_at = now()")
        .execute(db)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_whose_cause_is_rolled_back_does_not_exist() {
    let database = Database::create().await;
    let mut transaction = database.pool.begin().await.unwrap();
    let job = Job::WelcomeEmail {
        user_id: Uuid::now_v7(),
    };
    jobs::enqueue(&mut transaction, &job).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(count(&database.pool).await, 0);
}

#[tokio::test]
async fn equal_jobs_are_one_even_when_they_race() {
    let database = Database::create().await;
    let job = Job::WelcomeEmail {
        user_id: Uuid::now_v7(),
    };
    let racers = (0..8).map(|_| {
        let (pool, job) = (database.pool.clone(), job.clone());
        tokio::spawn(async move {
            let mut transaction = pool.begin().await.unwrap();
            let id = jobs::enqueue(&mut transaction, &job).await.unwrap();
            transaction.commit().await.unwrap();
            id
        })
    });
    let ids = futures_util::future::join_all(racers).await;
    let first = ids[0].as_ref().unwrap();
    assert!(ids.iter().all(|id| id.as_ref().unwrap() == first));
    assert_eq!(count(&database.pool).await, 1);
}

#[tokio::test]
async fn a_welcome_is_wished_once_in_a_life() {
    let database = Database::create().await;
    let mut db = database.pool.acquire().await.unwrap();
    let job = Job::WelcomeEmail {
        user_id: Uuid::now_v7(),
    };
    let first = jobs::enqueue(&mut db, &job).await.unwrap();
    end_all(&database.pool).await;
    assert_eq!(jobs::enqueue(&mut db, &job).await.unwrap(), first);
    assert_eq!(count(&database.pool).await, 1);
}

#[tokio::test]
async fn an_account_can_be_erased_again_once_the_first_time_is_over() {
    let database = Database::create().await;
    let mut db = database.pool.acquire().await.unwrap();
    let job = Job::EraseAccount {
        user_id: Uuid::now_v7(),
    };
    let delay = Duration::from_secs(7 * 24 * 3600);
    let first = jobs::enqueue_in(&mut db, &job, delay).await.unwrap();
    assert_eq!(jobs::enqueue_in(&mut db, &job, delay).await.unwrap(), first);
    end_all(&database.pool).await;
    assert_ne!(jobs::enqueue_in(&mut db, &job, delay).await.unwrap(), first);
}
