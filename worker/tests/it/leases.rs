use std::time::Duration;

use sqlx::PgPool;
use taskhub::{
    jobs::{
        self, Job,
        leases::{self, Lease, LeaseLost, Past, Setback},
        waiting,
    },
    testing::Database,
};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

async fn enqueue(db: &PgPool, count: usize) {
    let mut db = db.acquire().await.unwrap();
    for _ in 0..count {
        let job = Job::WelcomeEmail {
            user_id: Uuid::now_v7(),
        };
        jobs::enqueue(&mut db, &job).await.unwrap();
    }
}

async fn claim(db: &PgPool, past: Past) -> Vec<Lease> {
    let due = waiting::due(db, "default", 100).await.unwrap();
    leases::claim(db, &due, past, 100, LEASE, "test")
        .await
        .unwrap()
}

/// As if the worker had been paused for too long, or had died.
async fn let_run_out(db: &PgPool) {
    sqlx::query!(
        "update job set lease_until = now() - interval '1 second' where state = 'running'"
    )
    .execute(db)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_lost_lease_commits_nothing() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    let late = claim(db, Past::Clean).await.pop().unwrap();
    let_run_out(db).await;
    assert_eq!(
        leases::rescue(db).await.unwrap(),
        [("welcome_email".to_owned(), Setback::Lost)]
    );
    let present = claim(db, Past::Suspect).await.pop().unwrap();

    let mut effects = db.begin().await.unwrap();
    sqlx::query!("insert into leader (name, holder, lease_until) values ('effect', 'late', now())")
        .execute(&mut *effects)
        .await
        .unwrap();
    let error = leases::complete(effects, &late).await.unwrap_err();
    assert!(error.is::<LeaseLost>(), "{error:#}");
    assert_eq!(leases::fail(db, &late, "late").await.unwrap(), None);
    assert_eq!(
        leases::hand_back(db, &[(late.id, late.token)])
            .await
            .unwrap(),
        0
    );
    let held = [(late.id, late.token), (present.id, present.token)];
    assert_eq!(
        leases::extend(db, &held, LEASE).await.unwrap(),
        [present.id]
    );

    let effects = sqlx::query_scalar!(r#"select count(*) as "count!" from leader"#);
    assert_eq!(effects.fetch_one(db).await.unwrap(), 0);
    leases::complete(db.begin().await.unwrap(), &present)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_lease_that_is_extended_is_not_rescued() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    let_run_out(db).await;
    leases::extend(db, &[(lease.id, lease.token)], LEASE)
        .await
        .unwrap();
    assert!(leases::rescue(db).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_third_crash_is_a_jobs_death() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    for (past, end) in [
        (Past::Clean, Setback::Lost),
        (Past::Suspect, Setback::Lost),
        (Past::Suspect, Setback::Dead),
    ] {
        assert_eq!(claim(db, past).await.len(), 1);
        let_run_out(db).await;
        assert_eq!(leases::rescue(db).await.unwrap()[0].1, end);
    }
    assert!(claim(db, Past::Suspect).await.is_empty());
}

#[tokio::test]
async fn two_claims_at_once_never_take_the_same_job() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 50).await;
    let claims = futures_util::future::join_all((0..5).map(|_| claim(db, Past::Clean))).await;
    let mut ids: Vec<i64> = claims.iter().flatten().map(|lease| lease.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), claims.iter().flatten().count());
}

#[tokio::test]
async fn the_urgent_comes_first_and_the_later_not_at_all() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 4).await;
    sqlx::raw_sql(
        "
        update job set priority = 200 where id = 1;
        update job set run_at = now() + interval '1 minute', priority = 1 where id = 2;
        update job set run_at = now() - interval '1 minute' where id = 4;
        ",
    )
    .execute(db)
    .await
    .unwrap();
    assert_eq!(waiting::due(db, "default", 100).await.unwrap(), [4, 3, 1]);
    assert_eq!(waiting::due(db, "default", 1).await.unwrap(), [4]);
}

#[tokio::test]
async fn a_flood_of_unknown_jobs_does_not_hide_the_known() {
    let database = Database::create().await;
    let db = &database.pool;
    sqlx::query!(
        "
        insert into job (kind, args_version, args, run_at)
        select 'from_the_future', 1, '{}', now() - interval '1 hour' from generate_series(1, 1000)
        "
    )
    .execute(db)
    .await
    .unwrap();
    enqueue(db, 5).await;
    let due = waiting::due(db, "default", 80).await.unwrap();
    assert_eq!(due.len(), 15);
    assert_eq!(claim(db, Past::Clean).await.len(), 5);
    let counts = waiting::count(db).await.unwrap();
    assert_eq!(
        (counts.due, counts.unknown, counts.running),
        (1000, 1000, 5)
    );
}
