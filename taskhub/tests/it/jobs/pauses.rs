//! What operators hold back.

use sqlx::PgPool;
use taskhub::{
    Error,
    jobs::{
        self, Job, Rules,
        counts::{self, Totals},
        leases::{self, Claim, Past},
        pauses::{self, Target},
        waiting,
    },
    testing::Database,
};
use uuid::Uuid;

use super::{LEASE, claim, enqueue};
use crate::world::person;

fn kind(name: &str) -> Target {
    Target::Kind(name.to_owned())
}

fn queue(name: &str) -> Target {
    Target::Queue(name.to_owned())
}

async fn pause(db: &PgPool, target: &Target) {
    let mut db = db.acquire().await.unwrap();
    pauses::pause(&mut db, target, Uuid::now_v7(), None)
        .await
        .unwrap();
}

async fn resume(db: &PgPool, target: &Target) -> bool {
    let mut db = db.acquire().await.unwrap();
    pauses::resume(&mut db, target).await.unwrap()
}

/// As with tickets that were issued before.
async fn claim_ids(db: &PgPool, ids: &[i64], kind: Option<&'static Rules>, past: Past) -> usize {
    let claim = Claim {
        worker: "test",
        past,
        limit: 100,
        lease: LEASE,
    };
    leases::claim(db, ids, kind, claim).await.unwrap().len()
}

#[tokio::test]
async fn no_job_of_a_paused_kind_begins_and_all_others_do() {
    let database = Database::create().await;
    let db = &database.pool;
    // More than are looked at for one ticket window, so that they could be in the way.
    enqueue(db, 600).await;
    let ids: Vec<i64> = (1..=600).collect();
    pause(db, &kind("welcome_email")).await;
    let erase = Job::EraseAccount {
        user_id: Uuid::now_v7(),
    };
    let erase = jobs::enqueue(&mut db.acquire().await.unwrap(), &erase)
        .await
        .unwrap();
    let claimed = claim(db, Past::Clean).await;
    assert_eq!(claimed.len(), 1);
    assert_eq!(claimed[0].public_id, erase);
    let due = waiting::due(db, "default", 512).await.unwrap();
    assert!(due.ids.is_empty() && !due.more, "{due:?}");

    // Neither do those whose tickets are out, nor one that is suspected.
    assert_eq!(claim_ids(db, &ids, None, Past::Clean).await, 0);
    let welcome = Rules::of("welcome_email");
    sqlx::query!("update job set crashes = 1 where id = 1")
        .execute(db)
        .await
        .unwrap();
    for past in [Past::Clean, Past::Suspect] {
        assert_eq!(claim_ids(db, &ids, welcome, past).await, 0);
    }
    assert!(leases::left(db, &ids).await.unwrap().is_empty());

    assert!(resume(db, &kind("welcome_email")).await);
    // All but the one that is suspected.
    assert_eq!(claim(db, Past::Clean).await.len(), 99);
}

#[tokio::test]
async fn no_job_of_a_paused_queue_begins_whatever_its_kind() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 3).await;
    pause(db, &queue("default")).await;
    pause(db, &queue("bulk")).await;
    assert!(
        waiting::due(db, "default", 512)
            .await
            .unwrap()
            .ids
            .is_empty()
    );
    assert_eq!(claim_ids(db, &[1, 2, 3], None, Past::Clean).await, 0);
    // One of the two pauses is enough.
    pause(db, &kind("welcome_email")).await;
    assert!(resume(db, &queue("default")).await);
    assert_eq!(claim_ids(db, &[1, 2, 3], None, Past::Clean).await, 0);
    assert!(resume(db, &kind("welcome_email")).await);
    assert_eq!(claim_ids(db, &[1, 2, 3], None, Past::Clean).await, 3);
}

#[tokio::test]
async fn a_job_that_runs_when_its_kind_is_paused_ends() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 1).await;
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    pause(db, &kind("welcome_email")).await;
    assert_eq!(leases::extend(db, &[lease.hold()]).await.unwrap().len(), 1);
    leases::complete(db.begin().await.unwrap(), &lease)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_first_who_pauses_is_remembered_and_resuming_twice_is_fine() {
    let database = Database::create().await;
    let db = &database.pool;
    let [ada, eve] = [person(db, "ada").await, person(db, "eve").await];
    let target = kind("welcome_email");
    let mut connection = db.acquire().await.unwrap();
    for (operator, reason) in [(ada.user_id, Some("the server moves")), (eve.user_id, None)] {
        pauses::pause(&mut connection, &target, operator, reason)
            .await
            .unwrap();
    }
    let [pause] = &pauses::list(db).await.unwrap()[..] else {
        panic!("one pause")
    };
    assert_eq!(
        (&pause.target, pause.paused_by),
        (&target, Some(ada.user_id))
    );
    assert_eq!(pause.paused_by_username.as_deref(), Some("ada"));
    assert_eq!(pause.reason.as_deref(), Some("the server moves"));
    assert!(resume(db, &target).await);
    assert!(!resume(db, &target).await);
    assert!(pauses::list(db).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_kind_that_nobody_knows_is_not_paused_unless_jobs_of_it_wait() {
    let database = Database::create().await;
    let db = &database.pool;
    let mut connection = db.acquire().await.unwrap();
    let target = kind("from_the_future");
    let nobody = Uuid::now_v7();
    let refused = pauses::pause(&mut connection, &target, nobody, None).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    sqlx::query!("insert into job (kind, args_version, args) values ('from_the_future', 1, '{}')")
        .execute(db)
        .await
        .unwrap();
    pause(db, &target).await;
}

#[tokio::test]
async fn paused_jobs_are_counted_apart_and_raise_no_alarm_for_late_ones() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 3).await;
    sqlx::query!("update job set run_at = now() - interval '1 hour'")
        .execute(db)
        .await
        .unwrap();
    let totals = async || Totals::of(&counts::count(db).await.unwrap());
    let before = totals().await;
    assert_eq!((before.due, before.paused), (3, 0));
    assert!(before.oldest.as_secs() >= 3600 && before.paused_oldest.is_zero());
    pause(db, &kind("welcome_email")).await;
    let after = totals().await;
    assert_eq!((after.due, after.paused), (0, 3));
    assert!(after.oldest.is_zero() && after.paused_oldest.as_secs() >= 3600);
    let stats = jobs::stats(db).await.unwrap();
    assert_eq!((stats.kinds[0].due, stats.kinds[0].paused), (0, 3));
    assert_eq!(stats.pauses.len(), 1);
}
