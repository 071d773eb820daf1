use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use taskhub::{
    jobs::{
        self, Job, Options, State, When,
        leases::{self, Past},
        waiting,
    },
    testing::Database,
    trace::TraceContext,
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

fn welcome() -> Job {
    Job::WelcomeEmail {
        user_id: Uuid::now_v7(),
    }
}

fn at(when: When) -> Options {
    Options {
        when,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_job_whose_cause_is_rolled_back_does_not_exist() {
    let database = Database::create().await;
    let mut transaction = database.pool.begin().await.unwrap();
    jobs::enqueue(&mut transaction, &welcome()).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(count(&database.pool).await, 0);
}

#[tokio::test]
async fn equal_jobs_are_one_even_when_they_race() {
    let database = Database::create().await;
    let job = welcome();
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
    let job = welcome();
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
    let later = at(When::After(Duration::from_secs(7 * 24 * 3600)));
    let first = jobs::enqueue_with(&mut db, &job, &later).await.unwrap();
    // One that is for later is live.
    assert_eq!(
        jobs::enqueue_with(&mut db, &job, &later).await.unwrap(),
        first
    );
    assert_eq!(super::state(&database.pool, first).await, State::Scheduled);
    end_all(&database.pool).await;
    assert_ne!(
        jobs::enqueue_with(&mut db, &job, &later).await.unwrap(),
        first
    );
}

#[tokio::test]
async fn a_job_for_later_is_due_when_its_time_has_come() {
    let database = Database::create().await;
    let db = &database.pool;
    let mut connection = db.acquire().await.unwrap();
    let time: DateTime<Utc> = "2100-01-01T00:00:00Z".parse().unwrap();
    let id = jobs::enqueue_with(&mut connection, &welcome(), &at(When::At(time)))
        .await
        .unwrap();
    let job = jobs::get(db, id).await.unwrap();
    assert_eq!((job.state, job.run_at), (State::Scheduled, time));
    assert_eq!(waiting::promote(db, "default").await.unwrap(), 0);
    assert!(
        waiting::due(db, "default", 10)
            .await
            .unwrap()
            .ids
            .is_empty()
    );

    sqlx::query!("update job set run_at = now()")
        .execute(db)
        .await
        .unwrap();
    assert_eq!(waiting::promote(db, "other").await.unwrap(), 0);
    assert_eq!(waiting::promote(db, "default").await.unwrap(), 1);
    assert_eq!(waiting::due(db, "default", 10).await.unwrap().ids.len(), 1);

    let past = at(When::At("2000-01-01T00:00:00Z".parse().unwrap()));
    let late = jobs::enqueue_with(&mut connection, &welcome(), &past)
        .await
        .unwrap();
    assert_eq!(super::state(db, late).await, State::Ready);
}

#[tokio::test]
async fn queue_and_priority_can_be_chosen() {
    let database = Database::create().await;
    let db = &database.pool;
    let mut connection = db.acquire().await.unwrap();
    let options = Options {
        queue: Some("bulk".to_owned()),
        priority: Some(7),
        ..Options::default()
    };
    let id = jobs::enqueue_with(&mut connection, &welcome(), &options)
        .await
        .unwrap();
    let job = jobs::get(db, id).await.unwrap();
    assert_eq!((job.queue.as_str(), job.priority), ("bulk", 7));
    assert!(
        waiting::due(db, "default", 10)
            .await
            .unwrap()
            .ids
            .is_empty()
    );
    assert_eq!(waiting::due(db, "bulk", 10).await.unwrap().ids.len(), 1);
}

#[tokio::test]
async fn a_job_carries_on_the_trace_of_its_cause() {
    let database = Database::create().await;
    let mut db = database.pool.acquire().await.unwrap();
    let trace = TraceContext::random();
    let traced = trace
        .scope(jobs::enqueue(&mut db, &welcome()))
        .await
        .unwrap();
    let untraced = jobs::enqueue(&mut db, &welcome()).await.unwrap();
    let stored = jobs::get(&database.pool, traced).await.unwrap();
    assert_eq!(stored.trace_context, Some(trace.to_string()));
    let stored = jobs::get(&database.pool, untraced).await.unwrap();
    assert_eq!(stored.trace_context, None);
}

#[tokio::test]
async fn many_are_enqueued_as_each_would_be() {
    let database = Database::create().await;
    let mut db = database.pool.acquire().await.unwrap();
    let [known, new] = [welcome(), welcome()];
    let first = jobs::enqueue(&mut db, &known).await.unwrap();
    let erasure = Job::EraseAccount {
        user_id: Uuid::now_v7(),
    };
    let mut all = vec![new.clone(), known.clone(), erasure, new, known];
    // More than one statement takes.
    all.extend((0..2500).map(|_| welcome()));
    let ids = jobs::enqueue_all(&mut db, &all).await.unwrap();

    assert_eq!(ids.len(), all.len());
    assert_eq!((ids[1], ids[4]), (first, first));
    assert_eq!(ids[3], ids[0]);
    assert_eq!(count(&database.pool).await, 3 + 2500);
    for place in [0, 2, 5, 2504] {
        let stored = jobs::get(&database.pool, ids[place]).await.unwrap();
        assert_eq!(stored.kind, all[place].rules().kind);
        assert_eq!(stored.state, State::Ready);
        let (Job::WelcomeEmail { user_id } | Job::EraseAccount { user_id }) = all[place] else {
            panic!("{:?}", all[place]);
        };
        assert_eq!(stored.user_id, Some(user_id));
        assert_eq!(stored.args, serde_json::json!({ "user_id": user_id }));
    }
    assert!(jobs::enqueue_all(&mut db, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_new_wish_makes_an_equal_job_that_waits_due_and_urgent() {
    let database = Database::create().await;
    let db = &database.pool;
    let mut connection = db.acquire().await.unwrap();
    let job = welcome();
    let later = at(When::After(Duration::from_secs(3600)));
    let id = jobs::enqueue_with(&mut connection, &job, &later)
        .await
        .unwrap();
    assert_eq!(super::state(db, id).await, State::Scheduled);
    let urgent = Options {
        priority: Some(0),
        ..Options::default()
    };
    let again = jobs::enqueue_with(&mut connection, &job, &urgent)
        .await
        .unwrap();
    assert_eq!(again, id);
    let hastened = jobs::get(db, id).await.unwrap();
    assert_eq!((hastened.state, hastened.priority), (State::Ready, 0));
    assert!(hastened.run_at <= Utc::now());

    // The other way round nothing changes.
    jobs::enqueue_with(&mut connection, &job, &later)
        .await
        .unwrap();
    assert_eq!(jobs::get(db, id).await.unwrap(), hastened);
    assert_eq!(count(db).await, 1);
}

#[tokio::test]
async fn an_open_transaction_with_an_equal_job_leaves_the_running_one_its_lease() {
    let database = Database::create().await;
    let db = &database.pool;
    let job = welcome();
    let mut connection = db.acquire().await.unwrap();
    let id = jobs::enqueue(&mut connection, &job).await.unwrap();
    let lease = super::claim(db, Past::Clean).await.pop().unwrap();
    let mut open = db.begin().await.unwrap();
    assert_eq!(jobs::enqueue(&mut open, &job).await.unwrap(), id);

    assert_eq!(leases::extend(db, &[lease.hold()]).await.unwrap().len(), 1);
    let end = leases::complete(db.begin().await.unwrap(), &lease);
    tokio::time::timeout(Duration::from_secs(5), end)
        .await
        .expect("no lock is waited for")
        .unwrap();
    open.commit().await.unwrap();
    assert_eq!(super::state(db, id).await, State::Done);
}

#[tokio::test]
async fn an_equal_job_that_waits_is_not_taken_before_the_new_wish_is_committed() {
    let database = Database::create().await;
    let db = &database.pool;
    let job = Job::EraseAccount {
        user_id: Uuid::now_v7(),
    };
    let mut connection = db.acquire().await.unwrap();
    jobs::enqueue(&mut connection, &job).await.unwrap();
    let mut open = db.begin().await.unwrap();
    jobs::enqueue(&mut open, &job).await.unwrap();
    // It would not see what the open transaction changes.
    assert!(super::claim(db, Past::Clean).await.is_empty());
    open.commit().await.unwrap();
    assert_eq!(super::claim(db, Past::Clean).await.len(), 1);
}
