use taskhub::{
    Error, Refusal,
    jobs::{
        self, Filter, Job, State,
        leases::{self, Past},
    },
    testing::Database,
};
use uuid::Uuid;

use super::{claim, enqueue};
use crate::world::person;

#[tokio::test]
async fn a_job_is_seen_by_whom_it_concerns_and_exists_for_nobody_else() {
    let database = Database::create().await;
    let db = &database.pool;
    let [ada, eve] = [person(db, "ada").await, person(db, "eve").await];
    let mut connection = db.acquire().await.unwrap();
    let job = Job::WelcomeEmail {
        user_id: ada.user_id,
    };
    let named = jobs::enqueue(&mut connection, &job).await.unwrap();
    let shared = enqueue(db, 1).await[0];
    sqlx::query!(
        "update job set workspace_id = (select id from workspace where owner_id = $1) where public_id = $2",
        ada.user_id,
        shared,
    )
    .execute(db)
    .await
    .unwrap();
    for id in [named, shared] {
        assert_eq!(
            jobs::get_for(db, ada.user_id, id).await.unwrap().public_id,
            id
        );
        let hidden = jobs::get_for(db, eve.user_id, id).await;
        assert!(matches!(hidden, Err(Error::Refused(Refusal::NotFound))));
        assert_eq!(jobs::get(db, id).await.unwrap().public_id, id);
    }
    assert_eq!(
        jobs::get(db, named).await.unwrap().user_id,
        Some(ada.user_id)
    );
}

#[tokio::test]
async fn pages_hold_every_job_once_the_newest_first() {
    let database = Database::create().await;
    let db = &database.pool;
    let mut ids = enqueue(db, 25).await;
    ids.reverse();
    let mut after = None;
    let mut listed: Vec<Uuid> = Vec::new();
    loop {
        let page = jobs::list(db, &Filter::default(), after, 10).await.unwrap();
        listed.extend(page.jobs.iter().map(|job| job.public_id));
        // What is new does not move the pages.
        enqueue(db, 1).await;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn jobs_are_listed_by_state_kind_and_queue() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 3).await;
    sqlx::query!("update job set queue = 'bulk' where id = 1; ")
        .execute(db)
        .await
        .unwrap();
    claim(db, Past::Clean).await;
    let count = async |filter: Filter| jobs::list(db, &filter, None, 10).await.unwrap().jobs.len();
    for state in State::ALL {
        let expected = match state {
            State::Ready => 1,
            State::Running => 2,
            State::Scheduled | State::Done | State::Dead | State::Cancelled => 0,
        };
        let filter = Filter {
            state: Some(state),
            ..Filter::default()
        };
        assert_eq!(count(filter).await, expected, "{state:?}");
    }
    let kind = |kind: &str| Filter {
        kind: Some(kind.to_owned()),
        ..Filter::default()
    };
    assert_eq!(count(kind("welcome_email")).await, 3);
    assert_eq!(count(kind("erase_account")).await, 0);
    let queue = Filter {
        queue: Some("bulk".to_owned()),
        ..Filter::default()
    };
    assert_eq!(count(queue).await, 1);
}

#[tokio::test]
async fn stats_tell_each_kinds_depth_age_and_rates() {
    let database = Database::create().await;
    let db = &database.pool;
    enqueue(db, 3).await;
    let leases = claim(db, Past::Clean).await;
    leases::complete(db.begin().await.unwrap(), &leases[0])
        .await
        .unwrap();
    leases::fail(db, &leases[1], "broken").await.unwrap();
    sqlx::query!("insert into job (kind, args_version, args, run_at) values ('erase_account', 1, '{}', now() - interval '1 minute')")
        .execute(db)
        .await
        .unwrap();
    let stats = jobs::stats(db).await.unwrap();
    assert_eq!(stats.period_seconds, 300.0);
    let [erase, welcome] = &stats.kinds[..] else {
        panic!("{stats:?}")
    };
    assert_eq!((erase.kind.as_str(), erase.due), ("erase_account", 1));
    assert!((60.0..90.0).contains(&erase.oldest_seconds), "{erase:?}");
    assert_eq!(
        (
            welcome.running,
            welcome.scheduled,
            welcome.succeeded,
            welcome.failed
        ),
        (1, 1, 1, 1)
    );
}
