use sqlx::PgPool;
use taskhub::{
    Error, Refusal,
    jobs::{
        self, Cancelled, Filter, Job, State,
        bulk::{self, Mode},
        leases::{self, Lease, Past, Setback},
    },
    testing::Database,
};
use uuid::Uuid;

use super::{claim, enqueue, hurry, let_run_out, outcomes, state};

async fn cancel(db: &PgPool, id: Uuid) -> taskhub::Result<Cancelled> {
    jobs::cancel(&mut db.acquire().await.unwrap(), id).await
}

async fn retry(db: &PgPool, id: Uuid) -> taskhub::Result<()> {
    jobs::retry(&mut db.acquire().await.unwrap(), id).await
}

/// How many of the dead jobs are retried, all or those of a kind.
async fn retry_all(db: &PgPool, kind: Option<&str>) -> u64 {
    let filter = Filter {
        kind: kind.map(str::to_owned),
        ..Filter::default()
    };
    let done = bulk::retry(db, &filter, None, Mode::Change).await.unwrap();
    assert_eq!(done.next, None);
    done.changed
}

fn is_refused(result: taskhub::Result<impl std::fmt::Debug>) -> bool {
    matches!(
        result,
        Err(Error::Refused(Refusal::InvalidTransition { .. }))
    )
}

/// Fails the job until it is dead.
async fn kill(db: &PgPool) {
    loop {
        let mut lease = claim(db, Past::Clean).await.pop().unwrap();
        if leases::fail(db, &lease, "broken").await.unwrap() == Some(Setback::Dead) {
            return;
        }
        lease.attempt += 1;
        hurry(db).await;
    }
}

async fn finish(db: &PgPool, lease: &Lease) {
    leases::complete(db.begin().await.unwrap(), lease)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_that_waits_is_cancelled_at_once() {
    let database = Database::create().await;
    let db = &database.pool;
    let id = enqueue(db, 1).await[0];
    assert_eq!(cancel(db, id).await.unwrap(), Cancelled::AtOnce);
    assert_eq!(state(db, id).await, State::Cancelled);
    assert_eq!(outcomes(db, id).await, ["cancelled"]);
    assert!(claim(db, Past::Clean).await.is_empty());
    assert!(is_refused(cancel(db, id).await));
}

#[tokio::test]
async fn a_job_that_runs_is_told_by_the_heartbeat_that_it_is_cancelled() {
    let database = Database::create().await;
    let db = &database.pool;
    let id = enqueue(db, 1).await[0];
    let lease = claim(db, Past::Clean).await.pop().unwrap();
    let beat = async || leases::extend(db, &[lease.hold()]).await.unwrap()[0];
    assert!(!beat().await.cancel_requested);
    assert_eq!(cancel(db, id).await.unwrap(), Cancelled::Requested);
    assert!(jobs::get(db, id).await.unwrap().cancel_requested);
    assert!(beat().await.cancel_requested);
    assert!(leases::cancelled(db, &lease).await.unwrap());
    assert_eq!(state(db, id).await, State::Cancelled);
    assert_eq!(outcomes(db, id).await, ["cancelled"]);
}

#[tokio::test]
async fn whatever_ends_a_cancelled_attempt_ends_the_job() {
    let database = Database::create().await;
    let db = &database.pool;
    let ids = enqueue(db, 4).await;
    let leases = claim(db, Past::Clean).await;
    for id in &ids {
        cancel(db, *id).await.unwrap();
    }
    let of = |id: Uuid| leases.iter().find(|lease| lease.public_id == id).unwrap();
    let failed = leases::fail(db, of(ids[0]), "broken").await.unwrap();
    assert_eq!(failed, Some(Setback::Cancelled));
    leases::hand_back(db, &[of(ids[1]).hold()]).await.unwrap();
    // The effect is there, so it counts.
    finish(db, of(ids[2])).await;
    let_run_out(db).await;
    assert_eq!(leases::rescue(db).await.unwrap()[0].1, Setback::Cancelled);
    for (id, wanted) in ids.iter().zip([
        State::Cancelled,
        State::Cancelled,
        State::Done,
        State::Cancelled,
    ]) {
        assert_eq!(state(db, *id).await, wanted);
        assert!(!jobs::get(db, *id).await.unwrap().cancel_requested);
    }
}

#[tokio::test]
async fn a_dead_job_is_retried_under_its_id_with_all_its_attempts() {
    let database = Database::create().await;
    let db = &database.pool;
    let id = enqueue(db, 1).await[0];
    assert!(is_refused(retry(db, id).await));
    kill(db).await;
    assert_eq!(state(db, id).await, State::Dead);
    retry(db, id).await.unwrap();
    let job = jobs::get(db, id).await.unwrap();
    assert_eq!(
        (job.state, job.attempt, job.public_id),
        (State::Ready, 0, id)
    );
    kill(db).await;
    let outcomes = outcomes(db, id).await;
    assert_eq!(outcomes.len(), 21);
    assert_eq!(
        (outcomes[9].as_str(), outcomes[10].as_str()),
        ("dead", "replayed")
    );
}

#[tokio::test]
async fn a_job_that_is_done_is_repeated_only_where_it_stands_for_every_later_one() {
    let database = Database::create().await;
    let db = &database.pool;
    let welcome = enqueue(db, 1).await[0];
    let user_id = Uuid::now_v7();
    let erase = jobs::enqueue(
        &mut db.acquire().await.unwrap(),
        &Job::EraseAccount { user_id },
    )
    .await
    .unwrap();
    for lease in claim(db, Past::Clean).await {
        finish(db, &lease).await;
    }
    retry(db, welcome).await.unwrap();
    assert_eq!(state(db, welcome).await, State::Ready);
    assert_eq!(outcomes(db, welcome).await, ["succeeded", "replayed"]);
    assert!(is_refused(retry(db, erase).await));

    finish(db, &claim(db, Past::Clean).await[0]).await;
    // As workers of earlier releases do.
    sqlx::query!(
        "
        insert into job_log (job_id, attempt, outcome, worker_id, at)
        select id, attempt, 'succeeded', worker_id, finished_at from job where public_id = $1
        ",
        welcome,
    )
    .execute(db)
    .await
    .unwrap();
    let twice = ["succeeded", "replayed", "succeeded"];
    assert_eq!(outcomes(db, welcome).await, twice);
    retry(db, welcome).await.unwrap();
    let outcomes = outcomes(db, welcome).await;
    assert_eq!(
        (&outcomes[..3], outcomes[3].as_str()),
        (&twice.map(str::to_owned)[..], "replayed")
    );
}

#[tokio::test]
async fn a_dead_job_whose_equal_waits_is_not_retried() {
    let database = Database::create().await;
    let db = &database.pool;
    let job = Job::EraseAccount {
        user_id: Uuid::now_v7(),
    };
    let mut connection = db.acquire().await.unwrap();
    let dead = jobs::enqueue(&mut connection, &job).await.unwrap();
    kill(db).await;
    let waiting = jobs::enqueue(&mut connection, &job).await.unwrap();
    assert_ne!(dead, waiting);
    assert!(is_refused(retry(db, dead).await));
    assert_eq!(retry_all(db, None).await, 0);
    assert_eq!(state(db, dead).await, State::Dead);
}

#[tokio::test]
async fn all_dead_jobs_of_a_kind_are_retried_at_once() {
    let database = Database::create().await;
    let db = &database.pool;
    sqlx::query!(
        "
        insert into job (kind, args_version, args, state, finished_at, attempt, unique_key)
        select case when n <= 1200 then 'welcome_email' else 'erase_account' end, 1, '{}', 'dead', now(), 10,
            case when n > 1200 then 'erase_account:one' end
        from generate_series(1, 1203) as n
        "
    )
    .execute(db)
    .await
    .unwrap();
    assert_eq!(retry_all(db, Some("nothing")).await, 0);
    assert_eq!(retry_all(db, Some("welcome_email")).await, 1200);
    // Of three that are the same, one.
    assert_eq!(retry_all(db, None).await, 1);
}

#[tokio::test]
async fn what_does_not_exist_can_be_neither_cancelled_nor_retried() {
    let database = Database::create().await;
    let db = &database.pool;
    let nobody = Uuid::now_v7();
    for result in [cancel(db, nobody).await.map(drop), retry(db, nobody).await] {
        assert!(matches!(result, Err(Error::Refused(Refusal::NotFound))));
    }
}
