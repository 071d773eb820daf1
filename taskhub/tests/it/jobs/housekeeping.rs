use std::time::Duration;

use sqlx::PgPool;
use taskhub::{
    idempotency,
    jobs::{Job, housekeeping::remove_finished, periodic},
    sessions, tasks,
    testing::Database,
    trash,
};

use super::enqueue;
use crate::world::{person, task, titled};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn count(db: &PgPool, table: &str) -> i64 {
    let count = format!("select count(*) from {table}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(count))
        .fetch_one(db)
        .await
        .unwrap()
}

#[tokio::test]
async fn finished_jobs_go_after_their_time_and_dead_ones_stay() {
    let database = Database::create().await;
    let db = &database.pool;
    sqlx::query!(
        "
        insert into job (kind, args_version, args, state, finished_at)
        select 'erase_account', 1, '{}', state, now() - age
        from unnest(array['done', 'cancelled', 'dead']) as state,
            unnest(array[interval '6 days', interval '8 days']) as age
        "
    )
    .execute(db)
    .await
    .unwrap();
    enqueue(db, 1).await;
    assert_eq!(remove_finished(db, 7 * DAY, 1).await.unwrap(), 1);
    assert_eq!(remove_finished(db, 7 * DAY, 100).await.unwrap(), 1);
    assert_eq!(remove_finished(db, 7 * DAY, 100).await.unwrap(), 0);
    assert_eq!(
        count(db, "job where state in ('done', 'cancelled')").await,
        2
    );
    assert_eq!(count(db, "job where state = 'dead'").await, 2);
    assert_eq!(count(db, "job where state = 'ready'").await, 1);
}

#[tokio::test]
async fn a_job_that_stands_for_all_later_ones_stays_and_an_old_slot_goes() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    let clock = [periodic::Periodic {
        name: "trash",
        schedule: "* * * * *",
        time_zone: chrono_tz::Tz::UTC,
        job: Job::EmptyTrash {},
    }];
    periodic::synchronise(db, &clock).await.unwrap();
    sqlx::query!("update periodic set next_at = now()")
        .execute(db)
        .await
        .unwrap();
    periodic::enqueue_due(db, &clock).await.unwrap();
    sqlx::query!("update job set state = 'done', finished_at = now() - interval '1 year'")
        .execute(db)
        .await
        .unwrap();
    assert_eq!(count(db, "job where unique_forever").await, 2);
    assert_eq!(remove_finished(db, 7 * DAY, 100).await.unwrap(), 1);
    assert_eq!(count(db, "job where kind = 'welcome_email'").await, 1);
}

#[tokio::test]
async fn idempotency_keys_go_when_their_time_is_over() {
    let database = Database::create().await;
    let db = &database.pool;
    sqlx::query!(
        "
        insert into idempotency_key (principal, operation, key, fingerprint, outcome, expires_at)
        select 'user:1', 'POST /v1/tasks', n::text, decode(repeat('00', 32), 'hex'), '{}',
            now() + (n - 3) * interval '1 hour'
        from generate_series(1, 5) as n
        "
    )
    .execute(db)
    .await
    .unwrap();
    assert_eq!(idempotency::remove_expired(db, 2).await.unwrap(), 2);
    assert_eq!(idempotency::remove_expired(db, 2).await.unwrap(), 1);
    assert_eq!(idempotency::remove_expired(db, 2).await.unwrap(), 0);
    assert_eq!(count(db, "idempotency_key").await, 2);
}

#[tokio::test]
async fn sessions_go_a_month_after_their_end() {
    let database = Database::create().await;
    let db = &database.pool;
    let ada = person(db, "ada").await;
    sqlx::query!(
        "
        insert into session (id, user_id, scope, expires_at, ended_at, end_reason)
        select gen_random_uuid(), $1, '', now() + expires, now() + ended, case when ended is not null then 'logout' end
        from (values
            (interval '1 day', null::interval),
            (interval '-29 days', null),
            (interval '-31 days', null),
            (interval '1 day', interval '-31 days')
        ) as session (expires, ended)
        ",
        ada.user_id,
    )
    .execute(db)
    .await
    .unwrap();
    assert_eq!(sessions::prune(db, 1).await.unwrap(), 1);
    assert_eq!(sessions::prune(db, 100).await.unwrap(), 1);
    assert_eq!(count(db, "session").await, 2);
}

#[tokio::test]
async fn the_trash_is_emptied_of_what_is_old_and_nothing_living_goes_with_it() {
    let database = Database::create().await;
    let db = &database.pool;
    let ada = person(db, "ada").await;
    let mut connection = db.acquire().await.unwrap();
    let mut new = async |title: &str, parent: Option<&tasks::Task>| {
        let mut new = titled(title);
        new.parent_id = parent.map(|parent| parent.id);
        task(&mut connection, &ada, new).await
    };
    let parent = new("old, with a living subtask", None).await;
    let _living = new("living", Some(&parent)).await;
    let above = new("old, with an old subtask", None).await;
    let below = new("old", Some(&above)).await;
    let fresh = new("deleted today", None).await;
    for gone in [&parent, &above, &below, &fresh] {
        tasks::delete(&mut db.acquire().await.unwrap(), &ada, gone.id, &[])
            .await
            .unwrap();
    }
    sqlx::query!(
        "update task set deleted_at = now() - interval '31 days' where deleted_at is not null and id <> $1",
        fresh.id,
    )
    .execute(db)
    .await
    .unwrap();
    let changes = count(db, "change").await;
    // Subtasks first, then what they were part of.
    assert_eq!(trash::empty(db, 30 * DAY, 100).await.unwrap(), 1);
    assert_eq!(trash::empty(db, 30 * DAY, 100).await.unwrap(), 1);
    assert_eq!(trash::empty(db, 30 * DAY, 100).await.unwrap(), 0);
    let left: Vec<String> = sqlx::query_scalar("select title from task order by title")
        .fetch_all(db)
        .await
        .unwrap();
    assert_eq!(
        left,
        ["deleted today", "living", "old, with a living subtask"]
    );
    assert_eq!(count(db, "change").await, changes);
}
