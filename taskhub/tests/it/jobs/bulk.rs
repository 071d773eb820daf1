//! What operators do to many jobs at once.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use taskhub::{
    jobs::{
        Filter, State,
        bulk::{self, Done, Mode},
    },
    testing::Database,
};

use super::{claim, enqueue};
use taskhub::jobs::leases::Past;

/// Adds jobs of `kind` in `state`, whose last error is `error`.
async fn add(db: &PgPool, kind: &str, state: &str, error: &str, count: i32) {
    sqlx::query!(
        "
        insert into job (kind, args_version, args, state, finished_at, attempt, last_error)
        select $1, 1, '{}', $2, case when $2 in ('dead', 'cancelled', 'done') then now() end, 3, $3
        from generate_series(1, $4)
        ",
        kind,
        state,
        error,
        count,
    )
    .execute(db)
    .await
    .unwrap();
}

async fn in_state(db: &PgPool, state: &str) -> i64 {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from job where state = $1"#,
        state
    )
    .fetch_one(db)
    .await
    .unwrap()
}

fn with_error(error: &str) -> Filter {
    Filter {
        error: Some(error.to_owned()),
        ..Filter::default()
    }
}

fn numbers(done: Done) -> (u64, u64) {
    assert_eq!(done.next, None);
    (done.matched, done.changed)
}

#[tokio::test]
async fn dead_jobs_are_retried_by_their_error_and_counted_before() {
    let database = Database::create().await;
    let db = &database.pool;
    add(db, "welcome_email", "dead", "Connection refused", 5).await;
    add(db, "welcome_email", "dead", "no such mailbox: 100%_\\", 4).await;
    add(db, "welcome_email", "cancelled", "Connection refused", 2).await;
    let refused = with_error("connection REFUSED");
    let retry =
        async |filter: &Filter, mode| numbers(bulk::retry(db, filter, None, mode).await.unwrap());
    assert_eq!(retry(&refused, Mode::Count).await, (5, 0));
    assert_eq!(in_state(db, "dead").await, 9);
    assert_eq!(retry(&refused, Mode::Change).await, (5, 5));
    // Repeated, it finds nothing.
    assert_eq!(retry(&refused, Mode::Change).await, (0, 0));
    assert_eq!(in_state(db, "ready").await, 5);
    // What means something in a pattern means itself here.
    assert_eq!(retry(&with_error("%_\\"), Mode::Count).await, (4, 0));
    assert_eq!(retry(&with_error("_"), Mode::Count).await, (4, 0));
    let cancelled = Filter {
        state: Some(State::Cancelled),
        ..refused
    };
    assert_eq!(retry(&cancelled, Mode::Change).await, (2, 2));
    assert_eq!(retry(&with_error("a\0b"), Mode::Change).await, (0, 0));
    let replayed = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job_log where outcome = 'replayed'"#
    );
    assert_eq!(replayed.fetch_one(db).await.unwrap(), 7);
}

#[tokio::test]
async fn jobs_are_chosen_by_kind_and_by_the_time_they_ended() {
    let database = Database::create().await;
    let db = &database.pool;
    add(db, "welcome_email", "dead", "broken", 4).await;
    add(db, "erase_account", "dead", "broken", 1).await;
    sqlx::query!(
        "update job set finished_at = '2026-01-01T00:00:00Z'::timestamptz + id * interval '1 hour'"
    )
    .execute(db)
    .await
    .unwrap();
    let time = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
    let filter = Filter {
        kind: Some("welcome_email".to_owned()),
        finished_after: time("2026-01-01T02:00:00Z"),
        finished_before: time("2026-01-01T04:00:00Z"),
        ..Filter::default()
    };
    let done = bulk::retry(db, &filter, None, Mode::Change).await.unwrap();
    assert_eq!(numbers(done), (2, 2));
    let left = sqlx::query_scalar!("select id from job where state = 'dead' order by id");
    assert_eq!(left.fetch_all(db).await.unwrap(), [1, 4, 5]);
}

#[tokio::test]
async fn waiting_jobs_are_cancelled_and_running_ones_only_where_that_is_said() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    add(db, "welcome_email", "ready", "", 3).await;
    add(db, "welcome_email", "scheduled", "", 2).await;
    add(db, "erase_account", "ready", "", 1).await;
    let mut filter = Filter {
        kind: Some("welcome_email".to_owned()),
        ..Filter::default()
    };
    let cancel =
        async |filter: &Filter, mode| numbers(bulk::cancel(db, filter, None, mode).await.unwrap());
    assert_eq!(cancel(&filter, Mode::Count).await, (5, 0));
    assert_eq!(cancel(&filter, Mode::Change).await, (5, 5));
    assert_eq!(cancel(&filter, Mode::Change).await, (0, 0));
    assert_eq!(in_state(db, "running").await, 1);
    filter.state = Some(State::Running);
    assert_eq!(cancel(&filter, Mode::Change).await, (1, 1));
    // It was asked already.
    assert_eq!(cancel(&filter, Mode::Change).await, (1, 0));
    let beat = taskhub::jobs::leases::extend(db, &[lease.hold()]).await;
    assert!(beat.unwrap()[0].cancel_requested);
    let logged = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job_log where outcome = 'cancelled'"#
    );
    assert_eq!(logged.fetch_one(db).await.unwrap(), 5);
}

#[tokio::test]
async fn an_order_about_more_than_one_call_changes_goes_on_where_it_stopped() {
    let database = Database::create().await;
    let db = &database.pool;
    add(db, "welcome_email", "dead", "common", 12_000).await;
    add(db, "welcome_email", "dead", "rare", 3).await;
    let rare = with_error("rare");
    let first = bulk::retry(db, &rare, None, Mode::Change).await.unwrap();
    assert_eq!((first.matched, first.changed), (0, 0));
    assert!(first.next.is_some());
    let second = bulk::retry(db, &rare, first.next, Mode::Change).await;
    assert_eq!(numbers(second.unwrap()), (3, 3));

    let filter = with_error("common");
    let mut done = bulk::retry(db, &filter, None, Mode::Change).await.unwrap();
    assert_eq!(done.changed, 10_000);
    done = bulk::retry(db, &filter, done.next, Mode::Change)
        .await
        .unwrap();
    assert_eq!(numbers(done), (2000, 2000));
}
