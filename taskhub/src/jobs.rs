//! What can be asked of the worker, and how it is asked: in the transaction of its cause.

pub mod leadership;
pub mod leases;
pub mod waiting;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Result;

/// Everything the worker can do.
///
/// Variants and fields are stored, and an older program may read them: both only grow, and a change
/// of a kind's fields raises its `args_version`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", content = "args", rename_all = "snake_case")]
pub enum Job {
    /// Greets a new user by e-mail, once in their life.
    WelcomeEmail { user_id: Uuid },
    /// Erases an account whose grace time is over.
    EraseAccount { user_id: Uuid },
}

/// The rules of one kind of job.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The kind as it is stored.
    pub kind: &'static str,
    /// The newest form of the arguments; a program leaves newer ones to a newer program.
    pub args_version: i16,
    /// How often it is tried before it is dead.
    pub max_attempts: i32,
    pub uniqueness: Uniqueness,
}

/// Which second job of the same unique key is the first one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Uniqueness {
    /// While the first waits or runs.
    WhileLive,
    /// Always, however the first ended.
    Forever,
}

const WELCOME_EMAIL: Rules = Rules {
    kind: "welcome_email",
    args_version: 1,
    max_attempts: 10,
    uniqueness: Uniqueness::Forever,
};

const ERASE_ACCOUNT: Rules = Rules {
    kind: "erase_account",
    args_version: 1,
    max_attempts: 20,
    uniqueness: Uniqueness::WhileLive,
};

/// The rules of every kind that this program knows.
pub const KINDS: [Rules; 2] = [WELCOME_EMAIL, ERASE_ACCOUNT];

impl Job {
    pub fn rules(&self) -> &'static Rules {
        match self {
            Self::WelcomeEmail { .. } => &WELCOME_EMAIL,
            Self::EraseAccount { .. } => &ERASE_ACCOUNT,
        }
    }

    /// What makes two jobs the same, such as `welcome_email:<user id>`.
    fn unique_key(&self) -> String {
        let kind = self.rules().kind;
        match self {
            Self::WelcomeEmail { user_id } | Self::EraseAccount { user_id } => {
                format!("{kind}:{user_id}")
            }
        }
    }

    /// The arguments as they are stored.
    fn args(&self) -> serde_json::Value {
        let mut tagged = serde_json::to_value(self).expect("a job is plain JSON");
        tagged["args"].take()
    }
}

/// Adds `job` in the caller's transaction, due at once, and gives its public id. Where an equal one
/// exists already (see [`Uniqueness`]) nothing is added and that one's id is given.
///
/// # Errors
/// Where the database fails.
pub async fn enqueue(db: &mut PgConnection, job: &Job) -> Result<Uuid> {
    enqueue_in(db, job, Duration::ZERO).await
}

/// As [`enqueue`], due `delay` after the transaction began, by the database's clock.
///
/// # Errors
/// Where the database fails.
pub async fn enqueue_in(db: &mut PgConnection, job: &Job, delay: Duration) -> Result<Uuid> {
    let rules = job.rules();
    // An update that changes nothing, because `do nothing` would give no id.
    let public_id = sqlx::query_scalar!(
        r#"
        insert into job (kind, args_version, args, unique_key, unique_forever, max_attempts, run_at)
        values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7))
        on conflict (unique_key) where state in ('ready', 'running') or unique_forever
        do update set unique_key = excluded.unique_key
        returning public_id
        "#,
        rules.kind,
        rules.args_version,
        job.args(),
        job.unique_key(),
        rules.uniqueness == Uniqueness::Forever,
        rules.max_attempts,
        delay.as_secs_f64(),
    )
    .fetch_one(db)
    .await?;
    Ok(public_id)
}

/// Calls off the job equal to `job` that still waits, if there is one.
///
/// # Errors
/// Where the database fails.
pub async fn cancel(db: &mut PgConnection, job: &Job) -> Result<()> {
    sqlx::query!(
        "
        update job set state = 'cancelled', finished_at = now()
        where unique_key = $1 and state = 'ready'
        ",
        job.unique_key(),
    )
    .execute(db)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_named_as_it_is_serialised() {
        let user_id = Uuid::now_v7();
        for job in [Job::WelcomeEmail { user_id }, Job::EraseAccount { user_id }] {
            let tagged = serde_json::to_value(&job).expect("a job is plain JSON");
            assert_eq!(tagged["kind"], job.rules().kind);
            assert!(KINDS.contains(job.rules()));
        }
    }
}
