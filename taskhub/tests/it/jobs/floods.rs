//! Very many jobs of one sort, and the few that matter.

use std::time::Duration;

use sqlx::PgPool;
use taskhub::{
    database, idempotency,
    jobs::{
        Job, Options, When,
        counts::{self, Totals},
        enqueue_with, housekeeping,
        leases::{self, Lease, Past},
        waiting,
    },
    sessions,
    testing::Database,
    trash,
};

use super::{claim, enqueue};
use crate::world::{person, task, titled};

fn welcome() -> Job {
    Job::WelcomeEmail {
        user_id: uuid::Uuid::now_v7(),
    }
}

async fn execute(db: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db).await.unwrap();
}

async fn blocks(db: &PgPool) -> i64 {
    blocks_of(db, "job").await
}

/// One connection, whose reads are counted at once.
fn alone(database: &Database) -> PgPool {
    let options = database::connect_options(&database.url, "test").unwrap();
    database::pool(options, 1)
}

/// How many pages of 8 KiB of a table and its indexes were read so far.
async fn blocks_of(db: &PgPool, table: &str) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()")
        .execute(db)
        .await
        .unwrap();
    sqlx::query_scalar(
        "
        select (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::bigint
        from pg_statio_user_tables where relname = $1
        ",
    )
    .bind(table)
    .fetch_one(db)
    .await
    .unwrap()
}

#[tokio::test]
async fn many_unknown_kinds_together_do_not_hide_the_known() {
    let database = Database::create().await;
    let db = &database.pool;
    execute(
        db,
        "
        insert into job (kind, args_version, args, priority)
        select 'from_the_future_' || kind, 1, '{}', kind
        from generate_series(1, 8) as kind, generate_series(1, 64)
        ",
    )
    .await;
    enqueue(db, 5).await;
    let due = waiting::due(db, "default", 512).await.unwrap();
    assert_eq!(due.ids.len(), 64 + 5);
    let claim = leases::Claim {
        worker: "test",
        past: Past::Clean,
        limit: 100,
        lease: super::LEASE,
    };
    let claimed = leases::claim(db, &due.ids, None, claim).await.unwrap();
    assert_eq!(claimed.len(), 5);
}

#[tokio::test]
async fn what_falls_due_is_moved_by_urgency() {
    let database = Database::create().await;
    let db = &database.pool;
    execute(
        db,
        "
        insert into job (kind, args_version, args, state, run_at)
        select 'welcome_email', 1, '{}', 'scheduled', now() - interval '1 hour'
        from generate_series(1, 5000)
        ",
    )
    .await;
    let email = "ada@example.org".to_owned();
    let soon = Options {
        when: When::After(Duration::from_millis(1)),
        ..Options::default()
    };
    let mut connection = db.acquire().await.unwrap();
    let reset = enqueue_with(&mut connection, &Job::PasswordResetEmail { email }, &soon)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(waiting::promote(db, "default").await.unwrap(), 1000);
    let due = waiting::due(db, "default", 10).await.unwrap().ids;
    let first = sqlx::query_scalar!("select public_id from job where id = $1", due[0]);
    assert_eq!(first.fetch_one(db).await.unwrap(), reset);
    assert_eq!(waiting::urgent(db, "default").await.unwrap(), due[..1]);
}

#[tokio::test]
async fn every_kind_is_counted_however_many_there_are_of_another() {
    let database = Database::create().await;
    let db = &database.pool;
    execute(
        db,
        "
        insert into job (kind, args_version, args, state, finished_at)
        select kind, 1, '{}', state, case state when 'dead' then now() end
        from unnest(array['dead', 'scheduled']) as state,
            (
                select 'erase_account' as kind from generate_series(1, 10100)
                union all
                select 'welcome_email' from generate_series(1, 3)
            ) as kinds
        ",
    )
    .await;
    let counts = counts::count(db).await.unwrap();
    let of = |kind: &str| {
        let count = counts.iter().find(|count| count.kind == kind).unwrap();
        (count.dead, count.scheduled)
    };
    assert_eq!(of("erase_account"), (10_000, 10_000));
    assert_eq!(of("welcome_email"), (3, 3));
}

#[tokio::test]
async fn jobs_in_a_queue_that_nobody_serves_are_counted() {
    let database = Database::create().await;
    let db = &database.pool;
    let mut connection = db.acquire().await.unwrap();
    for (queue, number) in [("default", 1), ("typo", 2)] {
        let options = Options {
            queue: Some(queue.to_owned()),
            ..Options::default()
        };
        for _ in 0..number {
            enqueue_with(&mut connection, &welcome(), &options)
                .await
                .unwrap();
        }
    }
    execute(
        db,
        "insert into leader (name, holder, lease_until) values ('jobs:default', 'x', now() + interval '5 s')",
    )
    .await;
    let totals = Totals::of(&counts::count(db).await.unwrap());
    assert_eq!((totals.due, totals.unserved), (3, 2));
}

#[tokio::test]
async fn a_look_at_what_is_new_does_not_read_what_is_done() {
    let database = Database::create().await;
    let db = &alone(&database);
    // As pg_dump does for hours.
    let mut report = database.pool.begin().await.unwrap();
    sqlx::raw_sql("set transaction isolation level repeatable read; select count(*) from job")
        .execute(&mut *report)
        .await
        .unwrap();
    for _ in 0..20 {
        execute(
            db,
            "
            insert into job (kind, args_version, args, run_at)
            select 'welcome_email', 1, '{}', now() - interval '1 minute' from generate_series(1, 100)
            ",
        )
        .await;
        let held: Vec<_> = claim(db, Past::Clean)
            .await
            .iter()
            .map(Lease::hold)
            .collect();
        leases::complete_all(db.begin().await.unwrap(), &held)
            .await
            .unwrap();
    }
    execute(db, "vacuum analyze job").await;
    enqueue(db, 2).await;
    let second = Duration::from_secs(1);
    for _ in 0..6 {
        waiting::recent(db, "default", second, 16).await.unwrap();
    }
    let before = blocks(db).await;
    let due = waiting::recent(db, "default", second, 16).await.unwrap();
    let read = blocks(db).await - before;
    assert_eq!(due.unwrap().ids.len(), 2);
    assert!(read < 20, "{read} pages");
    report.rollback().await.unwrap();
}

#[tokio::test]
async fn what_is_not_plain_is_left_to_a_look_at_everything() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 3).await;
    let minute = Duration::from_secs(60);
    let recent = waiting::recent(db, "default", minute, 16)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        recent.ids,
        waiting::due(db, "default", 100).await.unwrap().ids
    );
    for kind in ["from_the_future", "empty_trash"] {
        sqlx::query!(
            "insert into job (kind, args_version, args) values ($1, 1, '{}')",
            kind
        )
        .execute(db)
        .await
        .unwrap();
        assert!(
            waiting::recent(db, "default", minute, 16)
                .await
                .unwrap()
                .is_none()
        );
        sqlx::query!("delete from job where kind = $1", kind)
            .execute(db)
            .await
            .unwrap();
    }
    enqueue(db, 20).await;
    assert!(
        waiting::recent(db, "default", minute, 16)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn the_removal_of_old_jobs_does_not_read_those_that_stay() {
    let database = Database::create().await;
    let db = &alone(&database);
    let day = Duration::from_secs(24 * 3600);
    execute(
        db,
        "
        insert into job (kind, args_version, args, state, finished_at, unique_key, unique_forever)
        select 'welcome_email', 1, '{}', 'done', now() - interval '1 year', 'welcome_email:' || number, true
        from generate_series(1, 100000) as number;
        insert into job (kind, args_version, args, state, finished_at)
        select 'erase_account', 1, '{}', 'done', now() - interval '1 month' from generate_series(1, 20);
        analyze job;
        ",
    )
    .await;
    let before = blocks(db).await;
    assert_eq!(
        housekeeping::remove_finished(db, day, 10).await.unwrap(),
        10
    );
    let read = blocks(db).await - before;
    assert!(read < 500, "{read} pages");
}

/// Tasks that were deleted a year ago, each with a subtask that lives.
async fn bury(db: &PgPool, count: i32) {
    sqlx::query(
        "
        with template as (select * from task limit 1),
        parent as (
            insert into task (id, workspace_id, project_id, title, position, seq, created_by, deleted_at)
            select gen_random_uuid(), workspace_id, project_id, title, position, seq, created_by,
                now() - interval '1 year' - number * interval '1 second'
            from template, generate_series(1, $1) as number
            returning *
        )
        insert into task (id, workspace_id, project_id, parent_id, title, position, seq, created_by)
        select gen_random_uuid(), workspace_id, project_id, id, title, position, seq, created_by from parent
        ",
    )
    .bind(count)
    .execute(db)
    .await
    .unwrap();
    execute(db, "analyze task").await;
}

#[tokio::test]
async fn each_page_of_the_trash_costs_the_same_however_much_stays() {
    let database = Database::create().await;
    let db = &alone(&database);
    let ada = person(db, "ada").await;
    let mut connection = database.pool.acquire().await.unwrap();
    task(&mut connection, &ada, titled("a template")).await;
    let month = Duration::from_secs(30 * 24 * 3600);
    bury(db, 3000).await;
    let before = blocks_of(db, "task").await;
    assert_eq!(trash::empty(db, month, 100).await.unwrap(), 0);
    let read = blocks_of(db, "task").await - before;
    // A few for each task; with all that stay read for each page, it would be thirty times as many.
    assert!(read < 30 * 1000, "{read} pages");
}

#[tokio::test]
async fn sessions_and_keys_that_stay_are_not_read() {
    let database = Database::create().await;
    let db = &alone(&database);
    let ada = person(db, "ada").await;
    sqlx::query(
        "
        insert into session (id, user_id, scope, expires_at)
        select gen_random_uuid(), $1, '', now() + interval '1 day' - interval '100 days' * (number % 2000 = 0)::int
        from generate_series(1, 50000) as number
        ",
    )
    .bind(ada.user_id)
    .execute(db)
    .await
    .unwrap();
    execute(
        db,
        "
        insert into idempotency_key (principal, operation, key, fingerprint, outcome, expires_at)
        select 'user:1', 'POST /v1/tasks', number::text, decode(repeat('00', 32), 'hex'), '{}',
            now() + interval '1 day' - interval '2 days' * (number % 2000 = 0)::int
        from generate_series(1, 50000) as number;
        analyze session;
        analyze idempotency_key;
        ",
    )
    .await;
    for table in ["session", "idempotency_key"] {
        let before = blocks_of(db, table).await;
        let removed = match table {
            "session" => sessions::prune(db, 100).await,
            _ => idempotency::remove_expired(db, 100).await,
        };
        assert_eq!(removed.unwrap(), 25, "{table}");
        let read = blocks_of(db, table).await - before;
        assert!(read < 500, "{read} pages of {table}");
    }
}
