//! Jobs as rows: how they come to be, wait, and end.

mod arguments;
mod bulk;
mod control;
mod enqueueing;
mod floods;
mod housekeeping;
mod leases;
mod limits;
mod losses;
mod pauses;
mod periodic;
mod plans;
mod records;
mod search;
mod sharing;

use std::time::Duration;

use sqlx::PgPool;
use taskhub::jobs::{
    self, Job, Rules,
    leases::{Claim, Lease, Past},
    waiting,
};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

/// Enqueues welcomes and gives their public ids.
async fn enqueue(db: &PgPool, count: usize) -> Vec<Uuid> {
    let mut db = db.acquire().await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..count {
        let user_id = Uuid::now_v7();
        let job = Job::WelcomeEmail { user_id };
        ids.push(jobs::enqueue(&mut db, &job).await.unwrap());
    }
    ids
}

async fn claim(db: &PgPool, past: Past) -> Vec<Lease> {
    claim_kind(db, None, past).await
}

async fn claim_kind(db: &PgPool, kind: Option<&'static Rules>, past: Past) -> Vec<Lease> {
    let due = waiting::due(db, "default", 100).await.unwrap();
    let claim = Claim {
        worker: "test",
        past,
        limit: 100,
        lease: LEASE,
    };
    jobs::leases::claim(db, &due.ids, kind, claim)
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

/// As if the time of everything that waits had come.
async fn hurry(db: &PgPool) {
    sqlx::query!("update job set run_at = now() where state = 'scheduled'")
        .execute(db)
        .await
        .unwrap();
    waiting::promote(db, "default").await.unwrap();
}

async fn outcomes(db: &PgPool, public_id: Uuid) -> Vec<String> {
    let attempts = jobs::attempts(db, public_id).await.unwrap();
    attempts
        .into_iter()
        .map(|attempt| attempt.outcome)
        .collect()
}

async fn state(db: &PgPool, public_id: Uuid) -> jobs::State {
    jobs::get(db, public_id).await.unwrap().state
}
