//! What was planned when there were few jobs must do when there are many.

use sqlx::PgPool;
use taskhub::{
    database,
    jobs::{self, Filter, Job, State, leases},
    testing::Database,
};
use uuid::Uuid;

use super::claim;
use taskhub::jobs::leases::Past;

/// PostgreSQL keeps a plan after so many executions.
const EXECUTIONS: usize = 6;

const MANY: usize = 5000;

async fn enqueue(db: &PgPool, count: usize) {
    let jobs: Vec<Job> = (0..count)
        .map(|_| Job::WelcomeEmail {
            user_id: Uuid::now_v7(),
        })
        .collect();
    let mut db = db.acquire().await.unwrap();
    jobs::enqueue_all(&mut db, &jobs).await.unwrap();
}

async fn list(db: &PgPool, state: State) -> usize {
    let filter = Filter {
        state: Some(state),
        ..Filter::default()
    };
    jobs::list(db, &filter, None, 10).await.unwrap().jobs.len()
}

/// Claims what is due first, keeps it, ends it, and looks at what is done.
async fn work(db: &PgPool) -> usize {
    let claimed = claim(db, Past::Clean).await;
    let held: Vec<_> = claimed.iter().map(leases::Lease::hold).collect();
    assert_eq!(leases::extend(db, &held).await.unwrap().len(), held.len());
    leases::complete_all(db.begin().await.unwrap(), &held)
        .await
        .unwrap();
    let ids: Vec<i64> = held.iter().map(|hold| hold.id).collect();
    assert!(leases::left(db, &ids).await.unwrap().is_empty());
    assert_eq!(list(db, State::Done).await, 10);
    held.len()
}

/// How many rows and index entries of jobs were read so far.
async fn reads(db: &PgPool) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()")
        .execute(db)
        .await
        .unwrap();
    sqlx::query_scalar!(
        r#"
        select (seq_tup_read + sum(idx_tup_read))::bigint as "reads!"
        from pg_stat_user_tables join pg_stat_user_indexes using (relid)
        where pg_stat_user_tables.relname = 'job'
        group by seq_tup_read
        "#
    )
    .fetch_one(db)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_job_costs_no_more_after_a_flood_than_before() {
    let database = Database::create().await;
    // One connection, so that it keeps the plans.
    let options = database::connect_options(&database.url, "test").unwrap();
    let db = &database::pool(options, 1);
    for _ in 0..EXECUTIONS {
        enqueue(db, 10).await;
        assert_eq!(work(db).await, 10);
    }
    enqueue(db, MANY).await;
    let before = reads(db).await;
    let done = work(db).await;
    let read = reads(db).await - before;
    assert_eq!(done, 100);
    assert!(read < 2000, "{read} reads for {done} of {MANY} jobs");
}
