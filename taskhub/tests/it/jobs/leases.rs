use serde_json::json;
use taskhub::{
    jobs::{
        self, Job, KINDS, State,
        counts::{self, Totals},
        leases::{self, LeaseLost, Past, Setback},
        waiting,
    },
    testing::Database,
};

use super::{claim, claim_kind, enqueue, hurry, let_run_out, outcomes};

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
    assert_eq!(leases::hand_back(db, &[late.hold()]).await.unwrap(), 0);
    assert!(!leases::cancelled(db, &late).await.unwrap());
    let progress = serde_json::json!(1);
    let error = leases::report(db, &late, &progress).await.unwrap_err();
    assert!(error.is::<LeaseLost>(), "{error:#}");
    let held = [late.hold(), present.hold()];
    let extended = leases::extend(db, &held).await.unwrap();
    assert_eq!(
        extended.iter().map(|one| one.id).collect::<Vec<_>>(),
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
    leases::extend(db, &[lease.hold()]).await.unwrap();
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
    assert_eq!(
        waiting::due(db, "default", 100).await.unwrap().ids,
        [4, 3, 1]
    );
    assert_eq!(waiting::due(db, "default", 1).await.unwrap().ids, [4]);
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
    assert_eq!(due.ids.len(), 15);
    assert_eq!(claim(db, Past::Clean).await.len(), 5);
    let counts = Totals::of(&counts::count(db).await.unwrap());
    assert_eq!(
        (counts.due, counts.unknown, counts.running),
        (1000, 1000, 5)
    );
}

#[tokio::test]
async fn a_flood_of_a_newer_version_does_not_hide_the_older() {
    let database = Database::create().await;
    let db = &database.pool;
    sqlx::query!(
        "
        insert into job (kind, args_version, args, run_at)
        select 'welcome_email', 99, '{}', now() - interval '1 hour' from generate_series(1, 1000)
        "
    )
    .execute(db)
    .await
    .unwrap();
    enqueue(db, 5).await;
    assert_eq!(claim(db, Past::Clean).await.len(), 5);
}

#[tokio::test]
async fn several_jobs_end_together_or_not_at_all() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = enqueue(db, 3).await;
    let leases = claim(db, Past::Clean).await;
    let mut held: Vec<_> = leases.iter().map(leases::Lease::hold).collect();
    held[1].token = uuid::Uuid::new_v4();
    let error = leases::complete_all(db.begin().await.unwrap(), &held)
        .await
        .unwrap_err();
    assert!(error.is::<LeaseLost>(), "{error:#}");
    for id in &ids {
        assert_eq!(super::state(db, *id).await, State::Running);
    }
    held[1].token = leases[1].token;
    leases::complete_all(db.begin().await.unwrap(), &held)
        .await
        .unwrap();
    for id in &ids {
        assert_eq!(super::state(db, *id).await, State::Done);
        assert_eq!(outcomes(db, *id).await, ["succeeded"]);
    }
}

#[tokio::test]
async fn the_next_attempt_waits_at_random_up_to_the_kinds_bound() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 60).await;
    let waits = async || {
        sqlx::query_scalar!(
            r#"
            select extract(epoch from run_at - at)::float8 as "wait!"
            from job join job_log on job_log.job_id = job.id and job_log.attempt = job.attempt
            "#
        )
        .fetch_all(db)
        .await
        .unwrap()
    };
    // Five seconds, doubled with each attempt, and an hour at the most.
    for bound in [10.0, 20.0, 40.0] {
        for lease in claim(db, Past::Clean).await {
            let setback = leases::fail(db, &lease, "out of order").await.unwrap();
            assert_eq!(setback, Some(Setback::Failed));
        }
        let waits = waits().await;
        assert_eq!(waits.len(), 60);
        assert!(
            waits.iter().all(|wait| (0.0..=bound).contains(wait)),
            "{waits:?}"
        );
        // Spread over all of it: one in four of sixty is beyond a doubt in each half.
        let late = waits.iter().filter(|wait| **wait > bound / 2.0).count();
        assert!((15..=45).contains(&late), "{waits:?}");
        hurry(db).await;
    }
}

#[tokio::test]
async fn a_kind_with_a_limit_never_runs_more_than_that() {
    let database = Database::create().await;
    let db = &database.pool;
    let kind = KINDS
        .iter()
        .copied()
        .find(|rules| rules.kind == "empty_trash")
        .unwrap();
    assert_eq!(kind.concurrency, Some(1));
    sqlx::query!("insert into job (kind, args_version, args) select 'empty_trash', 1, '{}' from generate_series(1, 20)")
        .execute(db)
        .await
        .unwrap();
    // By itself no claim takes it.
    assert!(claim(db, Past::Clean).await.is_empty());
    let claims =
        futures_util::future::join_all((0..5).map(|_| claim_kind(db, Some(kind), Past::Clean)))
            .await;
    let leases: Vec<_> = claims.into_iter().flatten().collect();
    assert_eq!(leases.len(), 1);
    // Nor are tickets issued meanwhile.
    assert!(
        waiting::due(db, "default", 100)
            .await
            .unwrap()
            .ids
            .is_empty()
    );
    leases::complete(db.begin().await.unwrap(), &leases[0])
        .await
        .unwrap();
    assert_eq!(waiting::due(db, "default", 100).await.unwrap().ids.len(), 1);
    assert_eq!(claim_kind(db, Some(kind), Past::Clean).await.len(), 1);
}

#[tokio::test]
async fn progress_and_result_are_told_to_whoever_asks() {
    let database = Database::create().await;
    let db = &database.pool;
    let id = enqueue(db, 1).await[0];
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    leases::report(db, &lease, &json!({"removed": 5}))
        .await
        .unwrap();
    assert_eq!(
        jobs::get(db, id).await.unwrap().progress,
        Some(json!({"removed": 5}))
    );
    leases::complete_with(db.begin().await.unwrap(), &lease, &json!({"removed": 7}))
        .await
        .unwrap();
    assert_eq!(
        jobs::get(db, id).await.unwrap().result,
        Some(json!({"removed": 7}))
    );
}

#[tokio::test]
async fn a_kind_may_have_a_lease_of_its_own() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    let email = "ada@example.org".to_owned();
    let mut connection = db.acquire().await.unwrap();
    jobs::enqueue(&mut connection, &Job::PasswordResetEmail { email })
        .await
        .unwrap();
    let leases = claim(db, Past::Clean).await;
    let held: Vec<_> = leases.iter().map(leases::Lease::hold).collect();
    let left = async || {
        sqlx::query_scalar!(
            r#"select extract(epoch from lease_until - now())::float8 as "left!" from job order by kind"#
        )
        .fetch_all(db)
        .await
        .unwrap()
    };
    for _ in ["claimed", "extended"] {
        let left = left().await;
        assert!(15.0 < left[0] && left[0] <= 20.0, "{left:?}");
        assert!(55.0 < left[1] && left[1] <= 60.0, "{left:?}");
        let_run_out(db).await;
        assert_eq!(leases::extend(db, &held).await.unwrap().len(), 2);
    }
}
