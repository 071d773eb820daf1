//! Leases that run out, and errors that PostgreSQL does not store.

use std::time::Duration;

use sqlx::PgPool;
use taskhub::{
    jobs::{
        self, State,
        leases::{self, Lease, Past, Setback},
    },
    testing::Database,
};

use super::{claim, enqueue, let_run_out, outcomes, state};

async fn crashes(db: &PgPool) -> Vec<i32> {
    sqlx::query_scalar("select crashes from job order by id")
        .fetch_all(db)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_error_is_stored_as_far_as_it_can_be() {
    let database = Database::create().await;
    let db = &database.pool;
    let id = enqueue(db, 1).await[0];
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    let error = format!("550 no such\0user{}", "ü".repeat(10_000));
    let setback = leases::fail(db, &lease, &error).await.unwrap();
    assert_eq!(setback, Some(Setback::Failed));
    let stored = jobs::get(db, id).await.unwrap().last_error.unwrap();
    assert!(stored.starts_with("550 no such\u{fffd}user"), "{stored}");
    assert_eq!(stored.chars().count(), 4001);
    let attempts = jobs::attempts(db, id).await.unwrap();
    assert_eq!(attempts[0].error.as_ref(), Some(&stored));
}

#[tokio::test]
async fn a_job_that_is_handed_back_after_its_cancellation_is_cancelled_in_its_history_too() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = enqueue(db, 2).await;
    let leases = claim(db, Past::Clean).await;
    let mut connection = db.acquire().await.unwrap();
    jobs::cancel(&mut connection, ids[0]).await.unwrap();
    let held: Vec<_> = leases.iter().map(Lease::hold).collect();
    assert_eq!(leases::hand_back(db, &held).await.unwrap(), 2);
    assert_eq!(state(db, ids[0]).await, State::Cancelled);
    assert_eq!(outcomes(db, ids[0]).await, ["cancelled"]);
    assert_eq!(state(db, ids[1]).await, State::Ready);
    assert!(outcomes(db, ids[1]).await.is_empty());
}

#[tokio::test]
async fn a_worker_that_only_lost_contact_is_no_crash() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = enqueue(db, 2).await;
    let leases = claim(db, Past::Clean).await;
    let held: Vec<_> = leases.iter().map(Lease::hold).collect();
    let_run_out(db).await;
    // One is taken back before the worker can say that it lives, the other one is not.
    sqlx::query!("update job set lease_until = now() + interval '1 minute' where id = 2")
        .execute(db)
        .await
        .unwrap();
    assert_eq!(leases::rescue(db).await.unwrap().len(), 1);
    assert_eq!(crashes(db).await, [1, 0]);
    let back = leases::survived(db, "test", &held).await.unwrap();
    assert_eq!(back, [("welcome_email".to_owned(), Setback::Failed)]);
    assert_eq!(crashes(db).await, [0, 0]);
    assert_eq!(outcomes(db, ids[0]).await, ["lost"]);
    assert_eq!(outcomes(db, ids[1]).await, ["failed"]);
    for id in ids {
        let attempt = jobs::attempts(db, id).await.unwrap().pop().unwrap();
        assert!(attempt.error.unwrap().contains("lost contact"));
        assert_eq!(state(db, id).await, State::Ready);
    }

    // Told again, also of leases that others hold by now, it changes nothing.
    assert_eq!(claim(db, Past::Clean).await.len(), 2);
    assert!(
        leases::survived(db, "test", &held)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(crashes(db).await, [0, 0]);
}

#[tokio::test]
async fn a_last_crash_is_believed_late() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = enqueue(db, 2).await;
    sqlx::query!("update job set crashes = 2 where id = 1")
        .execute(db)
        .await
        .unwrap();
    let mut held: Vec<Lease> = claim(db, Past::Suspect).await;
    held.extend(claim(db, Past::Clean).await);
    let_run_out(db).await;
    let patience = Duration::from_secs(60);
    assert_eq!(leases::rescue_after(db, patience).await.unwrap().len(), 1);
    assert_eq!(state(db, ids[0]).await, State::Running);
    let held: Vec<_> = held.iter().map(Lease::hold).collect();
    leases::survived(db, "test", &held).await.unwrap();
    assert_eq!(state(db, ids[0]).await, State::Ready);
    assert_eq!(crashes(db).await, [2, 0]);
}

#[tokio::test]
async fn a_job_that_cannot_be_taken_back_holds_up_no_other() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = enqueue(db, 3).await;
    assert_eq!(claim(db, Past::Clean).await.len(), 3);
    sqlx::raw_sql("alter table job add constraint odd check (id <> 2 or crashes = 0) not valid")
        .execute(db)
        .await
        .unwrap();
    let_run_out(db).await;
    assert_eq!(leases::rescue(db).await.unwrap().len(), 2);
    assert_eq!(state(db, ids[0]).await, State::Ready);
    assert_eq!(state(db, ids[1]).await, State::Running);
    assert_eq!(state(db, ids[2]).await, State::Ready);
}
