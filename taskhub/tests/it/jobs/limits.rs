//! How often jobs of a kind begin, whoever claims them.

use std::time::Duration;

use sqlx::PgPool;
use taskhub::{
    database,
    jobs::{
        Job, Rules, State, deferrals, enqueue,
        leases::{self, Claim, Lease, Past},
        limits::{self, Limit, MAIL},
        waiting,
    },
    testing::Database,
};
use uuid::Uuid;

use super::{LEASE, claim, claim_kind, enqueue as welcomes, hurry, state};

fn mail(jobs: u32, seconds: u64) -> Limit {
    Limit {
        name: MAIL.to_owned(),
        jobs,
        period: Duration::from_secs(seconds),
    }
}

fn welcome() -> Option<&'static Rules> {
    Rules::of("welcome_email")
}

/// Claims with what the table says, as a worker does without Redis.
async fn work(db: &PgPool, worker: &str) -> Vec<Lease> {
    let due = waiting::due(db, "default", 512).await.unwrap();
    let claim = Claim {
        worker,
        past: Past::Clean,
        limit: 100,
        lease: LEASE,
    };
    leases::claim(db, &due.ids, welcome(), claim).await.unwrap()
}

#[tokio::test]
async fn a_limited_kind_begins_as_often_as_it_may_and_loses_no_attempt() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = welcomes(db, 30).await;
    limits::synchronise(db, &[mail(100, 3600)]).await.unwrap();

    let due = waiting::due(db, "default", 100).await.unwrap();
    assert_eq!(due.ids.len(), 10, "no more tickets than jobs may begin");
    assert!(
        claim(db, Past::Clean).await.is_empty(),
        "it is asked for by itself"
    );
    let claimed = claim_kind(db, welcome(), Past::Clean).await;
    // In the order in which they were enqueued.
    let begun: Vec<Uuid> = claimed.iter().map(|lease| lease.public_id).collect();
    assert_eq!(begun, ids[..10]);
    assert!(work(db, "other").await.is_empty());

    let due = waiting::due(db, "default", 100).await.unwrap();
    assert!(due.ids.is_empty());
    // Nine tenths of a hundred an hour are one in forty seconds.
    let again = due.again.unwrap();
    assert!((30..=40).contains(&again.as_secs()), "{again:?}");
    let untouched = sqlx::query_scalar!(
        r#"select count(*) as "count!" from job where state = 'ready' and attempt = 0"#
    );
    assert_eq!(untouched.fetch_one(db).await.unwrap(), 20);
}

#[tokio::test]
async fn the_kinds_of_a_group_share_its_limit_and_the_urgent_one_goes_first() {
    let database = Database::create().await;
    let db = &database.pool;
    welcomes(db, 40).await;
    let mut connection = db.acquire().await.unwrap();
    for number in 0..3 {
        let email = format!("{number}@example.org");
        enqueue(&mut connection, &Job::PasswordResetEmail { email })
            .await
            .unwrap();
    }
    limits::synchronise(db, &[mail(50, 3600)]).await.unwrap();
    let due = waiting::due(db, "default", 100).await.unwrap();
    let kinds = sqlx::query_scalar!(
        "select kind from job where id = any($1) order by array_position($1, id)",
        &due.ids
    );
    let kinds = kinds.fetch_all(db).await.unwrap();
    let [resets, welcomes] = [
        ["password_reset_email"; 3].as_slice(),
        &["welcome_email"; 2],
    ];
    assert_eq!(kinds, [resets, welcomes].concat());
    let claim = Claim {
        worker: "test",
        past: Past::Clean,
        limit: 100,
        lease: LEASE,
    };
    let reset = Rules::of("password_reset_email");
    assert_eq!(
        leases::claim(db, &due.ids, reset, claim)
            .await
            .unwrap()
            .len(),
        3
    );
    assert_eq!(
        leases::claim(db, &due.ids, welcome(), claim)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_kind_without_a_limit_begins_beside_one_that_has_reached_its() {
    let database = Database::create().await;
    let db = &database.pool;
    welcomes(db, 600).await;
    limits::synchronise(db, &[mail(10, 3600)]).await.unwrap();
    let mut connection = db.acquire().await.unwrap();
    let user_id = Uuid::now_v7();
    let erase = enqueue(&mut connection, &Job::EraseAccount { user_id })
        .await
        .unwrap();
    assert_eq!(claim_kind(db, welcome(), Past::Clean).await.len(), 1);
    let claimed = claim(db, Past::Clean).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].public_id, erase);
    // Without the limit all of them begin again.
    limits::synchronise(db, &[]).await.unwrap();
    assert_eq!(claim(db, Past::Clean).await.len(), 100);
}

#[tokio::test]
async fn workers_that_claim_at_the_same_time_keep_the_limit_together() {
    const RATE: u32 = 100;
    let database = Database::create().await;
    let db = &database.pool;
    welcomes(db, 400).await;
    limits::synchronise(db, &[mail(RATE, 1)]).await.unwrap();
    let worker = async |name: &str| {
        let mut claimed = 0;
        while claimed < 130 {
            claimed += work(db, name).await.len();
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    };
    tokio::join!(worker("one"), worker("two"), worker("three"));
    let times: Vec<f64> = sqlx::query_scalar(
        "
        select extract(epoch from lease_until)::float8 from job where state = 'running' order by lease_until
        ",
    )
    .fetch_all(db)
    .await
    .unwrap();
    assert!(times.len() >= 390);
    for (index, first) in times.iter().enumerate() {
        let within = times[index..]
            .iter()
            .take_while(|time| **time < first + 1.0);
        let count = within.count();
        // A busy machine notes some of them a moment too early.
        assert!(count <= RATE as usize + 10, "{count} within a second");
    }
    // And the limit is used.
    let seconds = times.last().unwrap() - times[0];
    assert!(
        times.len() as f64 / seconds > f64::from(RATE) * 0.6,
        "{seconds} s"
    );
}

#[tokio::test]
async fn a_clock_that_was_set_back_stops_nobody() {
    let database = Database::create().await;
    let db = &database.pool;
    welcomes(db, 5).await;
    limits::synchronise(db, &[mail(10, 60)]).await.unwrap();
    sqlx::query!("update job_limit set tokens = 0, counted_at = now() + interval '1 day'")
        .execute(db)
        .await
        .unwrap();
    assert_eq!(work(db, "test").await.len(), 1);
    assert!(work(db, "test").await.is_empty());
}

#[tokio::test]
async fn what_is_put_off_loses_no_attempt_until_it_was_put_off_too_often() {
    let database = Database::create().await;
    let db = &database.pool;
    let id = welcomes(db, 1).await[0];
    let most = welcome().unwrap().max_deferrals;
    for count in 1..=most {
        let lease = claim(db, Past::Clean).await.pop().unwrap();
        assert_eq!(lease.attempt, 1);
        assert!(deferrals::defer(db, &lease, "454 slow down").await.unwrap());
        let job = taskhub::jobs::get(db, id).await.unwrap();
        assert_eq!(
            (job.state, job.attempt, job.deferrals),
            (State::Scheduled, 0, count)
        );
        assert_eq!(job.last_error.as_deref(), Some("454 slow down"));
        assert!(job.run_at > chrono::Utc::now() + Duration::from_secs(4));
        hurry(db).await;
    }
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    assert!(!deferrals::defer(db, &lease, "454 slow down").await.unwrap());
    assert_eq!(state(db, id).await, State::Running);
    // Who has lost the lease puts nothing off.
    leases::hand_back(db, &[lease.hold()]).await.unwrap();
    assert!(!deferrals::defer(db, &lease, "454 slow down").await.unwrap());
}

/// PostgreSQL takes reading a table from end to end for so expensive here that it would compile each such
/// statement first, which takes ten times as long as a claim.
#[tokio::test]
async fn limits_and_pauses_are_read_by_their_indexes() {
    let database = Database::create().await;
    let options = database::connect_options(&database.url, "test").unwrap();
    let db = &database::pool(options, 1);
    let whole_reads = async || {
        sqlx::query("select pg_stat_force_next_flush()")
            .execute(db)
            .await
            .unwrap();
        let reads: i64 = sqlx::query_scalar(
            "
            select sum(seq_scan)::bigint from pg_stat_user_tables
            where relname in ('job_limit', 'job_pause')
            ",
        )
        .fetch_one(db)
        .await
        .unwrap();
        reads
    };
    let before = whole_reads().await;
    limits::synchronise(db, &[mail(100, 1)]).await.unwrap();
    for count in [3, 30] {
        welcomes(db, count).await;
        let claimed = work(db, "test").await;
        assert!(!claimed.is_empty());
        assert!(claim(db, Past::Clean).await.is_empty());
        let ids: Vec<i64> = claimed.iter().map(|lease| lease.id).collect();
        assert!(leases::left(db, &ids).await.unwrap().is_empty());
        waiting::recent(db, "default", LEASE, 512).await.unwrap();
        waiting::urgent(db, "default").await.unwrap();
        taskhub::jobs::stats(db).await.unwrap();
    }
    assert_eq!(whole_reads().await - before, 0);
}
